"""What a fit says of rows that come in parts: fitted values, residuals and their kin, part by part.

    .fixed = Xβ̂ + offset        .fitted = .fixed + Σ_k Z_k b̂_k        .resid = y − .fitted

The rows are made from the parts as rows of new data are (`design.replay`), so any fit that was made by a formula, also
one that was loaded from a file, can say it of any source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.design.replay import new_columns, new_weights, response_of, variables_of
from henderson.engine.fit import Fit
from henderson.errors import DataError, FormulaError
from henderson.sources.columns import find_missing
from henderson.sources.frames import beside
from henderson.sources.streams.source import Part, Source
from henderson.sources.table import Table

FloatArray = np.ndarray


@dataclass(frozen=True)
class PartColumns:
    """What a fit says of the complete rows of a part.

    Attributes
    ----------
    y, fixed, fitted, offset, weights : (m,) arrays
    positions : (m,) intp array
        Where they are in the part.
    """

    y: FloatArray
    fixed: FloatArray
    fitted: FloatArray
    offset: FloatArray
    weights: FloatArray
    positions: np.ndarray

    def columns(self) -> dict[str, FloatArray]:
        """By broom.mixed's names; those of leverage (.hat, .cooksd) are of rows that are held."""
        root = np.sqrt(self.weights)
        resid = self.y - self.fitted
        return {
            ".fitted": self.fitted,
            ".resid": resid,
            ".fixed": self.fixed,
            ".mu": self.fitted,
            ".offset": self.offset,
            ".sqrtXwt": root,
            ".sqrtrwt": root,
            ".weights": self.weights,
            ".wtres": resid * root,
        }


def part_columns(fit: Fit, part: Part) -> PartColumns:
    """What a fit says of a part's rows in which nothing is missing.

    Raises
    ------
    DataError, FormulaError
        Naming where the part is from: a column is not there, a level is not known.
    """
    try:
        return _part_columns(fit, part.table)
    except (DataError, FormulaError) as error:
        raise type(error)(f"{part.where}: {error}") from error


def _part_columns(fit: Fit, table: Table) -> PartColumns:
    design = fit.design
    missed = [found for name in variables_of(design) if (found := find_missing(table[name])) is not None]
    kept = np.arange(table.n) if not missed else np.flatnonzero(~np.logical_or.reduce(missed))
    if not len(kept):
        none = np.zeros(0)
        return PartColumns(none, none, none, none, none, kept)
    some = table if not missed else Table(
        table.names, len(kept), table.index[kept], lambda name: table[name][kept], table.labelled
    )  # fmt: skip
    new = new_columns(design, some, ["known"] * len(design.terms))
    y, weights = response_of(design, some), new_weights(design, some)
    fixed = new.X @ np.nan_to_num(fit.beta) + new.offset
    fitted = fixed.copy()
    for term, b in zip(new.terms, fit.b):
        assert term is not None
        if term.complaint is not None:
            raise DataError(term.complaint)
        fitted += term.times(b)
    weights = np.ones(len(y)) if weights is None else weights
    there = np.isfinite(y) & np.isfinite(fitted)
    if not there.all():
        y, fixed, fitted, weights = (one[there] for one in (y, fixed, fitted, weights))
        return PartColumns(y, fixed, fitted, new.offset[there], weights, kept[there])
    return PartColumns(y, fixed, fitted, new.offset, weights, kept)


def check_streamable(design: Design) -> None:
    """A design must know how its rows are made of columns alone."""
    specs = design.specs
    if specs is None:
        raise DataError("augment() of a source needs a model that was made by a formula")
    if specs.offset_given or (design.weighted and specs.weights is None and specs.weights_column is None):
        raise DataError("augment() of a source needs weights and an offset that are columns, not arrays")


def augmented(fit: Fit, source: Source) -> Iterator[Any]:
    """The rows of a source with what a fit says of them, table by table, each of the make of its part."""
    check_streamable(fit.design)
    for part in source.parts(source.names):
        found = part_columns(fit, part)
        yield beside(part.given, found.columns(), found.positions, part.table.n)


class RowStream:
    """One number a row of a fit that read its rows in parts: an iterable of arrays, read again at each use.

    ``np.asarray`` puts them together.

    Parameters
    ----------
    fit : Fit
    source : Source
    column : str
        ``".fitted"`` or ``".resid"``.
    """

    def __init__(self, fit: Fit, source: Source, column: str) -> None:
        self._fit, self._source, self._column = fit, source, column

    def __iter__(self) -> Iterator[FloatArray]:
        for part in self._source.parts(variables_of(self._fit.design)):
            yield part_columns(self._fit, part).columns()[self._column]

    def __len__(self) -> int:
        return self._fit.n

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        found = np.concatenate(list(self))
        return found if dtype is None else found.astype(dtype)

    def __repr__(self) -> str:
        return f"<{self._column} of {len(self):,} rows, read again from {self._source.title} when it is gone through>"
