"""Degrees of freedom that are one number for every contrast: none counted (z and χ² tests), or n − rank(X)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.inference.contrast_rows import Turned, wald_f
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray


@dataclass(frozen=True)
class ConstantDf:
    """One number of degrees of freedom for every contrast; infinite: z and χ² tests."""

    value: float
    notes: tuple[str, ...] = ()

    def df(self, rows: FloatArray) -> FloatArray:
        """(r,)."""
        return np.full(len(rows), self.value)

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray | Turned) -> tuple[float, float]:
        """Wald's F."""
        return wald_f(rows, values, cov), self.value


def asymptotic(fitted: FitMoments) -> ConstantDf:
    """z and χ² tests."""
    return ConstantDf(np.inf)


def residual(fitted: FitMoments) -> ConstantDf:
    """n − rank(X), as SAS's DDFM=RESIDUAL."""
    return ConstantDf(float(fitted.fit.n - fitted.kept.sum()))
