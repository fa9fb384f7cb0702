"""The checks of a fit that a reviewer asks for, in one place: a number, a verdict in words, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from henderson.diagnostics import questions
from henderson.diagnostics.questions import Answer
from henderson.engine.fit import Fit
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table

#: questions, in the order in which they are asked; each may have an answer for every grouping factor
QUESTIONS: tuple[Callable[[Fit], list[Answer]], ...] = (
    questions.convergence,
    questions.singular,
    questions.identified,
    questions.levels,
    questions.influential,
    questions.shape,
    questions.spread,
    questions.correlated,
    questions.effects,
    questions.collinear,
    questions.missing,
)
WIDTH = 100


@dataclass(frozen=True, repr=False)
class Checks(TableExports):
    """Answers.

    Attributes
    ----------
    formula : str
    answers : tuple of Answer

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> fit.check()["Is it singular"].verdict
    "no: the least standard deviation is 0.96 of the residual's"
    """

    formula: str
    answers: tuple[Answer, ...]

    @property
    def passed(self) -> bool:
        """Whether every answer is "ok".

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.check().passed
        False
        """
        return all(answer.status == "ok" for answer in self.answers)

    @property
    def table(self) -> pd.DataFrame:
        """Index: question; columns status, number, verdict, advice.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.check().table["status"].value_counts().to_dict()
        {'ok': 8, 'look': 2}
        """
        frame = pd.DataFrame(
            {name: [getattr(a, name) for a in self.answers] for name in ("status", "number", "verdict", "advice")},
            index=pd.Index([a.question for a in self.answers], name="question"),
        )
        return ResultFrame.of(frame, self._title())

    def __getitem__(self, start: str) -> Answer:
        """The answer to the question that begins so, whatever the case."""
        found = [a for a in self.answers if a.question.lower().startswith(start.lower())]
        if len(found) != 1:
            raise KeyError(f"{start!r}; the questions are: {'; '.join(a.question for a in self.answers)}")
        return found[0]

    def _title(self) -> str:
        return f"Checks of {self.formula}" if self.formula else "Checks"

    def __repr__(self) -> str:
        wide = max(len(a.question) for a in self.answers) + 2
        lines = [self._title(), ""]
        for a in self.answers:
            head = f"{a.status:<9}{a.question:<{wide}}"
            text = textwrap.wrap(a.verdict, max(WIDTH - len(head), 40)) or [""]
            text += textwrap.wrap("→ " + a.advice, max(WIDTH - len(head), 40)) if a.advice else []
            lines += [head + text[0], *(" " * len(head) + line for line in text[1:])]
        return "\n".join(line.rstrip() for line in lines)

    def as_table(self) -> Table:
        """`table`, with the title."""
        return Table(pd.DataFrame(self.table), self._title())


def check(fit: Fit) -> Checks:
    """Ask all questions of a fit.

    Parameters
    ----------
    fit : Fit
        With its rows.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> check(fit.engine)["does one"].status
    'look'
    """
    fit.observed_for("check()")
    return Checks(fit.design.formula, tuple(answer for ask in QUESTIONS for answer in ask(fit)))
