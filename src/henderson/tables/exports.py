"""The exports of every table, for classes that are not tables themselves: `to_frame`, `to_dict`, `to_html`,
`to_markdown`, `to_latex`, and what a notebook shows."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import pandas as pd

from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table


class TableExports:
    """Exports of what `as_table` makes."""

    __slots__ = ()

    @abstractmethod
    def as_table(self) -> Table:
        """As the table that is exported."""

    def to_frame(self) -> pd.DataFrame:
        """The table in full precision."""
        return pd.DataFrame(self.as_table().frame).copy()

    def to_dict(self) -> dict[str, object]:
        """The table as JSON holds it: title, rows (each by column), notes."""
        table = self.as_table()
        return {"title": table.title, "rows": plain_records(table.frame), "notes": list(table.notes)}

    def to_html(self) -> str:
        """An HTML ``<table>``."""
        return self.as_table().to_html()

    def to_markdown(self) -> str:
        """A Markdown table."""
        return self.as_table().to_markdown()

    def to_latex(self) -> str:
        """A LaTeX ``tabular``."""
        return self.as_table().to_latex()

    def _repr_html_(self) -> str:
        table = self.as_table()
        return ResultFrame.of(table.frame, table.title, table.notes, table.keys)._repr_html_()


class SummaryExports:
    """The same names for summaries, whose own (statsmodels') are `as_html`, `as_markdown`, `as_latex`."""

    __slots__ = ()

    @abstractmethod
    def as_html(self) -> str:
        """As HTML."""

    @abstractmethod
    def as_markdown(self) -> str:
        """As Markdown."""

    @abstractmethod
    def as_latex(self) -> str:
        """As LaTeX."""

    def to_html(self) -> str:
        """As HTML."""
        return self.as_html()

    def to_markdown(self) -> str:
        """As Markdown."""
        return self.as_markdown()

    def to_latex(self) -> str:
        """As LaTeX."""
        return self.as_latex()


def plain_records(table: pd.DataFrame) -> list[dict[str, object]]:
    """The rows of a table by column, in numbers and text that JSON holds; its index first, where that says something.

    Examples
    --------
    >>> plain_records(pd.DataFrame({"n": np.array([2]), "p": [np.nan]}, index=pd.Index(["a"], name="term")))
    [{'term': 'a', 'n': 2, 'p': None}]
    """
    plain = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    whole = table if plain else table.reset_index()
    return [{str(name): _plain(value) for name, value in row.items()} for row in whole.to_dict("records")]


def _plain(value: object) -> object:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return str(value)
