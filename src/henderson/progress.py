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
    title: str, total: int | None, wanted: bool | Callable[..., None] | None
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
    """
    if callable(wanted):
        yield lambda done: wanted(done, total)
        return
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda done: None
        return
    bar = _Bar(title, total, 0.0 if wanted else PATIENCE)
    try:
        yield bar.tell
    finally:
        bar.stop()


class _Bar:
    def __init__(self, title: str, total: int | None, patience: float) -> None:
        self.title, self.total = title, total
        self.begin_at = time.perf_counter() + patience
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
            self.progress = Progress(console=Console(stderr=True), transient=True)
            self.progress.start()
            self.task = self.progress.add_task(self.title, total=self.total)
        self.progress.update(self.task, completed=done)

    def stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
