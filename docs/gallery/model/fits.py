"""
Data and lines, level by level
==============================

A panel for each subject: its data, everyone's line, and the line that the model has for it, drawn towards everyone's by
as much as the variances tell. Subjects are in the order of their random intercepts.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
panels = fit.plot.fits("Subject")
