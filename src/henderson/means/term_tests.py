"""A joint test for every term of the fixed part: Type III tests from marginal means.

Each term is tested by the interaction contrasts of the means of its variables, averaged equally over all
others. A covariate is a factor with two levels, its mean minus and plus one (less, where the model has a logarithm
that would not exist there). Where cells are empty only what is estimable is tested, and what no term accounts for is
tested as "(confounded)". emmeans' ``joint_tests`` does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.inference.inference import FTest, Inference
from henderson.means.averages import margins
from henderson.means.estimability import combine
from henderson.means.grid import ReferenceGrid, reference_grid
from henderson.means.joint_test import estimable_rows, joint_test, orthonormal_rows
from henderson.means.labels import free_name
from henderson.means.specs import split_specs, with_outer
from henderson.tables.result_frame import ResultFrame

CONFOUNDED = "(confounded)"

#: powers of ten that are tried
SMALLEST = 10

_COLUMNS = ("term", "num_df", "den_df", "F", "p")


def joint_tests(
    design: Design,
    inference: Inference,
    *,
    by: str | Iterable[str] | None = None,
    at: Mapping[str, Any] | None = None,
    den_df: str = "smallest",
) -> pd.DataFrame:
    """A joint test for every term of the fixed part.

    Parameters
    ----------
    design : Design
        Made from a formula.
    inference : Inference
    by : str or sequence of str, optional
        Variables at each of whose values to test the others.
    at : mapping of str to values, optional
        Values of variables of the reference grid.
    den_df : {"smallest", "joint"}
        As in `joint.joint_test`.

    Returns
    -------
    DataFrame
        The columns of `by`, then term, num_df, den_df, F, p; ``attrs["notes"]``.
    """
    grid = _grid_around_means(design, at)
    _, by_names = with_outer((), split_specs((), by, grid)[1], grid)
    free = [name for name in grid.values if len(grid.values[name]) > 1 and name not in by_names]
    heads = margins(grid, by_names).frame if by_names else pd.DataFrame(index=range(1))
    out: list[dict[str, Any]] = []
    tested: list[list[np.ndarray]] = [[] for _ in range(len(heads))]
    reduced_terms: dict[str, None] = {}
    for names in _tested_terms(grid, free):
        term = ":".join(names)
        for g, L in enumerate(_hypotheses(grid, names, by_names)):
            test, reduced = joint_test(inference, L, den_df=den_df)
            if reduced:
                reduced_terms[term] = None
            if test.num_df:
                tested[g].append(estimable_rows(inference, L))
                out.append(_row(heads, g, term, test))
    if reduced_terms:
        for g, rest in enumerate(_confounded(inference, grid, free, by_names, tested)):
            test, _ = joint_test(inference, rest, den_df=den_df)
            if test.num_df:
                out.append(_row(heads, g, CONFOUNDED, test))
    frame = pd.DataFrame(out, columns=pd.Index([*by_names, *(free_name(name, by_names) for name in _COLUMNS)]))
    notes = [f"Degrees of freedom: {inference.ddf}", *inference.notes]
    if reduced_terms:
        notes.append(f"Numerator df reduced, since not all is estimable: {', '.join(reduced_terms)}")
    return ResultFrame.of(frame, "Joint tests", tuple(notes), keys=len(by_names) + 1)


def _grid_around_means(design: Design, at: Mapping[str, Any] | None) -> ReferenceGrid:
    """Covariates at their mean minus and plus one, or as much less as makes the model's functions of them numbers."""
    with np.errstate(divide="ignore", invalid="ignore"):
        grids = (reference_grid(design, at, spread=float(spread)) for spread in 10.0 ** -np.arange(SMALLEST))
        first = next(grids)
        return next((grid for grid in chain([first], grids) if np.isfinite(grid.X).all()), first)


def _row(heads: pd.DataFrame, g: int, term: str, test: FTest) -> dict[str, Any]:
    numbers = dict(zip(_COLUMNS, (term, test.num_df, test.den_df, test.F, test.p)))
    by = {str(name): heads[name].iloc[g] for name in heads.columns}
    return by | {free_name(name, by): value for name, value in numbers.items()}


def _tested_terms(grid: ReferenceGrid, free: Sequence[str]) -> list[tuple[str, ...]]:
    """The model's terms in `free`, and all that they contain, by size; a nested factor always with those around it."""
    wanted: dict[tuple[str, ...], None] = {}
    for use in grid.terms:
        inside = [name for name in free if name in use]
        for size in range(1, len(inside) + 1):
            for chosen in combinations(inside, size):
                around = {outer for name in chosen for outer in grid.nested.get(name, ())}
                wanted[tuple(name for name in free if name in around or name in chosen)] = None
    return sorted(wanted, key=len)


def _hypotheses(grid: ReferenceGrid, names: Sequence[str], by: Sequence[str]) -> list[np.ndarray]:
    """Interaction contrasts of the means of `names`, for each level of `by`: within each combination of the factors in
    which others of them are nested, the products of the consecutive differences of those."""
    cells = margins(grid, [*names, *by])
    around = {outer for name in names for outer in grid.nested.get(name, ())}
    fixed, free = [name for name in names if name in around], [name for name in names if name not in around]
    found = []
    for block in _groups(cells.frame, by):
        rows = [np.zeros((0, cells.rows.shape[1]))]
        for inside in _groups(cells.frame, fixed, block):
            weights: np.ndarray = np.ones((1, 1))
            for name in free:
                k = cells.frame[name].iloc[inside].nunique()
                weights = np.kron(np.diff(np.eye(k), axis=0), weights)
            rows.append(combine(weights, cells.rows[inside]))
        found.append(np.concatenate(rows))
    return found


def _groups(frame: pd.DataFrame, by: Sequence[str], rows: np.ndarray | None = None) -> list[np.ndarray]:
    """Row numbers of each combination of the columns `by`."""
    rows = np.arange(len(frame)) if rows is None else rows
    if not by:
        return [rows]
    family = frame.iloc[rows].groupby(list(by), sort=False, observed=True).ngroup().to_numpy()
    return [rows[family == g] for g in range(family.max() + 1)]


def _confounded(
    inference: Inference,
    grid: ReferenceGrid,
    free: Sequence[str],
    by: Sequence[str],
    tested: Sequence[Sequence[np.ndarray]],
) -> list[np.ndarray]:
    """Estimable contrasts among all cells that are uncorrelated with those tested, for each level of `by`."""
    cells = margins(grid, [*free, *by])
    found = []
    for block, done in zip(_groups(cells.frame, by), tested):
        everything = orthonormal_rows(estimable_rows(inference, np.diff(cells.rows[block], axis=0)))
        if done:
            known = orthonormal_rows(np.concatenate(done))
            both = inference.covariance(np.concatenate([known, everything]))
            k = len(known)
            shared = np.linalg.solve(both[:k, :k], both[:k, k:]).T
            everything = everything - shared @ known
            size = np.sqrt(np.diag(both))[k:]
            left = np.sqrt(np.maximum(np.diag(both)[k:] - np.einsum("ij,ij->i", shared, both[k:, :k]), 0.0))
            everything = everything[left > 1e-6 * size]
        found.append(everything)
    return found
