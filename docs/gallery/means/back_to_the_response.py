"""
Back from the logarithm
=======================

A model of the logarithm, shown in milliseconds: the axis, the band and the data are on the scale of the response.
"""

from henderson import datasets, lmer

fit = lmer("log(Reaction) ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
ax = fit.plot.effects("Days", data=True, type="response")
