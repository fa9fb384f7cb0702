"""
An interaction
==============

Means joined along one factor, a line for each level of the other: parallel lines are no interaction.
"""

from henderson import datasets, lmer

fit = lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", datasets.load("cake"))
ax = fit.emmeans(["temperature", "recipe"]).interaction_plot()
