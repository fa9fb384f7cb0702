"""
The first look
==============

Residuals against fitted values, their spread, and normal quantiles of the residuals and of the random effects. The band
holds each point of a normal sample with 95 % probability.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
panels = fit.plot()
