"""Degrees of freedom: the registry.

A method is made from a `FitMoments` and has `df(rows)` and `f_test(rows, values, cov)` (see `inference.DdfMethod`).
"""

from __future__ import annotations

from collections.abc import Callable

from henderson.inference.ddf.containment import between_within, containment
from henderson.inference.ddf.counting import asymptotic, residual
from henderson.inference.ddf.kenward_roger import (
    kenward_roger,
    kenward_roger_linear,
    kenward_roger_observed,
)
from henderson.inference.ddf.sas_weighted import satterthwaite_sas
from henderson.inference.ddf.satterthwaite import satterthwaite
from henderson.inference.fit_moments import FitMoments
from henderson.inference.inference import DdfMethod

#: name -> FitMoments -> method
DDF: dict[str, Callable[[FitMoments], DdfMethod]] = {
    "asymptotic": asymptotic,
    "residual": residual,
    "containment": containment,
    "between-within": between_within,
    "satterthwaite": satterthwaite,
    "satterthwaite-sas": satterthwaite_sas,
    "kenward-roger": kenward_roger,
    "kenward-roger-2009": kenward_roger,
    "kenward-roger-observed": kenward_roger_observed,
    "kenward-roger-linear": kenward_roger_linear,
}


#: the covariance that goes with a method and no other
IMPLIED = {
    "kenward-roger": "kenward-roger",
    "kenward-roger-2009": "kenward-roger",
    "kenward-roger-observed": "kenward-roger-observed",
    "kenward-roger-linear": "kenward-roger-linear",
}


def degrees_of_freedom(
    name: str, cov: str, fitted: FitMoments, own: DdfMethod | None = None
) -> Callable[[], DdfMethod]:
    """What makes the method called `name`, for a covariance called `cov`, which may have its `own` version of
    Satterthwaite's. That takes the curvature of the likelihood, and is left until somebody asks; others are made here.

    Raises
    ------
    ValueError
        An unknown name, or one that does not go with `cov`.
    """
    if name not in DDF:
        raise ValueError(f"unknown ddf {name!r}; there are {', '.join(DDF)}")
    if IMPLIED.get(name, cov) != cov:
        raise ValueError(f"ddf={name!r} goes with cov={IMPLIED[name]!r}, not {cov!r}")
    if own is not None and name == "satterthwaite":
        return lambda: own
    if name == "satterthwaite":
        return lambda: DDF[name](fitted)
    made = DDF[name](fitted)
    return lambda: made
