"""A joint test for every term of the fixed part: Type III tests from marginal means.

Each term is tested by the interaction contrasts of the means of its variables, averaged equally over all
others. A covariate is a factor with two levels, its mean minus and plus one. Where cells are empty only what
is estimable is tested, and what no term accounts for is tested as "(confounded)". emmeans' ``joint_tests``
does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from henderson.engine.fit import Fit
from henderson.inference.inference import FTest, Inference
from henderson.means.contrasts import consec
from henderson.means.estimability import combine
from henderson.means.grid import ReferenceGrid, margins, reference_grid, split_specs
from henderson.means.joint_test import estimable_rows, joint_test, orthonormal_rows

CONFOUNDED = "(confounded)"


def joint_tests(
    fit: Fit,
    inference: Inference,
    *,
    by: str | Iterable[str] | None = None,
    at: Mapping[str, Any] | None = None,
    den_df: str = "smallest",
) -> pd.DataFrame:
    """A joint test for every term of the fixed part.

    Parameters
    ----------
    fit : Fit
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
    grid = reference_grid(fit, at, spread=1.0)
    _, by_names = split_specs((), by, grid)
    free = [name for name in grid.values if len(grid.values[name]) > 1 and name not in by_names]
    heads = margins(grid, by_names).frame if by_names else pd.DataFrame(index=range(1))
    out: list[dict[str, Any]] = []
    tested: list[list[np.ndarray]] = [[] for _ in range(len(heads))]
    reduced_terms: dict[str, None] = {}
    for names in _tested_terms(grid, free):
        term = ":".join(names)
        for g, L in enumerate(_hypotheses(grid, names, by_names, len(heads))):
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
    frame = pd.DataFrame(out, columns=pd.Index([*by_names, "term", "num_df", "den_df", "F", "p"]))
    notes = [f"Degrees of freedom: {inference.ddf}", *inference.notes]
    if reduced_terms:
        notes.append(f"Numerator df reduced, since not all is estimable: {', '.join(reduced_terms)}")
    frame.attrs["notes"] = tuple(notes)
    return frame


def _row(heads: pd.DataFrame, g: int, term: str, test: FTest) -> dict[str, Any]:
    row = {"term": term, "num_df": test.num_df, "den_df": test.den_df, "F": test.F, "p": test.p}
    return {str(name): heads[name].iloc[g] for name in heads.columns} | row


def _tested_terms(grid: ReferenceGrid, free: Sequence[str]) -> list[tuple[str, ...]]:
    """The model's terms in `free`, and all that they contain, by size; a nested factor only with those around
    it."""
    wanted: dict[tuple[str, ...], None] = {}
    for use in grid.terms:
        left = [name for name in free if name in use]
        for size in range(1, len(left) + 1):
            for names in combinations(left, size):
                if all(outer in names for name in names for outer in grid.nested.get(name, ()) if outer in free):
                    wanted[names] = None
    return sorted(wanted, key=len)


def _hypotheses(grid: ReferenceGrid, names: Sequence[str], by: Sequence[str], n_heads: int) -> list[np.ndarray]:
    """Interaction contrasts of the means of `names`, for each level of `by`."""
    cells = margins(grid, [*names, *by])
    if not grid.nested:
        # `by` varies slowest: each of its levels has one block of rows
        weights = np.ones((1, 1))
        for name in names:
            weights = np.kron(consec([str(v) for v in grid.values[name]]).coefficients, weights)
        return [combine(weights, block) for block in np.split(cells.rows, n_heads)]
    within = [*(name for name in names if name not in grid.nested or name == names[0]), *by]
    outer = [name for name in within if any(name in around for around in grid.nested.values())] or list(by)
    found = []
    for block in _groups(cells.frame, by):
        rows = [np.diff(cells.rows[inside], axis=0) for inside in _groups(cells.frame, outer, block)]
        found.append(
            np.concatenate(rows) if any(n in grid.nested for n in names) else np.diff(cells.rows[block], axis=0)
        )
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
