"""The Cholesky factor of a sparse matrix by fronts (Duff and Reid 1983), and its inverse on the pattern.

Upwards, a batch of fronts at a time, with F as `plan` has it,

    L_11 = chol F_11,   L_21 = F_21 L_11⁻ᵀ,   U = F_22 − L_21 L_21',   U is added to the parent's F

and downwards, with Z = C⁻¹, Z_22 among the entries that the parent has (Takahashi, Fagan and Chin 1973),

    Y = L_21 L_11⁻¹,   Z_21 = −Z_22 Y,   Z_11 = (L_11 L_11')⁻¹ + Y'Z_22 Y
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dlauum as lauum

from henderson.numerics import lapack
from henderson.numerics.lazy import lazy
from henderson.numerics.sparse.plan import LARGE, Batch, Link, Plan, lower_triangle

FloatArray = np.ndarray


@dataclass(frozen=True, eq=False)
class Part:
    """The columns of L of a batch of fronts.

    Attributes
    ----------
    inverse : (B, w, w) array
        L_11⁻¹.
    below : (B, r, w) array
        L_21.
    """

    inverse: FloatArray
    below: FloatArray

    @property
    def log_det(self) -> float:
        """Σ log|L_11 L_11'|."""
        return -2.0 * float(np.log(np.einsum("bii->bi", self.inverse)).sum())

    @property
    def squared(self) -> FloatArray:
        """(L_11 L_11')⁻¹, (B, w, w)."""
        return _squared(self.inverse)


class SparseCholesky:
    """L with PCP' = LL'.

    Parameters
    ----------
    plan : Plan
    values : (e,) array
        The entries of C that the plan was made for.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where C is not positive definite.

    Examples
    --------
    >>> plan = Plan.of(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    >>> found = SparseCholesky(plan, np.array([4.0, 2.0, 10.0]))
    >>> float(np.exp(found.log_det)), found.solve(np.array([[6.0], [12.0]])).ravel(), found.inverse * 36
    (36.0..., array([1., 1.]), array([10., -2.,  4.]))
    """

    def __init__(self, plan: Plan, values: FloatArray) -> None:
        self.plan, self.n_values = plan, len(values)
        self.parts: list[Part] = []
        self.log_det = 0.0
        left: dict[int, FloatArray] = {}
        last = [max((link.parent for link in batch.parents), default=-1) for batch in plan.batches]
        for k, batch in enumerate(plan.batches):
            part, own = self._eliminate(batch, _assembled(batch, values, left))
            self.parts.append(part)
            self.log_det += part.log_det
            if batch.parents:
                left[k] = own
            for child in {link.child for link in batch.children}:
                if last[child] == k:
                    del left[child]

    def _eliminate(self, batch: Batch, F: FloatArray) -> tuple[Part, FloatArray]:
        """The columns of L, and U (B, r, r)."""
        return _eliminate(batch, F)

    def half(self, B: FloatArray) -> FloatArray:
        """L⁻¹PB, (n, k)."""
        n = self.plan.n
        x = np.zeros((n + 1, B.shape[1]))
        x[:n] = B[self.plan.order]
        for batch, part in zip(self.plan.batches, self.parts):
            own = part.inverse @ x[batch.columns]
            x[batch.columns] = own
            if not batch.rows.size:
                continue
            moved = part.below @ own
            if batch.below is None:
                x[batch.rows[0]] -= moved[0]
            else:
                rows, adding = batch.below
                x[rows] -= adding @ moved.reshape(-1, B.shape[1])
        return x[:n]

    def back(self, H: FloatArray) -> FloatArray:
        """P'L⁻ᵀH, (n, k)."""
        n = self.plan.n
        x = np.zeros((n + 1, H.shape[1]))
        x[:n] = H
        for batch, part in zip(reversed(self.plan.batches), reversed(self.parts)):
            own = x[batch.columns]
            if batch.rows.size:
                own = own - part.below.transpose(0, 2, 1) @ x[batch.rows]
            x[batch.columns] = part.inverse.transpose(0, 2, 1) @ own
            x[n] = 0.0
        out = np.empty((n, H.shape[1]))
        out[self.plan.order] = x[:n]
        return out

    def solve(self, B: FloatArray) -> FloatArray:
        """C⁻¹B, (n, k)."""
        return self.back(self.half(B))

    @lazy
    def inverse(self) -> FloatArray:
        """C⁻¹ at the entries that the plan was made for, (e,)."""
        out = np.empty(self.n_values)
        known: dict[int, FloatArray] = {}
        batches = self.plan.batches
        last = [min((link.child for link in batch.children), default=k) for k, batch in enumerate(batches)]
        for k in range(len(batches) - 1, -1, -1):
            batch = batches[k]
            Z = _inverse_of(batch, self.parts[k], known)
            out[batch.entries] = Z.ravel()[batch.targets]
            if batch.children:
                known[k] = Z
            for parent in {link.parent for link in batch.parents}:
                if last[parent] == k:
                    del known[parent]
        return out


