"""Sums of squares of Q = Z'V⁻¹Z: what tr V⁻¹V_iV⁻¹V_j needs, without a matrix over the rows.

For blocks k and l, K_kl[a, b, c, d] = Σ_jj' Q_jj'[a, c] Q_jj'[b, d], so that
tr V⁻¹(ZEZ')V⁻¹(ZE'Z') = Σ E[a, b] E'[c, d] K_kl[a, b, c, d].

Q_jj' says how the totals of two levels move together under V⁻¹; the information of two variances is what Q's blocks
have for sums of squares. In `y ~ 1 + (1 | subject) + (1 | item)`, subjects the front, the variances of subject and item
share Σ_ji Q_ji², over the subjects' rows and the items' columns of Q.

With F_j = D_j a_j (front against rest), W = ΛC⁻¹Λ', U = I − WS, B_j = D_jA_j, M_ab = Σ_j F_ja'F_jb and X_ab = WM_ab
(R, R):

    front, front:  Q_jj' = δ_jj' B_j − F_j W F_j''       the last term squared is tr(X_cd X_ba)
    front, rest:   Q_j·  = F_j U                         its square is U'M_abU
    rest, rest:    Q     = SU

Where formulas may divide by the rest's λ (G = λλ' by level) nothing but X costs a product of matrices:

    U = WG⁻¹      U'M_abU = G⁻¹ (X_abW) G⁻¹      SU = G⁻¹ − G⁻¹WG⁻¹

of which only the blocks on the diagonal, or sums of squares, are wanted. Everything is done component by component.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import blas

from henderson.engine.factor.connected import locate
from henderson.engine.factor.pattern_product import PatternProduct
from henderson.engine.factor.places import ComponentColumns
from henderson.engine.factor.rest import grouped
from henderson.engine.factor.rest_dense import mirrored
from henderson.engine.factor.rest_grouped import GroupedComponent
from henderson.engine.factor.system import Factor

#: variance of the rest's weakest effect, relative to the residual's share, from which formulas may divide by it here
DIVISIBLE = 0.1
#: rows of a matrix that are met with their columns at a time
STRIPE = 128

Sums = dict[tuple[int, int], np.ndarray]


def squares(factor: Factor) -> Sums:
    """K_kl for every pair of blocks, (q_k, q_k, q_l, q_l)."""
    blocks = factor.system.blocks
    q = [block.q for block in blocks.blocks]
    out = {(k, l): np.zeros((q[k], q[k], q[l], q[l])) for k in range(len(q)) for l in range(len(q))}
    f = blocks.front
    if f is not None:
        B = factor.B
        out[f, f] += _over_levels(B, B)
    if not factor.system.has_rest:
        return out
    part = grouped(factor.rest)
    if part is not None and f is not None and q[f] == 1 and all(factor.rest.divisible(DIVISIBLE)):
        _by_groups(factor, part, f, out)
        return out
    places, weights = factor.system.places, factor.rest.weight_stacks()
    grams, products = [], []
    if f is not None:
        mixed = _over_levels(B, factor.borrowed)
        out[f, f] -= mixed + mixed.transpose(1, 0, 3, 2)
        grams = _gram(factor)
        products = [_weighed(W, M) for W, M in zip(weights, grams)]
        for X in products:
            out[f, f] += _front_front(X)
    if all(factor.rest.divisible(DIVISIBLE)):
        inverse = [factor.precision(k) for k in blocks.rest]
        for k, (place, W) in enumerate(zip(places, weights)):
            if f is not None:
                _front_rest_divided(place, W, products[k], inverse, f, blocks.rest, out)
            _rest_rest_divided(place, W, inverse, blocks.rest, out)
    else:
        for k, (place, W, S) in enumerate(zip(places, weights, factor.rest.schur_stacks())):
            U = np.eye(S.shape[1]) - W @ S
            if f is not None:
                _front_rest(place, U, _whole(grams[k]), f, blocks.rest, out)
            _rest_rest(place, S @ U, blocks.rest, out)
    if f is not None:
        for k in blocks.rest:
            out[k, f] = out[f, k].transpose(2, 3, 0, 1)
    return out


def _by_groups(factor: Factor, part: GroupedComponent, f: int, out: Sums) -> None:
    """All sums where the rest's scalar effects meet in groups: they are traces of C⁻¹M and C⁻¹ (see there)."""
    mixed = _over_levels(factor.B, factor.borrowed)
    product = factor.system.product
    assert isinstance(product, PatternProduct)
    square, along, squares = part.second_traces(product.summed(factor.D))
    out[f, f] += square - mixed - mixed.transpose(1, 0, 3, 2)
    rest = factor.system.blocks.rest
    g = np.array([factor.lam[k][0, 0] ** 2 for k in rest])
    for k, (_, _, n, effects) in enumerate(part.shape.slices()):
        squares[k, k] += n - 2.0 * part.inverse_diagonal[effects].sum()
        out[f, rest[k]] += along[k] / g[k]
        out[rest[k], f] += along[k] / g[k]
    for k, one in enumerate(rest):
        for l, other in enumerate(rest):
            out[one, other] += squares[k, l] / (g[k] * g[l])


