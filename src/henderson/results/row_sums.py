"""`RowSums`: the cross-products of a fit's rows as a user holds them: saved, loaded, added, and given to `lmer`.

What last month's rows were summed to is enough for a fit of last month's and today's together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from henderson.contract.design import Design
from henderson.engine.fit import Fit
from henderson.engine.from_source import fit_sums
from henderson.engine.summed import SummedRows
from henderson.errors import DataError, FormulaError
from henderson.results.file import read, write
from henderson.typing import AnyPath
from henderson.whole_file import whole_file


class RowSums:
    """The rows of a model, summed.

    Parameters
    ----------
    sums : SummedRows

    Examples
    --------
    >>> import henderson, tempfile, pathlib
    >>> data, folder = henderson.datasets.load("sleepstudy"), pathlib.Path(tempfile.mkdtemp())
    >>> early, late = data[data["Days"] < 5], data[data["Days"] >= 5]
    >>> formula = "Reaction ~ Days + (Days | Subject)"
    >>> henderson.lmer(formula, iter([early])).crossproducts.save(folder / "early.sums")
    >>> both = henderson.RowSums.load(folder / "early.sums") + henderson.lmer(formula, iter([late])).crossproducts
    >>> both, round(henderson.lmer(formula, both).deviance, 3)
    (<RowSums: 180 rows of Reaction ~ Days + (Days | Subject)>, 1743.628)
    """

    def __init__(self, sums: SummedRows) -> None:
        self._sums = sums

    @property
    def formula(self) -> str:
        """Of the model."""
        return self._sums.design.formula

    @property
    def n(self) -> int:
        """Rows that were summed."""
        return self._sums.design.n

    def __repr__(self) -> str:
        return f"<RowSums: {self.n:,} rows of {self.formula}>"

    def __add__(self, other: RowSums) -> RowSums:
        """The rows of both: of one formula, with the same categories and scaling; groups may be new.

        Raises
        ------
        DataError
            Naming what differs.
        """
        if not isinstance(other, RowSums):
            return NotImplemented
        return RowSums(self._sums + other._sums)

    def engine_fit(
        self, formula: str, *, reml: bool, start: Any, progress: bool | None, rest: str, given: Mapping[str, Any]
    ) -> Fit:
        """The fit of these rows, as `henderson.lmer` asks for it.

        Raises
        ------
        FormulaError, DataError
            When another formula is asked for, or an argument that the sums have settled.
        """
        if formula != self.formula:
            raise FormulaError(f"the rows were summed for {self.formula!r}, not for {formula!r}")
        for name, value in given.items():
            if value is not None:
                raise DataError(f"{name}: the rows are summed already, with or without it")
        return fit_sums(self._sums, reml=reml, start=start, rest=rest, progress=progress)

    def save(self, fname: AnyPath) -> None:
        """Write to a file, in the documented format that holds no code (`docs/saving.md`)."""
        with whole_file(fname) as place:
            write(self, place)

    @classmethod
    def load(cls, fname: AnyPath) -> RowSums:
        """Sums that `save` wrote.

        Raises
        ------
        DataError
            When the file is damaged, or holds something else.
        """
        path = Path(fname)
        found = read(path, path.name)
        if not isinstance(found, RowSums):
            raise DataError(f"{path.name} holds no sums of rows but {type(found).__name__}")
        return found

    @property
    def design(self) -> Design:
        """Terms, names and levels of the model."""
        return self._sums.design
