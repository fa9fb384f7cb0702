"""One thing is worked on while the next is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def work_beside(items: Iterable[T], work: Callable[[T], None]) -> None:
    """Work on each item in a second thread, in order and one at a time, while this one makes the next.

    What NumPy does on long arrays lets another thread run. At most two items are there at once. The items are made in
    the caller's thread: an iterator of the user's may be bound to it, as a cursor of SQLite is.

    Parameters
    ----------
    items : iterable
    work : callable
        Its errors, and those of the items, are raised here; then nothing is left running.

    Examples
    --------
    >>> done = []
    >>> work_beside(iter("abc"), done.append)
    >>> done
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1, "henderson") as pool:
        busy: Future[None] | None = None
        for item in items:
            if busy is not None:
                busy.result()
            busy = pool.submit(work, item)
        if busy is not None:
            busy.result()
