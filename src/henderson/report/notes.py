"""What there is to know of a fit, in the user's names: below its summary, and when `lmer` returns."""

from __future__ import annotations

import re

from henderson.covariance.structures import structure_called
from henderson.diagnostics.singular_text import singular_text
from henderson.engine.fit import Fit


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
