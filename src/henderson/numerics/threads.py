"""How many threads BLAS uses: one where more would only cost, the user's number where they help, always restored.

A BLAS that has several threads wakes them for products of 64 × 64 matrices and for inverses of 8 × 8 ones, and they
spin while they wait for the next. On two cores an inverse of order 128 takes ten times as long with two threads as with
one, a Cholesky factor of order 1,000 costs three times the CPU; from an order of about 2,000 on they help.

NumPy and SciPy each bring a BLAS of their own. Where the number of threads belongs to the process, not to a Python
thread, one counts who is inside:

1. a Python thread's innermost region says what that thread wishes: one, or the user's number
2. the user's number is in force as soon as one thread wishes it, else one
3. when the last has left, the numbers found at the first entry are set again, but for those that somebody else has
   changed in the meantime

OpenMP keeps a number for each Python thread: there the same is done, alone.
"""

from __future__ import annotations

import os
import threading
from contextlib import ContextDecorator
from functools import cache, cached_property
from types import TracebackType
from typing import Any

#: order of a dense matrix from which several threads help
HELPFUL = 2000
#: multiply-adds of a product up to which no BLAS wakes a second thread
UNTHREADED = 1 << 18


@cache
def _libraries() -> tuple[Any, ...]:
    """Controllers of every BLAS that is loaded; the first call costs some milliseconds."""
    import scipy.linalg  # noqa: F401  # it loads SciPy's own BLAS, so that it is found
    from threadpoolctl import ThreadpoolController

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def _is_own(library: Any) -> bool:
    """Whether each Python thread has a number of its own."""
    return getattr(library, "threading_layer", "") == "openmp"


def _set(library: Any, number: int) -> None:
    """threadpoolctl lets one Python thread set numbers, the first that asks; here a lock keeps them apart."""
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    library.set_num_threads(number)
    if release is not None:
        release(force=True)


class _Numbers:
    """Of some libraries: who is inside, which numbers were found, and which were set."""

    def __init__(self, own: bool) -> None:
        self.own, self.lock = own, threading.Lock()
        self.inside = [0, 0]  # Python threads that wish one, and the user's number
        self.found: list[int] | None = None
        self.given: list[int] = []

    @cached_property
    def libraries(self) -> list[Any]:
        return [library for library in _libraries() if _is_own(library) == self.own]

    def move(self, old: bool | None, new: bool | None) -> None:
        """A Python thread changes its wish; None: it has none."""
        if old == new or not (libraries := self.libraries):
            return
        with self.lock:
            for wish, step in ((old, -1), (new, 1)):
                if wish is not None:
                    self.inside[wish] += step
            if self.found is None:
                self.found = self.given = [library.get_num_threads() for library in libraries]
            alone = self.inside[False] and not self.inside[True]
            self.put([1] * len(libraries) if alone else self.found)
            if not any(self.inside):
                self.found = None

    def put(self, wanted: list[int]) -> None:
        """Set what is wanted, but for what somebody else has changed."""
        now = list(self.given)
        for k, (library, number) in enumerate(zip(self.libraries, wanted)):
            if self.given[k] != number and library.get_num_threads() == self.given[k]:
                _set(library, number)
                now[k] = number
        self.given = now


class _Thread(threading.local):
    """A Python thread's regions: what they wish for, the innermost last (True: the user's number), and its own BLAS."""

    def __init__(self) -> None:
        self.wishes: list[bool] = []
        self.numbers = _Numbers(own=True)

    def move(self, old: bool | None, new: bool | None) -> None:
        for numbers in (_shared, self.numbers):
            numbers.move(old, new)


_here, _shared = _Thread(), _Numbers(own=False)


class blas_threads(ContextDecorator):
    """A region, or as a decorator a function, in which BLAS uses as many threads as work of some size deserves.

    Parameters
    ----------
    order : int
        Rows of the largest dense matrix that is factored, or of whose kind there are many.
    products : int
        Multiply-adds of the largest product, where all matrices are so small that only this matters. Below
        `UNTHREADED` nothing needs to be done, and nothing is.

    Examples
    --------
    >>> with blas_threads(order=100):
    ...     [library.get_num_threads() for library in _libraries()] == [1] * len(_libraries())
    True
    """

    def __init__(self, order: int = 0, *, products: int | None = None) -> None:
        self.wish, self.idle = order >= HELPFUL, products is not None and products <= UNTHREADED

    def __enter__(self) -> None:
        if not self.idle:
            _here.move(_here.wishes[-1] if _here.wishes else None, self.wish)
            _here.wishes.append(self.wish)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.idle:
            _here.wishes.pop()
            _here.move(self.wish, _here.wishes[-1] if _here.wishes else None)


def _after_fork() -> None:
    """In a child process only the Python thread that forked is inside, and nobody holds the lock."""
    inside = _here.wishes[-1:]
    _shared.lock = threading.Lock()
    _shared.inside = [inside.count(False), inside.count(True)]
    if not inside and _shared.found is not None:
        _shared.put(_shared.found)
        _shared.found = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
