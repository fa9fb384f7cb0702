"""
Lines with their bands
======================

The mean along a covariate with its confidence band, a line for each level of a factor, and the data.
"""

from henderson import datasets, lmer

fit = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", datasets.load("cake"))
ax = fit.plot.effects("temp", by="recipe", data=True)
