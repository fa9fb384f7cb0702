"""CSV files that Zstandard compressed, which pyarrow's datasets do not take for such by their names (``.zst``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class ZstandardCsv:
    """As much of a pyarrow fragment as `Files` asks for.

    Attributes
    ----------
    path : str
    keys : pyarrow expression, or None
        Columns in the names of the folders.
    parse, convert : pyarrow.csv.ParseOptions, pyarrow.csv.ConvertOptions
    """

    path: str
    keys: Any
    parse: Any
    convert: Any

    @property
    def partition_expression(self) -> Any:
        """Columns in the names of the folders."""
        import pyarrow

        return pyarrow.compute.scalar(True) if self.keys is None else self.keys

    @cached_property
    def physical_schema(self) -> Any:
        """Columns of the file and their types, by its first block."""
        with self._opened() as reader:
            return reader.schema

    def to_batches(self, schema: Any, columns: Sequence[str], **_: Any) -> Iterator[Any]:
        """Record batches with these columns."""
        import pyarrow
        from pyarrow.dataset import get_partition_keys

        known = get_partition_keys(self.partition_expression)
        with self._opened() as reader:
            for batch in reader:
                own = [
                    batch.column(name)
                    if name in batch.schema.names
                    else pyarrow.array([known[name]] * batch.num_rows, schema.field(name).type)
                    for name in columns
                ]
                made = pyarrow.record_batch(own, names=list(columns)) if columns else batch.select([])
                yield made

    def _opened(self) -> Any:
        import pyarrow
        from pyarrow import csv

        stream = pyarrow.CompressedInputStream(self.path, "zstd")
        return csv.open_csv(stream, parse_options=self.parse, convert_options=self.convert)
