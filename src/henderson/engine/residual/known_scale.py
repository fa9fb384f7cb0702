"""Deviance where the parameters of the residuals' covariance hold the scale: ν log 2π + r² where else σ̂² = r²/ν is."""

from __future__ import annotations

import math

import numpy as np

from henderson.engine.criterion import Evaluation


class KnownScale(Evaluation):
    """The criterion where σ² is one: other parameters, of the residuals' covariance, hold the scale."""

    @property
    def _misfit(self) -> float:
        """ν log 2π + r²."""
        return self.criterion.nu * math.log(2 * math.pi) + self.r2

    @property
    def _precision(self) -> float:
        """One."""
        return 1.0

    def _profiled(self, quadratic: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """w'Pw."""
        return quadratic
