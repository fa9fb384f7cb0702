"""
Contrasts and zero
==================

All pairwise differences with simultaneous intervals.
"""

from henderson import datasets, lmer

fit = lmer("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", datasets.load("Machines"))
ax = fit.emmeans("Machine").pairs().plot()
