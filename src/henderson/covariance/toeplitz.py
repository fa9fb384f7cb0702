"""Toeplitz correlations: effects r and s have ρ_|r−s|, any numbers for which R is positive semidefinite.

Those are the R whose partial autocorrelations s_1 … s_{q−1} lie between −1 and 1 (Durbin 1960): s_k = sin φ_k. The
process with these is b_t = e_t^(0) of the lattice

    e_t^(t) = ε_t,     e_t^(k−1) = cos φ_k e_t^(k) + sin φ_k f_{t−1}^(k−1),     k = t … 1
    f_t^(0) = e_t^(0), f_t^(k)   = cos φ_k f_{t−1}^(k−1) − sin φ_k e_t^(k)

whose steps are rotations, so the row of weights of b_t on ε has length one: it is the row of L, LL' = R. A derivative
by φ_k turns the rotation on by a right angle.
"""

from __future__ import annotations

import numpy as np

from henderson.covariance.correlated import Correlation

FloatArray = np.ndarray


class ToeplitzCorrelation(Correlation):
    """A correlation for each distance."""

    label = "toep"

    def n(self, q: int) -> int:
        """One for each distance."""
        return q - 1

    def root(self, phi: FloatArray, q: int) -> FloatArray:
        """L."""
        return _lattice(phi, q, 0)[0]

    def turn(self, phi: FloatArray, q: int) -> FloatArray:
        """∂L."""
        return _lattice(phi, q, 1)[1]

    def bend(self, phi: FloatArray, q: int) -> FloatArray:
        """∂²(LL')."""
        L, first, second = _lattice(phi, q, 2)
        half = second @ L.T + np.einsum("ars,bts->abrt", first, first)
        return half + half.transpose(0, 1, 3, 2)

    def nearest(self, cor: FloatArray) -> FloatArray:
        """Partial autocorrelations of the mean correlations at each distance, by Durbin's recursion; cut to ±1."""
        q = len(cor)
        bands = [cor.diagonal(-k) for k in range(1, q)]
        mean = np.array([np.nan if np.isnan(one).all() else one[~np.isnan(one)].mean() for one in bands])
        partial, weights, left = np.zeros(q - 1), np.zeros(0), 1.0
        for k in range(q - 1):
            if left < 1e-14:  # what follows is determined
                break
            expected = weights @ mean[:k][::-1]
            mean[k] = expected if np.isnan(mean[k]) else mean[k]
            partial[k] = np.clip((mean[k] - expected) / left, -1.0, 1.0)
            weights = np.append(weights - partial[k] * weights[::-1], partial[k])
            left *= 1 - partial[k] ** 2
        return np.arcsin(partial)

    def patterns(self, q: int) -> FloatArray:
        """Equal distances, the smallest first."""
        gap = np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
        return np.array([(gap == d).astype(float) for d in range(1, q)]).reshape(-1, q, q)

    def shown(self, q: int) -> str:
        """By distance."""
        return "of the first effect and each other, and of all pairs as far apart"

    def trials(self, q: int) -> FloatArray:
        """AR(1)'s from ρ = −1 to 1, and each distance alone."""
        first = np.zeros((9, q - 1))
        if q > 1:
            first[:, 0] = np.linspace(-np.pi / 2, np.pi / 2, 9)
        return np.concatenate([first, np.pi / 2 * np.eye(q - 1), -np.pi / 2 * np.eye(q - 1)])


def _lattice(phi: FloatArray, q: int, order: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """L (q, q), and up to `order` its derivatives (m, q, q) and (m, m, q, q), m = q − 1."""
    m = q - 1
    cos, sin = np.cos(phi), np.sin(phi)
    shapes = [(q,), (m, q), (m, m, q)][: order + 1]
    L = [np.zeros((*shape[:-1], q, q)) for shape in shapes]
    L += [np.zeros((0,))] * (3 - len(L))
    before: list[list[FloatArray]] = []  # f_{t−1}^(k) and its derivatives, k = 0 … t − 1
    for t in range(q):
        e = [np.zeros(shape) for shape in shapes]
        e[0][t] = 1.0
        now = [e] * (t + 1)
        for k in range(t, 0, -1):
            e, now[k] = _rotate(e, before[k - 1], cos[k - 1], sin[k - 1], k - 1)
        now[0] = e
        for full, own in zip(L, e):
            full[..., t, :] = own
        before = now
    return L[0], L[1], L[2]


def _rotate(
    e: list[FloatArray], f: list[FloatArray], c: float, s: float, k: int
) -> tuple[list[FloatArray], list[FloatArray]]:
    """(c e + s f, c f − s e) and their derivatives, those by the angle k included."""
    up = [c * a + s * b for a, b in zip(e, f)]
    down = [c * b - s * a for a, b in zip(e, f)]
    if len(e) > 2:  # from the first derivatives at a fixed angle
        for one, other, sign in ((up, down, 1.0), (down, up, -1.0)):
            turned = sign * other[1]
            one[2][k] += turned
            one[2][:, k] += turned
            one[2][k, k] -= one[0]
    if len(e) > 1:
        up[1][k] += down[0]
        down[1][k] -= up[0]
    return up, down
