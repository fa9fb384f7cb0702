"""Responses to bootstrap with: from the fitted model (parametric), or from its residuals and effects (residual).

Replicates are drawn in blocks, each from its own stream of the seed, so a seed gives the same responses however
many are fitted together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from henderson.arguments import shown
from henderson.contract.design import Design, RandomTerm
from henderson.contract.relation import Relation
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.residual.residual import Residual
from henderson.design.given import Given
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit, has_negative
from henderson.engine.residual.rows import scaled_residuals, series_roots, total_roots

FloatArray = np.ndarray
#: (Generator, m) → responses (n, m)
Draw = Callable[[np.random.Generator, int], FloatArray]

#: replicates that share a stream: fewer where there are many rows
BLOCK = 100
#: rows × replicates of a block
BLOCK_DOUBLES = 2_000_000


def block_size(n_rows: int) -> int:
    """Replicates of one stream."""
    return int(np.clip(BLOCK_DOUBLES // max(n_rows, 1), 1, BLOCK))


def entropy_of(seed: Any) -> int:
    """A number to start all streams from: of an integer, a SeedSequence, a Generator, or of the machine."""
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if isinstance(seed, np.random.SeedSequence):
        return int(seed.generate_state(1, np.uint64)[0])
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a nonnegative integer, a SeedSequence, a Generator or None, not {shown(seed)}")
    return int(seed)


def stream(entropy: int, block: int) -> np.random.Generator:
    """The generator of one block."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=(block,))))


