"""What there is to know of a fit, in the user's names: below its summary, and when `lmer` returns."""

from __future__ import annotations

import re

import numpy as np

from henderson.contract.design import RandomTerm
from henderson.covariance.structures import structure_called
from henderson.engine.boundary import Direction, directions_without_variance
from henderson.engine.fit import Fit

#: directions that are named; more are counted
MOST_NAMED = 3


def notes_of(fit: Fit) -> tuple[str, ...]:
    """Columns dropped, what has no variance, no certificate, and what ``||`` did to a factor."""
    notes = []
    if dropped := [name for name, kept in zip(fit.design.x_names, fit.kept) if not kept]:
        notes.append(f"fixed-effects columns dropped as redundant: {', '.join(dropped)}")
    if singular := singular_text(fit):
        notes.append(f"boundary (singular) fit: {singular}")
    if not fit.optimum.converged:
        notes.append(f"the optimum is not certified: {fit.optimum.message}")
    return (*notes, *double_bar_notes(fit))


def singular_text(fit: Fit) -> str:
    """Which terms have a direction without variance, and which; empty for a regular fit."""
    found = directions_without_variance(fit)
    said = [_direction_text(fit.design.terms[one.term], one, fit.lam[one.term]) for one in found[:MOST_NAMED]]
    more = [f"and {len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
    return "; ".join([*said, *more])


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


def double_bar_notes(fit: Fit) -> tuple[str, ...]:
    """``(f || g)`` takes the terms of the bar apart, not the columns of a factor: as in lme4, and said."""
    groups = [text.strip() for text in re.findall(r"\|\|([^()|]+)", fit.design.formula)]
    notes = []
    for term in fit.design.terms if groups else ():
        several = "[" in term.names[0] and not structure_called(term.structure).independent(term.n_columns)
        if several and any(term.group.split(":")[-1] in re.split(r"[/:\s]+", group) for group in groups):
            factor = term.names[0].split("[")[0]
            notes.append(
                f"|| with the factor {factor}: the effects of its levels are correlated with each other "
                f"(as in lme4), not with the other terms on {term.group}"
            )
    return tuple(dict.fromkeys(notes))
