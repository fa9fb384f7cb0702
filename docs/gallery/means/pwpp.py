"""
p-values of all pairs
=====================

Each pair of means is joined by a bar at the p-value of its comparison; the scale is logarithmic.
"""

from henderson import datasets, lmer

fit = lmer("angle ~ recipe + temperature + (1 | recipe:replicate)", datasets.load("cake"))
ax = fit.emmeans("temperature").pwpp()
