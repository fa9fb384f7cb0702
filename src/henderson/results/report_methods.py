"""The way from results to their report."""

from __future__ import annotations

from pathlib import Path

from henderson.results.base import FittedModel
from henderson.typing import AnyPath


class ReportMethods(FittedModel):
    """report."""

    def report(self, path: AnyPath, *, title: str | None = None) -> Path:
        """Write everything that there is to say of the fit to one HTML file, which needs no network.

        The model in words and as an equation, data and missing rows, estimates, random effects, tests, means and
        contrasts of factors, pictures (they need matplotlib), the checks of `check()`, code, versions. It follows the
        reader's choice of light or dark, fits a phone, and prints.

        Parameters
        ----------
        path : str or path
            Where to write it.
        title : str, optional
            Its heading.

        Returns
        -------
        Path
            The file.

        Examples
        --------
        >>> import henderson, tempfile, pathlib
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> fit.report(pathlib.Path(tempfile.mkdtemp()) / "fit.html").name
        'fit.html'
        """
        from henderson.report.document.report import report

        return report(self, path, title)
