"""Log-determinants, the residual sum of squares, and their first two derivatives, for a batch of covariances.

Var(y) = σ² V, V = W⁻¹ + Z G Z', and the G of a level is a matrix of parameters g. For every member of the batch, with
c = [X y], X orthonormal and y replaced by what X leaves of it, component by component (L any root of the covariance of
the component's effects, A = Z'WZ):

    1. C = I + L'AL            2. M = L C⁻¹ L',  K = I − AM,  N = KA   (Z'V⁻¹Z)
    3. F = c'c − ΣMW           4. F_i = Σ(K'E_iK)W                      (c'V⁻¹V_iV⁻¹c, V_i = ∂V/∂g_i)
    5. S = F_XX,  β = S⁻¹F_Xy,  r² = F_yy − F_yX β,  e = (−β, 1)
    6. log|V|_i = tr NE_i      r²_i = −e'F_ie            log|S|_i = −tr S⁻¹F_i
    7. second derivatives from U = KWK', the products of Z'V⁻¹c:
       r²_ij = 2 tr E_iNE_jU_ee − 2 f_i'S⁻¹f_j,  f_i = (F_ie)_X
       log|V|_ij = −tr NE_iNE_j,  log|S|_ij = 2 tr E_iNE_jU_S − tr S⁻¹F_iS⁻¹F_j,  U_S = Σ S⁻¹_xx' U_xx'

The sums over the columns of X do not depend on the response: they are matrix products with W_XX.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...factor import small
from .components import Components, Shape

FloatArray = np.ndarray

#: components with more effects go through LAPACK, one by one
SMALL = 6


@dataclass(frozen=True)
class Responses:
    """What the likelihood needs from many responses, B of them (or one, shared by the whole batch).

    Attributes
    ----------
    beta : (p, B) array
        Least squares coefficients on the orthonormal columns.
    yy : (B,) array
        Residual sum of squares after X.
    xy : tuple of (p, R, R, a, B) arrays, one a shape
        Sums of products of Z_c'WX and Z_c'Wy within patterns.
    yys : tuple of (R, R, a, B) arrays
        The same of Z_c'Wy with itself.
    """

    beta: FloatArray
    yy: FloatArray
    xy: tuple[FloatArray, ...]
    yys: tuple[FloatArray, ...]

    @property
    def batch(self) -> int:
        """B."""
        return len(self.yy)

    def __getitem__(self, index: np.ndarray) -> Responses:
        if self.batch == 1:
            return self
        return Responses(
            self.beta[:, index],
            self.yy[index],
            tuple(w[..., index] for w in self.xy),
            tuple(w[..., index] for w in self.yys),
        )

    @classmethod
    def of(cls, parts: Components, y: FloatArray) -> Responses:
        """Responses y, (n, B), in the user's units."""
        y = (y - parts.offset[:, None]) * parts.root_weights[:, None]
        beta = parts.x.T @ y
        y = y - parts.x @ beta
        xy, yys = [], []
        for shape in parts.shapes:
            zy = (shape.rows @ y).reshape(shape.size, len(shape.pattern), -1)
            xy.append(shape.effects_by_pattern(shape.zx, zy))
            yys.append(shape.sum_patterns(np.einsum("rcb,scb->rscb", zy, zy)))
        return cls(beta, np.einsum("nb,nb->b", y, y), tuple(xy), tuple(yys))


@dataclass(frozen=True)
class Pieces:
    """Parts of the deviance of B members of a batch and their derivatives in the k parameters g.

    Attributes
    ----------
    logdet : (B,) array
        log|V| + Σ log w, and under REML + log|S| (X orthonormal).
    r2 : (B,) array
        Residual sum of squares weighted by V⁻¹, at the best β.
    d_logdet, d_r2 : (k, B) arrays
    dd_logdet, dd_r2 : (k, k, B) arrays
    beta : (p, B) array
        Coefficients of the orthonormal columns.
    s_inverse : (p, p, B) array
        (X'V⁻¹X)⁻¹ of the orthonormal columns.
    f : (k, p, B) array
        f_i of step 7, at that β.
    miss : (B,) array
        h'β − value at the unconstrained β; zero without a constraint.
    """

    logdet: FloatArray
    r2: FloatArray
    d_logdet: FloatArray
    d_r2: FloatArray
    dd_logdet: FloatArray
    dd_r2: FloatArray
    beta: FloatArray
    s_inverse: FloatArray
    f: FloatArray
    miss: FloatArray


