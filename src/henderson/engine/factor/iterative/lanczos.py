"""Lanczos' recurrences from many starts at once, each a column of a block: B V = V T + remainder, V'V = I.

For start z and T's eigenvalues w with vectors s (first components s_1), Gauss' rule (Golub and Meurant 2010) has

    z' log(B) z ≈ |z|² Σ_i s_1i² log w_i

and the derivative of that along dB is tr(V K V' dB), K = |z|² s (F ∘ s_1s_1') s' with F the divided differences of the
logarithm: exact for what the rule integrates, so that value and derivative are those of one smooth function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from henderson.engine.factor.iterative.scaled import Images, Projected

FloatArray = np.ndarray

#: most steps
STEPS = 400
#: length of a vector that is rounding
NOTHING = 1e-13


@dataclass(frozen=True)
class Krylov:
    """The recurrences of k starts after m steps.

    Attributes
    ----------
    images : list of m Images
        Of every step's vectors (R, k), slow directions taken out.
    V : list of m (R, k) arrays
    alpha, beta : (m, k) arrays
        T's diagonal, and below it; the last β leads out.
    square : (k,) array
        |z|².
    """

    images: list[Images]
    V: list[FloatArray]
    alpha: FloatArray
    beta: FloatArray
    square: FloatArray

    def eigen(self) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (k, m) of every T, and their vectors (k, m, m)."""
        m, k = self.alpha.shape
        T = np.zeros((k, m, m))
        step = np.arange(m)
        T[:, step, step] = self.alpha.T
        T[:, step[1:], step[:-1]] = T[:, step[:-1], step[1:]] = self.beta[:-1].T
        return np.linalg.eigh(T)

    def shorter(self) -> Krylov:
        """The same after one step less."""
        return replace(self, images=self.images[:-1], V=self.V[:-1], alpha=self.alpha[:-1], beta=self.beta[:-1])

    def truncation(self) -> FloatArray:
        """What the last step added to z' log(B) z of every start, (k,): no less than what all further ones would, where
        each adds at most half of what the one before did."""
        if len(self.V) == 1:  # of log(1 + e) the square that one step does not see
            return np.asarray(0.5 * self.square * (self.beta[0] / self.alpha[0]) ** 2)
        one, other = (_quadrature(*each.eigen()) for each in (self, self.shorter()))
        return np.asarray(self.square * np.abs(one - other))

    def logarithm(self) -> tuple[FloatArray, FloatArray]:
        """z' log(B) z of every start (k,), and K (k, m, m)."""
        w, s = self.eigen()
        first = s[:, 0]
        value = self.square * _quadrature(w, s)
        gap = w[:, :, None] - w[:, None]
        near = np.abs(gap) <= 1e-7 * w[:, :, None]
        log = np.log(w)
        middle = 0.5 * (w[:, :, None] + w[:, None])
        F = np.where(near, 1.0 / middle, (log[:, :, None] - log[:, None]) / np.where(near, 1.0, gap))
        core = F * first[:, :, None] * first[:, None]
        return value, self.square[:, None, None] * (s @ core @ s.transpose(0, 2, 1))


def _quadrature(w: FloatArray, s: FloatArray) -> FloatArray:
    """Σ_i s_1i² log w_i, (k,)."""
    return np.asarray((s[:, 0] ** 2 * np.log(w)).sum(axis=1))


def lanczos(operator: Projected, start: FloatArray, tolerance: float) -> Krylov:
    """Steps until the remainder of B⁻¹z is below `tolerance` of z in every column; starts orthogonal to U."""
    square = np.einsum("rk,rk->k", start, start)
    v = start / np.sqrt(np.where(square > 0, square, 1.0))
    V, images = [v], []
    alphas: list[FloatArray] = []
    betas: list[FloatArray] = []
    pivot = left = np.ones(len(square))
    for step in range(STEPS):
        passed, w = operator.product(V[-1])
        alpha = np.einsum("rk,rk->k", V[-1], w)
        for other in V:  # against all vectors: what rounding brings back would be counted again
            w -= np.einsum("rk,rk->k", other, w) * other
        w = operator.orthogonal(w)
        beta = np.sqrt(np.einsum("rk,rk->k", w, w))
        ended = beta <= NOTHING
        alpha = np.where(alpha > 0, alpha, 1.0)  # a start of length zero, or a space that is used up
        pivot = alpha if step == 0 else alpha - betas[-1] ** 2 / pivot
        left = (left if step == 0 else left * betas[-1]) / pivot
        images.append(passed)
        alphas.append(alpha)
        betas.append(np.where(ended, 0.0, beta))
        if (betas[-1] * np.abs(left) <= tolerance).all() or step == STEPS - 1:
            break
        V.append(w * np.where(ended, 0.0, 1.0 / np.where(ended, 1.0, beta)))
    return Krylov(images, V, np.array(alphas), np.array(betas), square)
