"""Tables as text, HTML, LaTeX, Markdown and CSV: `Summary`, a title and a few tables of one width.

A text table's columns are as wide as their widest cell and one space apart. Narrower tables are widened to
the widest one: by whole spaces between the columns first, then after the first column, as statsmodels does.
"""

from __future__ import annotations

import csv
import html
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from henderson.tables.exports import SummaryExports
from henderson.tables.grid import Grid, escaped


@dataclass(frozen=True)
class TableLayout:
    """How a table is laid out: whether labels of rows and columns show, number format, l(eft) or r(ight)."""

    index: bool = True
    header: bool = True
    float_format: str = "%.4f"
    align: str = "r"


@dataclass(eq=False)
class Summary(SummaryExports):
    """A title, tables, and notes below them.

    Attributes
    ----------
    tables : list of DataFrame
    layouts : list of TableLayout
    title : str or None
    extra_txt : list of str
        Notes.

    Examples
    --------
    >>> summary = Summary(title="Numbers")
    >>> summary.add_df(pd.DataFrame({"square": [1.0, 4.0]}, index=["one", "two"]), float_format="%.1f")
    >>> print(summary.as_text().rstrip())
      Numbers
    ==========
        square
    ----------
    one    1.0
    two    4.0
    ==========
    """

    tables: list[pd.DataFrame] = field(default_factory=list)
    layouts: list[TableLayout] = field(default_factory=list)
    title: str | None = None
    extra_txt: list[str] = field(default_factory=list)

    def add_df(
        self,
        df: pd.DataFrame,
        index: bool = True,
        header: bool = True,
        float_format: str = "%.4f",
        align: str = "r",
    ) -> None:
        """Add a table."""
        self.tables.append(df)
        self.layouts.append(TableLayout(index, header, float_format, align))

    def add_array(
        self, array: Sequence[Sequence[object]] | np.ndarray, align: str = "r", float_format: str = "%.4f"
    ) -> None:
        """Add a table without labels."""
        self.add_df(pd.DataFrame(array), False, False, float_format, align)

    def add_dict(self, d: dict[str, object], ncols: int = 2, align: str = "l", float_format: str = "%.4f") -> None:
        """Add names and values side by side, in `ncols` columns of pairs."""
        pairs = [(_cell(key, float_format), _cell(value, float_format)) for key, value in d.items()]
        pairs += [("", "")] * (-len(pairs) % ncols)
        rows = len(pairs) // ncols
        self.add_array([sum((pairs[c * rows + r] for c in range(ncols)), ()) for r in range(rows)], align)

    def add_text(self, string: str) -> None:
        """Add a note."""
        self.extra_txt.append(string)

    def add_title(self, title: str | None = None) -> None:
        """Set the title."""
        self.title = title or ""

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return f'{type(self)}\n"""\n{self}\n"""'

    def _repr_html_(self) -> str:
        return self.as_html()

    def _repr_latex_(self) -> str:
        return self.as_latex()

    def as_text(self) -> str:
        """As text, all tables of one width."""
        grids = [_Grid.of(table, layout) for table, layout in zip(self.tables, self.layouts)]
        width = max(grid.width for grid in grids)
        lines = [line for grid in grids for line in grid.lines(width)]
        lines = ["=" * width, *lines[1:], "=" * width]
        title = self.title or ""
        if title and len(title) < width:
            title = " " * int(width / 2 - len(title) / 2) + title
        notes = "\n".join("\n".join(textwrap.wrap(note, width)) for note in self.extra_txt)
        return "\n".join([title, *lines, notes])

    def as_html(self) -> str:
        """As HTML tables."""
        parts = []
        for i, (table, layout) in enumerate(zip(self.tables, self.layouts)):
            caption = f"<caption>{html.escape(self.title)}</caption>" if self.title and not i else ""
            rows = []
            grid = _Grid.of(table, layout).bare
            if grid.header:
                rows.append("".join(f"<th>{html.escape(cell)}</th>" for cell in grid.header))
            for row in grid.rows:
                tags = ["th" if layout.index and not c else "td" for c in range(len(row))]
                rows.append("".join(f"<{t}>{html.escape(cell)}</{t}>" for t, cell in zip(tags, row)))
            body = "\n".join(f"<tr>{row}</tr>" for row in rows)
            parts.append(f'<table class="simpletable">\n{caption}{body}\n</table>')
        notes = "<br/>\n".join(html.escape(note) for note in self.extra_txt)
        return "\n".join(parts) + "<br/>\n" + notes

    def as_latex(self, label: str = "") -> str:
        """As a LaTeX table environment."""
        body = "\n\n".join(f"\\begin{{center}}\n{tabular}\n\\end{{center}}" for tabular in self._tabulars())
        notes = " \\newline \n".join(map(escaped, self.extra_txt))
        title = escaped(self.title or "")
        head = f"\\begin{{table}}\n\\caption{{{title}}}\n\\label{{{label}}}\n"
        return f"{head}{body}\n\\end{{table}}\n\\bigskip\n{notes}"

    def as_latex_tabular(self) -> str:
        """As LaTeX ``tabular`` environments alone, to stand in a table of one's own."""
        return "\n\n".join(self._tabulars())

    def _tabulars(self) -> list[str]:
        parts = []
        for table, layout in zip(self.tables, self.layouts):
            grid = _Grid.of(table, layout).bare
            columns = len(grid.rows[0]) if grid.rows else len(grid.header)
            aligns = ("l" if layout.index else layout.align) + layout.align * (columns - 1)
            lines = [r"\begin{tabular}{" + aligns + "}", r"\hline"]
            if grid.header:
                lines += [" & ".join(map(escaped, grid.header)) + r"  \\", r"\hline"]
            lines += [" & ".join(map(escaped, row)) + r"  \\" for row in grid.rows]
            parts.append("\n".join([*lines, r"\hline", r"\end{tabular}"]))
        return parts

    def as_csv(self) -> str:
        """As comma-separated values: the title, then the rows of each table."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if self.title:
            writer.writerow([self.title])
        for table, layout in zip(self.tables, self.layouts):
            grid = _Grid.of(table, layout).bare
            writer.writerows([grid.header, *grid.rows] if grid.header else grid.rows)
        return out.getvalue().rstrip("\n")

    def as_markdown(self) -> str:
        """As Markdown tables."""
        parts = [f"**{self.title}**"] if self.title else []
        for table, layout in zip(self.tables, self.layouts):
            grid = _Grid.of(table, layout).bare
            header = grid.header or [""] * len(grid.rows[0])
            right = (layout.align == "r" and not layout.index, *[layout.align == "r"] * (len(header) - 1))
            parts.append(Grid(tuple(header), tuple(map(tuple, grid.rows)), right).markdown())
        return "\n\n".join([*parts, *self.extra_txt])


@dataclass(frozen=True)
class _Grid:
    """The cells of a table as text: `header` (empty when there is none) and `rows`, labels of rows first."""

    header: list[str]
    rows: list[list[str]]
    layout: TableLayout

    @classmethod
    def of(cls, table: pd.DataFrame, layout: TableLayout) -> _Grid:
        values = (table.iloc[:, c] for c in range(table.shape[1]))
        columns = [[_cell(value, layout.float_format) for value in column] for column in values]
        header = [str(name) for name in table.columns]
        if layout.index:
            columns.insert(0, [str(label) for label in table.index])
            header.insert(0, "")
        return cls(header if layout.header else [], [list(row) for row in zip(*columns)], layout)

    @property
    def bare(self) -> _Grid:
        """Without the blanks that only a text needs."""
        return _Grid([c.strip() for c in self.header], [[c.strip() for c in row] for row in self.rows], self.layout)

    @property
    def widths(self) -> list[int]:
        lines = [self.header, *self.rows] if self.header else self.rows
        return [max(map(len, column)) for column in zip(*lines)]

    @property
    def width(self) -> int:
        return sum(self.widths) + len(self.widths) - 1

    def lines(self, width: int) -> list[str]:
        """The lines of the table, widened to `width`: dashes, header, dashes, rows.

        statsmodels does not count the gap after the labels among those it widens, so that a table with labels
        that is much narrower than the others ends up wider than they are. Kept, for the same text.
        """
        widths = self.widths
        gaps = max(len(widths) - 1 - self.layout.index, 1)
        between, first = divmod(max(width - self.width, 0), gaps)
        widths[0] += first
        separator = " " * (1 + between)
        rule = "-" * (sum(widths) + len(separator) * (len(widths) - 1))
        lines = [rule]
        if self.header:
            lines += [separator.join(cell.center(w) for cell, w in zip(self.header, widths)), rule]
        return lines + [separator.join(self._aligned(row, widths)) for row in self.rows]

    def _aligned(self, row: list[str], widths: list[int]) -> list[str]:
        left = self.layout.align == "l"
        cells = [cell.ljust(w) if left else cell.rjust(w) for cell, w in zip(row, widths)]
        if self.layout.index:
            cells[0] = row[0].ljust(widths[0])
        return cells


def _cell(value: Any, float_format: str) -> str:
    """A number in the format, anything else as its text."""
    if isinstance(value, float | np.floating):
        return (float_format % value).strip()
    return str(value).strip()