def _over_levels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Σ_j one_j[a, c] other_j[b, d] of (q, q, J): (q, q, q, q)[a, b, c, d]."""
    q = len(one)
    flat = one.reshape(q * q, -1) @ other.reshape(q * q, -1).T
    return np.asarray(flat).reshape(q, q, q, q).transpose(0, 2, 1, 3)


def _weighed(W: np.ndarray, M: np.ndarray) -> np.ndarray:
    """WM, (q, q, C, m, m); M as `_gram` has it."""
    if M.ndim == 2:
        return np.asarray(blas.dsymm(1.0, M, W[0].T, lower=1).T)[None, None, None]
    return np.asarray(W @ M)


def _whole(M: np.ndarray) -> np.ndarray:
    return mirrored(M)[None, None, None] if M.ndim == 2 else M


def _front_front(X: np.ndarray) -> np.ndarray:
    """tr(X_cd X_ba) for X (q, q, C, m, m): (q, q, q, q)[a, b, c, d]."""
    q = len(X)
    if q == 1:
        parts = (slice(start, start + STRIPE) for start in range(0, X.shape[-1], STRIPE))
        total = sum(np.einsum("zrs,zsr->", X[0, 0, :, part], X[0, 0, :, :, part]) for part in parts)
        return np.array(total).reshape(1, 1, 1, 1)
    turned = X.transpose(1, 0, 2, 4, 3).reshape(q * q, -1)  # entry (a, b): X_ba transposed
    return np.asarray(turned @ X.reshape(q * q, -1).T).reshape(q, q, q, q)


def _front_rest_divided(
    place: ComponentColumns,
    W: np.ndarray,
    X: np.ndarray,
    inverse: list[np.ndarray],
    f: int,
    rest: tuple[int, ...],
    out: Sums,
) -> None:
    """Diagonal blocks of G⁻¹ (X_abW) G⁻¹, summed over the levels of each block."""
    for l, ql, n, rows in place.shape.slices():
        own = W[:, rows].reshape(len(W), n, ql, -1)
        for a in range(len(X)):
            for b in range(len(X)):
                moved = X[a, b][:, rows].reshape(len(W), n, ql, -1)
                plain = np.einsum("zjcr,zjdr->cd", moved, own)
                out[f, rest[l]][a, b] += inverse[l] @ plain @ inverse[l]


def _rest_rest_divided(
    place: ComponentColumns, W: np.ndarray, inverse: list[np.ndarray], rest: tuple[int, ...], out: Sums
) -> None:
    """Σ_jj' of G⁻¹ − G⁻¹WG⁻¹: the levels' own blocks one by one, the others from W; overwrites W's diagonal blocks."""
    parts = place.shape.slices()
    for k, q, n, rows in parts:
        level = rows.start + np.arange(n)[:, None] * q + np.arange(q)
        at = (slice(None), level[:, :, None], level[:, None, :])
        own = inverse[k] - inverse[k] @ W[at] @ inverse[k]
        out[rest[k], rest[k]] += np.einsum("zjac,zjbd->abcd", own, own, optimize=True)
        W[at] = 0.0
    for k, qk, nk, rows in parts:
        for l, ql, nl, columns in parts:
            if l > k:
                continue
            plain = _block_squares(W[:, rows, columns], (nk, qk), (nl, ql))
            G, H = inverse[k], inverse[l]
            found = np.einsum("ae,bf,cg,dh,efgh->abcd", G, G, H, H, plain, optimize=True)
            out[rest[k], rest[l]] += found
            if k != l:
                out[rest[l], rest[k]] += found.transpose(2, 3, 0, 1)


