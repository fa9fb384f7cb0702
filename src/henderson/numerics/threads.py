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

Ctrl-C may come in between: what is in force follows from the wishes alone, so that a step that was interrupted is done
again, and a region that is left closes those inside it.

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
    """Of some libraries: what the Python threads inside wish for, which numbers were found, and which were set."""

    def __init__(self, own: bool) -> None:
        self.own, self.lock = own, threading.Lock()
        self.wishes: dict[int, bool] = {}  # by Python thread; True: the user's number
        self.unsettled = False
        self.found: list[int] | None = None
        self.given: list[set[int]] = []  # a set of two: whether it was set is not known

    @cached_property
    def libraries(self) -> list[Any]:
        return [library for library in _libraries() if _is_own(library) == self.own]

    def settle(self, wish: bool | None) -> None:
        """What this Python thread wishes for from now on (None: it is outside). Interrupted, it may be done again."""
        here = threading.get_ident()
        if (self.wishes.get(here) == wish and not self.unsettled) or not (libraries := self.libraries):
            return
        with self.lock:
            self.unsettled = True
            if wish is None:
                self.wishes.pop(here, None)
            else:
                self.wishes[here] = wish
            if self.found is None:
                found = [library.get_num_threads() for library in libraries]
                self.given, self.found = [{number} for number in found], found
            alone = self.wishes and not any(self.wishes.values())
            self.put([1] * len(libraries) if alone else self.found)
            if not self.wishes:
                self.found = None
            self.unsettled = False

    def put(self, wanted: list[int]) -> None:
        """Set what is wanted, but for what somebody else has changed."""
        for k, (library, number) in enumerate(zip(self.libraries, wanted)):
            now = library.get_num_threads()
            if now != number and now in self.given[k]:
                self.given[k] = {now, number}
                _set(library, number)
                self.given[k] = {number}


class _Thread(threading.local):
    """A Python thread's regions: what they wish for, the innermost last (True: the user's number), and its own BLAS."""

    def __init__(self) -> None:
        self.wishes: list[bool] = []
        self.numbers = _Numbers(own=True)

    def settle(self, depth: int, *wishes: bool) -> None:
        """Inside `depth` regions, and in one more if it has a wish."""
        self.wishes[depth:] = wishes
        for numbers in (_shared, self.numbers):
            numbers.settle(self.wishes[-1] if self.wishes else None)


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
        self.wish, self.idle, self.depth = order >= HELPFUL, products is not None and products <= UNTHREADED, 0

    def _recreate_cm(self) -> blas_threads:
        """Each call of a decorated function is a region of its own."""
        region = blas_threads()
        region.wish, region.idle = self.wish, self.idle
        return region

    def __enter__(self) -> None:
        if not self.idle:
            self.depth = len(_here.wishes)
            try:
                _here.settle(self.depth, self.wish)
            except BaseException:
                _here.settle(self.depth)
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.idle:
            try:
                _here.settle(self.depth)
            except BaseException:
                _here.settle(self.depth)
                raise


def _after_fork() -> None:
    """In a child process only the Python thread that forked is inside, and nobody holds the lock."""
    _shared.lock = threading.Lock()
    _shared.wishes, _shared.unsettled = {}, True
    if _shared.found is not None:
        _here.settle(len(_here.wishes))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
