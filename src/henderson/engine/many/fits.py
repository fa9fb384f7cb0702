"""One design, many responses: the fit of each, as one computation.

In a basis where an average level's columns are orthonormal, θ of each response goes by Newton steps from a common start
to its optimum of the profiled deviance (the engine's criterion)

    d = log|V| [+ log|S|] + ν (1 + log 2πr²/ν),   ν = n − p (REML) or n

and a fit that ends with a singular covariance is made sure of: if d falls when the covariance gains a rank, it goes on
from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from henderson.covariance.layout import Layout
from henderson.covariance.roots import triangular
from henderson.engine.many.components import Components
from henderson.engine.many.coordinates import chain, descent_off_boundary
from henderson.engine.many.elsewhere import Elsewhere, among, lower_elsewhere
from henderson.engine.many.pieces import OtherRows, Pieces, Responses, pieces
from henderson.numerics.newton import Evaluate, minimize_batch, minimize_nearby

FloatArray = np.ndarray

#: what the deviance may still fall by at a fit that counts as optimal
GAIN = 1e-8
#: Newton decrement at which a fit near a known one takes its last step, a quasi-Newton one: from that one's curvature,
#: or from its own
FINE, FINE_OWN = 1e-12, 1e-9
#: relative standard deviations that a start is kept away from zero, in the basis of orthonormal columns
LEAST_START = 0.05
#: smallest singular value of a term's root against the largest, below which the boundary is looked at
NEARLY_SINGULAR = 1e-2
#: relative standard deviations below this are rounding errors of zero, in that basis
ROUNDING = 1e-4
#: times that a member may gain a rank
RANKS = 5


@dataclass(frozen=True)
class BatchFit:
    """Fits of B responses, in the user's units.

    Attributes
    ----------
    beta : (B, p) array
        Over the columns of X kept.
    cov : (B, Q, Q) array
        Covariance of one level's effects relative to σ², all terms one after another.
    sigma : (B,) array
    deviance : (B,) array
        −2 log-likelihood, or the REML criterion.
    converged : (B,) bool array
    evaluations : int
    vcov : (B, p, p) array
        σ² (X'V⁻¹X)⁻¹ over the columns of X kept.
    root : (Q, Q, B) array
        A root of the covariance in the basis of the `Components`.
    at : Pieces
        The likelihood's parts there; second derivatives when they were asked for.
    """

    beta: FloatArray
    cov: FloatArray
    sigma: FloatArray
    deviance: FloatArray
    converged: np.ndarray
    evaluations: int
    vcov: FloatArray
    root: FloatArray
    at: Pieces


def profiled(p: Pieces, nu: FloatArray | float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The deviance with σ profiled out (without constants of the design), its gradient and Hessian in g."""
    c = nu / p.r2
    value = p.logdet + nu * (1 + np.log(2 * np.pi * p.r2 / nu))
    gradient = p.d_logdet + c * p.d_r2
    hessian = p.dd_logdet + c * p.dd_r2 - (c / p.r2) * p.d_r2[:, None] * p.d_r2[None]
    return value, gradient, hessian


def fit_batch(
    parts: Components,
    responses: Responses,
    start: FloatArray,
    *,
    reml: bool,
    resampled: OtherRows | None = None,
    n_rows: FloatArray | None = None,
    near: bool = False,
    curvature: bool = False,
    elsewhere: Elsewhere | None = None,
) -> BatchFit:
    """Fit every response.

    Parameters
    ----------
    parts : Components
    responses : Responses
        B of them, or one for all resampled data sets.
    start : (Q, Q) array
        A root of the covariance relative to σ² to begin from, in the basis of the components.
    reml : bool
    resampled : OtherRows, optional
        Other data sets made of the rows, one a member of the batch.
    n_rows : (B,) array, optional
        Rows of each of them.
    curvature : bool
        Whether `BatchFit.at` has second derivatives.
    near : bool
        The start is the fit of all rows, and what is fitted lacks few of them: its curvature serves, and is updated.
    elsewhere : Elsewhere, optional
        Where to look for lower minima too.
    """
    layout = parts.layout
    batch = responses.batch if resampled is None else len(resampled.yy)
    lost = parts.p if reml else 0
    nu = np.broadcast_to((parts.n if n_rows is None else n_rows) - lost, (batch,)).astype(float)
    directions = layout.root_directions(np.zeros(layout.n_theta))[..., None]

    def at(root: FloatArray, members: np.ndarray, curvature: bool = True) -> Pieces:
        drawn = None if resampled is None else resampled[members]
        return pieces(parts, responses[members], root, reml=reml, resampled=drawn, curvature=curvature)

    def in_g(x: FloatArray, members: np.ndarray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return profiled(at(layout.lam(x), members), nu[members])

    def evaluate(x: FloatArray, members: np.ndarray) -> tuple[FloatArray, FloatArray, FloatArray]:
        value, d_g, dd_g = in_g(x, members)
        return value, *chain(layout, layout.lam(x), directions, d_g, dd_g)[:2]

    def slope(x: FloatArray, members: np.ndarray) -> tuple[FloatArray, FloatArray]:
        root = layout.lam(x)
        value, d_g, dd_g = profiled(at(root, members, curvature=False), nu[members])
        return value, chain(layout, np.broadcast_to(root, (*root.shape[:2], len(members))), directions, d_g, dd_g)[0]

    # 1. from the start
    first = _start(layout, start @ start.T)[:, None]
    x, value, converged, evaluations = np.repeat(first, batch, 1), np.zeros(batch), np.zeros(batch, bool), 0
    if near:
        if own_curvature := any(shape.is_large for shape in parts.shapes):  # it costs less than a step more
            own = evaluate(first, np.arange(batch))
        else:
            root = layout.lam(first)
            _, d_g, dd_g = profiled(pieces(parts, responses, root, reml=reml), float(parts.n - lost))
            own = (*slope(first, np.arange(batch)), chain(layout, root, directions, d_g, dd_g)[1])
        found = minimize_nearby(slope, first, *own, tol=FINE_OWN if own_curvature else FINE)
        x, value, converged, evaluations = found.x, found.value, found.converged, found.evaluations
    if not converged.all():
        rest = np.flatnonzero(~converged)
        found = minimize_batch(among(evaluate, rest), np.repeat(first, len(rest), 1), trust=True)
        x[:, rest], value[rest], converged[rest] = found.x, found.value, found.converged
        evaluations += found.evaluations
    # 2. from elsewhere, 3. off the boundary
    if elsewhere is not None:
        x, value, converged = lower_elsewhere(layout, evaluate, slope, elsewhere, x, value, converged)
    evaluations += _leave_boundary(layout, evaluate, in_g, x, value, converged)
    # 4. in the user's units
    root = _without_rounding(layout, layout.lam(x), converged)
    final = at(root, np.arange(batch), curvature=curvature)
    value, _, _ = profiled(final, nu)
    users = np.einsum("rs,sub->rub", parts.basis, root)
    constant = -parts.log_weights + (2 * np.log(np.abs(np.diag(parts.x_basis))).sum() if reml else 0.0)
    beta = linalg.solve_triangular(parts.x_basis, final.beta + responses.beta, check_finite=False)  # one may be lost
    with np.errstate(invalid="ignore"):
        sigma = np.sqrt(final.r2 / nu)
    cov = np.einsum("rub,sub->brs", users, users)
    to_user = linalg.solve_triangular(parts.x_basis, np.eye(parts.p))
    vcov = np.einsum("b,xub->bxu", sigma**2, final.s_inverse)
    return BatchFit(
        beta.T, cov, sigma, value + constant, converged, evaluations, to_user @ vcov @ to_user.T, root, final,
    )  # fmt: skip


def _leave_boundary(
    layout: Layout, evaluate: Evaluate, in_g: Evaluate, x: FloatArray, value: FloatArray, converged: np.ndarray
) -> int:
    """Members that ended singular go on, in place, from where a covariance has gained a rank, as long as their
    deviance falls: evaluations that this took. `in_g` has derivatives in g where `evaluate` has them in x."""
    members, evaluations = np.flatnonzero(converged & _is_singular(layout, layout.lam(x))), 0
    for _ in range(RANKS):
        if not len(members):
            break
        root = layout.lam(x[:, members])
        _, d_g, dd_g = in_g(x[:, members], members)
        falling, step = descent_off_boundary(layout, d_g, dd_g, GAIN)
        members = members[falling]
        if not len(members):
            break
        cov = np.einsum("rub,sub->rsb", root[:, :, falling], root[:, :, falling]) + step
        again = np.column_stack([layout.theta_of_cov(c) for c in cov.transpose(2, 0, 1)])
        more = minimize_batch(among(evaluate, members), again)
        lower = more.value < value[members]
        members = members[lower]
        x[:, members], value[members] = more.x[:, lower], more.value[lower]
        converged[members] = more.converged[lower]
        evaluations += more.evaluations
    return evaluations


def _is_singular(layout: Layout, root: FloatArray) -> np.ndarray:
    """Members with a covariance that has, all but, a direction without variance, (B,) bool."""
    out = np.zeros(root.shape[2], bool)
    for term in layout.terms:
        finite = np.nan_to_num(root[term, term].transpose(2, 0, 1))  # a member may have strayed
        sizes = np.linalg.svd(finite, compute_uv=False)
        out |= ~(sizes[:, -1] > NEARLY_SINGULAR * np.maximum(sizes[:, 0], 1.0))
    return out


def _without_rounding(layout: Layout, root: FloatArray, members: np.ndarray) -> FloatArray:
    """Directions without variance but for rounding get none: eigenvalues of G below ROUNDING² become zero."""
    root = root.copy()
    for term in layout.terms:
        smallest = np.abs(np.einsum("rrb->rb", root[term, term])).min(0)
        for b in np.flatnonzero(members & (smallest < 30 * ROUNDING)):
            values, vectors = np.linalg.eigh(root[term, term, b] @ root[term, term, b].T)
            if values[0] < ROUNDING**2:
                root[term, term, b] = triangular(vectors * np.sqrt(np.where(values < ROUNDING**2, 0.0, values)))
    return root


def _start(layout: Layout, cov: FloatArray) -> FloatArray:
    """θ of a covariance whose eigenvalues are kept away from zero."""
    values, vectors = np.linalg.eigh(cov)
    return layout.theta_of_cov((vectors * np.maximum(values, LEAST_START**2)) @ vectors.T)