def _assembled(batch: Batch, values: FloatArray, left: dict[int, FloatArray]) -> FloatArray:
    """F of a batch, (B, m, m), lower triangles valid."""
    B, w, r = batch.shape
    m = w + r
    large = [link for link in batch.children if link.local.shape[1] > LARGE]
    places, what = [batch.targets, batch.ones], [values[batch.entries], np.ones(len(batch.ones))]
    for link in batch.children:
        if (size := link.local.shape[1]) <= LARGE:
            places.append(link.places(m, lower=True).ravel())
            down, across = lower_triangle(size)
            what.append(left[link.child][link.members][:, down, across].ravel())
    F = np.bincount(np.concatenate(places), np.concatenate(what), B * m * m).reshape(B, m, m)
    for link in large:
        for member, into, local in zip(link.members.tolist(), link.into.tolist(), link.local):
            F[into][np.ix_(local, local)] += left[link.child][member]
    return F


def _eliminate(batch: Batch, F: FloatArray) -> tuple[Part, FloatArray]:
    """The columns of L, and U (B, r, r)."""
    B, w, _ = batch.shape
    if w == 1:
        pivot = F[:, :1, :1]
        if not (pivot > 0).all():
            raise np.linalg.LinAlgError("the matrix is not positive definite")
        inverse = 1.0 / np.sqrt(pivot)
    elif B == 1:
        inverse = lapack.inverse_lower(lapack.cholesky(F[0, :w, :w]))[None]
    else:
        inverse = np.tril(np.linalg.inv(np.linalg.cholesky(F[:, :w, :w])))
    below = F[:, w:, :w] @ inverse.transpose(0, 2, 1)
    if B == 1:
        return Part(inverse, below), F[:, w:, w:] - (below[0] @ below[0].T)[None]
    return Part(inverse, below), F[:, w:, w:] - below @ below.transpose(0, 2, 1)


def _inverse_of(batch: Batch, part: Part, known: dict[int, FloatArray]) -> FloatArray:
    """C⁻¹ among the columns and rows of each front of a batch, (B, m, m)."""
    B, w, r = batch.shape
    Z = np.empty((B, w + r, w + r))
    own = part.squared
    if r:
        above = np.empty((B, r, r))
        for link in batch.parents:
            above[link.members] = _taken(link, known[link.parent])
        Y = part.below @ part.inverse
        moved = above @ Y
        Z[:, w:, w:] = above
        Z[:, w:, :w] = -moved
        Z[:, :w, w:] = -moved.transpose(0, 2, 1)
        own += Y.transpose(0, 2, 1) @ moved
    Z[:, :w, :w] = own
    return Z


def _squared(low: FloatArray) -> FloatArray:
    """L'L of lower triangular L (B, w, w)."""
    if len(low) > 1:
        return low.transpose(0, 2, 1) @ low
    found = lauum(low[0], lower=1)[0]
    return np.asarray(np.tril(found) + np.tril(found, -1).T)[None]


def _taken(link: Link, Z: FloatArray) -> FloatArray:
    """The parents' entries at the children's rows, (c, r, r)."""
    size = link.local.shape[1]
    if size > LARGE:
        return np.stack([Z[into][np.ix_(local, local)] for into, local in zip(link.into.tolist(), link.local)])
    return Z.ravel()[link.places(Z.shape[1], lower=False)].reshape(-1, size, size)
