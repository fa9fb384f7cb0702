"""What looking for other minima adds to a fit: its CPU seconds with the survey and without it, in turns.

A fit that is not singular needs no second descent; what it pays for being sure is the grid on which the deviance is
looked at (`henderson.engine.search.survey`), less what a start from its lowest point saves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from henderson.engine.search import look
from henderson.engine.search.survey import Survey

#: pairs of fits, at the least
FEWEST = 3


class _NoSurvey:
    """In place of `Survey`: no model has one."""

    @staticmethod
    def of(criterion: Any) -> None:
        """None."""


def added(fit: Callable[[], Any], seconds: float = 0.5) -> float:
    """Share of its time without a survey that a fit takes longer with it, the median over pairs of neighbours in time:
    on a busy machine the quickest fits of two kinds differ by their luck."""
    ways: dict[bool, Any] = {True: Survey, False: _NoSurvey}
    ratios: list[float] = []
    begun = time.process_time()
    try:
        while len(ratios) < FEWEST or time.process_time() - begun < seconds:
            spent = {}
            for way in (True, False) if len(ratios) % 2 else (False, True):
                look.Survey = ways[way]  # type: ignore[misc]  # for the time of a fit
                begin = time.process_time()
                fit()
                spent[way] = time.process_time() - begin
            ratios.append(spent[True] / spent[False])
    finally:
        look.Survey = Survey  # type: ignore[misc]  # as it was
    return statistics.median(ratios) - 1
