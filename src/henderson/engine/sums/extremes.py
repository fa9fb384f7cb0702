"""Columns whose squares no number can hold: they are refused by name, before anything overflows or vanishes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from henderson.contract.design import Design
from henderson.errors import DataError

#: root mean squares that a column may have
LEAST, MOST = 1e-150, 1e150


def refuse_extremes(names: Sequence[str], squares: np.ndarray, parts: Iterable[np.ndarray]) -> None:
    """Raise for the first column that is too large or too small for its squares.

    Parameters
    ----------
    names : sequence of k str
    squares : (k,) array
        Mean squares about the means, which may have overflowed, or vanished.
    parts : iterable of (m, k) arrays
        The columns about their means, looked at only where squares are extreme: one of zeros is another's business.
    """
    with np.errstate(invalid="ignore"):
        good = (squares >= LEAST**2) & (squares <= MOST**2)
    if good.all():
        return
    with np.errstate(all="ignore"):
        sizes = np.max([np.abs(part).max(axis=0) for part in parts], axis=0)
    for name, fine, square, size in zip(names, good, squares, sizes):
        if not fine and (size > 0 or np.isnan(size)):
            way = "small" if square < LEAST**2 else "large"
            raise DataError(
                f"values of {name!r} are too {way} to be squared (they vary by about {size:.3g}, and {LEAST:g} to "
                f"{MOST:g} can be fitted): change its unit"
            )


def refuse_coefficients(design: Design, kept: np.ndarray, variances: np.ndarray) -> None:
    """Raise for the first of the `kept` coefficients whose variance no number can hold."""
    for place, variance in zip(np.flatnonzero(kept), variances):
        if not 0.0 < variance < np.inf:
            name = design.x_names[place]
            raise DataError(
                f"the coefficient of {name!r} has a variance of {variance:g}: the units of {design.y_name!r} and of "
                f"{name!r} are too far apart; change one"
            )
