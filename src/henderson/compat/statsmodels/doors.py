"""The two doors: what differs between statsmodels' conventions and lme4's is this table, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Door:
    """Conventions of a results object.

    Attributes
    ----------
    name : {"statsmodels", "lme4"}
    cov : str
        Covariance of β̂ (a name in `inference.covariances.COV`).
    ddf : str
        Degrees of freedom (a name in `inference.ddf.DDF`).
    restricted_criteria : bool
        Whether AIC and BIC are numbers under REML.
    """

    name: str
    cov: str
    ddf: str
    restricted_criteria: bool


STATSMODELS = Door("statsmodels", "hessian", "asymptotic", False)
LME4 = Door("lme4", "model", "satterthwaite", True)
