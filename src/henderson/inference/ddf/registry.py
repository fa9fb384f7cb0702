"""Degrees of freedom: the registry, and the two methods that need no moments.

A method is made from a `Setting` and has `df(rows)` and `f_test(rows, values, cov)` (see `core.DdfMethod`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from henderson.inference.fit_moments import Setting
from henderson.inference.inference import DdfMethod, wald_f

FloatArray = np.ndarray


@dataclass(frozen=True)
class Constant:
    """One number of degrees of freedom for every contrast; infinite: z and χ² tests."""

    value: float
    notes: tuple[str, ...] = ()

    def df(self, rows: FloatArray) -> FloatArray:
        """(r,)."""
        return np.full(len(rows), self.value)

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray) -> tuple[float, float]:
        """Wald's F."""
        return wald_f(rows, values, cov), self.value


def asymptotic(setting: Setting) -> Constant:
    """z and χ² tests."""
    return Constant(np.inf)


def residual(setting: Setting) -> Constant:
    """n − rank(X), as SAS's DDFM=RESIDUAL."""
    return Constant(float(len(setting.design.y) - setting.kept.sum()))


def _from(module: str, name: str) -> Callable[[Setting], DdfMethod]:
    """A method of another module, which is imported when it is used."""

    def make(setting: Setting) -> DdfMethod:
        return getattr(import_module(f".{module}", __package__), name)(setting)

    return make


#: name -> Setting -> method
DDF: dict[str, Callable[[Setting], DdfMethod]] = {
    "asymptotic": asymptotic,
    "residual": residual,
    "containment": _from("containment", "containment"),
    "between-within": _from("containment", "between_within"),
    "satterthwaite": _from("satterthwaite", "satterthwaite"),
    "kenward-roger": _from("kenward_roger", "kenward_roger"),
    "kenward-roger-2009": _from("kenward_roger", "kenward_roger"),
    "kenward-roger-observed": _from("kenward_roger", "kenward_roger_observed"),
}


#: the covariance that goes with a method and no other
IMPLIED = {
    "kenward-roger": "kenward-roger",
    "kenward-roger-2009": "kenward-roger",
    "kenward-roger-observed": "kenward-roger-observed",
}


def degrees_of_freedom(name: str, cov: str, setting: Setting, own: DdfMethod | None = None) -> DdfMethod:
    """The method called `name`, for a covariance called `cov`, which may have its `own` version of Satterthwaite's.

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
        return own
    return DDF[name](setting)
