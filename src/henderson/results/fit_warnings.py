"""What a fit warns of: no certificate, dropped columns, the boundary. Nothing here depends on the units of the data."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from henderson.engine.boundary import cost_of_boundary
from henderson.errors import ConvergenceWarning, SingularMatrixWarning, ValueWarning

if TYPE_CHECKING:
    from henderson.compat.statsmodels.results import MixedLMResults

#: rise of the deviance below which a fit on the boundary is as good
INDISTINCT = 1e-2


def warn_unless_certified(results: MixedLMResults, stacklevel: int = 5) -> None:
    """Say what a fit without a certificate of optimality lacks, and which columns were dropped."""
    if not results.converged:
        warnings.warn(
            f"The optimum is not certified ({results.message}); another start or method may help.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )
    if results.dropped:
        warnings.warn(
            f"dropped as linear combinations of other columns: {', '.join(results.dropped)}",
            ValueWarning,
            stacklevel=stacklevel + 1,
        )


def warn_at_boundary(results: MixedLMResults) -> None:
    """statsmodels' warnings, when the data cannot tell the fit from one on the boundary."""
    if results.is_singular or cost_of_boundary(results.engine) < INDISTINCT:
        for text, kind in (
            ("The MLE may be on the boundary of the parameter space.", ConvergenceWarning),
            ("The random effects covariance matrix is singular.", SingularMatrixWarning),
        ):
            warnings.warn(text, kind, stacklevel=5)
