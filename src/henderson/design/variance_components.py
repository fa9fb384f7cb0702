"""statsmodels' ``vc_formula`` → `RandomTerm`s: independent effects of one variance each, nested in the
groups.

A component's formula makes columns; within each group every column that is not zero there has an effect of
its own. Columns of zeros and ones, one 1 in a row at most, are the levels of a factor and become codes;
others stay as a matrix (`TermRows.loadings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from henderson.contract.design import RandomTerm
from henderson.contract.rows import TermRows, indicator_columns
from henderson.design.intercept import STATSMODELS
from henderson.design.random_terms import GroupCodes
from henderson.errors import FormulaError
from henderson.formula.coding import Part, fill, make_part
from henderson.formula.environment import Environment
from henderson.formula.evaluate import Columns, FactorSpec, Values, learn, replay
from henderson.formula.terms import Term, plain_column
from henderson.sources.columns import kind_of, to_float
from henderson.sources.factors import Crossing, cross, encode, match, renumber

if TYPE_CHECKING:
    from scipy import sparse

#: kinds of columns that are numbers, or that `learn` refuses by name
PLAIN_NUMBERS = ("number", "number objects", "complex", "time")


@dataclass(frozen=True)
class ComponentSpec:
    """How to find the effects of a component on which rows of new data load.

    Attributes
    ----------
    name : str
        The component's.
    group : tuple of str
        Column of the groups.
    groups : pandas.Index of length G
        Levels of the groups.
    plain : tuple of (column, levels or None), one a factor; or None
        For a product of plain columns: where each is, and its levels if it is a factor.
    crossing : Crossing or None
        Then: which columns of the product occur in which group.
    parts : tuple of G Part, or of one
        For anything else: how each group's columns are made, or those of all.
    places : tuple of G intp arrays
        And the effects to which they belong, −1 for a column that was zero throughout its group.
    """

    name: str
    group: tuple[str]
    groups: pd.Index
    plain: tuple[tuple[str, pd.Index | None], ...] | None
    crossing: Crossing | None
    parts: tuple[Part, ...] = ()
    places: tuple[np.ndarray, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns of the data that it uses."""
        if self.plain is not None:
            return tuple(name for name, _ in self.plain)
        return tuple(dict.fromkeys(name for part in self.parts for name in part.variables))

    def loadings(self, groups: np.ndarray, columns: Columns, n_effects: int, env: Environment) -> sparse.csr_array:
        """Z of new rows without missing values, (m, J + 1); the last column is for effects that the fit does not have.

        Parameters
        ----------
        groups : (m,) intp array
            Group of each row, −1 for one not known.
        columns : mapping of str to (m,) arrays
        n_effects : int
            J.
        env : Environment
        """
        from scipy import sparse

        m = len(groups)
        if self.plain is not None:
            effects, entry = self._plain_effects(groups, columns)
            effects = np.where(effects < 0, n_effects, effects)
            return sparse.csr_array((entry, effects, np.arange(m + 1)), shape=(m, n_effects + 1))
        lost = np.flatnonzero(groups < 0)
        rows, places, entries = [lost], [np.full(len(lost), n_effects)], [np.ones(len(lost))]
        flat, widths = np.concatenate(self.places), np.array([len(own) for own in self.places])
        first = np.cumsum(widths) - widths
        for at, part in self._rows_by_part(groups):
            own = {name: column[at] for name, column in columns.items()}
            values = {expr: replay(spec, own, len(at), env) for expr, spec in part.factors.items()}
            matrix = fill(part, values, np.empty((len(at), len(part.names))))
            row, column = np.nonzero(matrix)
            place = flat[first[groups[at[row]]] + column]
            rows.append(at[row])
            places.append(np.where(place < 0, n_effects, place))
            entries.append(matrix[row, column])
        where = np.concatenate(rows), np.concatenate(places)
        return sparse.csr_array((np.concatenate(entries), where), shape=(m, n_effects + 1))

    def _rows_by_part(self, groups: np.ndarray) -> Iterator[tuple[np.ndarray, Part]]:
        if len(self.parts) == 1:
            yield np.flatnonzero(groups >= 0), self.parts[0]
            return
        for code in np.unique(groups[groups >= 0]):
            yield np.flatnonzero(groups == code), self.parts[code]

    def _plain_effects(self, groups: np.ndarray, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """The effect of each row, −1 for one not known, and the entry there."""
        assert self.plain is not None
        assert self.crossing is not None
        within, stride, entry = np.zeros(len(groups), dtype=np.intp), 1, np.ones(len(groups))
        for name, levels in self.plain:
            if levels is None:
                entry = entry * to_float(columns[name], name)
            else:
                codes = match(columns[name], levels)
                within = np.where((within >= 0) & (codes >= 0), within + stride * codes, -1)
                stride *= len(levels)
        return self.crossing.codes([groups, within]), entry


def component(
    name: str,
    group_name: str,
    terms: Sequence[Term],
    columns: Columns,
    groups: GroupCodes,
    env: Environment,
    column: tuple[str] = ("",),
) -> tuple[RandomTerm, TermRows, ComponentSpec]:
    """One variance component, its rows, and how to replay it.

    Parameters
    ----------
    name : str
        The component's.
    group_name : str
    terms : sequence of Term
        Of its formula.
    columns : mapping of str to (n,) arrays
    groups : (codes, levels)
        Of the groups.
    env : Environment
    column : tuple of str
        Where the groups are in new data.
    """
    codes, levels = groups
    quick = _one_term(terms[0], columns, env) if len(terms) == 1 else None
    if quick is not None:
        plain, within, entry, labels = quick
        codes, crossing = cross([groups, (within, labels)])
        at, own = crossing.members
        index = pd.MultiIndex.from_arrays([levels[at], labels[own]], names=[group_name, name])
        return *_scalar_term(name, group_name, codes, index, entry), ComponentSpec(
            name, column, levels, plain, crossing
        )
    if all(_is_number(expr, columns) for term in terms for expr in term):
        part, matrix = _matrix(terms, columns, len(codes), env)
        k = len(part.names)
        if not k:
            raise _without_columns(name)
        index = pd.MultiIndex.from_product([levels, part.names], names=[group_name, name])
        loadings = indicator_columns(codes, matrix, len(levels))
        term, loads = _from_loadings(name, group_name, loadings, codes * k, index)
        places = np.split(term.levels.get_indexer(index), k * np.arange(1, len(levels)))
        return term, loads, ComponentSpec(name, column, levels, None, None, (part,), tuple(places))
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(levels)))
    rows = np.split(order, ends[:-1])
    blocks: list[np.ndarray] = []
    parts: list[Part] = []
    for at in rows:
        part, matrix = _matrix(terms, {key: column[at] for key, column in columns.items()}, len(at), env)
        blocks.append(matrix)
        parts.append(part)
    term, loads = from_blocks(name, group_name, blocks, rows, [part.names for part in parts], levels)
    if not any(part.names for part in parts):
        raise _without_columns(name)
    labels = pd.MultiIndex.from_tuples([(level, own) for level, part in zip(levels, parts) for own in part.names])
    places = np.split(term.levels.get_indexer(labels), np.cumsum([len(part.names) for part in parts])[:-1])
    return term, loads, ComponentSpec(name, column, levels, None, None, tuple(parts), tuple(places))


