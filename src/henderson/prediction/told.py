"""Which responses of new rows tell of others, and which rows they tell of: `predict(conditional=True)`.

A row of new data whose response is given is known. It tells of rows that share a series, or the level of a random
effect, with it, or whose levels the fit's own rows tie to its. A row that was fitted tells once:

    of a series that the fit has, at a place that it has    it is the fitted row, and its response must be that row's
    without a series or places, all levels the fit's        it is the fitted row when it is equal to one, else a new one
    of a series or a level that the fit does not have       it is a new one

A fit that has let its rows go has no past of the series that it knows: their rows in the new data are it. What it knows
of levels that other rows share cannot be had so.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import TermRows
from henderson.design.replay import Wanted, response_of, variables_of
from henderson.design.residual_checks import check_repeated
from henderson.design.residual_term import Days
from henderson.design.term_text import written
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.units import LARGEST
from henderson.errors import DataError, NotAvailable, ValueWarning, users_level
from henderson.prediction.conditioned import Conditioned, NewRows
from henderson.prediction.labels import TOLD, NamedLevels, named_series
from henderson.prediction.new_rows import Targets
from henderson.prediction.structured_errors import StructuredErrors
from henderson.prediction.targets import parts_in
from henderson.sources.columns import find_missing
from henderson.sources.factors import shown_label
from henderson.sources.frames import read_table
from henderson.sources.table import Table

FloatArray = np.ndarray

#: difference of responses, relative to the larger, that is none: a number that went through a file
SAME = 1e-9
#: what has become of the rows of a fit
REMOVED = "the rows of the fit were removed by remove_data(), or are not in the file that it was saved to"


class Told:
    """Responses of new rows that predictions are given.

    Parameters
    ----------
    fit : StructuredFit
    newdata : table
    whole, targets : Targets
        The rows as what their responses are, all random terms in; and what is to be predicted.
    wanted : sequence of {"known", "new", None}
        What is to be predicted of each random term.
    places : ResidualRows
    own : (m,) array
        1/w of each row.

    Attributes
    ----------
    given : (m,) array
        The responses; NaN where there is none.
    y : (m,) array
        Those that the fit does not know already.
    """

    def __init__(
        self,
        fit: StructuredFit,
        newdata: Any,
        whole: Targets,
        targets: Targets,
        wanted: tuple[Wanted, ...],
        places: ResidualRows,
        own: FloatArray,
    ) -> None:
        self.fit, self.whole, self.targets, self.wanted = fit, whole, targets, wanted
        self.places, self.own, table = places, own, read_table(newdata)
        self.y, self._usable = responses_given(fit, table, newdata), _complete(whole, targets, places)
        self._leave_out_incomplete(table)
        self.given = self.y.copy()
        if fit.has_rows:
            self._leave_out_fitted(table)
        self._has_any = bool(np.isfinite(self.y).any())
        if self._has_any:
            if fit.design.is_related:
                raise NotAvailable(
                    "responses in new data: predictions given them are not available for a model whose known "
                    "relationships are a sparse inverse; leave out the response, and what was fitted is known"
                )
            self._name_levels(newdata)
        if not fit.has_rows:
            self._refuse_forgotten(table)

    # ---- which responses tell

    def _leave_out_incomplete(self, table: Table) -> None:
        """A row that lacks something else is not used, with a `ValueWarning` that says what it lacks."""
        left_out = np.flatnonzero(np.isfinite(self.y) & ~self._usable)
        if not len(left_out):
            return
        row = int(left_out[0])
        lacks = [name for name in _columns(self.fit) if name in table and _missing(table[name])[row]]
        why = f"{', '.join(map(repr, lacks))} is missing" if lacks else "its mean is not estimable"
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        warnings.warn(
            f"the response in row {row} of the new data{more} is not used: {why} there",
            ValueWarning,
            stacklevel=users_level(),
        )
        self.y[left_out] = np.nan

    def _leave_out_fitted(self, table: Table) -> None:
        """Responses of rows that were fitted are known already."""
        told = np.flatnonzero(np.isfinite(self.y))
        if not len(told):
            return
        again = self._by_place(told, table) if self._has_places else self._by_likeness(told)
        self.y[again] = np.nan

    @property
    def _has_places(self) -> bool:
        """Whether a series has one row at a place."""
        term = self.fit.design.residual
        assert term is not None
        return bool(term.group and term.places) and term.structure != "diag"

    def _by_place(self, told: np.ndarray, table: Table) -> list[int]:
        """Rows at a place that their series has in the fit.

        Raises
        ------
        DataError
            When their response is another than that row's.
        """
        rows, term = self.fit.observed, self.fit.design.residual
        assert rows.residual is not None
        assert term is not None
        known = told[self.places.codes[told] >= 0]
        theirs = np.flatnonzero(np.isin(rows.residual.codes, self.places.codes[known]))
        fitted = dict(zip(_keys(rows.residual[theirs]), theirs.tolist()))
        again = []
        for row, key in zip(known.tolist(), _keys(self.places[known])):
            if key not in fitted:
                continue
            was, now = rows.y[fitted[key]], self.y[row]
            if not np.isclose(was, now, rtol=SAME, atol=0):
                series, place = shown_label(term.levels[key[0]]), _shown_place(self.fit, key)
                raise DataError(
                    f"{term.group} {series} has {self.fit.design.y_name} {now:g} at {place} in row {row} of the new "
                    f"data, and was fitted with {was:g} there: conditional=True knows the rows that were fitted. "
                    f"Leave this response out, or give another {term.group} to predict from the new data alone"
                )
            again.append(row)
        return again

    def _by_likeness(self, told: np.ndarray) -> list[int]:
        """Rows all of whose levels the fit has and that are equal to one of its own."""
        rows, again = self.fit.observed, []
        terms = [
            (new, own) for new, own in zip(self.whole.terms, rows.terms) if new is not None and new.codes is not None
        ]
        order = np.argsort(rows.y, kind="stable")
        y = rows.y[order]
        for row in told.tolist():
            reach = SAME * abs(self.y[row])
            first = np.searchsorted(y, self.y[row] - reach, side="left")
            like = order[first : np.searchsorted(y, self.y[row] + reach, side="right")]
            same = np.isclose(rows.X[like], self.whole.X[row], rtol=SAME, atol=SAME).all(axis=1)
            for new, own in terms:
                assert new.codes is not None
                assert own.codes is not None
                same &= (own.codes[like] == new.codes[row]) & np.isclose(own.columns[like], new.columns[row]).all(
                    axis=1
                )
            if same.any():
                again.append(row)
        return again

    # ---- which rows they tell of

    def _name_levels(self, newdata: Any) -> None:
        """Number the levels and series that the fit does not have."""
        self.series, term = named_series(self.fit, newdata, self.places, TOLD)
        told = np.flatnonzero(np.isfinite(self.y))
        check_repeated(term, self.series[told], told)
        self.levels = tuple(
            NamedLevels.of(new, one, TOLD)
            for new, one in zip(self.whole.terms, self.fit.design.terms)
            if new is not None
        )
        strata = self.series.strata
        if strata is None:
            return
        order = np.argsort(self.series.codes, kind="stable")
        codes, own = self.series.codes[order], strata[order]
        if (other := np.flatnonzero((np.diff(codes) == 0) & (np.diff(own) != 0))).size:
            row = order[other[0] + 1]
            raise DataError(
                f"{term.stratum!r} is not the same in all rows of {term.group} "
                f"{shown_label(term.levels[self.series.codes[row]])} (row {row}): a series is of one stratum"
            )

    def tells_of_new_levels(self) -> bool:
        """Whether each level that the fit does not have has a row whose response is given."""
        if not self._has_any:
            return False
        told = np.isfinite(self.y)
        for named, term, new in zip(self.levels, self.fit.design.terms, self.targets.terms):
            if new is not None and new.is_other_type:
                return False
            loads = _pattern(named)[:, named.present >= term.n_levels]
            if (loads[~told].sum(axis=0) > 0)[loads[told].sum(axis=0) == 0].any():
                return False
        return True

    def groups(self, errors: StructuredErrors) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows whose responses are given, and rows that they tell of, of each set of rows that are tied together."""
        if not self._has_any:
            return []
        m = len(self.y)
        ties = [sparse.csr_array((np.ones(m), self.series.codes, np.arange(m + 1)))]
        ties += [_pattern(named) for named in self.levels]
        asked = errors.asked(self.whole.X, self.whole.terms, self.own, self.places, True)
        if self.fit.has_rows and asked.has_known:
            row, block = (np.concatenate(one) for one in zip(*parts_in(asked, self.fit, errors.block_of[1])))
            ties.append(sparse.csr_array((np.ones(len(row)), (row, block)), shape=(m, int(block.max(initial=0)) + 1)))
        loads = sparse.csr_array(sparse.hstack(ties))[np.flatnonzero(self._usable)]
        graph = sparse.block_array([[None, loads], [loads.T, None]])
        _, of = connected_components(graph, directed=False)
        usable = np.flatnonzero(self._usable)
        of = of[: len(usable)]
        found = []
        for number in np.unique(of[np.isfinite(self.y[usable])]):
            rows = usable[of == number]
            if len(rows) > LARGEST:
                raise DataError(
                    f"{len(rows)} rows of the new data are tied together; predictions given responses "
                    f"are for up to {LARGEST} such rows: ask for fewer at a time"
                )
            found.append((rows[np.isfinite(self.y[rows])], rows))
        return found

    def conditioned(self, errors: StructuredErrors) -> Conditioned:
        """Predictions given the responses."""
        model = errors.model
        levels = tuple(
            TermRows(None, one.rows.columns, one.rows.given_loadings * T[0, 0])
            if one.rows.codes is None
            else TermRows(one.rows.codes, one.rows.columns @ T)
            for one, T in zip(self.levels, model.roots)
        )
        return Conditioned(
            errors,
            NewRows(
                errors.asked(self.whole.X, self.whole.terms, self.own, self.places, True),
                errors.asked(self.targets.X, self.targets.terms, self.own, self.places, True),
                self.wanted,
                levels,
                self.series,
                self.whole.mean,
            ),
            stand_in=not self.fit.has_rows,
        )

    # ---- a fit without its rows

    def _refuse_forgotten(self, table: Table) -> None:
        """Raise a `NotAvailable` for what only rows that were let go could tell."""
        places, term, told = self.places, self.fit.design.residual, np.isfinite(self.y)
        assert term is not None
        forgotten = np.flatnonzero((places.codes >= 0) & ~np.isin(places.codes, places.codes[told]))
        if len(forgotten):
            row = int(forgotten[0])
            raise NotAvailable(
                f"conditional=True: {term.group} {shown_label(term.levels[places.codes[row]])} (row {row}) was fitted, "
                f"and {REMOVED}; give all responses of this {term.group} in the new data, or keep the fit with its rows"
            )
        if not self._has_any:
            return
        for k, (new, spec) in enumerate(zip(self.whole.terms, self.fit.design.specs.random)):
            columns = self.fit.design.specs.residual.series.columns
            if columns and set(columns) <= set(spec.group):
                continue
            assert new is not None
            if new.loadings is None:
                assert new.codes is not None
                known = new.codes >= 0
            else:
                known = np.asarray(new.loadings[:, :-1].power(2).sum(axis=1)).ravel() > 0
            if (known & self._usable).any():
                raise NotAvailable(
                    f"responses in the new data beside levels of {written(self.fit.design, k)} that were fitted (row "
                    f"{int(np.argmax(known & self._usable))}): other rows of these levels tell, too, and {REMOVED}; "
                    "keep the fit with its rows"
                )


