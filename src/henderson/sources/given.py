"""Types of what a caller gives: tables of any make, and one number or label for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


@runtime_checkable
class FrameLike(Protocol):
    """A table with columns: of pandas, polars, pyarrow, modin, …"""

    @property
    def columns(self) -> Any:
        """The columns, or their names."""

    def __getitem__(self, key: Any, /) -> Any:
        """A column."""


#: what `henderson.sources.frames.read_table` reads
TableLike: TypeAlias = FrameLike | Mapping[str, Any] | np.ndarray

#: a column's name, or one value for each row
ColumnLike: TypeAlias = str | pd.Series | ArrayLike

#: what `henderson.sources.streams.registry.open_source` opens; LazyFrames, datasets and relations are `Any`'s
StreamLike: TypeAlias = str | PathLike[str] | Sequence[str | PathLike[str]] | Iterator[Any] | Callable[[], Any]
