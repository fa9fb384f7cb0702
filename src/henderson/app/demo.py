"""`henderson demo`: one model through each door and one of some size, each with its table and its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from henderson import datasets

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Example:
    """One model of the demo.

    Attributes
    ----------
    title : str
    dataset : str
        Name in `henderson.datasets`.
    code : str
        What a user would type, with the table as ``data``.
    fit : callable
        Does what `code` says.
    """

    title: str
    dataset: str
    code: str
    fit: Callable[[pd.DataFrame], Any]


def _nba(data: pd.DataFrame) -> Any:
    from henderson import mixedlm

    return mixedlm("Points ~ Minutes", data, groups="Team").fit()


def _sleepstudy(data: pd.DataFrame) -> Any:
    from henderson import lmer

    return lmer("Reaction ~ Days + (Days | Subject)", data)


def _insteval(data: pd.DataFrame) -> Any:
    from henderson import lmer

    return lmer("y ~ service + (1 | s) + (1 | d) + (1 | dept)", data)


EXAMPLES = (
    Example(
        "Points of ten players, a random intercept by team, as in statsmodels",
        "nba",
        'mixedlm("Points ~ Minutes", data, groups="Team").fit()',
        _nba,
    ),
    Example(
        "Reaction times of 18 people, a random slope, as in lme4",
        "sleepstudy",
        'lmer("Reaction ~ Days + (Days | Subject)", data)',
        _sleepstudy,
    ),
    Example(
        "73,421 ratings by 2,972 students of 1,128 lecturers in 14 departments, crossed",
        "InstEval",
        'lmer("y ~ service + (1 | s) + (1 | d) + (1 | dept)", data)',
        _insteval,
    ),
)


def run(write: Callable[[str], object] = print) -> None:
    """Fit every example twice and write its table with both times.

    The first time includes importing what a fit needs; the second is what a fit costs in a running session.
    Both are formula and fit together, from the table in memory to the result; the command uses one thread.

    Parameters
    ----------
    write : callable
        Gets one piece of text at a time.
    """
    for number, example in enumerate(EXAMPLES, start=1):
        data = datasets.load(example.dataset)
        write(f"{number}. {example.title}\n")
        write(f">>> data = datasets.load({example.dataset!r})\n>>> {example.code}\n")
        result, first = _timed(example.fit, data)
        _, again = _timed(example.fit, data)
        write(str(result.summary()).rstrip("\n"))
        write(f"\nFitted in {first:.3f} s; the same again in {again:.4f} s.\n")


def _timed(fit: Callable[[pd.DataFrame], Any], data: pd.DataFrame) -> tuple[Any, float]:
    start = perf_counter()
    result = fit(data)
    return result, perf_counter() - start
