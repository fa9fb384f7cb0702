"""statsmodels' ``vc_formula`` → `RandomTerm`s: independent effects of one variance each, nested in the
groups.

A component's formula makes columns; within each group every column that is not zero there has an effect of
its own. Columns of zeros and ones, one 1 in a row at most, are the levels of a factor and become codes;
others stay as a matrix (`RandomTerm.loadings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import RandomTerm
from henderson.design.random_terms import GroupCodes
from henderson.formula.coding import Part, fill, make_part
from henderson.formula.environment import Environment
from henderson.formula.evaluate import Columns, FactorSpec, Values, learn
from henderson.formula.terms import Term
from henderson.sources.factors import renumber


def component(
    name: str, group_name: str, terms: Sequence[Term], columns: Columns, groups: GroupCodes, env: Environment
) -> RandomTerm:
    """One variance component.

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
    """
    codes, levels = groups
    quick = _one_term(terms, columns, env) if len(terms) == 1 else None
    if quick is not None:
        return _from_codes(name, group_name, codes, levels, *quick)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(levels)))
    rows = np.split(order, ends[:-1])
    blocks: list[np.ndarray] = []
    names: list[tuple[str, ...]] = []
    for at in rows:
        part, matrix = _matrix(terms, {key: column[at] for key, column in columns.items()}, len(at), env)
        blocks.append(matrix)
        names.append(part.names)
    return from_blocks(name, group_name, blocks, rows, names, levels)


def _one_term(
    terms: Sequence[Term], columns: Columns, env: Environment
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
    """A product of plain columns: the column of each row within its group, the entry there, and the names.

    None for anything else: an expression may depend on which rows it is given.
    """
    factors, values = _learn(terms, columns, env)
    if any(spec.spec is not None for spec in factors.values()):
        return None
    n = len(next(iter(columns.values())))
    within, stride, entry = np.zeros(n, dtype=np.intp), 1, np.ones(n)
    for expr in terms[0]:
        spec, found = factors[expr], values[expr]
        if found.codes is None:
            entry = entry * found.columns[0]
        else:
            assert spec.levels is not None
            within = within + stride * found.codes
            stride *= len(spec.levels)
    return within, entry, make_part(terms, factors).names


def _learn(
    terms: Sequence[Term], columns: Columns, env: Environment
) -> tuple[dict[str, FactorSpec], dict[str, Values]]:
    learned = {expr: learn(expr, columns, env) for term in terms for expr in term}
    return {e: spec for e, (spec, _) in learned.items()}, {e: values for e, (_, values) in learned.items()}


def _matrix(terms: Sequence[Term], columns: Columns, n: int, env: Environment) -> tuple[Part, np.ndarray]:
    factors, values = _learn(terms, columns, env)
    part = make_part(terms, factors)
    return part, fill(part, values, np.empty((n, len(part.names))))


def _from_codes(
    name: str,
    group_name: str,
    groups: np.ndarray,
    levels: pd.Index,
    within: np.ndarray,
    entry: np.ndarray,
    labels: Sequence[str],
) -> RandomTerm:
    """A component on one of whose effects each row loads: column `within` of its group, by `entry`."""
    codes, present = renumber(groups * np.intp(len(labels)) + within, len(levels) * len(labels))
    at, column = np.divmod(present, len(labels))
    index = pd.MultiIndex.from_arrays([levels[at], pd.Index(labels)[column]], names=[group_name, name])
    return _scalar_term(name, group_name, codes, index, entry)


def _scalar_term(name: str, group_name: str, codes: np.ndarray, index: pd.Index, entry: np.ndarray) -> RandomTerm:
    names = ("(Intercept)",) if (entry == 1).all() else (name,)
    return RandomTerm(f"{group_name}/{name}", codes, index, entry[:, None], names, label=name)


def from_blocks(
    name: str,
    group_name: str,
    blocks: Sequence[Any],
    rows: Sequence[np.ndarray],
    names: Sequence[Sequence[Any]],
    levels: pd.Index,
    keep: np.ndarray | None = None,
) -> RandomTerm:
    """A component from one matrix a group.

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
    stacked = sparse.csr_array(sparse.block_diag(blocks, format="csr"), dtype=np.float64)
    loadings = sparse.csr_array(stacked[position])
    loadings.eliminate_zeros()
    labels = [(level, column) for level, own in zip(levels, names) for column in own]
    index = pd.MultiIndex.from_tuples(labels, names=[group_name, name])
    count = np.diff(loadings.indptr)
    if count.max() <= 1:
        codes, entry = first_of_row.astype(np.intp), np.zeros(len(position))
        codes[count == 1], entry[count == 1] = loadings.indices, loadings.data
        if codes.min() >= 0:
            codes, present = renumber(codes, len(index))
            return _scalar_term(name, group_name, codes, index[present], entry)
    used = np.bincount(loadings.indices, minlength=loadings.shape[1]) > 0
    empty = np.empty((len(position), 0))
    return RandomTerm(
        f"{group_name}/{name}",
        None,
        index[used],
        empty,
        (name,),
        "unstructured",
        sparse.csr_array(loadings[:, used]),
        name,
    )
