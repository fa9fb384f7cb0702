"""Exceptions and warnings. The warnings have statsmodels' names, so that filters for those still work."""

from __future__ import annotations

import sys


class FormulaError(ValueError):
    """The text of a model cannot be read.

    Examples
    --------
    >>> import henderson
    >>> try:
    ...     henderson.lmer("Reaction ~ Days + (Days | Subject", henderson.datasets.load("sleepstudy"))
    ... except henderson.FormulaError as error:
    ...     print(error)
    unbalanced '(' at position 18 of 'Reaction ~ Days + (Days | Subject'
    """


class DataError(ValueError):
    """The data do not fit the model; the message names the column or the term.

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> try:
    ...     henderson.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy.assign(Subject=1))
    ... except henderson.DataError as error:
    ...     print(error)
    the grouping factor 'Subject' has one level (1): a variance between levels needs at least two
    """


class NotAvailable(DataError, AttributeError):
    """A property that these results do not have: also an AttributeError, so that `hasattr` says no."""


class ConvergenceWarning(UserWarning):
    """A fit ended without a certificate of optimality.

    Examples
    --------
    >>> import warnings
    >>> import henderson
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", henderson.ConvergenceWarning)  # a program that would rather stop
    ...     fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    """


class SingularMatrixWarning(UserWarning):
    """A matrix that should be invertible is not.

    Examples
    --------
    >>> import warnings
    >>> import henderson
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff2"))
    >>> said[0].category.__name__
    'SingularMatrixWarning'
    """


class ValueWarning(UserWarning):
    """A value was accepted but is probably not what was meant.

    Examples
    --------
    >>> import warnings
    >>> import henderson
    >>> data = henderson.datasets.load("sleepstudy").assign(Hours=lambda table: 24 * table["Days"])
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     fit = henderson.lmer("Reaction ~ Days + Hours + (1 | Subject)", data)
    >>> said[0].category.__name__, fit.dropped
    ('ValueWarning', ['Hours'])
    """


class ApproximationWarning(UserWarning):
    """A number is estimated, with an error that the results state, where an exact one would be too dear.

    Examples
    --------
    >>> import warnings
    >>> import henderson
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", henderson.ApproximationWarning)  # a program that would rather stop
    ...     fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    """


def users_level() -> int:
    """The `stacklevel` with which a warning is of the line outside this package that called into it.

    Decorators of the standard library's `contextlib` and `functools` stand between frames of the package.
    """
    frame, level = sys._getframe(1), 1
    between = ("henderson", "contextlib", "functools")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in between:
        frame, level = frame.f_back, level + 1
    return level


def first_line(error: BaseException) -> str:
    """What an error of another library says, in a line.

    Examples
    --------
    >>> first_line(OSError("no space left\\n  at ...")), first_line(KeyError())
    ('no space left', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
