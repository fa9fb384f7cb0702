"""The fixed effects of a summary, and their correlations, as cells of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from henderson.tables.digits import MOST_DECIMALS, decimals_by_row, p_text, significant, to_place
from henderson.tables.grid import Grid

#: characters of an abbreviated name, where no other is abbreviated to the same
SHORTEST = 6


def coefficient_grid(table: pd.DataFrame) -> Grid:
    """Estimates and their errors to common decimals, t to three, p to three digits.

    Parameters
    ----------
    table : DataFrame
        Estimate, Std. Error, [df,] t or z value, p; index: name of the coefficient.
    """
    estimates = table[["Estimate", "Std. Error"]].to_numpy()
    sizes = np.abs(estimates[np.isfinite(estimates) & (estimates != 0)])
    place = max(1, 3 - int(np.floor(np.log10(sizes.min())))) if len(sizes) else 3
    if place <= MOST_DECIMALS:
        text = significant(np.round(estimates.ravel(), place), 4)
    else:
        text = [
            to_place(v, d) for row, d in zip(estimates, decimals_by_row(estimates[:, 1], estimates[:, 0])) for v in row
        ]
    columns: dict[str, list[str]] = {"Estimate": text[::2], "Std. Error": text[1::2]}
    for name in map(str, table.columns[2:]):
        values = table[name].to_numpy(float)
        if name == "df":
            columns[name] = ["" if np.isnan(value) else f"{value:.2f}" for value in values]
        elif name.startswith("Pr"):
            columns[name] = [p_text(value) for value in values]
        else:
            columns[name] = significant(np.round(values, 3), 4)
    labels = [str(label) for label in table.index]
    return Grid(("", *columns), tuple(zip(labels, *columns.values())), (False, *(True for _ in columns)))


def coefficient_text(table: pd.DataFrame) -> str:
    """The same as lines of text; a sentence when there are none."""
    return lines_of(coefficient_grid(table)) if len(table) else "No fixed effect coefficients"


def correlation_grid(correlations: pd.DataFrame) -> Grid:
    """The lower triangle, names abbreviated, to three decimals."""
    short = abbreviations([str(name) for name in correlations.index])
    numbers = correlations.to_numpy(float)
    rows = []
    for i in range(1, len(short)):
        cells = [f"{value:.3f}" for value in numbers[i, :i]]
        rows.append((short[i], *cells, *[""] * (len(short) - 1 - i)))
    return Grid(("", *short[:-1]), tuple(rows), (False, *[True] * (len(short) - 1)))


def correlation_text(correlations: pd.DataFrame) -> str:
    """The same as lines of text."""
    grid = correlation_grid(correlations)
    return lines_of(grid, [grid.widths[0], *(max(6, width) for width in grid.widths[1:])])


def lines_of(grid: Grid, widths: list[int] | None = None) -> str:
    """Columns one space apart, as R prints them."""
    widths = widths or grid.widths
    lines = []
    for row in (grid.header, *grid.rows):
        cells = [cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, grid.right)]
        lines.append(" ".join(cells).rstrip())
    return "\n".join(lines)


def abbreviations(names: Sequence[str]) -> list[str]:
    """Shorter names, those that would be the same longer than the others, as R's are.

    Examples
    --------
    >>> abbreviations(["sex[T.M]", "schgend[T.girls]", "schgend[T.mixed]"])
    ['sexM', 'schgndg', 'schgndm']
    """
    short = [abbreviate(name) for name in names]
    longest = max(map(len, names), default=0)
    for more in range(SHORTEST + 1, longest + 1):
        again = [one for one, count in Counter(short).items() if count > 1]
        if not again:
            break
        short = [abbreviate(name, more) if one in again else one for name, one in zip(names, short)]
    return short


def abbreviate(name: str, length: int = SHORTEST) -> str:
    """A shorter name: brackets go, then small vowels, then small letters, each from the right.

    Examples
    --------
    >>> abbreviate("(Intercept)"), abbreviate("Machine[T.B]"), abbreviate("service[T.1]")
    ('(Intr)', 'MachnB', 'servc1')
    """
    name = name.replace("[T.", "").replace("[", "").replace("]", "")
    for letters in ("aeiou", "abcdefghijklmnopqrstuvwxyz"):
        for i in range(len(name) - 1, 0, -1):
            if len(name) > length and name[i] in letters and name[i - 1].isalnum():
                name = name[:i] + name[i + 1 :]
    return name
