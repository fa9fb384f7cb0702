"""Reaction times under restricted sleep: everyone has a line of their own, as in lme4's first example.

Run with `python examples/sleepstudy.py`.
"""

from henderson import datasets, lmer

data = datasets.load("sleepstudy")

# Intercept and slope vary between people and may be correlated: lme4's formula as it stands.
result = lmer("Reaction ~ Days + (Days | Subject)", data)
print(result.summary())

# Variances and correlations as a table.
print(result.varcorr, "\n")

# A person's own line: the common line plus their conditional modes.
lines = result.coef["Subject"]
print(lines.head(), "\n")

# Every result carries a certificate of its optimum: what another step could still gain.
for name, value in result.optinfo.items():
    print(f"{name}: {value}")
