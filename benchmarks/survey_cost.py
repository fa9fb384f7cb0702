"""What looking for other minima adds to a fit: its CPU seconds with the survey and without it, in turns.

A fit that is not singular needs no second descent; what it pays for being sure is the grid on which the deviance is
looked at (`henderson.engine.search.survey`), less what a start from its lowest point saves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from henderson.engine.search import look
from henderson.engine.search.survey import Survey

#: fits with and without, at the least
FEWEST = 3


class _NoSurvey:
    """In place of `Survey`: no model has one."""

    @staticmethod
    def of(criterion: Any) -> None:
        """None."""


def added(fit: Callable[[], Any], seconds: float = 0.5) -> float:
    """Share of its time without a survey that a fit takes longer with it; the quickest of each kind are compared."""
    ways: dict[bool, Any] = {True: Survey, False: _NoSurvey}
    spent: dict[bool, list[float]] = {True: [], False: []}
    try:
        while len(spent[False]) < FEWEST or sum(map(sum, spent.values())) < seconds:
            for way, survey in ways.items():
                look.Survey = survey  # type: ignore[misc]  # for the time of a fit
                begin = time.process_time()
                fit()
                spent[way].append(time.process_time() - begin)
    finally:
        look.Survey = Survey  # type: ignore[misc]  # as it was
    return min(spent[True]) / min(spent[False]) - 1
