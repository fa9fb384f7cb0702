"""Own variances beside k common factors, by least squares: the Ψ for which S − Ψ is nearest to rank k.

With eigenvalues e_1 ≥ e_2 ≥ … and vectors v_j of S − Ψ, S scaled to a unit diagonal, 0 ≤ Ψ,

    f(ψ) = ½ Σ_j r_j²,  r_j = e_j of j > k, and of j ≤ k where negative       ∂f/∂ψ_i = −Σ_j r_j v_ij²

(minimum residuals: Harman and Jones 1966; Jöreskog 1977). The Gauss-Newton Hessian is (VV')∘(VV') over the vectors
with a residual; of an S that is ΛΛ' + Ψ the residuals vanish, the steps are Newton's, and Ψ is found to rounding.
"""

from __future__ import annotations

import numpy as np

from henderson.numerics.lapack import eigen

FloatArray = np.ndarray

#: steps of one search, and the f at which S is taken to have the structure
STEPS, EXACT = 200, 1e-20
#: shares of the variances at which further searches begin
SHARES = (0.5, 0.1, 0.9)
#: reduction of f by a step that is none
STALLED = 1e-13
#: share of a variance that is zero but for rounding
ROUNDING = 1e-13


def principal_root(cov: FloatArray, k: int) -> FloatArray:
    """Root of the part of a symmetric matrix along its k largest eigenvalues, negative ones left out; (q, k)."""
    values, vectors = eigen(cov)
    largest = np.argsort(values)[::-1][:k]
    return np.asarray(vectors[:, largest] * np.sqrt(np.maximum(values[largest], 0.0)))


def own_variances(cov: FloatArray, k: int) -> FloatArray:
    """Ψ of k factors, (q,).

    Parameters
    ----------
    cov : (q, q) array
        Symmetric, with a nonnegative diagonal.
    k : int

    Examples
    --------
    >>> loading = np.array([[0.9], [0.8], [0.5], [0.4]])
    >>> own_variances(loading @ loading.T + np.diag([0.0, 0.2, 0.3, 0.4]), 1).round(9)
    array([0. , 0.2, 0.3, 0.4])
    """
    scale = np.sqrt(np.maximum(np.diag(cov), 0.0))
    used = scale > 0
    S = cov[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    best, least = np.zeros(len(S)), np.inf
    for start in _starts(S):
        psi, f = _search(S, k, start)
        if f < least:
            best, least = psi, f
        if least < EXACT:
            break
    out = np.zeros(len(cov))
    out[used] = np.where(best > ROUNDING, best, 0.0) * scale[used] ** 2
    return out


def _starts(S: FloatArray) -> list[FloatArray]:
    """What the other effects do not tell of each, then shares of the variances."""
    values, vectors = eigen(S)
    inverse = (vectors / np.maximum(values, 1e-6 * max(float(values.max(initial=0.0)), 1e-300))) @ vectors.T
    alone = np.clip(1 / np.maximum(np.diag(inverse), 1.0), 0.0, 1.0)
    return [alone, *(np.full(len(S), share) for share in SHARES)]


def _residuals(S: FloatArray, k: int, psi: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The r_j, and their v_j."""
    values, vectors = eigen(S - np.diag(psi))
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    has = np.arange(len(values)) >= k
    has[:k] = values[:k] < 0
    return values[has], vectors[:, has]


def _search(S: FloatArray, k: int, psi: FloatArray) -> tuple[FloatArray, float]:
    """Gauss-Newton within 0 ≤ ψ: ψ, and f there."""
    r, V = _residuals(S, k, psi)
    f = 0.5 * float(r @ r)
    for _ in range(STEPS):
        if f < 1e-32:
            break
        slope, H = -(V**2) @ r, (V @ V.T) ** 2
        free = (psi > 0) | (slope < 0)
        step = np.zeros(len(psi))
        step[free] = -np.linalg.lstsq(H[np.ix_(free, free)], slope[free], rcond=1e-10)[0]
        size, before = 1.0, f
        while size > 1e-6:
            new = np.maximum(psi + size * step, 0.0)
            r_new, V_new = _residuals(S, k, new)
            f_new = 0.5 * float(r_new @ r_new)
            if f_new < f:
                psi, r, V, f = new, r_new, V_new, f_new
                break
            size /= 2
        if before - f <= STALLED * before:
            break
    return psi, f
