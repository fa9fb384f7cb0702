"""Variance functions: factors s of a residual's standard deviation, with one parameter vector δ each.

ident   s = δ_stratum, of the first stratum 1     φ = log δ     nlme varIdent
power   s = |v|^δ                                 φ = δ         nlme varPower
exp     s = exp(δ v)                              φ = δ         nlme varExp
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from henderson.contract.residual import VarianceTerm
from henderson.covariance.residual.structure import Kind, several

FloatArray = np.ndarray


class VarianceFunction(ABC):
    """A kind of variance function.

    Parameters
    ----------
    term : VarianceTerm
    """

    kind: ClassVar[str]

    def __init__(self, term: VarianceTerm) -> None:
        self.term = term

    @property
    @abstractmethod
    def kinds(self) -> tuple[Kind, ...]:
        """What each parameter is, (m,)."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Of the parameters."""

    @abstractmethod
    def scale(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """s at the covariate's values, of the shape of `v`."""

    @abstractmethod
    def first(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """∂s/∂δ, (m, *v.shape)."""

    @abstractmethod
    def second(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """∂²s/∂δ∂δ', (m, m, *v.shape)."""

    def working(self, delta: FloatArray) -> FloatArray:
        """φ of δ."""
        return np.asarray(delta, float)

    def natural(self, phi: FloatArray) -> FloatArray:
        """δ of φ."""
        return np.asarray(phi, float)

    def slopes(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """dδ/dφ and d²δ/dφ², (m,) each; each δ is a function of its own φ."""
        return np.ones(len(phi)), np.zeros(len(phi))

    def start(self, square: FloatArray, v: np.ndarray) -> FloatArray:
        """δ from squared residuals (n,) at `v` (n,): slope of their logarithms, halved."""
        z = self.exponent(v)
        logs = np.log(square + 1e-4 * square.mean())
        z = z - z.mean()
        spread = z @ z
        return np.array([float(np.clip(0.5 * (z @ logs) / spread, -5 / np.abs(z).max(), 5 / np.abs(z).max()))
                         if spread > 0 else 0.0])  # fmt: skip

    def exponent(self, v: np.ndarray) -> FloatArray:
        """z in s = exp(δz)."""
        return np.asarray(v, float)

    @property
    @abstractmethod
    def none(self) -> FloatArray:
        """δ at which s is one, (m,)."""


class ByStratum(VarianceFunction):
    """A standard deviation for each stratum, relative to the first."""

    kind = "ident"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Ratios."""
        return several("ratio", len(self.term.strata) - 1)

    @property
    def names(self) -> tuple[str, ...]:
        """``Ratio(TRT)``, …"""
        return tuple(f"Ratio({label})" for label in self.term.strata[1:])

    def scale(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """δ by stratum."""
        return np.concatenate([[1.0], delta])[v]

    def first(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """Ones at a stratum."""
        return (v == np.arange(1, len(self.term.strata)).reshape(-1, *(1,) * v.ndim)).astype(float)

    def second(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """Zero."""
        return np.zeros((len(delta), len(delta), *v.shape))

    def working(self, delta: FloatArray) -> FloatArray:
        """log δ."""
        return np.log(delta)

    def natural(self, phi: FloatArray) -> FloatArray:
        """e^φ."""
        return np.exp(phi)

    def slopes(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """e^φ twice."""
        return np.exp(phi), np.exp(phi)

    def start(self, square: FloatArray, v: np.ndarray) -> FloatArray:
        """Ratios of root mean squares."""
        m = len(self.term.strata)
        mean = np.bincount(v, square, m) / np.maximum(np.bincount(v, minlength=m), 1)
        mean = np.maximum(mean, 1e-4 * mean.max())
        return np.sqrt(mean[1:] / mean[0])

    @property
    def none(self) -> FloatArray:
        """Ones."""
        return np.ones(len(self.term.strata) - 1)


class Exp(VarianceFunction):
    """exp(δ v)."""

    kind = "exp"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """An exponent."""
        return ("exponent",)

    @property
    def names(self) -> tuple[str, ...]:
        """``Exp(age)`` or ``Power(age)``."""
        return (f"{self.kind.capitalize()}({self.term.name})",)

    def scale(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """e^(δz); infinite, as the deviance then is, where a step goes beyond a double's range."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(delta[0] * self.exponent(v)))

    def first(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """z s."""
        return (self.exponent(v) * self.scale(delta, v))[None]

    def second(self, delta: FloatArray, v: np.ndarray) -> FloatArray:
        """z² s."""
        return (self.exponent(v) ** 2 * self.scale(delta, v))[None, None]

    @property
    def none(self) -> FloatArray:
        """Zero."""
        return np.zeros(1)


class Power(Exp):
    """|v|^δ."""

    kind = "power"

    def exponent(self, v: np.ndarray) -> FloatArray:
        """log |v|."""
        return np.log(np.abs(v))


#: kind, as `VarianceTerm.kind` has it -> variance function
VARIANCE_FUNCTIONS: dict[str, type[VarianceFunction]] = {each.kind: each for each in (ByStratum, Power, Exp)}
