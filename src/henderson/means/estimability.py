"""Why a linear function of β has no value: said by the name of the coefficient that it needs.

Lβ is estimable when L is orthogonal to the null space of X. The basis that `Inference` holds has one column
for each dropped column of X, so the columns that L is not orthogonal to name the coefficients at fault.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from henderson.inference.inference import Inference

_MOST_LISTED = 8

#: what is smaller than this, relative to what was added up, is a rounding error
ROUNDING = 1e-12


def combine(coefficients: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``coefficients @ rows`` with rounding errors set to zero: they would make a row that is estimable look
    as if it were not.

    Parameters
    ----------
    coefficients : (c, r) array
    rows : (r, p) array

    Returns
    -------
    (c, p) array
    """
    largest = np.abs(coefficients).max(axis=1, initial=0.0)[:, None]
    coefficients = np.where(np.abs(coefficients) < ROUNDING * largest, 0.0, coefficients)
    out = coefficients @ rows
    return np.where(np.abs(out) < ROUNDING * (np.abs(coefficients) @ np.abs(rows)), 0.0, out)


def reasons(inference: Inference, rows: np.ndarray, labels: Sequence[str]) -> tuple[str, ...]:
    """Notes on the rows that are NaN.

    Parameters
    ----------
    inference : Inference
    rows : (r, p) array
        NaN throughout where no data stand behind a row.
    labels : sequence of r str

    Returns
    -------
    tuple of str
        One note for the rows without data, one for each dropped coefficient that some rows need.
    """
    empty = np.isnan(rows).any(1)
    notes = []
    if empty.any():
        notes.append(f"No data, hence no mean: {_listed(labels, empty)}")
    needs = inference.needs(np.where(empty[:, None], 0.0, rows))
    dropped = [name for name, kept in zip(inference.names, inference.kept) if not kept]
    notes += [
        f"Not estimable, since the coefficient {name} was dropped as redundant: {_listed(labels, need)}"
        for name, need in zip(dropped, needs.T)
        if need.any()
    ]
    return tuple(notes)


def _listed(labels: Sequence[str], which: np.ndarray) -> str:
    bad = [label for label, bad in zip(labels, which) if bad]
    more = f" and {len(bad) - _MOST_LISTED} more" if len(bad) > _MOST_LISTED else ""
    return "; ".join(bad[:_MOST_LISTED]) + more
