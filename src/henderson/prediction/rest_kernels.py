"""What the errors of predictions need of the rest of the effects (`engine.factor.rest`), once for all rows.

For a row with effects z_f of level j of the front and z_r of the rest, t = z_r − a_j'M_jz_f is what it asks of the
rest (M_j = T_j'T_j, the front's own conditional covariance; a_j = Z_j'Z_r). Every error is a quadratic form in z_f and
t; the kernels between two of the rest's effects, with D_j and B_j of the front, W = ΛC⁻¹Λ', U = I − WS and
N_ij = D_j'E_iD_j, are

    W                                                     of the error itself
    Y_i = W (Σ_j a_j'N_ija_j) W                           of its derivative along parameter i of the front's G
    Y_i = U E_i U'                                        … of the rest's G
    Γ   = W (Σ_j a_j'D_j'Ê_jD_ja_j) W + U Ê U'            of what the parameters' covariance ω adds,
          − Σ_i W M_i (Σ_k∈f ω_ik Y_k + 2 Σ_k∈r ω_ik Y_k)   Ê_j = Σ ω_ik E_iB_jE_k, Ê = Σ ω_ik E_i SU E_k

They are dense where the rest is in one piece, sparse and block-diagonal where it falls apart in components.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from henderson.engine.factor.connected import locate
from henderson.engine.factor.places import ComponentColumns
from henderson.engine.factor.rest_matrix import RestMatrix, rest_matrix
from henderson.engine.factor.system import Factor
from henderson.engine.sums.blocks import Block
from henderson.numerics import small

FloatArray = np.ndarray
#: of every place (C, m, m)
Stacks = list[np.ndarray]

#: variance of the rest's weakest effect, relative to the residual's share, from which U = WG⁻¹ is formed by division
DIVISIBLE = 0.1
#: share of nonzeros from which products of a_j are dense
FULL = 0.1


@dataclass(frozen=True)
class RestKernels:
    """Kernels between effects of the rest.

    Attributes
    ----------
    W : (R, R) matrix
    by_parameter : tuple of k (R, R) matrices
        Y_i.
    added : (R, R) matrix, or None
        Γ; None where parameters have no covariance.
    """

    W: RestMatrix
    by_parameter: tuple[RestMatrix, ...]
    added: RestMatrix | None

    @property
    def all(self) -> tuple[RestMatrix, ...]:
        """W, Y_i, Γ."""
        return (self.W, *self.by_parameter, *(() if self.added is None else (self.added,)))


def rest_kernels(factor: Factor, omega: FloatArray | None) -> RestKernels:
    """The kernels at one factor; `omega` (k, k) is the covariance of the G parameters, None: only W."""
    W = factor.rest.weight_stacks()
    if omega is None:
        return RestKernels(rest_matrix(factor, W), (), None)
    S = factor.rest.schur_stacks()
    U = _complements(factor, W, S)
    by_parameter, held = _derivatives(factor, W, U)
    of_front = np.isin(np.arange(len(omega)), list(held))
    sums = rest_sum(factor, front_added(factor, omega)) if held else []
    added = []
    for k, (place, w, u, s) in enumerate(zip(factor.system.places, W, U, S)):
        total = u @ _between(factor, place, s @ u, omega) @ u.transpose(0, 2, 1)
        if held:
            total += w @ sums[k] @ w
        for i, MW in held.items():
            weights = np.where(of_front, 1.0, 2.0) * omega[i]
            total -= MW[k].transpose(0, 2, 1) @ sum(weight * Y[k] for weight, Y in zip(weights, by_parameter))
        added.append((total + total.transpose(0, 2, 1)) / 2)
    along = tuple(rest_matrix(factor, Y) for Y in by_parameter)
    return RestKernels(rest_matrix(factor, W), along, rest_matrix(factor, added))


def _derivatives(factor: Factor, W: Stacks, U: Stacks) -> tuple[list[Stacks], dict[int, Stacks]]:
    """Y_i of every parameter, and M_iW of the front's."""
    blocks = factor.system.blocks
    found: list[Stacks] = [[np.zeros_like(w) for w in W] for _ in range(blocks.n_g)]
    held: dict[int, Stacks] = {}
    if blocks.front is not None:
        places = blocks.blocks[blocks.front].g_parameters.tolist()
        for i, N in zip(places, front_derivatives(factor)):
            held[i] = [M @ w for M, w in zip(rest_sum(factor, N), W)]
            found[i] = [w @ MW for w, MW in zip(W, held[i])]
    for k, (place, u) in enumerate(zip(factor.system.places, U)):
        for part, q, n, rows in place.shape.slices():
            block, own = blocks.blocks[blocks.rest[part]], u[:, :, rows]
            for i, E in zip(block.g_parameters, block.layout.basis()):
                moved = (own.reshape(*own.shape[:2], n, q) @ E).reshape(own.shape)
                found[i][k] = moved @ own.transpose(0, 2, 1)
    return found, held