def responses_given(fit: StructuredFit, table: Table, newdata: Any) -> FloatArray:
    """Responses of new rows, (m,), NaN where none is given.

    Raises
    ------
    DataError
        For a response that is infinite, or that its transformation does not take.
    """
    variables = fit.design.specs.response.variables
    if not set(variables) <= set(table.names):
        return np.full(table.n, np.nan)
    y = np.array(response_of(fit.design, newdata), float)
    given = np.logical_and.reduce([~_missing(table[name]) for name in variables])
    if (wrong := np.flatnonzero(given & ~np.isfinite(y))).size:
        raise DataError(f"{fit.design.y_name!r} is {y[wrong[0]]:g} in row {wrong[0]} of the new data: no finite number")
    return y


def _complete(whole: Targets, targets: Targets, places: ResidualRows) -> np.ndarray:
    """Rows that have all that the model needs, (m,) bool."""
    where = _by_column(places)
    out = np.isfinite(whole.mean) & np.isfinite(targets.mean) & np.isfinite(where).all(axis=1)
    for values in places.covariates:
        out &= np.isfinite(values)
    for new in whole.terms:
        assert new is not None
        out &= np.isfinite(new.columns).all(axis=1)
        if new.loadings is not None:
            out &= np.isfinite(np.asarray(new.loadings.sum(axis=1)).ravel())
    return out


