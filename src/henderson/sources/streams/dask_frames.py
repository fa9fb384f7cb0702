"""A Dask DataFrame: its partitions are summed by Dask's workers; what is made of each is added along a tree.

With a `distributed.Client` its cluster does the work, else threads or processes of this machine, as Dask is configured.
Workers that are lost are Dask's business: it computes anew what they held, and gives up on a partition that ends
several workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from henderson.errors import DataError, first_line
from henderson.sources.frames import read_table
from henderson.sources.streams.source import A, Part, read_part
from henderson.sources.streams.worker_frame import LOOK, WorkerFrame
from henderson.sources.table import Table

#: partial results that are added in one task
AT_ONCE = 8


def is_dask(data: Any) -> bool:
    """Whether it is a DataFrame of Dask."""
    return type(data).__module__.startswith("dask.dataframe") and hasattr(data, "to_delayed") and data.ndim == 2


class DaskFrame(WorkerFrame):
    """A Dask DataFrame as a source."""

    title = "the Dask DataFrame"

    @cached_property
    def first(self) -> Table:
        """Rows of the first partition that has some."""
        for k in range(self.frame.npartitions):
            head = _computed(partial(self.frame.partitions[k].head, LOOK, npartitions=1), self._where(k))
            if len(head):
                return read_table(head)
        raise self._no_rows()

    def _where(self, k: int) -> str:
        return f"{self.title}, partition {k}"

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The rows, one partition after another, brought here."""
        for k, delayed in enumerate(self._partitions(columns)):
            frame = _computed(delayed.compute, self._where(k))
            if len(frame):
                yield read_part(frame, columns, self._where(k))

    def _partitions(self, columns: Sequence[str]) -> list[Any]:
        return self.frame[self._wanted(columns)].to_delayed()

    def reduce(self, columns: Sequence[str], of_parts: Callable[[Iterator[Part]], A], tell: Callable[[int], None]) -> A:
        """What `of_parts` makes of each partition, added along a tree of tasks."""
        import dask

        # with the graph, not scattered: what is lost with a worker is then made anew
        shared = dask.delayed(of_parts, traverse=False, pure=False)
        make, add, rows = (dask.delayed(function, pure=False) for function in (_made, _added, _rows))
        partitions = self._partitions(columns)
        level = [make(shared, part, tuple(columns), self._where(k)) for k, part in enumerate(partitions)]
        counts = [rows(one) for one in level]
        while len(level) > 1:
            level = [add(level[k : k + AT_ONCE]) for k in range(0, len(level), AT_ONCE)]
        made: tuple[int, A] = _computed(lambda: _run(_client(), level[0], counts, tell), self.title)
        tell(made[0])
        return made[1]

    def divide(
        self,
        columns: Sequence[str],
        split: Callable[[Iterator[Part]], tuple[Any, list[Any]]],
        merged: Callable[[list[Any]], Any],
        n_shards: int,
        tell: Callable[[int], None],
    ) -> tuple[Any, Held]:
        """What `split` makes of each partition: a sum, added along a tree, and a piece for each shard, `merged` where
        the shard then stays."""
        import dask

        shared, merge = (dask.delayed(one, traverse=False, pure=False) for one in (split, merged))
        made = [
            dask.delayed(_made, pure=False)(shared, part, tuple(columns), self._where(k))
            for k, part in enumerate(self._partitions(columns))
        ]
        add, piece, put = (dask.delayed(function, pure=False) for function in (_added_heads, _piece, _put_together))
        level = [dask.delayed(_head, pure=False)(one) for one in made]
        counts = [dask.delayed(_rows, pure=False)(one) for one in level]
        while len(level) > 1:
            level = [add(level[k : k + AT_ONCE]) for k in range(0, len(level), AT_ONCE)]
        shards = [put(merge, [piece(one, k) for one in made]) for k in range(n_shards)]
        client = _client()
        if client is None:
            (n, head), *held = _computed(lambda: dask.compute(level[0], *shards), self.title)
        else:
            held = client.compute(shards)
            n, head = _computed(lambda: _run(client, level[0], counts, tell), self.title)
        tell(n)
        if head is None:
            raise DataError(f"{self.title}: no row is complete")
        return head, Held(client, held, self.title)