def _without_columns(name: str) -> FormulaError:
    return FormulaError(f"the variance component {name!r} has no columns: nothing varies in it")


def _one_term(
    term: Term, columns: Columns, env: Environment
) -> tuple[tuple[tuple[str, pd.Index | None], ...], np.ndarray, np.ndarray, pd.Index] | None:
    """A product of plain columns: what they are, the column of each row within its group, the entry there, the names.

    None for anything else: an expression may depend on which rows it is given. A factor is here its codes and levels
    alone: it can have tens of thousands, and a coding matrix would have as many rows and columns.
    """
    n = len(next(iter(columns.values())))
    within, stride, entry = np.zeros(n, dtype=np.intp), 1, np.ones(n)
    plain: list[tuple[str, pd.Index | None]] = []
    names: list[list[str]] = []
    for expr in term:
        found = plain_column(expr)
        if found is None or found[0] not in columns:
            return None
        column, as_category = found
        if as_category or kind_of(columns[column]) not in PLAIN_NUMBERS:
            codes, levels = encode(columns[column], repr(column))
            within, stride = within + stride * codes, stride * len(levels)
            plain.append((column, levels))
            names.append([f"{expr}[{level}]" for level in levels])
        else:
            entry = entry * learn(expr, columns, env)[1].columns[0]
            plain.append((column, None))
            names.append([expr])
    labels = [":".join(reversed(own)) or STATSMODELS for own in product(*reversed(names))]
    return tuple(plain), within, entry, pd.Index(labels)