def front_derivatives(factor: Factor) -> list[FloatArray]:
    """N_i = D_j'E_iD_j of the front's parameters, (q, q, J) each."""
    block, turned = _front(factor), factor.D.transpose(1, 0, 2)
    return [small.multiply(turned, small.left(E, factor.D)) for E in block.layout.basis()]


def front_added(factor: Factor, omega: FloatArray) -> FloatArray:
    """D_j'Ê_jD_j with Ê_j = Σ ω_ik E_iB_jE_k over the front's parameters, (q, q, J)."""
    block = _front(factor)
    E, own = block.layout.basis(), omega[np.ix_(block.g_parameters, block.g_parameters)]
    inner = np.einsum("ik,iab,bcj,kcd->adj", own, E, factor.B, E, optimize=True)
    return small.congruence(np.ascontiguousarray(factor.D.transpose(1, 0, 2)), inner)


def rest_sum(factor: Factor, weights: FloatArray) -> Stacks:
    """Σ_j a_j'Q_ja_j of every place for symmetric weights Q (q, q, J), (C, m, m)."""
    system = factor.system
    zr, R, places = system.cross.zr, system.blocks.n_rest, system.places
    indptr, indices, shape = zr[0].indptr, zr[0].indices, zr[0].shape
    level = np.repeat(np.arange(shape[0]), np.diff(indptr))
    moved = [sum(weights[a, b, level] * one.data for b, one in enumerate(zr)) for a in range(len(zr))]
    weighed = [sparse.csr_array((data, indices, indptr), shape=shape) for data in moved]
    if len(places) == 1 and not places[0].is_batch and len(indices) > FULL * shape[0] * R:
        at = places[0].columns
        whole = sum(
            (one.toarray()[:, at].T @ other.toarray()[:, at] for one, other in zip(zr, weighed)), np.zeros((R, R))
        )
        return [whole[None]]
    stacks = [np.zeros(_stacked(place)) for place in places]
    owner, local, member = locate(places, R)
    product = sparse.coo_array(sum((one.T @ other for one, other in zip(zr, weighed)), sparse.csr_array((R, R))))
    for k, stack in enumerate(stacks):
        mine = owner[product.row] == k
        row, column = product.row[mine], product.col[mine]
        stack[member[row], local[row], local[column]] = product.data[mine]
    return stacks


def _between(factor: Factor, place: ComponentColumns, Q: FloatArray, omega: FloatArray) -> FloatArray:
    """Σ ω_ik E_iQE_k over the rest's parameters, for Q (C, m, m)."""
    blocks, out = factor.system.blocks, np.zeros_like(Q)
    parts = [(blocks.blocks[blocks.rest[part]], q, n, rows) for part, q, n, rows in place.shape.slices()]
    for one, q, n, rows in parts:
        for other, r, m, columns in parts:
            weights = omega[np.ix_(one.g_parameters, other.g_parameters)]
            tensor = np.einsum("ik,iab,kcd->abcd", weights, one.layout.basis(), other.layout.basis())
            own = Q[:, rows, columns].reshape(len(Q), n, q, m, r)
            out[:, rows, columns] = np.einsum("abcd,znbmc->znamd", tensor, own, optimize=True).reshape(
                len(Q), n * q, m * r
            )
    return out


def _complements(factor: Factor, W: Stacks, S: Stacks) -> Stacks:
    """U = I − WS of every place; W(ΛΛ')⁻¹ where that may be divided by."""
    if not all(factor.rest.divisible(DIVISIBLE)):
        return [np.eye(w.shape[1]) - w @ s for w, s in zip(W, S)]
    out = []
    for place, w in zip(factor.system.places, W):
        u = np.empty_like(w)
        for part, q, n, rows in place.shape.slices():
            root = np.linalg.inv(factor.lam[factor.system.blocks.rest[part]])
            u[:, :, rows] = (w[:, :, rows].reshape(*w.shape[:2], n, q) @ (root.T @ root)).reshape(*w.shape[:2], n * q)
        out.append(u)
    return out


def _front(factor: Factor) -> Block:
    blocks = factor.system.blocks
    assert blocks.front is not None
    return blocks.blocks[blocks.front]


def _stacked(place: ComponentColumns) -> tuple[int, int, int]:
    size = place.shape.size
    return (place.columns.shape[1] if place.is_batch else 1, size, size)
