"""What makes a fit singular, in the user's names."""

from __future__ import annotations

import numpy as np

from henderson.contract.design import RandomTerm
from henderson.covariance.factor_analytic import FactorAnalytic
from henderson.covariance.structures import structure_called
from henderson.engine.boundary import SINGULAR, Direction, bounded_terms, directions_without_variance, term_sizes
from henderson.engine.fit import Fit

#: directions that are named; more are counted
MOST_NAMED = 3


def singular_text(fit: Fit) -> str:
    """Which terms have a direction without variance, and which; empty for a regular fit."""
    found = directions_without_variance(fit)
    said = [_direction_text(fit.design.terms[one.term], one, fit.lam[one.term]) for one in found]
    said += _heywood_cases(fit)
    more = [f"and {len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []
    return "; ".join([*said[:MOST_NAMED], *more])


def _heywood_cases(fit: Fit) -> list[str]:
    """Effects that common factors explain to the end."""
    found = []
    all_sizes = term_sizes(fit)
    for k in bounded_terms(fit):
        term, lam, sizes = fit.design.terms[k], fit.lam[k], all_sizes[k]
        structure = structure_called(term.structure)
        if not isinstance(structure, FactorAnalytic) or structure.holds_all(term.n_columns):
            continue
        factors, where = structure.factors(lam @ lam.T), term.label or term.group
        names = [name for name, psi, size in zip(term.names, factors.own, sizes) if size * np.sqrt(psi) < SINGULAR]
        if names:
            found.append(
                f"{where}: the factors explain {', '.join(names)} to the end: the specific variance is zero (a Heywood "
                "case)"
            )
        strength = np.linalg.svd(sizes[:, None] * factors.loadings, compute_uv=False)
        if (missing := int((strength < SINGULAR).sum())) > 0:
            found.append(f"{where}: {missing} of its {len(strength)} factors vanish")
    return found


def _direction_text(term: RandomTerm, one: Direction, lam: np.ndarray) -> str:
    where = term.label or term.group
    used = np.flatnonzero(one.weights)
    if structure_called(term.structure).one_variance:
        return f"{where}: the variance of {', '.join(term.names)} is zero"
    if len(used) == 1:
        return f"{where}: the variance of {term.names[used[0]]} is zero"
    if len(used) == 2:
        r, s = used
        sign = -1 if one.weights[r] * one.weights[s] > 0 else 1
        return f"{where}: the correlation of {term.names[r]} and {term.names[s]} is {sign}"
    text = "".join(f" {'-' if w < 0 else '+'} {abs(w):.3g} {name}" for w, name in zip(one.weights, term.names) if w)
    return f"{where}: no variance in the direction {text.removeprefix(' + ').strip()}"
