"""Marginal means.

A marginal mean is L β̂ with L an average of rows of the reference grid (`grid`, `averages`). All numbers come from
`Inference`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.inference.inference import Inference
from henderson.means.averages import Margins, margins
from henderson.means.comparable import Contrasts, EMMeans
from henderson.means.grid import ReferenceGrid, reference_grid
from henderson.means.labels import written
from henderson.means.options import PLAIN, TestOptions
from henderson.means.response import WayBack, way_back
from henderson.means.specs import split_specs, with_outer

__all__ = ["Contrasts", "EMMeans", "emmeans"]


def emmeans(
    design: Design,
    inference: Inference,
    specs: str | Iterable[str],
    *,
    by: str | Iterable[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    test: TestOptions = PLAIN,
    way: WayBack | None = None,
) -> EMMeans:
    """Marginal means of a model given by a formula.

    Parameters
    ----------
    design : Design
    inference : Inference
        Covariance of β̂ and degrees of freedom.
    specs : str or sequence of str
        Variables at whose values to take means: ``"A"``, ``"A * B"``, ``"A | B"``; ``"1"`` for the mean over
        all.
    by : str or sequence of str, optional
        Variables whose levels are families.
    at : mapping of str to values, optional
        Values of some variables; other covariates are at their means (those with two values: averaged over
        both). A variable of the offset moves the offset; else that is at its mean over the data.
    weights : {"equal", "proportional", "cells", "outer", "flat"}
        How to average over the other factors; see `averages.margins`.
    test : TestOptions
    way : WayBack, optional
        To the response before it was transformed; by default what the formula says.

    Returns
    -------
    EMMeans

    Raises
    ------
    ValueError
        An unknown variable, or weights; a model given as arrays.
    """
    way = way_back(design) if way is None else way
    grid = reference_grid(design, at)
    names, by_names = with_outer(*split_specs(specs, by, grid), grid)
    found = margins(grid, [*names, *by_names], weights)
    about = about_averages(design, grid, [*names, *by_names], found.averaged, weights)
    quantity = design.y_name
    return EMMeans(
        keys_of_rows(found), found.rows, inference, found.offset, tuple(by_names), test, None, about, quantity, way
    )


def keys_of_rows(found: Margins) -> pd.DataFrame:
    """Labels of averages; one that is over all is called so."""
    return found.frame if len(found.frame.columns) else pd.DataFrame({"": ["overall"]})


def about_averages(
    design: Design, grid: ReferenceGrid, names: Sequence[str], averaged: Sequence[str], weights: str
) -> tuple[str, ...]:
    """What the rows are: averages, covariates, nesting, and emmeans' warning about interactions."""
    notes = []
    inside, outside = set(names), set(grid.values) - set(names)
    if any(
        term & inside and term & outside - {o for n in names for o in grid.nested.get(n, ())} for term in grid.terms
    ):
        notes.append("NOTE: Results may be misleading due to involvement in interactions")
    notes += [f"{inner} is nested in {' and '.join(outer)}" for inner, outer in grid.nested.items()]
    if averaged:
        how = "" if weights == "equal" else f" ({weights} weights)"
        notes.append(f"Results are averaged over the levels of: {', '.join(averaged)}{how}")
    fixed = [n for n in grid.values if n not in grid.factors and n not in names and len(grid.values[n]) == 1]
    if fixed:
        notes.append("Covariates: " + ", ".join(f"{n} = {written(grid.values[n][0])}" for n in fixed))
    if np.any(grid.offset) and np.all(grid.offset == design.specs.terms.offset):
        notes.append(f"Offset: {written(float(grid.offset[0]))}, its mean over the data")
    return tuple(notes)
