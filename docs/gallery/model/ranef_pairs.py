"""
Random effects against each other
=================================

Who is slow at the start is not who gets slower: the modes of two effects of one factor, with their intervals.
"""

from henderson import datasets, lmer

fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
panels = fit.plot.ranef(kind="pairs")
