"""Whether one model is visibly not within another: what a likelihood ratio takes for granted.

Fixed parts: the columns of the small one are in the span of those of the large one, and so is the difference of their
offsets (a coefficient that is given is within one that is free). Random parts: each term of the small model is within
one of the large, which is seen term by term:

- on the same factor: the same effects with a structure that holds the small one's, or effects in the span of those of
  a term whose covariance may be any;
- on a factor whose levels each lie within one level of the other's (``(1 | g:f)`` within ``(0 + f | g)``): loadings in
  the span of correlated effects.

What cannot be seen passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from henderson.contract.constraints import Constraints
from henderson.contract.design import RandomTerm
from henderson.contract.residual import ResidualTerm
from henderson.contract.rows import TermRows
from henderson.covariance.diagonal import Diagonal
from henderson.covariance.structures import structure_called
from henderson.engine.fit import Fit
from henderson.inference.comparison.submodels import coefficients_in, shift_of, span_of
from henderson.inference.comparison.without_random import LinearFit

FloatArray = np.ndarray

#: structures of residuals of which one is a case, visits a distance of one apart
HOLD = {
    "iid": (
        "diag",
        "cs",
        "csh",
        "ar1",
        "ar1h",
        "toep",
        "toeph",
        "ad",
        "adh",
        "us",
        "car1",
        "sp_exp",
        "sp_gau",
        "sp_mat",
    ),
    "diag": ("csh", "ar1h", "toeph", "adh", "us"),
    "cs": ("csh", "toep", "toeph", "us"),
    "csh": ("toeph", "us"),
    "ar1": ("ar1h", "toep", "toeph", "ad", "adh", "us"),
    "ar1h": ("toeph", "adh", "us"),
    "toep": ("toeph", "us"),
    "toeph": ("us",),
    "ad": ("adh", "us"),
    "adh": ("us",),
    "sp_exp": ("sp_mat",),
}
#: relative distance at which loadings are outside a span
_OUTSIDE = 1e-6


def check_nested(small: Fit | LinearFit, large: Fit | LinearFit) -> None:
    """Raise when the small model is visibly not within the large one.

    Raises
    ------
    ValueError
        Saying what is not: fixed part, offset, or a random term.
    """
    one, two = (fit.design.formula or name for fit, name in ((small, "the smaller"), (large, "the larger")))
    advice = f"so a likelihood ratio has no known distribution; compare their AIC ({one!r} and {two!r})"
    if shift_of(small, large) is None:
        raise ValueError(f"the models are not nested: their offsets differ, {advice}")
    if coefficients_in(*span_of(small, large)) is None:
        raise ValueError(f"the models are not nested: the fixed part of one is not within that of the other, {advice}")
    if not constraints_within(small, large):
        raise ValueError(f"the models are not nested: what is held or equal differs, {advice}")
    for k, term in enumerate(small.design.terms):
        if not _is_within(small, k, large):
            name = term.label or term.group
            raise ValueError(f"the models are not nested: the random term {name!r} is not within the other's, {advice}")


def constraints_within(small: Fit | LinearFit, large: Fit | LinearFit) -> bool:
    """Whether what is held, equal or bounded in the larger model is so in the smaller, whose terms must be the same."""
    one, two = small.design.constraints, large.design.constraints
    if one is None and two is None:
        return True
    if len(small.design.terms) != len(large.design.terms) or not all(
        _parts(a) == _parts(b) and _same_effects(a, b) for a, b in zip(small.design.terms, large.design.terms)
    ):
        return False
    one, two = one or Constraints(), two or Constraints()
    if set(one.unbounded) - set(two.unbounded):
        return False
    if two.residual is not None and one.residual != two.residual:
        return False
    if not all(k in one.fixed and np.array_equal(one.fixed[k], cov) for k, cov in two.fixed.items()):
        return False
    return all(len({one.first_of(k) for k in own}) == 1 for own in two.equal)


def same_residual(a: Fit | LinearFit, b: Fit | LinearFit) -> bool:
    """Whether two models' residuals have one structure."""
    one, two = structure_of(a), structure_of(b)
    return (None if one is None else one.label) == (None if two is None else two.label)


def structure_of(fit: Fit | LinearFit) -> ResidualTerm | None:
    """What correlates a model's residuals, or makes their variances differ; None for none."""
    own = fit.design.residual
    return None if own is None or own.is_plain else own


