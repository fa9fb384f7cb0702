"""Sums of squares of Q = Z'V⁻¹Z: what tr V⁻¹V_iV⁻¹V_j needs, without a matrix over the rows.

Q_jj' says how the totals of two levels move together under V⁻¹; the information of two variances is what Q's blocks
have for sums of squares. In `y ~ 1 + (1 | subject) + (1 | item)`, subjects the front, the variances of subject and item
share Σ_ji Q_ji², over the subjects' rows and the items' columns of Q.

For blocks k and l, K_kl[a, b, c, d] = Σ_jj' Q_jj'[a, c] Q_jj'[b, d], so that
tr V⁻¹(ZEZ')V⁻¹(ZE'Z') = Σ E[a, b] E'[c, d] K_kl[a, b, c, d].

With F_j = D_j a_j (front against rest), W = ΛC⁻¹Λ', U = I − WS, B_j = D_jA_j, and M_ab = Σ_j F_ja'F_jb (R, R):

    front, front:  Q_jj' = δ_jj' B_j − F_j W F_j''       the last term squared is tr(W M_cd W M_ba)
    front, rest:   Q_j·  = F_j U                         its square is U'M_abU
    rest, rest:    Q     = SU

Everything is done component by component.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from henderson.engine.factor.connected import locate
from henderson.engine.factor.places import ComponentColumns
from henderson.engine.factor.system import Factor


@dataclass(frozen=True)
class Stack:
    """C components alike as stacks: S, W and U are (C, m, m)."""

    place: ComponentColumns
    S: np.ndarray
    W: np.ndarray
    U: np.ndarray


def squares(factor: Factor) -> dict[tuple[int, int], np.ndarray]:
    """K_kl for every pair of blocks, (q_k, q_k, q_l, q_l)."""
    blocks = factor.system.blocks
    q = [block.q for block in blocks.blocks]
    out = {(k, l): np.zeros((q[k], q[k], q[l], q[l])) for k in range(len(q)) for l in range(len(q))}
    f = blocks.front
    if f is not None:
        B = factor.B
        out[f, f] += np.einsum("acj,bdj->abcd", B, B, optimize=True)
    if not factor.system.has_rest:
        return out
    places = factor.system.places
    stacks = [Stack(place, S, W, np.eye(S.shape[1]) - W @ S) for place, (S, W) in zip(places, factor.rest.stacks())]
    for stack in stacks:
        _rest_rest(stack, blocks.rest, out)
    if f is not None:
        borrowed = factor.borrowed
        mixed = np.einsum("acj,bdj->abcd", B, borrowed, optimize=True)
        out[f, f] -= mixed + mixed.transpose(1, 0, 3, 2)
        for stack, M in zip(stacks, _gram(factor)):
            _front_parts(stack, M, f, blocks.rest, out)
    for k in blocks.rest:
        if f is not None:
            out[k, f] = out[f, k].transpose(2, 3, 0, 1)
    return out


def _parts(place: ComponentColumns) -> list[tuple[int, int, int, slice]]:
    return place.shape.slices()


def _rest_rest(stack: Stack, rest: tuple[int, ...], out: dict[tuple[int, int], np.ndarray]) -> None:
    Q = stack.S @ stack.U
    for k, qk, nk, rows in _parts(stack.place):
        for l, ql, nl, columns in _parts(stack.place):
            part = Q[:, rows, columns].reshape(-1, nk, qk, nl, ql).transpose(2, 4, 0, 1, 3).reshape(qk * ql, -1)
            gram = (part @ part.T).reshape(qk, ql, qk, ql)
            out[rest[k], rest[l]] += gram.transpose(0, 2, 1, 3)


def _front_parts(
    stack: Stack, M: np.ndarray, f: int, rest: tuple[int, ...], out: dict[tuple[int, int], np.ndarray]
) -> None:
    """Terms of the front with itself and with the rest; M (q, q, C, m, m)."""
    q, m = len(M), stack.S.shape[-1]
    X = stack.W @ M  # W M_cd
    flat = X.reshape(q * q, -1)
    turned = X.transpose(1, 0, 2, 4, 3).reshape(q * q, -1)  # entry (a, b): X_ba transposed
    out[f, f] += (turned @ flat.T).reshape(q, q, q, q)
    for l, ql, n, columns in _parts(stack.place):
        U = stack.U[:, :, columns]  # (C, m, n ql)
        moved = M @ U  # (q, q, C, m, n ql)
        one = U.reshape(-1, m, n, ql)
        two = moved.reshape(q, q, -1, m, n, ql)
        out[f, rest[l]] += np.einsum("zmjc,abzmjd->abcd", one, two, optimize=True)


def _gram(factor: Factor) -> list[np.ndarray]:
    """M_ab = Σ_j F_ja'F_jb for every place, (q, q, C, m, m)."""
    system = factor.system
    zr, q, R = system.cross.zr, len(system.cross.zr), system.blocks.n_rest
    level = np.repeat(np.arange(zr[0].shape[0]), np.diff(zr[0].indptr))
    data = [sum(factor.D[a, b, level] * zr[b].data for b in range(q)) for a in range(q)]
    places = system.places
    out = [np.zeros((q, q, *_stacked(place))) for place in places]
    if len(places) == 1 and not places[0].is_batch and q * zr[0].shape[0] * R <= 20_000_000:
        dense = np.zeros((q, zr[0].shape[0], R))
        for a in range(q):
            dense[a, level, zr[0].indices] = data[a]
        for a in range(q):
            for b in range(q):
                out[0][a, b, 0] = dense[a].T @ dense[b]
        return out
    owner, local, member = locate(places, R)
    F = [sparse.csr_array((one, zr[0].indices, zr[0].indptr), shape=zr[0].shape) for one in data]
    for a in range(q):
        for b in range(q):
            product = sparse.coo_array(F[a].T @ F[b])
            for k, one in enumerate(out):
                mine = slice(None) if len(places) == 1 else owner[product.row] == k
                row, column = product.row[mine], product.col[mine]
                one[a, b, member[row], local[row], local[column]] = product.data[mine]
    return out


def _stacked(place: ComponentColumns) -> tuple[int, int, int]:
    size = place.shape.size
    return (place.columns.shape[1] if place.is_batch else 1, size, size)
