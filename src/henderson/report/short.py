"""What results say of themselves at the prompt: the model and its estimates, nothing that takes time to compute."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from henderson.report.coefficients import lines_of
from henderson.report.notes import notes_of
from henderson.report.summary import counts_of, criteria_of, title_of, variances_of
from henderson.report.varcorr import varcorr_frame, varcorr_grid, varcorr_text
from henderson.tables.digits import significant
from henderson.tables.grid import Grid

if TYPE_CHECKING:
    from henderson.engine.fit import Fit

#: columns of the random effects that are shown
SHOWN = ("Groups", "Name", "Std.Dev.", "Corr")
#: characters to a line of fixed effects
WIDTH = 80


@dataclass(frozen=True)
class Short:
    """Text and HTML of the same parts.

    Attributes
    ----------
    fit : Fit
    """

    fit: Fit

    def _fixed(self) -> list[tuple[str, str]]:
        kept = self.fit.kept
        names = [name for name, keep in zip(self.fit.design.x_names, kept) if keep]
        return list(zip(names, significant(np.array([float(f"{b:.6g}") for b in self.fit.beta[kept]]), 4)))

    @property
    def _head(self) -> list[str]:
        formula = self.fit.design.formula
        return [title_of(self.fit), *([f"Formula: {formula}"] if formula else []), criteria_of(self.fit)]

    def text(self) -> str:
        """Formula, criterion, standard deviations, and fixed effects side by side."""
        lines = [
            *self._head,
            f"{variances_of(self.fit)}:",
            varcorr_text(varcorr_frame(self.fit), SHOWN),
            counts_of(self.fit),
        ]
        lines += ["Fixed effects:", *self._lines()] if self._fixed() else ["No fixed effect coefficients"]
        return "\n".join([*lines, *notes_of(self.fit)])

    def _lines(self) -> list[str]:
        rows: list[list[tuple[str, str]]] = [[]]
        for name, value in self._fixed():
            if rows[-1] and sum(max(map(len, pair)) + 1 for pair in [*rows[-1], (name, value)]) > WIDTH:
                rows.append([])
            rows[-1].append((name, value))
        return [
            lines_of(Grid(tuple(n for n, _ in row), (tuple(v for _, v in row),), (True,) * len(row))) for row in rows
        ]

    def html(self) -> str:
        """The same as HTML."""

        def said(lines: list[str]) -> str:
            return "<p>" + html.escape("\n".join(lines)).replace("\n", "<br/>\n") + "</p>"

        grid = varcorr_grid(varcorr_frame(self.fit))
        grid = grid.some(range(len(grid.rows)), [c for c, name in enumerate(grid.header) if name in SHOWN])
        fixed = self._fixed()
        effects = (
            Grid(("", "Estimate"), tuple(fixed), (False, True)).html("Fixed effects")
            if fixed
            else said(["No fixed effect coefficients"])
        )
        parts = [said(self._head), grid.html(variances_of(self.fit)), said([counts_of(self.fit)]), effects]
        notes = list(notes_of(self.fit))
        return "\n".join([*parts, *([said(notes)] if notes else [])])
