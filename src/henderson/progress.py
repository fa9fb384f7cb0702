"""A progress bar for what takes longer than a second, when somebody is watching and rich is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: seconds before a bar appears
PATIENCE = 1.0


@contextmanager
def progress_bar(
    title: str, total: int | None, wanted: bool | Callable[..., None] | None, *, rate: str | None = None
) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with the number done.

    Parameters
    ----------
    title : str
    total : int, or None
        None: nobody knows how many there will be.
    wanted : bool or callable, optional
        None: a bar on a terminal, once it has taken a second; True: at once; False: none. A function is called
        with (done, total).
    rate : str, optional
        What is counted, where the bar is to say how many are done in a second.
    """
    if callable(wanted):
        yield lambda done: wanted(done, total)
        return
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda done: None
        return
    bar = _Bar(title, total, 0.0 if wanted else PATIENCE, rate)
    try:
        yield bar.tell
    finally:
        bar.stop()


class _Bar:
    def __init__(self, title: str, total: int | None, patience: float, rate: str | None = None) -> None:
        self.title, self.total, self.rate = title, total, rate
        self.began = time.perf_counter()
        self.begin_at = self.began + patience
        self.progress: Any = None
        self.task: Any = None

    def tell(self, done: int) -> None:
        if self.progress is None:
            if time.perf_counter() < self.begin_at:
                return
            try:
                from rich.console import Console
                from rich.progress import Progress
            except ImportError:
                self.begin_at = float("inf")
                return
            columns = Progress.get_default_columns()
            if self.rate is not None:
                from rich.progress import TextColumn

                columns = (*columns, TextColumn("{task.fields[done]}"))
            self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self.progress.start()
            self.task = self.progress.add_task(self.title, total=self.total, done="")
        self.progress.update(self.task, completed=done, done=self._pace(done))

    def _pace(self, done: int) -> str:
        """``12,000,000 rows, 1,400,000 rows/s``."""
        seconds = max(time.perf_counter() - self.began, 1e-9)
        return "" if self.rate is None else f"{done:,} {self.rate}, {done / seconds:,.0f} {self.rate}/s"

    def stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
