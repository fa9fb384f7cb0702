"""A DataFrame that prints with its heading and notes, and needs no other package to become LaTeX or Markdown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from henderson.tables.table import Table

#: rows up to which a table shows itself whole
WHOLE = 500
#: rows at either end of a longer one that are shown
ENDS = 10


class ResultFrame(pd.DataFrame):
    """A table of tests.

    Everything that is made of it (a slice, `round`, `copy()`) is a plain DataFrame, but for Python's own copies.
    `attrs["heading"]` and `attrs["notes"]` hold what is printed above and below.

    Examples
    --------
    >>> frame = ResultFrame({"F": [4.0699], "p": [0.0764]}, index=pd.Index(["A"], name="term"))
    >>> frame.attrs["notes"] = ("balanced",)
    >>> frame
    term      F       p
    A     4.070  0.0764
    <BLANKLINE>
    balanced
    >>> print(frame.to_markdown())
    | term | F | p |
    | :-- | --: | --: |
    | A | 4.070 | 0.0764 |
    <BLANKLINE>
    balanced
    """

    @classmethod
    def of(cls, frame: pd.DataFrame, heading: str = "", notes: tuple[str, ...] = (), keys: int = 0) -> ResultFrame:
        """A frame with a heading and notes, whose first `keys` columns say what a row is."""
        out = cls(frame)
        out.attrs.update(heading=heading, notes=tuple(notes), keys=keys)
        return out

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __copy__(self, deep: bool = False) -> ResultFrame:
        out = ResultFrame(self.copy(deep=deep))
        out.attrs.update(self.attrs)
        return out

    def __deepcopy__(self, memo: object = None) -> ResultFrame:
        return self.__copy__(deep=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the table says below itself."""
        return tuple(self.attrs.get("notes", ()))

    def as_table(self) -> Table:
        """The table as it prints."""
        heading, keys = str(self.attrs.get("heading", "")), int(self.attrs.get("keys", 0))
        return Table(pd.DataFrame(self), heading, self.notes, keys=keys)

    def _shown(self) -> Table:
        """What the prompt shows: of a long table both ends."""
        if len(self) <= WHOLE:
            return self.as_table()
        ends = pd.DataFrame(self).iloc[[*range(ENDS), *range(-ENDS, 0)]]
        note = f"{len(self):,} rows, of which the first and the last {ENDS} are shown"
        return replace(self.as_table(), frame=ends, notes=(*self.notes, note))

    def __repr__(self) -> str:
        return str(self._shown())

    def _repr_html_(self) -> str:
        return self._shown().to_html()

    def to_html(self, *args: Any, **kwargs: Any) -> Any:
        """HTML as in `Table`; with arguments, pandas'."""
        return super().to_html(*args, **kwargs) if args or kwargs else self.as_table().to_html()

    def to_markdown(self, *args: Any, **kwargs: Any) -> Any:
        """Markdown as in `Table`; with arguments, pandas'."""
        return super().to_markdown(*args, **kwargs) if args or kwargs else self.as_table().to_markdown()

    def to_latex(self, *args: Any, **kwargs: Any) -> Any:
        """LaTeX as in `Table`; with arguments, pandas'."""
        return super().to_latex(*args, **kwargs) if args or kwargs else self.as_table().to_latex()
