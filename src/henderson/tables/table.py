"""Tables as text, HTML, LaTeX and Markdown: one way of writing numbers for every table of estimates.

How a number is written depends on its column: p-values have four decimals (``<0.0001`` below that),
statistics three, degrees of freedom as many as they need, and estimates, standard errors and limits share the
decimals that show three digits of the smallest standard error.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

_SHARED = ("estimate", "se", "lower", "upper")
_FIXED = {"statistic": 3, "F": 3, "t": 3, "z": 3, "chi2": 3, "loglik": 2, "deviance": 2, "aic": 2, "bic": 2}
_P = ("p", "p_chibar")
_DF = ("df", "num_df", "den_df")


@dataclass(frozen=True)
class Table:
    """A table with a title and notes, and its exports.

    Attributes
    ----------
    frame : DataFrame
        What the table shows, in full precision. A default index is not shown.
    title : str
    notes : tuple of str
        Lines below the table.
    by : tuple of str
        Columns whose values head blocks of rows in the printed form.

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

    def __str__(self) -> str:
        cells, numeric = _cells(self.frame)
        blocks = []
        if self.by and len(cells):
            shown = [name for name in cells.columns if name not in self.by]
            keys = cells[list(self.by)].apply(tuple, axis=1)
            widths = _widths(cells[shown])
            for key in keys.unique():
                head = ", ".join(f"{name} = {value}" for name, value in zip(self.by, key))
                blocks.append(f"{head}:\n{_text(cells.loc[keys == key, shown], numeric, widths)}")
        else:
            blocks.append(_text(cells, numeric, _widths(cells)))
        if self.notes:
            blocks.append("\n".join(self.notes))
        return "\n\n".join(([self.title] if self.title else []) + blocks)

    __repr__ = __str__

    def to_html(self) -> str:
        """An HTML ``<table>``, the notes in its footer."""
        cells, numeric = _cells(self.frame)
        align = {name: "right" if name in numeric else "left" for name in cells.columns}

        def row(values: Sequence[str], tag: str) -> str:
            made = (
                f'<{tag} style="text-align:{align[name]}">{html.escape(value)}</{tag}>'
                for name, value in zip(cells.columns, values)
            )
            return f"<tr>{''.join(made)}</tr>"

        body = "\n".join(row(values, "td") for values in cells.itertuples(index=False))
        caption = f"<caption>{html.escape(self.title)}</caption>\n" if self.title else ""
        notes = "<br>".join(html.escape(note) for note in self.notes)
        foot = f'\n<tfoot><tr><td colspan="{cells.shape[1]}">{notes}</td></tr></tfoot>' if notes else ""
        head = row(list(cells.columns), "th")
        return f"<table>\n{caption}<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>{foot}\n</table>"

    _repr_html_ = to_html

    def to_markdown(self) -> str:
        """A Markdown table, the notes below it."""
        cells, numeric = _cells(self.frame)
        rule = ["--:" if name in numeric else ":--" for name in cells.columns]
        rows = [list(cells.columns), rule, *(list(values) for values in cells.itertuples(index=False))]
        lines = ["| " + " | ".join(value.replace("|", "\\|") for value in row) + " |" for row in rows]
        return "\n".join(
            ([f"**{self.title}**", ""] if self.title else [])
            + lines
            + ([""] if self.notes else [])
            + [f"{note}  " for note in self.notes]
        )

    def to_latex(self) -> str:
        """A LaTeX ``tabular`` with the rules of booktabs, the notes below it."""
        cells, numeric = _cells(self.frame)
        align = "".join("r" if name in numeric else "l" for name in cells.columns)

        def row(values: Sequence[str]) -> str:
            return " & ".join(_latex(value) for value in values) + r" \\"

        lines = [
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            row(list(cells.columns)),
            r"\midrule",
            *(row(values) for values in cells.itertuples(index=False)),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        lines += [rf"\par\footnotesize {_latex(note)}" for note in self.notes]
        return "\n".join(([rf"% {self.title}"] if self.title else []) + lines)


def _cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """The frame as text, and which columns hold numbers."""
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.rename_axis(index=[str(name or "") for name in frame.index.names]).reset_index()
    shared = decimals_for(np.asarray(frame["se"], float)) if "se" in frame.columns else 3
    numeric, out = set(), {}
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numeric.add(str(name))
            write = column_writer(str(name), np.asarray(values, float), shared)
            out[str(name)] = [write(value) for value in np.asarray(values, float)]
        else:
            out[str(name)] = ["" if value is None else str(value) for value in values]
    return pd.DataFrame(out), numeric


def decimals_for(se: np.ndarray) -> int:
    """Decimals that show three digits of the smallest standard error."""
    size = np.abs(se[np.isfinite(se) & (se != 0)])
    return int(np.clip(2 - np.floor(np.log10(size.min())), 0, 10)) if len(size) else 3


def column_writer(name: str, values: np.ndarray, shared: int = 3) -> Callable[[float], str]:
    """How to write the numbers of one column.

    Examples
    --------
    >>> [column_writer("p", np.zeros(2))(p) for p in (0.0321, 1e-6)]
    ['0.0321', '<0.0001']
    >>> [column_writer("df", np.array([3.25, 100.0]))(df) for df in (3.25, 100.0, np.inf)]
    ['3.25', '100.00', 'inf']
    """
    finite = values[np.isfinite(values)]
    whole = bool(np.all(finite == np.round(finite)))
    if name in _P:
        return lambda value: _plain(value, 4) if not value < 1e-4 else "<0.0001"
    if name in _SHARED:
        decimals = shared
    elif name in _FIXED:
        decimals = _FIXED[name]
    elif name in _DF:
        decimals = 0 if whole else (2 if finite.min(initial=np.inf) < 10 else 1)
    elif whole and np.abs(finite).max(initial=0.0) < 1e15:
        decimals = 0
    else:
        return lambda value: f"{value:.4g}"
    return lambda value: _plain(value, decimals)


def _plain(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if np.isfinite(value) else str(value)


def _widths(cells: pd.DataFrame) -> list[int]:
    return [max([len(name), *map(len, cells[name])]) for name in cells.columns]


def _text(cells: pd.DataFrame, numeric: set[str], widths: list[int]) -> str:
    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if name in numeric else value.ljust(width)
            for name, value, width in zip(cells.columns, values, widths)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(list(cells.columns)), *(line(values) for values in cells.itertuples(index=False))])


def _latex(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
    }
    special |= {char: "\\" + char for char in "&%$#_{}"}
    return "".join(special.get(char, char) for char in text)