@dataclass(frozen=True)
class Constraint:
    """h'β = value for members of the batch (coefficients of the orthonormal columns); h = 0: no constraint.

    Attributes
    ----------
    h : (p, B) array
    value : (B,) array
    """

    h: FloatArray
    value: FloatArray

    def __getitem__(self, members: np.ndarray) -> Constraint:
        return Constraint(self.h[:, members], self.value[members])


@dataclass(frozen=True)
class Resampled:
    """Components drawn with replacement; every component is its own pattern.

    Attributes
    ----------
    times : tuple of (a, B) arrays, one a shape
        How often each component was drawn.
    xx, xy, yy : (p, p, B), (p, B), (B,) arrays
        c'c of the rows drawn.
    """

    times: tuple[FloatArray, ...]
    xx: FloatArray
    xy: FloatArray
    yy: FloatArray

    def __getitem__(self, index: np.ndarray) -> Resampled:
        return Resampled(tuple(t[:, index] for t in self.times), self.xx[..., index], self.xy[:, index], self.yy[index])


@dataclass(frozen=True)
class _Solved:
    """Steps 1 and 2 for the components of one shape: arrays (R, R, a, B)."""

    m: FloatArray
    k: FloatArray
    n: FloatArray
    logdet: FloatArray


def pieces(
    parts: Components,
    responses: Responses,
    root: FloatArray,
    *,
    reml: bool,
    constraint: Constraint | None = None,
    resampled: Resampled | None = None,
) -> Pieces:
    """Evaluate a batch.

    Parameters
    ----------
    parts : Components
    responses : Responses
        B of them, or one for all.
    root : (Q, Q, B) array
        Any root of the covariance of one level's effects, G = root root', in the basis of `parts`.
    reml : bool
    constraint : Constraint, optional
    resampled : Resampled, optional
        How often each component counts; else once.
    """
    p, k, batch = parts.p, parts.layout.n_theta, root.shape[2]
    solved = [_solve(shape, root) for shape in parts.shapes]
    unit = np.zeros((p, p, batch))
    unit[np.arange(p), np.arange(p)] = 1.0
    if resampled is None:  # W is summed over the components of a pattern
        f_xx, f_xy, f_yy = unit, np.zeros((p, batch)), np.broadcast_to(responses.yy, (batch,)).copy()
        counts: list[FloatArray] = [s.count[:, None] for s in parts.shapes]
        times: list[FloatArray] = [np.ones((1, 1))] * len(counts)
    else:
        f_xx, f_xy, f_yy = resampled.xx, resampled.xy.copy(), resampled.yy.copy()
        counts = times = list(resampled.times)
    d_xx, d_xy, d_yy = np.zeros((k, p, p, batch)), np.zeros((k, p, batch)), np.zeros((k, batch))
    t1, logdet = np.zeros((k, batch)), np.zeros(batch)
    for shape, s, count, w, xy, yy in zip(parts.shapes, solved, counts, times, responses.xy, responses.yys):
        f_xx = f_xx - _against_x(shape.xx, s.m * w)
        f_xy -= _against_xy(xy, s.m * w)
        f_yy -= _against(yy, s.m * w)
        for i, e in enumerate(shape.members):
            kek = _sandwich(s.k, e) * w
            d_xx[i] += _against_x(shape.xx, kek)
            d_xy[i] += _against_xy(xy, kek)
            d_yy[i] += _against(yy, kek)
        t1 += np.einsum("irs,rsb->ib", shape.members, (s.n * count).sum(2))
        logdet += (s.logdet * count).sum(0)

    # 5.
    low = small.cholesky(f_xx.copy())
    low_inverse = small.solve_lower(low, unit)
    s_inverse = np.einsum("kxb,kyb->xyb", low_inverse, low_inverse)
    beta = np.einsum("xyb,yb->xb", s_inverse, f_xy)
    r2 = f_yy - np.einsum("xb,xb->b", beta, f_xy)
    q, miss = s_inverse, np.zeros(batch)
    if constraint is not None:
        q, beta, r2, miss = constrained(constraint, s_inverse, beta, r2)
    # 6. F_i e
    f = d_xy - np.einsum("ixyb,yb->ixb", d_xx, beta)
    d_r2 = -(d_yy - np.einsum("ixb,xb->ib", d_xy, beta) - np.einsum("ixb,xb->ib", f, beta))
    # 7.
    dd_r2 = -2 * np.einsum("ixb,jxb->ijb", f, np.einsum("xyb,jyb->jxb", q, f))
    d_logdet, dd_logdet = t1, np.zeros((k, k, batch))
    if reml:
        logdet = logdet + 2 * np.log(np.einsum("xxb->xb", low)).sum(0)
        d_logdet = t1 - np.einsum("xyb,iyxb->ib", s_inverse, d_xx)
        sf = np.einsum("xyb,iyzb->ixzb", s_inverse, d_xx)
        dd_logdet -= np.einsum("ixzb,jzxb->ijb", sf, sf)
    for shape, s, count, w, xy, yy in zip(parts.shapes, solved, counts, times, responses.xy, responses.yys):
        u_e = _conjugate(s.k, _residual_products(shape, xy, yy, beta)) * w
        dd_r2 += 2 * _crossed_traces(shape.members, s.n, u_e)
        right = -s.n * count
        if reml:
            u_s = _conjugate(s.k, _weighted_products(shape, s_inverse)) * w
            right = right + 2 * u_s
        dd_logdet += _crossed_traces(shape.members, s.n, right)
    return Pieces(logdet, r2, d_logdet, d_r2, _symmetric(dd_logdet), _symmetric(dd_r2), beta, s_inverse, f, miss)


