"""Exceptions and warnings. The warnings have statsmodels' names, so that filters for those still work."""

from __future__ import annotations

import sys


class FormulaError(ValueError):
    """The text of a model cannot be read."""


class DataError(ValueError):
    """The data do not fit the model; the message names the column or the term."""


class NotAvailable(DataError, AttributeError):
    """A property that these results do not have: also an AttributeError, so that `hasattr` says no."""


class ConvergenceWarning(UserWarning):
    """A fit ended without a certificate of optimality."""


class SingularMatrixWarning(UserWarning):
    """A matrix that should be invertible is not."""


class ValueWarning(UserWarning):
    """A value was accepted but is probably not what was meant."""


def users_level() -> int:
    """The `stacklevel` with which a warning is of the line outside this package that called into it."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "henderson":
        frame, level = frame.f_back, level + 1
    return level
