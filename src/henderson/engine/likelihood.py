"""Log-likelihood, score and Hessian at any (β, G), residual variance profiled out: functions of `Moments`.

With r = (−β, 1), q = r'F0 r, Φ = (X'V⁻¹X)⁻¹ and N = n − p for REML, n for ML:

    −2ℓ = log|V| [+ log|X'V⁻¹X|] + N (1 + log(2π q / N))
    ∂ℓ/∂β = N X'V⁻¹(y − Xβ)/q                  ∂ℓ/∂G_i = ½ (N r'F1_i r / q − tr V⁻¹V_i [+ tr Φ X'V⁻¹V_iV⁻¹X])

and once more for the Hessian: ∂F0 = −F1_i, ∂F1_i = −(F2_ij + F2_ij'), ∂t1_i = −T2_ij. Nothing has n rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from henderson.engine.moments import Moments
from henderson.numerics.linalg import scaled_inverse

FloatArray = np.ndarray


@dataclass(frozen=True)
class Point:
    """A G at which the likelihood is known.

    Attributes
    ----------
    moments : Moments
    reml : bool
    """

    moments: Moments
    reml: bool

    @property
    def n_eff(self) -> int:
        """N: n − p for REML, n for ML."""
        return self.moments.n - (self.moments.p if self.reml else 0)


def profile_beta(moments: Moments) -> FloatArray:
    """Generalised least squares: (X'V⁻¹X)⁻¹X'V⁻¹y, (p,)."""
    p = moments.p
    return scaled_inverse(moments.f0[:p, :p]) @ moments.f0[:p, p]


def quadratic(moments: Moments, beta: FloatArray) -> float:
    """q = (y − Xβ)'V⁻¹(y − Xβ).

    Expanded about the GLS solution, where the two parts do not cancel.
    """
    p, gap = moments.p, beta - profile_beta(moments)
    return float(moments.r2 + gap @ moments.f0[:p, :p] @ gap)


def scale(point: Point, beta: FloatArray) -> float:
    """σ² = q / N."""
    return quadratic(point.moments, beta) / point.n_eff


def loglike(point: Point, beta: FloatArray) -> float:
    """ℓ(β, G)."""
    p, n = point.moments.p, point.n_eff
    logdet = point.moments.log_det
    if point.reml and p:
        logdet += float(np.linalg.slogdet(point.moments.f0[:p, :p])[1])
    return -0.5 * (logdet + n * (1 + np.log(2 * np.pi * quadratic(point.moments, beta) / n)))


def score(point: Point, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """∂ℓ/∂β (p,) and ∂ℓ/∂G (k,)."""
    m, n = point.moments, point.n_eff
    p, r, q = m.p, np.append(-beta, 1.0), quadratic(m, beta)
    d_beta = n * (m.f0[:p] @ r) / q
    d_g = 0.5 * (n * (m.f1 @ r @ r) / q - m.t1)
    if point.reml and p:
        d_g += 0.5 * np.einsum("ab,iab->i", scaled_inverse(m.f0[:p, :p]), m.f1[:, :p, :p])
    return d_beta, d_g


def hessian(point: Point, beta: FloatArray, *, stationary: bool = False) -> FloatArray:
    """Second derivatives of ℓ in (β, G), (p + k, p + k).

    `stationary`: as if ∂ℓ/∂β were zero. At the GLS solution that is no difference; at a penalised one it is what
    standard errors are made of (statsmodels' Hessian).
    """
    m, n = point.moments, point.n_eff
    p, k = m.p, len(m.t1)
    r, q = np.append(-beta, 1.0), quadratic(m, beta)
    s, q1 = m.f0[:p] @ r * (not stationary), m.f1 @ r @ r
    s1 = (m.f1 @ r)[:, :p]
    q2 = m.f2 @ r @ r
    out = np.empty((p + k, p + k))
    out[:p, :p] = n * (2 * np.outer(s, s) / q**2 - m.f0[:p, :p] / q)
    out[p:, :p] = n * (np.outer(q1, s) / q**2 - s1 / q)
    out[:p, p:] = out[p:, :p].T
    out[p:, p:] = 0.5 * (m.t2 - n * ((q2 + q2.T) / q - np.outer(q1, q1) / q**2))
    if point.reml and p:
        phi = scaled_inverse(m.f0[:p, :p])
        turned = phi @ m.f1[:, :p, :p]
        out[p:, p:] += 0.5 * np.einsum("iab,jba->ij", turned, turned)
        twice = np.einsum("ab,ijba->ij", phi, m.f2[:, :, :p, :p])
        out[p:, p:] -= 0.5 * (twice + twice.T)
    return out


def combine(moments: Moments, mixing: FloatArray) -> Moments:
    """Moments of the columns [X y] M: fewer columns of X, or y less a known part.

    Parameters
    ----------
    moments : Moments
    mixing : (p + 1, p' + 1) array
    """
    f0 = mixing.T @ moments.f0 @ mixing
    least = np.append(-np.linalg.solve(f0[:-1, :-1], f0[:-1, -1]), 1.0)
    return replace(
        moments,
        p=mixing.shape[1] - 1,
        r2=float(least @ f0 @ least),
        f0=f0,
        f1=mixing.T @ moments.f1 @ mixing,
        f2=mixing.T @ moments.f2 @ mixing,
    )


def d_scale(point: Point, beta: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """∂σ²/∂β (p,) and ∂σ²/∂G (k,) of the profiled σ² = q/N, and N."""
    m, r = point.moments, np.append(-beta, 1.0)
    return -2 * (m.f0[: m.p] @ r) / point.n_eff, -(m.f1 @ r @ r) / point.n_eff, point.n_eff
