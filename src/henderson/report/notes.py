"""What there is to know of a fit, in the user's names: below its summary, and when `lmer` returns."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

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
    if fit.rest == "iterative":
        notes.append(monte_carlo_text(fit))
    return (*notes, *constraint_notes(fit), *structure_notes(fit), *double_bar_notes(fit))


def constraint_notes(fit: Fit) -> tuple[str, ...]:
    """What was held, or equal, and what variances are negative."""
    held = fit.design.constraints
    if held is None:
        return ()
    labels = [term.label or term.group for term in fit.design.terms]
    fixed = [labels[k] for k in held.terms] + (["Residual"] if held.residual is not None else [])
    notes = [f"not estimated, but held: the covariance of {', '.join(fixed)}"] if fixed else []
    notes += [f"one covariance of {' and '.join(labels[k] for k in own)}" for own in held.equal]
    negative = [labels[k] for k in held.unbounded if np.diag(fit.covariances[k]).min() < 0]
    if negative:
        notes.append(
            f"the variance of {', '.join(negative)} is negative: rows of one level are less alike than others; "
            "it is a covariance, and there is no standard deviation"
        )
    return tuple(notes)


def monte_carlo_text(fit: Fit) -> str:
    """How the log-determinant was estimated, and what that does to the numbers."""
    found, blocks = fit.optimum.monte_carlo, fit.criterion.blocks
    how = f"equations of {blocks.n_rest:,} crossed effects were solved by iteration (rest='iterative')"
    if found is None:
        return how
    more = f" (and {found.level} more at the optimum)" if found.level else ""
    return (
        f"{how}; log-determinant from {found.probes} random probes{more}, with a Monte-Carlo error of "
        f"{found.deviance:.2g} in the deviance and of at most {max(100 * found.share, 1e-4):.2g} % of its standard "
        "error in each variance"
    )


def monte_carlo_errors(fit: Fit) -> dict[str, Any] | None:
    """Monte-Carlo standard errors of an iterative fit by name; None of an exact one."""
    found = fit.optimum.monte_carlo
    if found is None:
        return None
    kept = [name for name, own in zip(fit.design.x_names, fit.kept) if own]
    return {
        "probes": found.probes,
        "steps": found.steps,
        "level_probes": found.level,
        "slow_directions": found.slow,
        "deviance": found.deviance,
        "share": found.share,
        "variances": {
            term.label or term.group: dict(zip(term.names, error.diagonal().tolist()))
            for term, error in zip(fit.design.terms, found.covariances)
        },
        "residual_variance": found.scale,
        "bse": dict(zip(kept, found.se.tolist())),
    }


def structure_notes(fit: Fit) -> tuple[str, ...]:
    """What the correlations are that stand for those of a term with a structure."""
    notes = []
    for term in fit.design.terms:
        if term.n_columns > 1 and (meaning := structure_called(term.structure).meaning(term.names)):
            notes.append(f"{term.label or term.group}: {meaning}")
    return tuple(notes)


def double_bar_notes(fit: Fit) -> tuple[str, ...]:
    """What ``(f || g)`` is of a factor f, which lme4 reads otherwise unless it is told."""
    groups = [text.strip() for text in re.findall(r"\|\|([^()|]+)", fit.design.formula)]
    notes = []
    for term in fit.design.terms if groups else ():
        factors = [name for name in term.names if "[" in name]
        ours = any(term.group.split(":")[-1] in re.split(r"[/:\s]+", group) for group in groups)
        if not ours or not factors or term.n_columns < 2:
            continue
        factor = factors[0].split("[")[0]
        if structure_called(term.structure).independent(term.n_columns):
            notes.append(
                f"|| with the factor {factor}: its effects are independent of each other, as diag() in lme4 2.0; "
                "lme4's default correlates them (doublevert='split')"
            )
        else:
            notes.append(
                f"|| with the factor {factor}: the effects of its levels are correlated with each other "
                f"(as in lme4), not with the other terms on {term.group}"
            )
    return tuple(dict.fromkeys(notes))