def _is_number(expr: str, columns: Columns) -> bool:
    """Whether a factor is a plain column of numbers, the same whatever rows it is given."""
    found = plain_column(expr)
    return found is not None and found[0] in columns and not found[1] and kind_of(columns[found[0]]) in PLAIN_NUMBERS


def _learn(
    terms: Sequence[Term], columns: Columns, env: Environment
) -> tuple[dict[str, FactorSpec], dict[str, Values]]:
    learned = {expr: learn(expr, columns, env) for term in terms for expr in term}
    return {e: spec for e, (spec, _) in learned.items()}, {e: values for e, (_, values) in learned.items()}


def _matrix(terms: Sequence[Term], columns: Columns, n: int, env: Environment) -> tuple[Part, np.ndarray]:
    factors, values = _learn(terms, columns, env)
    part = make_part(terms, factors)
    return part, fill(part, values, np.empty((n, len(part.names))))


def _scalar_term(
    name: str, group_name: str, codes: np.ndarray, index: pd.Index, entry: np.ndarray
) -> tuple[RandomTerm, TermRows]:
    names = (STATSMODELS,) if (entry == 1).all() else (name,)
    return RandomTerm(f"{group_name}/{name}", index, names, label=name), TermRows(codes, entry[:, None])


def from_blocks(
    name: str,
    group_name: str,
    blocks: Sequence[Any],
    rows: Sequence[np.ndarray],
    names: Sequence[Sequence[Any]],
    levels: pd.Index,
    keep: np.ndarray | None = None,
) -> tuple[RandomTerm, TermRows]:
    """A component from one matrix a group, and its rows.

    Parameters
    ----------
    name, group_name : str
    blocks : sequence of J (n_i, k_i) arrays or sparse arrays
    rows : sequence of J (n_i,) integer arrays
        Positions of each group's rows.
    names : sequence of J sequences of k_i labels
    levels : pandas.Index of length J
        Of the groups.
    keep : (m,) integer array, optional
        Positions of the rows to keep, in the order wanted; all, by default.
    """
    from scipy import sparse

    where = np.concatenate(rows)
    position = np.full(where.max() + 1, -1)
    position[where] = np.arange(len(where))
    position = position[keep] if keep is not None else position
    widths = np.array([block.shape[1] for block in blocks])
    first = np.where(widths > 0, np.cumsum(widths) - widths, -1)
    first_of_row = np.repeat(first, [len(at) for at in rows])[position]
    stacked = sparse.csr_array(sparse.block_diag([sparse.coo_array(block) for block in blocks]), dtype=np.float64)
    labels = [(level, column) for level, own in zip(levels, names) for column in own]
    index = pd.MultiIndex.from_tuples(labels, names=[group_name, name])
    return _from_loadings(name, group_name, sparse.csr_array(stacked[position]), first_of_row, index)


def _from_loadings(
    name: str, group_name: str, loadings: sparse.csr_array, first_of_row: np.ndarray, index: pd.Index
) -> tuple[RandomTerm, TermRows]:
    """A component from Z with a column for each label of `index`; rows without an entry have the first of their group.

    Columns of zeros go; where no row has two entries a factor's codes and one column are left.
    """
    from scipy import sparse

    loadings.eliminate_zeros()
    count = np.diff(loadings.indptr)
    if count.max() <= 1:
        codes, entry = first_of_row.astype(np.intp), np.zeros(len(count))
        codes[count == 1], entry[count == 1] = loadings.indices, loadings.data
        if codes.min() >= 0:
            codes, present = renumber(codes, len(index))
            return _scalar_term(name, group_name, codes, index[present], entry)
    used = np.bincount(loadings.indices, minlength=loadings.shape[1]) > 0
    term = RandomTerm(f"{group_name}/{name}", index[used], (name,), label=name, loaded=True)
    return term, TermRows(None, np.empty((len(count), 0)), sparse.csr_array(loadings[:, used]))
