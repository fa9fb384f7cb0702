"""A Spark DataFrame: its partitions are summed by Spark's executors, as batches of Arrow; only the sums come here.

Each executor makes one row of bytes of a partition; these are gathered in a few partitions and added there, and what is
left is added here. The executors' Python needs this package. Errors of the data come back as bytes too, so that they
are said as they are, and what Spark itself says comes in its first line.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from henderson.errors import DataError, FormulaError, first_line
from henderson.sources.arrow import read_arrow
from henderson.sources.streams.source import A, Part, gathered
from henderson.sources.streams.worker_frame import LOOK, WorkerFrame
from henderson.sources.table import Table

#: partitions in which partial results are added before they come here
ADDERS = 8


def is_spark(data: Any) -> bool:
    """Whether it is a DataFrame of Spark."""
    return type(data).__module__.startswith("pyspark.sql") and hasattr(data, "mapInArrow")


class SparkFrame(WorkerFrame):
    """A Spark DataFrame as a source."""

    title = "the Spark DataFrame"

    @cached_property
    def first(self) -> Table:
        """Some rows."""
        table = self._ran(lambda: self.frame.limit(LOOK).toArrow())
        if not table.num_rows:
            raise self._no_rows()
        return read_arrow(table)

    def _selected(self, columns: Sequence[str]) -> Any:
        return self.frame.select([f"`{name.replace('`', '``')}`" for name in self._wanted(columns)])

    def _ran(self, job: Callable[[], Any]) -> Any:
        """What a job gives; what Spark says against it is an error of the data."""
        from pyspark.errors import PySparkException

        try:
            return job()
        except PySparkException as error:
            raise DataError(f"{self.title} cannot be computed: {first_line(error)}") from error

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The rows, one partition after another, brought here."""
        import pyarrow

        rows = self._selected(columns).mapInArrow(_shipped, "bytes binary").toLocalIterator()
        while (row := self._ran(lambda: next(rows, None))) is not None:
            table = pyarrow.ipc.open_stream(row["bytes"]).read_all()
            yield Part(read_arrow(table), self.title, table)

    def reduce(self, columns: Sequence[str], of_parts: Callable[[Iterator[Part]], A], tell: Callable[[int], None]) -> A:
        """What `of_parts` makes of each partition, added in a few partitions, then here."""
        title = self.title

        def make(batches: Iterable[Any]) -> Iterator[Any]:
            yield _as_batch(_made(of_parts, batches, title))

        def add(batches: Iterable[Any]) -> Iterator[Any]:
            total = _added(pickle.loads(one) for batch in batches for one in batch.column(0).to_pylist())
            if total is not None:
                yield _as_batch(total)

        made = self._selected(columns).mapInArrow(make, "bytes binary").repartition(ADDERS)
        rows = self._ran(lambda: made.mapInArrow(add, "bytes binary").collect())
        total = _added(pickle.loads(row["bytes"]) for row in rows)
        if total is None:
            return of_parts(iter(()))
        if isinstance(total, Exception):
            raise total
        tell(total[0])
        return total[1]


def _as_batch(made: Any) -> Any:
    import pyarrow

    return pyarrow.record_batch({"bytes": pyarrow.array([pickle.dumps(made, protocol=5)], pyarrow.binary())})


def _made(of_parts: Callable[[Iterator[Part]], A], batches: Iterable[Any], title: str) -> tuple[int, A] | Exception:
    """On an executor: the number of rows of a partition and what is made of them, or what is wrong with them."""
    from pyspark import TaskContext

    context, n = TaskContext.get(), 0
    where = title if context is None else f"{title}, partition {context.partitionId()}"

    def parts() -> Iterator[Part]:
        nonlocal n
        for table in gathered(batches):
            n += table.num_rows
            yield Part(read_arrow(table), where, table)

    try:
        made = of_parts(parts())
    except (DataError, FormulaError) as error:
        return error
    return n, made


def _added(made: Iterable[Any]) -> Any:
    """The sum; None of nothing; of what is wrong, the first."""
    total = None
    for one in made:
        if isinstance(one, Exception):
            return one
        total = one if total is None else (total[0] + one[0], total[1] + one[1])
    return total


def _shipped(batches: Iterable[Any]) -> Iterator[Any]:
    """On an executor: the rows of a partition, as bytes, table by table."""
    import pyarrow

    for table in gathered(batches):
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        yield pyarrow.record_batch({"bytes": pyarrow.array([sink.getvalue().to_pybytes()], pyarrow.binary())})
