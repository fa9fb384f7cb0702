"""Levels and series that new rows name, also those that the fit does not have: rows of one label share its effects.

Numbers of known ones are the fit's; others follow, one for each label, in the order of labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import RandomTerm
from henderson.contract.residual import ResidualRows, ResidualTerm
from henderson.contract.rows import TermRows
from henderson.design.replay import NewTerm
from henderson.engine.residual.fit import StructuredFit
from henderson.errors import DataError
from henderson.sources.columns import Array, find_missing, settle
from henderson.sources.factors import cross, encode
from henderson.sources.frames import read_table

#: what a label is for, as an error about a missing one says
DRAWN, TOLD = "no effect can be drawn for it", "which rows are of one level is not known"


@dataclass(frozen=True)
class NamedLevels:
    """The levels of one term that new rows name.

    Attributes
    ----------
    rows : TermRows
        What the rows load on them, numbered from zero.
    present : (L,) intp array
        The number of each among all: below J those of the fit.
    """

    rows: TermRows
    present: np.ndarray

    @classmethod
    def of(cls, new: NewTerm, term: RandomTerm, purpose: str) -> NamedLevels:
        """Those that occur, known ones first.

        Raises
        ------
        DataError
            When a label is missing, or effects of new levels cannot be told apart.
        """
        if new.complaint is not None and not new.labels:
            raise DataError(
                f"{new.complaint}; effects of levels that the fit does not have can be drawn for components that are a "
                "product of columns, such as '0 + C(a)', and for bars"
            )
        J = term.n_levels
        if new.loadings is None:
            assert new.codes is not None
            rows = new.codes.copy()
            fresh = np.flatnonzero(rows < 0)
            rows[fresh] = J + fresh_codes(new, fresh, purpose)
            present, rows = np.unique(rows, return_inverse=True)
            return cls(TermRows(rows.astype(np.intp), new.columns), present)
        if new.apart is not None:
            whole = sparse.csr_array(sparse.hstack([new.loadings[:, :J], new.apart]))
            present, column = np.unique(whole.indices, return_inverse=True)
            shape = (len(new.columns), len(present))
            return cls(
                TermRows(None, new.columns, sparse.csr_array((whole.data, column, whole.indptr), shape=shape)), present
            )
        entries = new.loadings.tocoo()
        at, column = entries.coords[0], entries.coords[1].astype(np.intp)
        # NaN: a row whose covariate is missing, whatever its effect
        fresh = np.flatnonzero((column == J) & ~np.isnan(entries.data))
        column[fresh] = J + 1 + fresh_codes(new, at[fresh], purpose)
        present, column = np.unique(column, return_inverse=True)
        shape = (len(new.columns), len(present))
        return cls(TermRows(None, new.columns, sparse.csr_array((entries.data, (at, column)), shape=shape)), present)


def named_series(
    fit: StructuredFit, newdata: Any, places: ResidualRows, purpose: str
) -> tuple[ResidualRows, ResidualTerm]:
    """Places in series that all have a number, and the residual term with the labels of those that the fit does not
    have; each row is its own series where there are none.

    Raises
    ------
    DataError
        When a label is missing.
    """
    term, specs = fit.design.residual, fit.design.specs
    assert term is not None
    columns, fresh = specs.residual.series.columns, np.flatnonzero(places.codes < 0)
    if not columns:
        return replace(places, codes=np.arange(len(places.codes))), term
    if not len(fresh):
        return places, term
    table = read_table(newdata)
    codes, labels = _labelled({name: table[name] for name in columns}, fresh, purpose)
    known = places.codes.copy()
    known[fresh] = term.n_series + codes
    return replace(places, codes=known), replace(term, levels=pd.Index([*term.levels, *labels], dtype=object))


def fresh_codes(new: NewTerm, rows: np.ndarray, purpose: str) -> np.ndarray:
    """A number for each combination of labels in some rows, (len(rows),)."""
    return _labelled(new.labels, rows, purpose)[0]


def _labelled(columns: Mapping[str, Array], rows: np.ndarray, purpose: str) -> tuple[np.ndarray, pd.Index]:
    """A number for each combination of labels in some rows, (len(rows),), and the combinations."""
    if not len(rows):
        return np.empty(0, np.intp), pd.Index([])
    factors = []
    for name, values in columns.items():
        own, shown = values[rows], repr(name or "groups")
        if (lost := find_missing(own)) is not None and lost.any():
            raise DataError(f"{shown} is missing in row {rows[np.argmax(lost)]}: {purpose}")
        factors.append(encode(settle(own), shown))
    if len(factors) == 1:
        return factors[0]
    codes, crossing = cross(factors)
    return codes, pd.Index(crossing.labels)
