"""sp_mat: Matérn's covariance (SAS SP(MATERN)), with range r and smoothness ν.

    f(d) = 2^{1−ν}/Γ(ν) z^ν K_ν(z),  z = d/r;      f(0) = 1.

K_ν and its derivatives in z and ν are integrals (DLMF 10.32.9), K_ν(z) = ∫₀^∞ e^{−z cosh t} cosh(νt) dt, whose
integrand is analytic and falls faster than any exponential: the trapezoidal rule is exact to rounding with steps of
0.1, or 0.7 of the width of its peak, 1/√(z² + ν²)^½.

Matérn's family has ends that it does not hold: as ν grows f becomes a Gaussian, and as ν goes to zero with r^ν held a
constant, f(d) for every d > 0 (compound symmetry). ν is kept within SMOOTHNESSES; an optimum at an end of that is said
to be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from henderson.covariance.residual.distance import ByDistance
from henderson.covariance.residual.structure import AT_END, Kind
from henderson.numerics.jets import exp, joined, tanh

FloatArray = np.ndarray

#: steps of the trapezoidal rule, at most, and relative to the peak; the log of what is left out
STEP, OF_PEAK, NOTHING = 0.1, 0.7, -45.0
#: distances whose integrals are taken at once
AT_ONCE = 512
#: smoothness of the first try, and of others
SMOOTHNESS, TRIED = 0.5, (0.5, 2.5)
#: |log r| is below this; distances over r beyond which f is zero in floating point
FAR, APART = 300.0, 5000.0
#: smallest and largest smoothness; their logs' middle, and half the distance between them
SMOOTHNESSES = (0.005, 200.0)
MIDDLE = float(np.log(SMOOTHNESSES).mean())
HALF = float(np.log(SMOOTHNESSES[1]) - MIDDLE)


class Matern(ByDistance):
    """v 2^{1−ν}/Γ(ν) z^ν K_ν(z)."""

    name = "sp_mat"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """A variance, a range, a smoothness."""
        return ("variance", "range", "smoothness")

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var``, ``Range``, ``Smoothness``."""
        return ("Var", "Range", "Smoothness")

    def shape(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """f."""
        return self._log_derivatives(s, d, 0)[0]

    def shape_first(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """f × derivatives of log f."""
        f, first, _ = self._log_derivatives(s, d, 1)
        return f * first

    def shape_second(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """f (second derivatives of log f + products of its first ones)."""
        f, first, second = self._log_derivatives(s, d, 2)
        return f * (second + first[:, None] * first)

    def shape_natural(self, phi: Any) -> Any:
        """log ν = MIDDLE + HALF tanh(φ₂/HALF), log r = φ₁ (1 + 1/ν) within ±FAR.

        Along small ν with r^ν constant φ₁ hardly moves.
        """
        log_nu = tanh(phi[1:] * (1 / HALF)) * HALF + MIDDLE
        log_r = tanh(phi[:1] * (exp(-log_nu) + 1.0) * (1 / FAR)) * FAR
        return joined([exp(log_r), exp(log_nu)])

    def shape_working(self, s: FloatArray) -> FloatArray:
        """Their inverse."""
        along = (np.log(s[1]) - MIDDLE) / HALF
        to_nu = HALF * np.arctanh(np.clip(along, -1 + AT_END**2, 1 - AT_END**2))
        to_r = FAR * np.arctanh(np.clip(np.log(s[0]) / FAR, -1 + AT_END**2, 1 - AT_END**2))
        return np.array([to_r / (1 + 1 / s[1]), to_nu])

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Of the smoothness SMOOTHNESSES."""
        return (*super().ranges[:-1], SMOOTHNESSES)

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """A smoothness at its least or largest."""
        return np.array([False, False, abs(np.log(psi[2]) - MIDDLE) > HALF * (1 - within**0.5)])

    def is_beyond(self, psi: FloatArray) -> bool:
        """Never: both ends are of the family, not of the matrix."""
        return False

    def of_range(self, r: float) -> FloatArray:
        """With a smoothness of a half: exponential."""
        return np.array([r, SMOOTHNESS])

    def variants(self, s: FloatArray) -> list[FloatArray]:
        """Its own smoothness, and others."""
        return [s, *(np.array([s[0], nu]) for nu in TRIED)]

    def at_range(self, s: FloatArray, r: float) -> FloatArray:
        """With the smoothness of s."""
        return np.array([r, s[1]])

    def _log_derivatives(self, s: FloatArray, d: FloatArray, order: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """f, ∂log f/∂(r, ν), (2, …), and ∂² log f, (2, 2, …); at d = 0: 1, 0, 0."""
        from scipy.special import gammaln, polygamma

        r, nu = s
        f, first, second = np.ones(d.shape), np.zeros((2, *d.shape)), np.zeros((2, 2, *d.shape))
        f[d > APART * r] = 0.0
        apart = (d > 0) & (d <= APART * r)
        z, back = np.unique(d[apart] / r, return_inverse=True)
        if not len(z):
            return f, first, second
        log_k, by_z, by_nu, by_zz, by_znu, by_nunu = log_bessel(nu, z, order)
        log_f = (1 - nu) * np.log(2) - gammaln(nu) + nu * np.log(z) + log_k
        f[apart] = np.exp(log_f)[back]
        if order:
            slope = nu + z * by_z  # ∂ log f/∂ log z
            of_r = -slope / r
            of_nu = -np.log(2) - polygamma(0, nu) + np.log(z) + by_nu
            first[:, apart] = np.stack([of_r, of_nu])[:, back]
            if order > 1:
                bend = z * by_z + z**2 * by_zz  # ∂ slope/∂ log z
                rr = (bend + slope) / r**2
                rnu = -(1 + z * by_znu) / r
                nunu = -polygamma(1, nu) + by_nunu
                second[:, :, apart] = np.array([[rr, rnu], [rnu, nunu]])[:, :, back]
        return f, first, second


def log_bessel(nu: float, z: FloatArray, order: int = 2) -> tuple[FloatArray, ...]:
    """log K_ν(z) and its derivatives in z, ν, zz, zν, νν, (m,) each; zeros beyond `order`.

    Examples
    --------
    >>> log_k, by_z, *_ = log_bessel(0.5, np.array([1.0]))
    >>> bool(abs(log_k[0] - np.log(np.sqrt(np.pi / 2) * np.exp(-1))) < 1e-14), round(float(by_z[0]), 12)
    (True, -1.5)
    """
    out = np.zeros((6, len(z)))
    for start in range(0, len(z), AT_ONCE):
        here = slice(start, start + AT_ONCE)
        out[:, here] = _log_bessel(nu, z[here], order)
    return tuple(out)


def _log_bessel(nu: float, z: FloatArray, order: int) -> FloatArray:
    # the integrand's log, νt − z (cosh t − 1), is largest at sinh t = ν/z and has fallen below NOTHING of it where
    # e^t/2 > 1 + (ν t + 45)/z
    peak = np.arcsinh(nu / z)
    top = nu * peak - z * (np.cosh(peak) - 1)
    end = np.log(2 * (1 + (nu * 60 - NOTHING + np.abs(top).max()) / z.min()))
    step = min(STEP, OF_PEAK / np.hypot(z.max(), nu) ** 0.5)
    t = np.arange(0.0, end + step, step)
    cosh = np.cosh(t)
    log_size = nu * t - z[:, None] * (cosh - 1) - top[:, None]
    weight = np.full(len(t), step)
    weight[0] /= 2
    size = np.exp(np.maximum(log_size, -700.0)) * weight
    decay = np.exp(-2 * nu * t)
    even, odd = size * (1 + decay) / 2, size * (1 - decay) / 2  # e^… cosh νt, e^… sinh νt
    k = even.sum(axis=1)
    out = np.zeros((6, len(z)))
    out[0] = np.log(k) + top - z
    if order:
        out[1] = -(even @ cosh) / k
        out[2] = (odd @ t) / k
    if order > 1:
        out[3] = (even @ cosh**2) / k - out[1] ** 2
        out[4] = -(odd @ (t * cosh)) / k - out[1] * out[2]
        out[5] = (even @ t**2) / k - out[2] ** 2
    return out
