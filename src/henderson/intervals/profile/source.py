"""Where a profile gets its likelihood from: the array computation for small components, the engine for large ones.

Both answer the same question, `pieces` at a batch of roots, for the response divided by the σ̂ of the optimum, and say
how its coordinates become the user's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from henderson.covariance.layout import Layout, layout_of
from henderson.engine.criterion import Criterion
from henderson.engine.fit import DEAR, Fit, refit
from henderson.engine.likelihood import first_derivatives, second_derivatives
from henderson.engine.many.components import Components, scales_of
from henderson.engine.many.fits import fit_batch
from henderson.engine.many.pieces import Constraint, Pieces, Responses, constrained, pieces
from henderson.engine.many.refits import batched_components, start_of
from henderson.engine.moments import Moments, Second
from henderson.engine.moments_at import FAR, in_user_units, moments_at
from henderson.errors import DataError

FloatArray = np.ndarray


class Likelihood(Protocol):
    """The likelihood of one response."""

    @property
    def layout(self) -> Layout:
        """All terms of the design."""

    @property
    def n(self) -> int:
        """Rows."""

    @property
    def p(self) -> int:
        """Columns of X."""

    def pieces(self, root: FloatArray, *, reml: bool, constraint: Constraint | None = None) -> Pieces:
        """At B roots of the covariance relative to σ², (Q, Q, B)."""


@dataclass(frozen=True)
class Batched:
    """By array computation.

    Attributes
    ----------
    parts : Components
        In a basis that only scales the effects.
    responses : Responses
        Of the single response.
    """

    parts: Components
    responses: Responses

    @property
    def layout(self) -> Layout:
        """All terms of the design."""
        return self.parts.layout

    @property
    def n(self) -> int:
        """Rows."""
        return self.parts.n

    @property
    def p(self) -> int:
        """Columns of X."""
        return self.parts.p

    def pieces(self, root: FloatArray, *, reml: bool, constraint: Constraint | None = None) -> Pieces:
        """See `engine.many.pieces.pieces`."""
        return pieces(self.parts, self.responses, root, reml=reml, constraint=constraint)


@dataclass(frozen=True)
class ByEngine:
    """By the engine's moments, one point after another.

    Attributes
    ----------
    criterion : Criterion
    layout : Layout
    units : (Q,) array
        The user's effects are these times the ones used here.
    mixing : (p + 1, p + 1) array
        [X y] mixing = [X, (y − Xβ̂)/σ̂].
    optimum : Moments, or None
        Those of the optimum, of a large model of scalar terms: T2 elsewhere is made of theirs (`_Near`).
    """

    criterion: Criterion
    layout: Layout
    units: FloatArray
    mixing: FloatArray
    optimum: Moments | None = None

    @property
    def n(self) -> int:
        """Rows."""
        return self.criterion.system.cross.n

    @property
    def p(self) -> int:
        """Columns of X."""
        return len(self.mixing) - 1

    def pieces(self, root: FloatArray, *, reml: bool, constraint: Constraint | None = None) -> Pieces:
        """The pieces of each root."""
        each = [
            self._one(root[:, :, b], reml, None if constraint is None else constraint[np.array([b])])
            for b in range(root.shape[2])
        ]
        return Pieces(*(np.concatenate(field, -1) for field in zip(*(tuple(vars(one).values()) for one in each))))

    def _one(self, root: FloatArray, reml: bool, constraint: Constraint | None) -> Pieces:
        root = self.units[:, None] * root
        cov, layout = root @ root.T, self.layout
        g = layout.g(cov)
        lam = []
        for block, basis in zip(self.criterion.blocks.blocks, self.criterion.basis.roots):
            rows = np.concatenate([np.arange(layout.q)[layout.terms[i]] for i in block.terms])
            lam.append(np.linalg.solve(basis, root[np.ix_(rows, rows)]))
        point = self.criterion.at_lam(lam, g)
        size = np.diag(layout.g((layout.basis() * np.outer(self.units, self.units)).transpose(1, 2, 0)))
        own = moments_at(point)
        if self.optimum is not None:
            own = replace(own, second=_Near(own.second, own.t1 / self.optimum.t1, self.optimum.t2))
        moments = replace(in_user_units(self.criterion, own), g=g)
        return of_moments(moments, point.factor.log_det, size, self.mixing, reml, constraint)


@dataclass(frozen=True)
class _Near(Second):
    """F2 at a point, T2 from the optimum's: T2_ij goes as t1_i t1_j, exactly so for J levels with A = a alone, where
    t1 = Ja/(1 + ga) and T2 = t1²/J. T2 costs more than all else; Newton's method finds the same points, and a profile's
    slope is known without it.

    Attributes
    ----------
    own : Second
    ratio : (k,) array
        t1 by the optimum's.
    t2 : (k, k) array
        The optimum's.
    """

    own: Second
    ratio: FloatArray
    t2: FloatArray

    def forms(self, B: FloatArray) -> FloatArray:
        """See `Second.forms`."""
        return self.own.forms(B)

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """See `Second.trace_forms`."""
        return self.own.trace_forms(B)

    def traces(self) -> FloatArray:
        """See `Second.traces`."""
        return self.t2 * self.ratio[:, None] * self.ratio


def of_moments(
    m: Moments, logdet: float, size: FloatArray, mixing: FloatArray, reml: bool, constraint: Constraint | None
) -> Pieces:
    """Steps 5 to 7 of `engine.many.pieces` from F0, F1, F2, t1, T2, for a batch of one.

    Parameters
    ----------
    m : Moments
    logdet : float
        log|V|, to a constant.
    size : (k,) array
        ∂(Moments' g)/∂(g here).
    mixing : (p + 1, p + 1) array
    reml : bool
    constraint : Constraint, optional
    """
    p = m.p
    m = m.turned(mixing, np.diag(1 / size))
    phi = np.linalg.inv(m.f0[:p, :p])
    beta = (phi @ m.f0[:p, p])[:, None]
    r2 = np.array([m.f0[p, p] - m.f0[:p, p] @ beta[:, 0]])
    q, miss = phi[:, :, None], np.zeros(1)
    if constraint is not None:
        q, beta, r2, miss = constrained(constraint, q, beta, r2)
    if reml:
        logdet += float(np.linalg.slogdet(m.f0[:p, :p])[1])
    first = first_derivatives(m, np.append(-beta[:, 0], 1.0), phi if reml else None)
    second = second_derivatives(m, np.append(-beta[:, 0], 1.0), phi if reml else None)
    return Pieces(
        np.array([logdet]),
        r2,
        first.logdet[:, None],
        first.r2[:, None],
        second.logdet[:, :, None],
        (second.r2 - 2 * first.cross @ q[:, :, 0] @ first.cross.T)[:, :, None],
        beta,
        phi[:, :, None],
        first.cross[:, :, None],
        m.f1[:, :p, :p, None],
        miss,
    )


@dataclass(frozen=True)
class Origin:
    """The optimum that profiles start from.

    Attributes
    ----------
    likelihood : Likelihood
    sigma : float
    beta : (p,) array
        Of the columns kept.
    cov : (Q, Q) array
        Of one level's effects relative to σ², in the likelihood's units.
    units : (Q,) array
        The user's standard deviations are these times the likelihood's, times σ.
    coefficients : (p, p) array
        The user's β are `base` + σ coefficients @ the likelihood's.
    base : (p,) array
    """

    likelihood: Likelihood
    sigma: float
    beta: FloatArray
    cov: FloatArray
    units: FloatArray
    coefficients: FloatArray
    base: FloatArray


def origin_of(fit: Fit, *, reml: bool) -> Origin:
    """The optimum by ML or REML, whichever the fit is by."""
    parts = batched_components(fit, whiten=False) if fit.has_rows else None
    return _by_engine(fit, reml) if parts is None else _batched(fit, parts, reml)


def _batched(fit: Fit, parts: Components, reml: bool) -> Origin:
    y = fit.rows.y
    with np.errstate(all="ignore"):
        optimum = fit_batch(parts, Responses.of(parts, y[:, None]), start_of(fit, parts), reml=reml)
    if not optimum.converged[0]:
        raise DataError(
            "the maximum of the likelihood was not found in the units of the data, so there is nothing to profile "
            "from; where a slope's covariate is far from zero, as years and time stamps are, take its mean from it"
        )
    sigma = float(optimum.sigma[0])
    scaled = Responses.of(parts, ((y - parts.offset) / sigma + parts.offset)[:, None])
    to_work, to_user = np.linalg.inv(parts.basis), np.linalg.inv(parts.x_basis)
    base = sigma * to_user @ scaled.beta[:, 0]
    cov = to_work @ optimum.cov[0] @ to_work.T
    return Origin(Batched(parts, scaled), sigma, optimum.beta[0], cov, np.diag(parts.basis), to_user, base)


def _refuse_far(fit: Fit, layout: Layout, units: FloatArray) -> None:
    """Raise where the user's columns are so nearly combinations of each other that moments turned to them are rounding:
    squares of these conditions are lost."""
    far = [
        term.names[-1]
        for term, part, T in zip(fit.design.terms, layout.terms, fit.roots)
        if np.linalg.cond(T / units[part, None]) > FAR
    ]
    B = fit.basis.from_beta
    size = np.linalg.norm(B, axis=0)
    if len(size) and np.linalg.cond(B / size) > FAR:
        spread = np.linalg.norm(np.asarray(fit.working_triangle @ fit.basis.mixed, float), axis=0)
        far.append(fit.design.x_names[np.flatnonzero(fit.kept)[np.argmax(np.abs(fit.basis.shift) / spread)]])
    if far:
        raise DataError(
            f"a profile without the rows, or of so many effects, has too few digits beside {far[0]!r}, which is far "
            "from zero, as years and time stamps are: take its mean from it"
        )


def _by_engine(fit: Fit, reml: bool) -> Origin:
    if fit.reml != reml:
        fit = refit(fit, reml=reml)
    design, p = fit.design, int(fit.kept.sum())
    layout = layout_of(design.terms)
    units = scales_of(design, fit.digest.grams)
    _refuse_far(fit, layout, units)
    beta = fit.beta[fit.kept]
    mixing = np.eye(p + 1)
    mixing[:p, p], mixing[p, p] = -beta / fit.sigma, 1 / fit.sigma
    cov = np.zeros((layout.q, layout.q))
    for term, lam in zip(layout.terms, fit.lam):
        cov[term, term] = lam @ lam.T
    dear = fit.criterion.order >= DEAR and all(block.q == 1 for block in fit.criterion.blocks.blocks)
    likelihood = ByEngine(fit.criterion, layout, units, mixing, fit.moments if dear else None)
    return Origin(likelihood, fit.sigma, beta, cov / np.outer(units, units), units, np.eye(p), beta)
