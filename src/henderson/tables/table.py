"""Tables of estimates and tests: one way of writing numbers for all of them.

How a number is written depends on its column. p-values have four decimals (``<0.0001`` below that), statistics three,
degrees of freedom as many as they need; estimates, standard errors and limits go to the place that the standard error
vouches for (`digits`). What is not there is blank.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.tables.digits import decimals_by_row, four_digits, p_four, to_place
from henderson.tables.grid import Grid

#: columns that share their decimals, row by row
_SHARED = ("estimate", "se", "lower", "upper", "bias", "median", "power")
#: decimals of statistics and criteria
_FIXED = {
    "statistic": 3, "F": 3, "t": 3, "z": 3, "chi2": 3, "loglik": 2, "deviance": 2, "aic": 2, "bic": 2,
    "icc": 3, "icc_intercept": 3, "proportion": 3, "cumulative": 3, "singular": 3,
}  # fmt: skip
_P = ("p", "p_chibar", "p_boot")
_DF = ("df", "num_df", "den_df")


@dataclass(frozen=True)
class Table:
    """A table with a title and notes, and its exports.

    Attributes
    ----------
    frame : DataFrame
        What the table shows, in full precision. A default index is not shown, unless it has a name.
    title : str
    notes : tuple of str
        Lines below the table.
    by : tuple of str
        Columns whose values head blocks of rows in the printed form.
    keys : int
        How many of the columns, the first, say what a row is: they are written as they are, whatever they are called.

    Examples
    --------
    >>> columns = {"dose": ["a", "b"], "estimate": [1.0, 2.5], "se": [0.1, 0.25], "p": [1e-9, 0.04]}
    >>> print(Table(pd.DataFrame(columns), notes=("two doses",)))
    dose  estimate     se        p
    a        1.000  0.100  <0.0001
    b        2.500  0.250   0.0400
    <BLANKLINE>
    two doses
    """

    frame: pd.DataFrame
    title: str = ""
    notes: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    keys: int = 0

    def grid(self) -> Grid:
        """The cells as text."""
        return grid_of(self.frame, self.keys)

    def __str__(self) -> str:
        grid = self.grid()
        blocks = []
        if self.by and grid.rows:
            heads = [grid.header.index(name) for name in self.by]
            shown = [c for c in range(len(grid.header)) if c not in heads]
            keys = [tuple(row[c] for c in heads) for row in grid.rows]
            widths = grid.some(range(len(keys)), shown).widths
            for key in dict.fromkeys(keys):
                head = ", ".join(f"{name} = {value}" for name, value in zip(self.by, key))
                rows = [r for r, own in enumerate(keys) if own == key]
                blocks.append(f"{head}:\n{grid.some(rows, shown).text(widths)}")
        else:
            blocks.append(grid.text())
        if self.notes:
            blocks.append("\n".join(self.notes))
        return "\n\n".join(([self.title] if self.title else []) + blocks)

    __repr__ = __str__

    def to_html(self) -> str:
        """An HTML ``<table>``, the notes in its footer."""
        return self.grid().html(self.title, self.notes)

    _repr_html_ = to_html

    def to_markdown(self) -> str:
        """A Markdown table, the notes below it."""
        return self.grid().markdown(self.title, self.notes)

    def to_latex(self) -> str:
        """A LaTeX ``tabular`` with the rules of booktabs, the notes below it."""
        return self.grid().latex(self.title, self.notes)


def grid_of(frame: pd.DataFrame, keys: int = 0) -> Grid:
    """A frame's cells as text; its index first, unless it is a default one without a name.

    Columns may share a name: a factor may be called as a column of numbers is.
    """
    header, columns, right = [], [], []
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        for level in range(frame.index.nlevels):
            header.append(str(frame.index.names[level] or ""))
            columns.append([_plain(value) for value in frame.index.get_level_values(level)])
            right.append(False)
    decimals = decimals_by_row(_uncertainty(frame, keys), _column(frame, keys, "estimate"))
    for c, name in enumerate(frame.columns):
        values = frame.iloc[:, c]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        header.append(str(name))
        right.append(bool(is_number))
        if is_number and c >= keys:
            numbers = np.asarray(values, float)
            write = column_writer(_role(str(name)), numbers, decimals)
            columns.append([write(r, value) for r, value in enumerate(numbers)])
        else:
            columns.append([_plain(value) for value in values])
    return Grid(tuple(header), tuple(zip(*columns)), tuple(right))


def _plain(value: object) -> str:
    """A label as it is; blank where there is none."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _role(name: str) -> str:
    """What a column holds: a column whose name a factor has is called with a number behind it."""
    bare = re.sub(r"\d+$", "", name)
    return bare if bare in (*_SHARED, *_FIXED, *_P, *_DF) else name


def _uncertainty(frame: pd.DataFrame, keys: int) -> np.ndarray:
    """Standard error of each row; else a quarter of its interval."""
    roles = {_role(str(name)): frame.iloc[:, c] for c, name in enumerate(frame.columns) if c >= keys}
    if "se" in roles:
        return np.asarray(roles["se"], float)
    if "power" in roles:  # shares of data sets and their limits: three decimals
        return np.full(len(frame), 0.1)
    if {"lower", "upper"} <= set(roles):
        return (np.asarray(roles["upper"], float) - np.asarray(roles["lower"], float)) / 4
    return np.full(len(frame), np.nan)


def _column(frame: pd.DataFrame, keys: int, role: str) -> np.ndarray | None:
    """The numbers of the column that has a role, if there is one."""
    places = [c for c, name in enumerate(frame.columns) if c >= keys and _role(str(name)) == role]
    return np.asarray(frame.iloc[:, places[0]], float) if places else None


def column_writer(name: str, values: np.ndarray, decimals: np.ndarray) -> Callable[[int, float], str]:
    """How to write the number of a row in one column.

    Examples
    --------
    >>> [column_writer("p", np.zeros(2), np.zeros(2))(0, p) for p in (0.0321, 1e-6)]
    ['0.0321', '<0.0001']
    >>> [column_writer("df", np.array([3.25, 100.0]), np.zeros(2))(0, df) for df in (3.25, 100.0, np.inf)]
    ['3.25', '100.00', 'inf']
    """
    finite = values[np.isfinite(values)]
    whole = bool(np.all(finite == np.round(finite)))
    if name in _P:
        return lambda row, value: p_four(value)
    if name in _SHARED:
        return lambda row, value: to_place(value, int(decimals[row]))
    if name in _FIXED:
        places = _FIXED[name]
    elif name in _DF:
        places = 0 if whole else (2 if finite.min(initial=np.inf) < 10 else 1)
    elif whole and np.abs(finite).max(initial=0.0) < 1e15:
        places = 0
    else:
        return lambda row, value: four_digits(value)
    return lambda row, value: f"{value:.{places}f}" if np.isfinite(value) else to_place(value, places)
