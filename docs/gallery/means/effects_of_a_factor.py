"""
Means and the data behind them
==============================

Marginal means of one factor at the levels of another, with intervals, over the rows that they come from.
"""

from henderson import datasets, lmer

fit = lmer("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", datasets.load("Machines"))
ax = fit.plot.effects("Machine", data=True)
