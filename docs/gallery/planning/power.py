"""
A power curve
=============

Power to find a slope of 4 ms a day, by the number of subjects, with exact limits of the simulation's error.
"""

from henderson import datasets, lmer, power

pilot = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
found = power(pilot, "Days", beta={"Days": 4.0}, sizes={"Subject": range(10, 46, 5)}, n=500, seed=1)
ax = found.plot()