def residual_within(small: Fit | LinearFit, large: Fit | LinearFit) -> bool:
    """Whether the covariance of one model's residuals is visibly a case of the other's."""
    one, two = structure_of(small), structure_of(large)
    if one is None:
        return True  # one variance: a case of all
    if two is None:
        return one.structure == "iid" and not one.variance
    if same_residual(small, large):
        return True
    functions = {(own.kind, own.name) for own in two.variance}
    if not {(own.kind, own.name) for own in one.variance} <= functions:
        return False
    if one.stratum and one.stratum != two.stratum:
        return False
    same_places = one.structure in ("iid", "diag") or (one.group, one.places) == (two.group, two.places)
    return same_places and (one.structure == two.structure or two.structure in HOLD.get(one.structure, ()))


def _is_within(small: Fit | LinearFit, k: int, large: Fit | LinearFit) -> bool:
    term, others = small.design.terms[k], large.design.terms
    if term.loaded or any(other.loaded for other in others):
        return True
    on_same = [j for j, other in enumerate(others) if _parts(other) == _parts(term)]
    if any(_same_effects(term, others[j]) for j in on_same):
        return True
    if not (small.has_rows and large.has_rows):
        return True
    loads = small.observed.terms[k]
    free = [large.observed.terms[j] for j in on_same if _is_free(others[j])]
    if any(_spans(loads, other) for other in free):
        return True
    columns = [TermRows(loads.codes, loads.columns[:, [c]]) for c in range(term.n_columns)]
    if _is_independent(term) and all(any(_spans(column, other) for other in free) for column in columns):
        return True
    if on_same:
        return _by_columns(term, loads, [(others[j], large.observed.terms[j]) for j in on_same])
    around = [j for j, other in enumerate(others) if _is_free(other) and _holds(large.observed.terms[j], loads, term)]
    return any(_has_loadings(loads, term, large.observed.terms[j], others[j]) for j in around)


def _parts(term: RandomTerm) -> frozenset[str]:
    return frozenset(term.group.split(":"))


def _is_free(term: RandomTerm) -> bool:
    """Whether its covariance may be any."""
    return term.n_columns == 1 or structure_called(term.structure).any_order


def _is_independent(term: RandomTerm) -> bool:
    """Whether its effects are uncorrelated."""
    return structure_called(term.structure).independent(term.n_columns)


def _same_effects(term: RandomTerm, other: RandomTerm) -> bool:
    if set(term.names) != set(other.names):
        return False
    return structure_called(other.structure).holds(structure_called(term.structure), term.n_columns)


def _spans(loads: TermRows, other: TermRows) -> bool:
    """Whether each column of one term is in the span of another's on the same factor."""
    return coefficients_in(loads.columns, other.columns) is not None


def _by_columns(term: RandomTerm, loads: TermRows, others: Sequence[tuple[RandomTerm, TermRows]]) -> bool:
    """Whether each uncorrelated column is one of the columns of uncorrelated terms, up to its unit."""
    if not _is_independent(term):
        return False
    pool = [
        rows.columns[:, [c]]
        for other, rows in others
        for c in range(other.n_columns)
        if structure_called(other.structure).holds(Diagonal(), other.n_columns)
    ]
    columns = [loads.columns[:, [c]] for c in range(term.n_columns)]
    return all(any(coefficients_in(column, one) is not None for one in pool) for column in columns)


def _holds(outer: TermRows, inner: TermRows, term: RandomTerm) -> bool:
    """Whether each level of `inner` lies in one level of `outer`."""
    return outer.codes is not None and inner.owners(outer.codes, term.n_levels) is not None


def _has_loadings(loads: TermRows, term: RandomTerm, other: TermRows, outer: RandomTerm) -> bool:
    """Whether Z of one term is in the span of another's: tried on one random combination of its columns."""
    from scipy.sparse.linalg import lsmr

    weights = np.random.default_rng(1).normal(size=term.n_levels * term.n_columns)
    mixed = np.asarray(loads.matrix(term.n_levels) @ weights)
    Z = other.matrix(outer.n_levels)
    found = lsmr(Z, mixed, atol=1e-12, btol=1e-12, maxiter=500)[0]
    return bool(np.linalg.norm(mixed - Z @ found) <= _OUTSIDE * np.linalg.norm(mixed))
