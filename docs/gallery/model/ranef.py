"""
Random effects in order
=======================

The conditional mode of each level with its interval, a panel for each effect. Of two crossed factors each has its own.
"""

from henderson import datasets, lmer

fit = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", datasets.load("Penicillin"))
panels = fit.plot.ranef()
