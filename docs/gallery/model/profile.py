"""
Likelihood profiles
===================

The signed root of the change in deviance: where it is straight, Wald's interval is right. The standard deviations are
bent, the fixed effects are nearly straight.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
panels = fit.plot.profile()
