"""
Whom the result depends on
==========================

Cook's distance of each subject, and by how many standard errors the slope moves without it; both exact.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
panels = fit.plot.influence("Subject", ["cooks", "dfbetas[Days]"])
