"""The exports of every table, `to_html`, `to_markdown` and `to_latex`, for classes that are not tables themselves."""

from __future__ import annotations

from abc import abstractmethod

from henderson.tables.table import Table


class TableExports:
    """Exports of what `as_table` makes."""

    __slots__ = ()

    @abstractmethod
    def as_table(self) -> Table:
        """As the table that is exported."""

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
        return self.to_html()


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
