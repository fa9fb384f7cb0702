"""
Whether the residuals go together as the model says
===================================================

Correlations of a patient's residuals by how many visits they are apart, with two standard errors, and those of an AR(1)
structure: the correlation does not fall off as fast as that.
"""

from henderson import datasets, mmrm

fit = mmrm("FEV1 ~ RACE + SEX + ARMCD * AVISIT + ar1h(AVISIT | USUBJID)", datasets.load("fev"))
ax = fit.plot.autocorrelation()