def _solve(shape: Shape, root: FloatArray) -> _Solved:
    q2, batch = root.shape[0] * root.shape[1], root.shape[2]
    padded = np.concatenate([root.reshape(q2, batch), np.zeros((1, batch))])
    lam = np.ascontiguousarray(padded[shape.place])[:, :, None]
    gram = shape.gram[..., None]
    c = _dot(lam.transpose(1, 0, 2, 3), _dot(gram, lam))
    diagonal = np.arange(shape.size)
    c[diagonal, diagonal] += 1.0
    # 1.
    low, low_inverse = _cholesky_with_inverse(c)
    logdet = 2 * np.log(low[diagonal, diagonal]).sum(0)
    # 2.
    h = _dot(low_inverse, lam.transpose(1, 0, 2, 3))
    m = _dot(h.transpose(1, 0, 2, 3), h)
    k = -_dot(gram, m)
    k[diagonal, diagonal] += 1.0
    n = _dot(k, gram)
    return _Solved(m, k, (n + n.transpose(1, 0, 2, 3)) / 2, logdet)


def _cholesky_with_inverse(c: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower factors of c (R, R, a, B), and their inverses."""
    r = c.shape[0]
    if r <= SMALL:
        low = small.cholesky(c)
        unit = np.zeros_like(c)
        unit[np.arange(r), np.arange(r)] = 1.0
        return low, small.solve_lower(low, unit)
    stacked = np.linalg.cholesky(np.ascontiguousarray(np.moveaxis(c, (0, 1), (-2, -1))))
    inverse = np.linalg.solve(stacked, np.broadcast_to(np.eye(r), stacked.shape))
    return np.moveaxis(stacked, (-2, -1), (0, 1)), np.moveaxis(inverse, (-2, -1), (0, 1))


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Products of matrices (R, S, a, B) × (S, T, a, B)."""
    if a.shape[1] <= SMALL:
        return np.einsum("rsab,stab->rtab", a, b)
    left = np.ascontiguousarray(np.moveaxis(a, (0, 1), (-2, -1)))
    right = np.ascontiguousarray(np.moveaxis(b, (0, 1), (-2, -1)))
    return np.moveaxis(left @ right, (-2, -1), (0, 1))


def _times(members: FloatArray, m: FloatArray) -> FloatArray:
    """E_i m for every i, (k, R, R, a, B)."""
    k, r, _ = members.shape
    return (members.reshape(k * r, r) @ m.reshape(r, -1)).reshape(k, *m.shape)


def _sandwich(k: FloatArray, e: FloatArray) -> FloatArray:
    """K'EK for zeros and ones E, (R, R, a, B)."""
    return _dot(k.transpose(1, 0, 2, 3), _times(e[None], k)[0])


def _conjugate(k: FloatArray, w: FloatArray) -> FloatArray:
    """KWK', (R, R, a, B)."""
    return _dot(_dot(k, w), k.transpose(1, 0, 2, 3))


def _against_x(xx: FloatArray, m: FloatArray) -> FloatArray:
    """ΣMW_XX, (p, p, B): one matrix product."""
    p = xx.shape[0]
    return (xx.reshape(p * p, -1) @ m.reshape(-1, m.shape[-1])).reshape(p, p, -1)


def _against_xy(xy: FloatArray, m: FloatArray) -> FloatArray:
    """ΣMW_Xy, (p, B)."""
    flat = m.reshape(-1, m.shape[-1])
    if xy.shape[-1] == 1:
        return xy.reshape(len(xy), -1) @ flat
    return np.einsum("xmb,mb->xb", xy.reshape(len(xy), *flat.shape), flat)


def _against(yy: FloatArray, m: FloatArray) -> FloatArray:
    """ΣMW_yy, (B,)."""
    flat = m.reshape(-1, m.shape[-1])
    if yy.shape[-1] == 1:
        return yy.ravel() @ flat
    return np.einsum("mb,mb->b", yy.reshape(flat.shape), flat)


def _residual_products(shape: Shape, xy: FloatArray, yy: FloatArray, beta: FloatArray) -> FloatArray:
    """W_ee for e = y − Xβ, (R, R, a, B)."""
    p = len(beta)
    flat = shape.xx.reshape(p * p, -1).T @ np.einsum("xb,yb->xyb", beta, beta).reshape(p * p, -1)
    square = flat.reshape(*shape.gram.shape, -1)
    return yy - 2 * np.einsum("xrsab,xb->rsab", xy, beta) + (square + square.transpose(1, 0, 2, 3)) / 2


def _weighted_products(shape: Shape, s_inverse: FloatArray) -> FloatArray:
    """Σ S⁻¹_xx' W_xx', (R, R, a, B)."""
    p = len(s_inverse)
    flat = shape.xx.reshape(p * p, -1).T @ s_inverse.reshape(p * p, -1)
    return flat.reshape(*shape.gram.shape, -1)


def _crossed_traces(members: FloatArray, n: FloatArray, right: FloatArray) -> FloatArray:
    """Σ_a tr E_i N E_j R, (k, k, B)."""
    return np.einsum("irsab,jsrab->ijb", _times(members, n), _times(members, right))


def constrained(
    constraint: Constraint, s_inverse: FloatArray, beta: FloatArray, r2: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """S⁻¹ within the constraint, β on it, r² there, and how far from it the unconstrained β is."""
    sh = np.einsum("xyb,yb->xb", s_inverse, constraint.h)
    size = np.einsum("xb,xb->b", sh, constraint.h)
    active = size > 0
    size = np.where(active, size, 1.0)
    miss = np.where(active, np.einsum("xb,xb->b", constraint.h, beta) - constraint.value, 0.0)
    q = s_inverse - np.einsum("xb,yb->xyb", sh, sh / size)
    return q, beta - sh * (miss / size), r2 + miss**2 / size, miss


def _symmetric(a: FloatArray) -> FloatArray:
    return (a + a.transpose(1, 0, 2)) / 2
