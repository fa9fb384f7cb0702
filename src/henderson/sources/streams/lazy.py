"""A polars `LazyFrame`: its plan runs once a pass, on the columns asked for, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from henderson.errors import DataError
from henderson.sources.frames import read_table
from henderson.sources.streams import source
from henderson.sources.streams.source import Part, Source


def is_lazy(data: Any) -> bool:
    """Whether it is a LazyFrame of polars."""
    return type(data).__module__.startswith("polars.lazyframe") and hasattr(data, "collect_batches")


@dataclass(frozen=True)
class Lazy:
    """A LazyFrame as a source.

    Attributes
    ----------
    frame : polars.LazyFrame
    """

    frame: Any

    title = "the LazyFrame"
    again = True

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns."""
        import polars as pl

        try:
            return tuple(self.frame.collect_schema().names())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"the LazyFrame cannot be read: {error}") from error

    @property
    def n(self) -> int | None:
        """Nobody knows before it is run."""
        return None

    def held(self, columns: Sequence[str] | None) -> AbstractContextManager[Source]:
        """Itself."""
        return nullcontext(self)

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The rows of the plan."""
        import polars as pl

        # batches of a Categorical have their categories in orders of their own; a column of text is sorted as a whole
        text = pl.selectors.categorical().cast(pl.String)
        plan = self.frame.select(list(columns)).with_columns(text) if columns else self.frame.select(one=pl.lit(1))
        try:
            for batch in plan.collect_batches(chunk_size=source.PART, maintain_order=True):
                if batch.height:
                    yield Part(read_table(batch), self.title, batch)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"the LazyFrame cannot be read: {error}") from error