@dataclass(frozen=True)
class Held:
    """Objects that stay with Dask's workers, which compute anew what is lost with one of them.

    Attributes
    ----------
    client : distributed.Client, or None
        Without a cluster the objects are here.
    objects : list of futures, or of the objects
    title : str
    """

    client: Any
    objects: list[Any]
    title: str

    def total(self, name: str, *arguments: Any) -> Any:
        """The sum of what a method of every object returns; only that comes here."""
        if self.client is None:
            made = [_call(one, name, arguments) for one in self.objects]
        else:
            futures = self._called(name, arguments)
            made = _computed(lambda: self.client.gather(futures), self.title)
        return sum(made[1:], made[0])

    def mapped(self, name: str, *arguments: Any) -> Held:
        """What a method of every object returns, held where it is."""
        if self.client is None:
            return replace(self, objects=[_call(one, name, arguments) for one in self.objects])
        return replace(self, objects=self._called(name, arguments))

    def _called(self, name: str, arguments: tuple[Any, ...]) -> list[Any]:
        return [self.client.submit(_call, one, name, arguments, pure=False) for one in self.objects]


def _client() -> Any:
    """The client of a cluster, if there is one."""
    try:
        from distributed import default_client
    except ImportError:
        return None
    try:
        return default_client()
    except ValueError:
        return None


def _run(client: Any, root: Any, counts: list[Any], tell: Callable[[int], None]) -> Any:
    """Compute the root of the tree; a cluster is asked how many rows of the leaves are done."""
    if client is None:
        return root.compute()
    from distributed import as_completed

    futures = client.compute([root, *counts])
    try:
        done = 0
        for _, n in as_completed(futures[1:], with_results=True, raise_errors=False):
            if isinstance(n, int):
                done += n
                tell(done)
        return futures[0].result()
    finally:
        client.cancel(futures)


def _computed(compute: Callable[[], Any], where: str) -> Any:
    """What Dask computes; what it says of files and lost workers as an error of the data."""
    import pyarrow

    try:
        return compute()
    except (OSError, pyarrow.ArrowException, KeyError) as error:
        raise DataError(f"{where} cannot be computed: {first_line(error)}") from error
    except Exception as error:
        if type(error).__name__ != "KilledWorker":  # distributed may not be there to be imported
            raise
        raise DataError(f"{where} cannot be computed, its workers ended: {first_line(error)}") from error


def _made(of_parts: Callable[[Iterator[Part]], A], frame: Any, columns: tuple[str, ...], where: str) -> tuple[int, A]:
    """On a worker: the number of rows of a partition, and what is made of them."""
    parts = [read_part(frame, columns, where)] if len(frame) else []
    return len(frame), of_parts(iter(parts))


def _added(made: list[tuple[int, A]]) -> tuple[int, A]:
    n, total = made[0]
    for more, one in made[1:]:
        n, total = n + more, total + one
    return n, total


def _rows(made: tuple[int, Any]) -> int:
    return made[0]


def _head(made: tuple[int, tuple[Any, list[Any]]]) -> tuple[int, Any]:
    return made[0], made[1][0]


def _added_heads(made: list[tuple[int, Any]]) -> tuple[int, Any]:
    """The sum of those that are there."""
    heads = [head for _, head in made if head is not None]
    return sum(n for n, _ in made), sum(heads[1:], heads[0]) if heads else None


def _piece(made: tuple[int, tuple[Any, list[Any]]], k: int) -> Any:
    return made[1][1][k] if made[1][1] else None


def _put_together(merged: Callable[[list[Any]], Any], pieces: list[Any]) -> Any:
    return merged([piece for piece in pieces if piece is not None])


def _call(one: Any, name: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(one, name)(*arguments)
