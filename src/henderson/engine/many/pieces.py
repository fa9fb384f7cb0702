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

Steps 1 to 4 and the traces of 7 are sums over the components: small ones by pattern (`small_components`) or, where
hardly two are alike, by their scores (`unlike_components`); large ones one by one (`large_components`).
W = vec(G)vec(G)', G = Z'Wc.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import reduce
from typing import Protocol

import numpy as np

from henderson.engine.many.components import Components, Shape
from henderson.engine.many.large_components import AtComponents, EffectProducts
from henderson.engine.many.small_components import AtPatterns, PatternProducts
from henderson.engine.many.sums import Sums
from henderson.engine.many.unlike_components import AtUnlike, ScoreProducts
from henderson.numerics import small

FloatArray = np.ndarray
Products = PatternProducts | EffectProducts | ScoreProducts


@dataclass(frozen=True)
class Responses:
    """What the likelihood needs from many responses, B of them (or one, shared by the whole batch).

    Attributes
    ----------
    beta : (p, B) array
        Least squares coefficients on the orthonormal columns.
    yy : (B,) array
        Residual sum of squares after X.
    products : tuple of Products
        Z'Wy, as each shape needs it.
    """

    beta: FloatArray
    yy: FloatArray
    products: tuple[Products, ...]

    @property
    def batch(self) -> int:
        """B."""
        return len(self.yy)

    def __getitem__(self, index: np.ndarray) -> Responses:
        if self.batch == 1:
            return self
        return Responses(self.beta[:, index], self.yy[index], tuple(w[index] for w in self.products))

    @classmethod
    def of(cls, parts: Components, y: FloatArray) -> Responses:
        """Responses y, (n, B), in the user's units."""
        y = (y - parts.offset[:, None]) * parts.root_weights[:, None]
        beta = parts.x.T @ y
        y = y - parts.x @ beta
        products = tuple(
            _kind(shape, y.shape[1]).of(shape, (shape.rows @ y).reshape(shape.size, len(shape.pattern), -1))
            for shape in parts.shapes
        )
        return cls(beta, np.einsum("nb,nb->b", y, y), products)


def _kind(shape: Shape, batch: int) -> type[Products]:
    """How the components of a shape are summed for so many responses."""
    if shape.is_large:
        return EffectProducts
    return ScoreProducts if ScoreProducts.suit(shape, batch) else PatternProducts


class AtRoots(Protocol):
    """What some components add at the roots of a batch."""

    def sums(self) -> Sums:
        """Steps 3 and 4."""

    def second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Step 7: of r²_ij, and of log|V|_ij (and log|S|_ij, where S⁻¹ is given)."""


def at_root(
    shape: Shape, products: Products, root: FloatArray, times: FloatArray | None
) -> AtPatterns | AtComponents | AtUnlike:
    """The components of a shape at roots; `times`: how often each counts, of the one response of a batch."""
    if isinstance(products, ScoreProducts):
        if times is not None:
            raise ValueError("components that are drawn are of one response")
        return AtUnlike(shape, products, root)
    if isinstance(products, EffectProducts):
        return AtComponents(shape, products, root, times)
    return AtPatterns(shape, products, root, times)


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
    d_xx : (k, p, p, B) array
        X'V⁻¹V_iV⁻¹X of the orthonormal columns.
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
    d_xx: FloatArray
    miss: FloatArray

    def __getitem__(self, members: np.ndarray) -> Pieces:
        return Pieces(*(getattr(self, field.name)[..., members] for field in fields(self)))


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


class OtherRows(Protocol):
    """Data sets made of the rows of one, B of them: resampled, or without some rows."""

    @property
    def xx(self) -> FloatArray:
        """X'X of their rows, (p, p, B)."""

    @property
    def xy(self) -> FloatArray:
        """X'y, (p, B)."""

    @property
    def yy(self) -> FloatArray:
        """y'y, (B,)."""

    def __getitem__(self, index: np.ndarray) -> OtherRows:
        """Some members of the batch."""

    def at_roots(self, parts: Components, responses: Responses, root: FloatArray) -> list[AtRoots]:
        """Their components at the roots (Q, Q, B), or at one root for all (Q, Q, 1)."""


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

    def at_roots(self, parts: Components, responses: Responses, root: FloatArray) -> list[AtRoots]:
        """See `OtherRows`."""
        return [at_root(*each) for each in zip(parts.shapes, responses.products, [root] * len(self.times), self.times)]