def _block_squares(Q: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """Σ_jj' Q_jj'[a, c] Q_jj'[b, d] for stacks Q (C, n q, n' q'), with (n, q) of rows and columns."""
    (nk, qk), (nl, ql) = rows, columns
    if qk == ql == 1:
        return np.array(np.einsum("zrs,zrs->", Q, Q)).reshape(1, 1, 1, 1)
    part = Q.reshape(-1, nk, qk, nl, ql).transpose(2, 4, 0, 1, 3).reshape(qk * ql, -1)
    return np.asarray(part @ part.T).reshape(qk, ql, qk, ql).transpose(0, 2, 1, 3)


def _rest_rest(place: ComponentColumns, Q: np.ndarray, rest: tuple[int, ...], out: Sums) -> None:
    for k, qk, nk, rows in place.shape.slices():
        for l, ql, nl, columns in place.shape.slices():
            out[rest[k], rest[l]] += _block_squares(Q[:, rows, columns], (nk, qk), (nl, ql))


def _front_rest(
    place: ComponentColumns, U: np.ndarray, M: np.ndarray, f: int, rest: tuple[int, ...], out: Sums
) -> None:
    """U'M_abU for M (q, q, C, m, m)."""
    q, m = len(M), U.shape[-1]
    for l, ql, n, columns in place.shape.slices():
        own = U[:, :, columns]  # (C, m, n ql)
        moved = (M @ own).reshape(q, q, -1, m, n, ql)
        out[f, rest[l]] += np.einsum("zmjc,abzmjd->abcd", own.reshape(-1, m, n, ql), moved, optimize=True)


def _gram(factor: Factor) -> list[np.ndarray]:
    """M_ab = Σ_j F_ja'F_jb for every place, (q, q, C, m, m); of one effect and a dense place the lower (m, m)."""
    system = factor.system
    zr, q, R = system.cross.zr, len(system.cross.zr), system.blocks.n_rest
    if q == 1:
        own = zip(system.places, system.product.gram(factor.D))
        return [M.transpose(2, 0, 1)[None, None] if at.is_batch else M for at, M in own]
    level = np.repeat(np.arange(zr[0].shape[0]), np.diff(zr[0].indptr))
    data = [sum(factor.D[a, b, level] * zr[b].data for b in range(q)) for a in range(q)]
    places = system.places
    out = [np.zeros((q, q, *_stacked(place))) for place in places]
    if len(places) == 1 and not places[0].is_batch and q * zr[0].shape[0] * R <= 20_000_000:
        dense = np.zeros((q, zr[0].shape[0], R))
        for a in range(q):
            dense[a, level, zr[0].indices] = data[a]
        for a in range(q):
            for b in range(a + 1):
                out[0][a, b, 0] = dense[a].T @ dense[b]
                out[0][b, a, 0] = out[0][a, b, 0].T
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
