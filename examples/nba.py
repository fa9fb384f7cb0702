"""The ten-row table of statsmodels users: a random intercept for each team.

Run with `python examples/nba.py`. Whoever has this program for statsmodels changes the import alone.
"""

import pandas as pd

from henderson import mixedlm

data = pd.DataFrame(
    {
        "Points": [10, 25, 35, 30, 22, 14, 24, 28, 32, 27],
        "Minutes": [35, 40, 30, 38, 33, 32, 34, 39, 41, 36],
        "Team": ["TeamG", "TeamG", "TeamR", "TeamR", "TeamG", "TeamG", "TeamR", "TeamR", "TeamG", "TeamR"],
    }
)

# REML is the default; `fit(reml=False)` maximises the likelihood.
result = mixedlm("Points ~ Minutes", data, groups="Team").fit()
print(result.summary())

# How far each team is from the common line, in points.
for team, effect in result.random_effects.items():
    print(f"{team}: {effect.iloc[0]:+.2f}")
