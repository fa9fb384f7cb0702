"""
Residuals against a factor
==========================

Boxes over the levels of a factor: three subjects have most of the spread.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
ax = fit.plot.residuals("Subject", kind="studentized")
