"""What a fit warns of: no certificate, dropped columns, the boundary. Nothing here depends on the units of the data."""

from __future__ import annotations

import warnings

from henderson.engine.boundary import cost_of_boundary, is_singular
from henderson.engine.fit import Fit
from henderson.errors import ApproximationWarning, ConvergenceWarning, SingularMatrixWarning, ValueWarning
from henderson.report.notes import monte_carlo_text

#: rise of the deviance below which a fit on the boundary is as good
INDISTINCT = 1e-2


def warn_unless_certified(fit: Fit, converged: bool, message: str, stacklevel: int = 2) -> None:
    """Say what a fit without a certificate of optimality lacks, and which columns were dropped."""
    if not converged:
        warnings.warn(
            f"The optimum is not certified ({message}); {fit.optimum.help}.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )
    if dropped := [name for name, kept in zip(fit.design.x_names, fit.kept) if not kept]:
        warnings.warn(
            f"dropped as linear combinations of other columns: {', '.join(dropped)}",
            ValueWarning,
            stacklevel=stacklevel + 1,
        )


def warn_if_iterative(fit: Fit, asked: str, stacklevel: int = 2) -> None:
    """Announce that iteration took the Cholesky factor's place, unless it was asked for."""
    if asked == "auto" and fit.rest == "iterative":
        warnings.warn(
            f"{monte_carlo_text(fit)}; rest='iterative' says that this is known, rest='exact' factors the equations",
            ApproximationWarning,
            stacklevel=stacklevel + 1,
        )


def warn_if_singular(fit: Fit, stacklevel: int = 2) -> None:
    """Name what has no variance, once, and say where to read on."""
    if is_singular(fit):
        from henderson.diagnostics.singular_text import singular_text

        warnings.warn(
            f"singular fit: {singular_text(fit)}. What that means and what to do: docs/singular-fits.md",
            SingularMatrixWarning,
            stacklevel=stacklevel + 1,
        )


def warn_if_at_end(fit: Fit, stacklevel: int = 2) -> None:
    """Name what of the residuals' covariance ends at an end of its range; a fit without a certificate says so there."""
    if fit.design.residual is None:
        return
    from henderson.engine.residual.fit import StructuredFit

    if isinstance(fit, StructuredFit) and fit.at_end and fit.optimum.converged:
        warnings.warn(
            f"the residual covariance is at the end of its range: {fit.ends}. What that means "
            "and what to do: docs/singular-fits.md",
            SingularMatrixWarning,
            stacklevel=stacklevel + 1,
        )


def warn_unless_identified(fit: Fit, stacklevel: int = 2) -> None:
    """Name the variances that the data do not tell apart."""
    from henderson.inference.identified import not_identified

    if (unidentified := not_identified(fit)) is not None:
        warnings.warn(unidentified.flat.note, ValueWarning, stacklevel=stacklevel + 1)


def warn_at_boundary(fit: Fit) -> None:
    """statsmodels' warnings, when the data cannot tell the fit from one on the boundary."""
    if is_singular(fit) or cost_of_boundary(fit) < INDISTINCT:
        for text, kind in (
            ("The MLE may be on the boundary of the parameter space.", ConvergenceWarning),
            ("The random effects covariance matrix is singular.", SingularMatrixWarning),
        ):
            warnings.warn(text, kind, stacklevel=3)