def pieces(
    parts: Components,
    responses: Responses,
    root: FloatArray,
    *,
    reml: bool,
    constraint: Constraint | None = None,
    resampled: OtherRows | None = None,
    curvature: bool = True,
) -> Pieces:
    """Evaluate a batch.

    Parameters
    ----------
    parts : Components
    responses : Responses
        B of them, or one for all.
    root : (Q, Q, B) array
        Any root of the covariance of one level's effects, G = root root', in the basis of `parts`. With `resampled`
        also (Q, Q, 1): one for all.
    reml : bool
    constraint : Constraint, optional
    resampled : OtherRows, optional
        Other data sets made of the rows; else all rows once.
    curvature : bool
        Whether step 7 is wanted; else the second derivatives are zero.
    """
    p, k = parts.p, parts.layout.n_g
    batch = root.shape[2] if resampled is None else len(resampled.yy)
    # 1. to 4.
    if resampled is None:
        here: list[AtRoots] = [at_root(*each, root, None) for each in zip(parts.shapes, responses.products)]
    else:
        here = resampled.at_roots(parts, responses, root)
    unit = np.zeros((p, p, batch))
    unit[np.arange(p), np.arange(p)] = 1.0
    if resampled is None:
        f_xx, f_xy, f_yy = unit, np.zeros((p, batch)), np.broadcast_to(responses.yy, (batch,))
    else:
        f_xx, f_xy, f_yy = resampled.xx, resampled.xy, resampled.yy
    sums = [one.sums() for one in here]
    for one in sums:
        f_xx, f_xy, f_yy = f_xx - one.f_xx, f_xy - one.f_xy, f_yy - one.f_yy
    logdet, d_logdet, d_xx, d_xy, d_yy = (
        reduce(np.add, [vars(one)[name] for one in sums]) for name in ("logdet", "t1", "d_xx", "d_xy", "d_yy")
    )
    # 5.
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN where a resample lacks a column
        low = small.cholesky(f_xx.copy())
    low_inverse = small.solve_lower(low, unit.copy())
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
    dd_logdet = np.zeros((k, k, batch))
    if reml:
        logdet = logdet + 2 * np.log(np.einsum("xxb->xb", low)).sum(0)
        d_logdet = d_logdet - np.einsum("xyb,iyxb->ib", s_inverse, d_xx)
        turned = np.einsum("xyb,iyzb->ixzb", s_inverse, d_xx)
        dd_logdet -= np.einsum("ixzb,jzxb->ijb", turned, turned)
    for part in here if curvature else []:
        more_r2, more_logdet = part.second(beta, s_inverse if reml else None)
        dd_r2, dd_logdet = dd_r2 + more_r2, dd_logdet + more_logdet
    return Pieces(logdet, r2, d_logdet, d_r2, _symmetric(dd_logdet), _symmetric(dd_r2), beta, s_inverse, f, d_xx, miss)


def x_forms(parts: Components, responses: Responses, root: FloatArray, v: FloatArray) -> FloatArray:
    """v'X'V⁻¹V_iV⁻¹V_jV⁻¹Xv of a batch, (k, k, B), for combinations v (p, B) of the orthonormal columns."""
    here = [at_root(shape, products, root, None) for shape, products in zip(parts.shapes, responses.products)]
    return _symmetric(np.sum([one.x_form(v) for one in here], axis=0))


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
