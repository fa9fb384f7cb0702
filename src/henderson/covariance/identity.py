"""Independent effects with one variance: λ = θI."""

from __future__ import annotations

import numpy as np

from henderson.covariance.structure import Inside, Structure

FloatArray = np.ndarray


class Identity(Structure):
    """Independent effects with one variance for all."""

    name = "identity"
    one_variance = True

    def n_theta(self, q: int) -> int:
        """One."""
        return 1

    def lam(self, theta: FloatArray, q: int) -> FloatArray:
        """θI."""
        return float(theta[0]) * np.eye(q)

    def jacobian(self, theta: FloatArray, q: int) -> FloatArray:
        """I."""
        return np.eye(q)[None]

    def basis(self, q: int) -> FloatArray:
        """I."""
        return np.eye(q)[None]

    def theta(self, lam: FloatArray) -> FloatArray:
        """The first of the equal diagonal entries."""
        return lam[:1, 0].copy()

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """Root of the mean variance, negative ones counted as zero."""
        return np.sqrt(np.maximum(np.diag(cov), 0.0).mean(keepdims=True))

    def rays(self, q: int) -> FloatArray:
        """All variances at once."""
        return np.eye(q)[None]

    def at_zero(self, lam: FloatArray) -> FloatArray:
        """All, or none."""
        return np.asarray(np.diag(lam) == 0)

    def inside(self, lam: FloatArray, zero: float) -> list[Inside]:
        """The variance, when it is not zero."""
        return [Inside(np.eye(len(lam)))] if lam[0, 0] ** 2 > zero else []
