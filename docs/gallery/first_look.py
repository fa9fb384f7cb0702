"""
The first look
==============

Four panels.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
axes = fit.plot()
