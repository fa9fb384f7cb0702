"""Marginal means as pictures have them: along one variable, a series for each combination of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.means.estimates import Estimates
from henderson.means.labels import written
from henderson.plots.effects import Series


def limits(estimates: Estimates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate, lower and upper limit, (r,) each: by their places, since a factor may have one of their names."""
    frame, first = estimates.frame, estimates.keys.shape[1]
    found = dict(zip(("estimate", "se", "df", "lower", "upper"), (frame.iloc[:, k] for k in range(first, first + 5))))
    return tuple(found[name].to_numpy(float) for name in ("estimate", "lower", "upper"))  # type: ignore[return-value]


def series_of(
    means: Estimates,
    x: str,
    levels: Sequence[Any] | None,
    rows: np.ndarray | None = None,
    apart: Sequence[str] = (),
) -> tuple[list[Series], str]:
    """Series along a column of the keys, one for each combination of the others, and what tells them apart.

    Parameters
    ----------
    means : Estimates
    x : str
    levels : sequence, or None
        Where x is a factor: its levels, whose numbers are the places.
    rows : int array, optional
        Which means; all by default.
    apart : sequence of str
        Columns that tell no series apart.
    """
    rows = np.arange(len(means.keys)) if rows is None else rows
    estimate, lower, upper = (column[rows] for column in limits(means))
    all_keys = means.keys.iloc[rows]
    column = all_keys[x]
    place = column.to_numpy(float) if levels is None else pd.Index(levels).get_indexer(pd.Index(column)).astype(float)
    others = [name for name in all_keys.columns if name != x and name not in apart]
    keys = all_keys[others]
    which = keys.groupby(others, sort=False, dropna=False, observed=True).ngroup().to_numpy() if others else None
    which = np.zeros(len(keys), np.intp) if which is None else which
    labels = _labels(keys.iloc[np.unique(which, return_index=True)[1]])
    out = []
    for k, label in enumerate(labels):
        here = np.flatnonzero(which == k)
        here = here[np.argsort(place[here], kind="stable")]
        out.append(Series(label, place[here], estimate[here], lower[here], upper[here]))
    return out, ", ".join(map(str, others))


def panels_of(means: Estimates, names: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Rows of the means by combination of some of their keys, each with its heading; all of them for no names."""
    keys = means.keys[list(names)]
    if not names:
        return [("", np.arange(len(keys)))]
    which = keys.groupby(list(names), sort=False, dropna=False, observed=True).ngroup().to_numpy()
    texts = [_labels(keys[[name]].iloc[np.unique(which, return_index=True)[1]]) for name in names]
    headings = [", ".join(f"{name} = {text}" for name, text in zip(names, parts)) for parts in zip(*texts)]
    return [(heading, np.flatnonzero(which == k)) for k, heading in enumerate(headings)]


def _labels(keys: pd.DataFrame) -> list[str]:
    """One text a row; numbers in four digits where these tell them apart."""
    columns = []
    for name in keys.columns:
        texts = [f"{value:.4g}" if isinstance(value, float | np.floating) else written(value) for value in keys[name]]
        columns.append(texts if len(set(texts)) == keys[name].nunique() else [str(value) for value in keys[name]])
    return [", ".join(parts) for parts in zip(*columns)] if columns else [""] * len(keys)


def quantity_of(estimates: Estimates) -> str:
    """What the numbers are: the label of their axis."""
    scale = None if estimates.way is None else estimates.way.in_use(estimates.test)
    if scale is not None:
        return scale.of
    return estimates.quantity or "estimate"
