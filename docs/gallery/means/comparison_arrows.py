"""
Means with comparison arrows
============================

Bars are confidence intervals. Arrows compare: where those of two means overlap, the means do not differ significantly
(Tukey's adjustment); where they do not, they do.
"""

from henderson import datasets, lmer

fit = lmer("angle ~ recipe + temperature + (1 | recipe:replicate)", datasets.load("cake"))
ax = fit.emmeans("temperature").plot()
