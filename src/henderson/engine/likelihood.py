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
from henderson.numerics.linalg import scaled_inverse, symmetric

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


@dataclass(frozen=True)
class First:
    """First derivatives in G of the parts of the deviance, at one β.

    Attributes
    ----------
    logdet : (k,) array
        Of log|V| [+ log|X'V⁻¹X|]: tr V⁻¹V_i [− tr ΦX'V⁻¹V_iV⁻¹X].
    r2 : (k,) array
        Of (y − Xβ)'V⁻¹(y − Xβ): −v'F1_iv, v = (−β, 1).
    cross : (k, p) array
        X'V⁻¹V_iV⁻¹(y − Xβ): half of ∂²r²/∂β∂G_i.
    """

    logdet: FloatArray
    r2: FloatArray
    cross: FloatArray


@dataclass(frozen=True)
class SecondOrder:
    """Second derivatives in G of the same, β fixed, (k, k) each: r2 is 2 v'F2v, logdet minus the expected information.

    Where β is profiled out r2 falls by 2 cross Φ cross'.
    """

    logdet: FloatArray
    r2: FloatArray


def first_derivatives(m: Moments, v: FloatArray, phi: FloatArray | None) -> First:
    """First derivatives at v = (−β, 1); Φ = (X'V⁻¹X)⁻¹ for REML, None for ML."""
    along = m.f1 @ v
    logdet = m.t1 if phi is None else m.t1 - np.tensordot(m.f1[:, : m.p, : m.p], phi, 2)
    return First(logdet, -(along @ v), along[:, : m.p])


def second_derivatives(
    m: Moments, v: FloatArray, phi: FloatArray | None, expected: FloatArray | None = None
) -> SecondOrder:
    """Second derivatives at v = (−β, 1); Φ for REML, None for ML; `expected` is the `information` where it is known."""
    logdet = m.second.curved_traces() - (information(m, phi) if expected is None else expected)
    if phi is not None and m.p:
        wide = np.zeros(m.f0.shape)
        wide[: m.p, : m.p] = phi
        logdet = logdet - m.second.curved_forms(wide)
    return SecondOrder(logdet, symmetric(2 * m.forms(v)) - m.second.curved_forms(np.outer(v, v)))


def information(m: Moments, phi: FloatArray | None) -> FloatArray:
    """tr PV_iPV_j (Φ given: P = V⁻¹ − V⁻¹XΦX'V⁻¹) or tr V⁻¹V_iV⁻¹V_j, twice the expected information, (k, k)."""
    if phi is None or not m.p:
        return m.t2
    turned = phi @ m.f1[:, : m.p, : m.p]
    return symmetric(m.t2 - 2 * m.trace_with(phi) + np.einsum("iab,jba->ij", turned, turned))


def score(point: Point, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """∂ℓ/∂β (p,) and ∂ℓ/∂G (k,)."""
    m, n = point.moments, point.n_eff
    v, q = np.append(-beta, 1.0), quadratic(m, beta)
    first = first_derivatives(m, v, _phi(point))
    return n * (m.f0[: m.p] @ v) / q, -0.5 * (first.logdet + n * first.r2 / q)


def hessian(point: Point, beta: FloatArray, *, stationary: bool = False) -> FloatArray:
    """Second derivatives of ℓ in (β, G), (p + k, p + k).

    `stationary`: as if ∂ℓ/∂β were zero. At the GLS solution that is no difference; at a penalised one it is what
    standard errors are made of (statsmodels' Hessian).
    """
    m, n, phi = point.moments, point.n_eff, _phi(point)
    p, k = m.p, len(m.t1)
    v, q = np.append(-beta, 1.0), quadratic(m, beta)
    first, second = first_derivatives(m, v, phi), second_derivatives(m, v, phi)
    s = m.f0[:p] @ v * (not stationary)
    out = np.empty((p + k, p + k))
    out[:p, :p] = n * (2 * np.outer(s, s) / q**2 - m.f0[:p, :p] / q)
    out[p:, :p] = -n * (np.outer(first.r2, s) / q**2 + first.cross / q)
    out[:p, p:] = out[p:, :p].T
    out[p:, p:] = -0.5 * (second.logdet + n * (second.r2 / q - np.outer(first.r2, first.r2) / q**2))
    return out


def _phi(point: Point) -> FloatArray | None:
    m = point.moments
    return scaled_inverse(m.f0[: m.p, : m.p]) if point.reml else None


def combine(moments: Moments, mixing: FloatArray) -> Moments:
    """Moments of the columns [X y] M: fewer columns of X, or y less a known part.

    Parameters
    ----------
    moments : Moments
    mixing : (p + 1, p' + 1) array
    """
    mixed = moments.turned(mixing, np.eye(len(moments.g)))
    f0 = mixed.f0
    least = np.append(-np.linalg.solve(f0[:-1, :-1], f0[:-1, -1]), 1.0)
    return replace(mixed, r2=float(least @ f0 @ least))


def d_scale(point: Point, beta: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """∂σ²/∂β (p,) and ∂σ²/∂G (k,) of the profiled σ² = q/N, and N."""
    m, r = point.moments, np.append(-beta, 1.0)
    return -2 * (m.f0[: m.p] @ r) / point.n_eff, -(m.f1 @ r @ r) / point.n_eff, point.n_eff
