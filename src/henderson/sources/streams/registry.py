"""Which data are read in parts, and how each kind is opened: a line a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from henderson.sources.streams.dask_frames import DaskFrame, is_dask
from henderson.sources.streams.files import is_dataset, is_path, open_dataset, open_paths
from henderson.sources.streams.lazy import Lazy, is_lazy
from henderson.sources.streams.queries import Relation, is_query, is_relation, open_query
from henderson.sources.streams.source import Source
from henderson.sources.streams.spark_frames import SparkFrame, is_spark
from henderson.sources.streams.tables import is_tables, open_tables

#: whether data are of a kind -> what opens them; asked in this order
STREAMS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Source]], ...] = (
    (is_query, open_query),
    (is_path, open_paths),
    (is_dataset, open_dataset),
    (is_relation, Relation),
    (is_lazy, Lazy),
    (is_dask, DaskFrame),
    (is_spark, SparkFrame),
    (is_tables, open_tables),
    # what is a `Source` already, such as one of the user's own
    (lambda data: callable(getattr(data, "parts", None)) and callable(getattr(data, "held", None)), lambda data: data),
)


def is_stream(data: Any) -> bool:
    """Whether data are read in parts, rather than a table in memory.

    Examples
    --------
    >>> is_stream("visits/*.parquet"), is_stream({"x": [1, 2]}), is_stream(iter([{"x": [1, 2]}]))
    (True, False, True)
    """
    return any(knows(data) for knows, _ in STREAMS)


def open_source(data: Any) -> Source:
    """The source that data are.

    Parameters
    ----------
    data : path, glob, folder or list of paths; pyarrow dataset; SQL text or ``(text, connection)``; DuckDB relation; \
polars LazyFrame; Dask or Spark DataFrame; iterator of tables, or function that makes one

    Raises
    ------
    DataError
        When there is nothing to read.
    """
    return next(opens for knows, opens in STREAMS if knows(data))(data)
