"""
Standard deviations and correlations
====================================

With intervals, a panel for each unit. Profile intervals need not be symmetric.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
panels = fit.plot.varcorr(method="profile")
