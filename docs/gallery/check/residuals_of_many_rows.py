"""
Residuals of many rows
======================

Above 10,000 points hexagons, shaded by the logarithm of their number, take the place of points. 73,421 ratings, whole
numbers from 1 to 5, make five stripes.
"""

from henderson import datasets, lmer

fit = lmer("y ~ service + (1 | s) + (1 | d)", datasets.load("InstEval"))
ax = fit.plot.residuals()
