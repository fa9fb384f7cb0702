"""Exceptions and warnings. The warnings have statsmodels' names, so that filters for those still work."""


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