def _columns(fit: StructuredFit) -> list[str]:
    """Columns of which rows are made, those of the residuals too."""
    spec, names = fit.design.specs.residual, list(variables_of(fit.design))
    for own in (spec.series, spec.visits, spec.strata, *spec.places, *spec.variance):
        if own is not None:
            names += [own.column] if isinstance(own, Days) else getattr(own, "columns", None) or own.variables
    return list(dict.fromkeys(names))


def _missing(values: Any) -> np.ndarray:
    found = find_missing(values)
    return np.zeros(len(values), bool) if found is None else found


def _by_column(places: ResidualRows) -> np.ndarray:
    """Where rows stand, (m, d)."""
    return places.where[:, None] if places.where.ndim == 1 else places.where


def _keys(places: ResidualRows) -> list[tuple[Any, ...]]:
    """Series and place of each row."""
    return list(zip(places.codes.tolist(), *_by_column(places).T.tolist()))


def _shown_place(fit: StructuredFit, key: tuple[Any, ...]) -> str:
    term = fit.design.residual
    assert term is not None
    if term.visits is not None:
        return f"{' and '.join(term.places)} {shown_label(term.visits[key[1]])}"
    return ", ".join(f"{name} {value:g}" for name, value in zip(term.places, key[1:]))


def _pattern(named: NamedLevels) -> sparse.csr_array:
    """Which levels each row loads on, (m, L)."""
    if named.rows.codes is None:
        return abs(named.rows.given_loadings)
    m = len(named.rows.codes)
    shape = (m, len(named.present))
    return sparse.csr_array((np.ones(m), named.rows.codes, np.arange(m + 1)), shape=shape)