def blocks(draw: Draw, n: int, entropy: int, size: int, batch: int) -> Iterator[tuple[slice, FloatArray]]:
    """Replicates 0 … n − 1 in pieces of about `batch`: which they are, and what `draw` makes of them."""
    start = 0
    waiting: list[FloatArray] = []
    held = 0
    for number in range(-(-n // size)):
        m = min(size, n - number * size)
        waiting.append(draw(stream(entropy, number), size)[..., :m])
        held += m
        if held >= batch or (number + 1) * size >= n:
            together = waiting[0] if len(waiting) == 1 else np.concatenate(waiting, -1)
            for at in range(0, held, batch):
                piece = together[..., at : at + batch]
                yield slice(start + at, start + at + piece.shape[-1]), piece
            start, waiting, held = start + held, [], 0


def mean_of(fit: Fit) -> FloatArray:
    """Xβ̂ and the offset, (n,)."""
    return fit.observed_for("simulate()").mean(fit.beta, fit.kept)


def add_effects(y: FloatArray, term: TermRows, b: FloatArray) -> None:
    """y (n, m) += Zb for the effects of one term, b (J, q, m)."""
    if term.codes is None:
        y += term.given_loadings @ b[:, 0]
    else:
        for r in range(term.columns.shape[1]):
            column = term.columns[:, r]
            gathered = b[term.codes, r]
            y += gathered if np.all(column == 1.0) else column[:, None] * gathered


@dataclass(frozen=True)
class TermDraw:
    """The effects of one term on some rows.

    Attributes
    ----------
    rows : TermRows
        The rows' loadings on J levels.
    root : (q, q) array
        σλ: a drawn level's effects are σλu with u standard normal.
    modes : (J, q) array, or None
        Effects of the levels that are not drawn; None when all are.
    drawn : (J,) bool array, or None
        Which levels are drawn anew in each replicate.
    n_levels : int
        J.
    relation : Relation, or None
        Of levels that are not independent; then all are drawn.
    """

    rows: TermRows
    root: FloatArray
    n_levels: int
    modes: FloatArray | None = None
    drawn: np.ndarray | None = None
    relation: Relation | None = None

    @classmethod
    def of(cls, term: RandomTerm, rows: TermRows, root: FloatArray) -> TermDraw:
        """All effects of a term of the design."""
        return cls(rows, root, term.n_levels, relation=None if term.related is None else term.related.relation)

    def effects(self, rng: np.random.Generator, m: int) -> FloatArray:
        """Effects of m replicates, (J, q, m)."""
        count = self.n_levels if self.drawn is None else int(self.drawn.sum())
        u = np.einsum("rs,jsm->jrm", self.root, rng.standard_normal((count, len(self.root), m)))
        if self.relation is not None:
            u = along_levels(self.relation, u)
        if self.modes is None:
            return u
        b = np.repeat(self.modes[:, :, None], m, axis=2)
        b[self.drawn] = u
        return b


def fitted_effects(fit: Fit, rng: np.random.Generator) -> tuple[FloatArray, ...]:
    """Effects of all levels of each term, (J, q), drawn from the fitted model; levels are independent."""
    return tuple(
        rng.standard_normal((term.n_levels, len(lam))) @ (fit.sigma * lam).T
        for term, lam in zip(fit.design.terms, fit.lam)
    )


def along_levels(relation: Relation, u: FloatArray) -> FloatArray:
    """b = Fu of independent effects (J, q, m)."""
    return relation.to_levels(u.transpose(1, 2, 0)).transpose(2, 0, 1)


def responses(mean: FloatArray, sigma: float, weights: FloatArray | None, terms: Sequence[TermDraw]) -> Draw:
    """y = mean + Zb + ε, Var ε_i = σ²/w_i, of any rows."""
    sd = sigma if weights is None else (sigma / np.sqrt(weights))[:, None]

    def draw(rng: np.random.Generator, m: int) -> FloatArray:
        y = rng.standard_normal((len(mean), m))
        y *= sd
        y += mean[:, None]
        for term in terms:
            add_effects(y, term.rows, term.effects(rng, m))
        return y

    return draw


def of_parameters(design: Design, rows: Rows, at: Given) -> Draw:
    """Responses of rows at parameters that were given."""
    terms = [TermDraw.of(term, own, at.sigma * lam) for term, own, lam in zip(design.terms, rows.terms, at.lam)]
    mean = rows.mean(at.beta)
    if design.residual is None or rows.residual is None or at.psi is None:
        return responses(mean, at.sigma, rows.weights, terms)
    structure = Residual.of_rows(design.residual, rows.residual)
    return by_series(mean, series_roots(structure, at.psi, rows.residual, rows.weights), terms)


def parametric(fit: Fit) -> Draw:
    """y = Xβ̂ + Zb + ε with b and ε drawn from the fitted model."""
    mean, rows = mean_of(fit), fit.observed
    if isinstance(fit, StructuredFit) and has_negative(fit):  # no variables have these variances: y alone is drawn
        return by_series(mean, total_roots(fit.blocks, fit.block_point, rows), ())
    terms = [TermDraw.of(term, own, fit.sigma * lam) for term, own, lam in zip(fit.design.terms, rows.terms, fit.lam)]
    return _of_the_model(fit, mean, terms)


def at_the_modes(fit: Fit) -> Draw:
    """y = Xβ̂ + Zb̂ + ε with ε alone drawn."""
    mean, rows = mean_of(fit), fit.observed
    return _of_the_model(fit, mean + rows.random_part(fit.b), ())


def _of_the_model(fit: Fit, mean: FloatArray, terms: Sequence[TermDraw]) -> Draw:
    """Responses of a fit's own rows; residuals with a structure are drawn series by series."""
    if not isinstance(fit, StructuredFit):
        return responses(mean, fit.sigma, fit.observed.weights, terms)
    rows = fit.observed
    assert rows.residual is not None
    return by_series(mean, series_roots(fit.structure, fit.psi, rows.residual, rows.weights), terms)


def by_series(mean: FloatArray, roots: Sequence[tuple[np.ndarray, FloatArray]], terms: Sequence[TermDraw]) -> Draw:
    """y = mean + Zb + Lu, u standard normal, for roots L (B, n, n) of the covariances of series' rows (B, n)."""

    def draw(rng: np.random.Generator, m: int) -> FloatArray:
        y = np.repeat(mean[:, None], m, axis=1)
        for at, root in roots:
            u = rng.standard_normal((*at.shape, m))
            y[at] += np.einsum("bij,bjm->bim", root, u, optimize=True)
        for term in terms:
            add_effects(y, term.rows, term.effects(rng, m))
        return y

    return draw


def residual(fit: Fit) -> Draw:
    """y = Xβ̂ + Zb + ε with b and ε drawn, with replacement, from the reflated modes and residuals.

    Conditional modes and residuals vary less than the effects that they predict. They are centred and given the fitted
    covariance (Carpenter, Goldstein and Rasbash 2003): U ← U A, A'(U'U/J)A = σ²G; e ← e σ/√(e'e/n). Of relatives what
    is drawn are the independent w of b = Fw: what a founder has, and what an animal has beside its parents' means.
    """
    if isinstance(fit, StructuredFit):
        return _scaled_residual(fit)
    mean, rows = mean_of(fit), fit.rows
    root_weights = np.sqrt(rows.unit_weights)
    fitted = mean.copy()[:, None]
    effects = []
    relations = [None if term.related is None else term.related.relation for term in fit.design.terms]
    for term, relation, lam, b in zip(rows.terms, relations, fit.lam, fit.b):
        add_effects(fitted, term, b[:, :, None])
        independent = b if relation is None else relation.root @ b
        effects.append(reflated(independent, fit.sigma**2 * lam @ lam.T))
    e = (rows.y - fitted[:, 0]) * root_weights
    e = reflated(e[:, None], np.array([[fit.sigma**2]]))[:, 0]

    def draw(rng: np.random.Generator, m: int) -> FloatArray:
        y = e[rng.integers(len(e), size=(len(e), m))] / root_weights[:, None]
        y += mean[:, None]
        for term, relation, u in zip(rows.terms, relations, effects):
            drawn = u[rng.integers(len(u), size=(len(u), m))].transpose(0, 2, 1)
            add_effects(y, term, drawn if relation is None else along_levels(relation, drawn))
        return y

    return draw


def _scaled_residual(fit: StructuredFit) -> Draw:
    """y = Xβ̂ + Lu, u drawn with replacement from L⁻¹(y − Xβ̂), centred and of variance one; Var(y) = LL' by blocks."""
    mean, rows = mean_of(fit), fit.observed
    roots = total_roots(fit.blocks, fit.block_point, rows)
    scaled = scaled_residuals(fit.blocks, fit.block_point, rows)
    scaled = reflated(scaled[:, None], np.eye(1))[:, 0]

    def draw(rng: np.random.Generator, m: int) -> FloatArray:
        u = scaled[rng.integers(len(scaled), size=(len(scaled), m))]
        y = np.repeat(mean[:, None], m, axis=1)
        for at, root in roots:
            y[at] += np.einsum("bij,bjm->bim", root, u[at], optimize=True)
        return y

    return draw


def reflated(u: FloatArray, cov: FloatArray) -> FloatArray:
    """u (J, q), centred and mapped so that u'u/J = cov (as far as u spans it).

    Examples
    --------
    >>> u = reflated(np.array([[1.0], [2.0], [3.0]]), np.array([[4.0]]))
    >>> float(np.round(u.var(), 6)), float(u.mean())
    (4.0, 0.0)
    """
    u = u - u.mean(0)
    values, vectors = np.linalg.eigh(u.T @ u / len(u))
    size = np.where(values > 1e-12 * max(values.max(initial=0.0), 1e-300), values, np.inf)
    # the nearest map: u S^{-1/2} (S^{1/2} cov S^{1/2})^{1/2} S^{-1/2}
    half, inverse = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T, (vectors / np.sqrt(size)) @ vectors.T
    inner_values, inner = np.linalg.eigh(half @ cov @ half)
    middle = (inner * np.sqrt(np.maximum(inner_values, 0.0))) @ inner.T
    return u @ inverse @ middle @ inverse


def together(draw: Draw, n_rows: int, n: int, seed: Any) -> FloatArray:
    """n draws side by side, (n_rows, n)."""
    pieces = [y for _, y in blocks(draw, n, entropy_of(seed), block_size(n_rows), max(n, 1))]
    return np.concatenate(pieces, 1) if pieces else np.empty((n_rows, 0))


def simulate(fit: Fit, n: int = 1, seed: Any = None, re: Literal["new", "same"] = "new") -> FloatArray:
    """Responses of a fit's own rows, drawn from the fitted model.

    Parameters
    ----------
    fit : Fit
    n : int
        How many.
    seed : int, SeedSequence or Generator, optional
    re : {"new", "same"}
        Draw the random effects, too, or keep them at their modes.

    Returns
    -------
    (rows, n) array

    Examples
    --------
    >>> from henderson import datasets
    >>> from henderson.design.from_formula import design_from_formula
    >>> from henderson.engine.fit import fit_design
    >>> fit = fit_design(*design_from_formula("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff")))
    >>> simulate(fit, 3, seed=1).shape
    (30, 3)
    """
    return together(parametric(fit) if re == "new" else at_the_modes(fit), fit.n, n, seed)
