"""Joint tests: are several linear functions of β all zero, and one such test for every term of a model.

    F = (Lβ̂)' (L cov L')⁻¹ Lβ̂ / rank(L)

emmeans takes for its denominator the smallest degrees of freedom among the rows of L, orthonormalized in their order. Functions that are not
estimable are left out: what remains are the combinations of rows that are.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from .core import FTest, Inference, f_pvalue


def orthonormal_rows(L: np.ndarray) -> np.ndarray:
    """Rows of `L` (k, p), made orthonormal one after another; dependent ones are left out."""
    basis: list[np.ndarray] = []
    for row in L:
        size = np.linalg.norm(row)
        for _ in range(2):
            for other in basis:
                row = row - (other @ row) * other
        rest = np.linalg.norm(row)
        if rest > 1e-8 * size:
            basis.append(row / rest)
    return np.array(basis).reshape(-1, L.shape[1])


def estimable_rows(inference: Inference, L: np.ndarray) -> np.ndarray:
    """Combinations of the rows of `L` that are estimable; `L` itself when all are."""
    L = L[~np.isnan(L).any(1)]
    if not len(L) or inference.estimable(L).all():
        return L
    needs = L @ inference.null_space
    vectors, values, _ = np.linalg.svd(needs)
    rank = int((values > 1e-8 * values.max(initial=0.0)).sum())
    return vectors[:, rank:].T @ L


def joint_test(inference: Inference, L: np.ndarray, *, den_df: str = "smallest") -> tuple[FTest, bool]:
    """F test of Lβ = 0, and whether something was left out as not estimable.

    Parameters
    ----------
    inference : Inference
    L : (k, p) array
    den_df : {"smallest", "joint"}
        The smallest df of orthonormal rows (emmeans'), or that of `Inference.f_test`.
    """
    if den_df not in ("smallest", "joint"):
        raise ValueError(f"unknown den_df {den_df!r}; there are smallest, joint")
    full = orthonormal_rows(np.nan_to_num(L))
    rows = orthonormal_rows(estimable_rows(inference, L))
    reduced = len(rows) < len(full)
    if not len(rows):
        return FTest(np.nan, 0.0, np.nan, np.nan), reduced
    if den_df == "joint":
        return inference.f_test(rows), reduced
    estimate, cov = inference.estimate(rows), inference.covariance(rows)
    F = float(estimate @ np.linalg.solve(cov, estimate)) / len(rows)
    df = float(np.min(inference.df(rows)))
    return FTest(F, float(len(rows)), df, float(f_pvalue(F, len(rows), df))), reduced


def joint_tests(
    design: Any, inference: Inference, *, by: Any = None, at: Any = None, den_df: str = "smallest"
) -> pd.DataFrame:
    """One joint test for every term of the fixed part: Type III tests from marginal means.

    Each term is tested by the interaction contrasts of the means of its factors, averaged equally over all others. A covariate
    is a factor with two levels, its mean minus and plus one. (So does emmeans' ``joint_tests``.)

    Parameters
    ----------
    design : Design
        Made from a formula.
    inference : Inference
    by : str or sequence of str, optional
        Factors at each of whose levels to test the others.
    at : mapping, optional
        Values of variables of the reference grid.
    den_df : {"smallest", "joint"}

    Returns
    -------
    DataFrame
        The columns of `by`, then term, num_df, den_df, F, p; ``attrs["notes"]``.
    """
    from .contrasts import consec
    from .grid import margins, model_terms, reference_grid, split_specs

    terms = model_terms(design)
    around = {name: [mean - 1, mean + 1] for name, mean in terms.means.items()}
    grid = reference_grid(design, around | dict(at or {}))
    _, by_names = split_specs((), by, grid)
    present = [name for name in grid.values if len(grid.values[name]) > 1 and name not in by_names]
    groups = margins(grid, by_names).frame if by_names else pd.DataFrame(index=range(1))
    out, reduced_terms = [], []
    for names in _model_terms(grid.terms, present, by_names, grid.nested):
        # by varies slowest: each of its levels has one block of rows
        cells = margins(grid, [*names, *by_names])
        blocks = (
            np.split(cells.rows, len(groups))
            if not grid.nested
            else _blocks(cells.frame, by_names, groups, cells.rows)
        )
        for g, block in enumerate(blocks):
            L = _interaction(block, cells.frame.iloc[: len(block)], names, grid, consec)
            test, reduced = joint_test(inference, L, den_df=den_df)
            head = dict(groups.iloc[g]) if by_names else {}
            out.append(
                head
                | {"term": ":".join(names)}
                | {k: getattr(test, k) for k in ("num_df", "den_df", "F", "p")}
            )
            if reduced:
                reduced_terms.append(":".join(names))
    columns = [*by_names, "term", "num_df", "den_df", "F", "p"]
    frame = pd.DataFrame(out, columns=pd.Index(columns))
    if by_names:
        order = frame.groupby(by_names, sort=False, observed=True).ngroup().to_numpy()
        frame = frame.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
    notes = [f"Degrees of freedom: {inference.ddf}", *inference.notes]
    if reduced_terms:
        notes.append(f"df1 reduced, since not all is estimable: {', '.join(dict.fromkeys(reduced_terms))}")
    frame.attrs["notes"] = tuple(notes)
    return frame


def _model_terms(
    terms: tuple[frozenset[str], ...], present: list[str], by: list[str], nested: Any
) -> list[tuple[str, ...]]:
    """Sets of variables to test: those of the terms and all that they contain, without `by`, by size."""
    wanted: dict[tuple[str, ...], None] = {}
    for use in terms:
        left = [name for name in present if name in use]
        for size in range(1, len(left) + 1):
            for names in combinations(left, size):
                if all(outer in names for name in names for outer in nested.get(name, ())):
                    wanted[names] = None
    return sorted(wanted, key=len)


def _blocks(frame: pd.DataFrame, by: list[str], groups: pd.DataFrame, rows: np.ndarray) -> list[np.ndarray]:
    if not by:
        return [rows]
    family = frame.groupby(by, sort=False, observed=True).ngroup().to_numpy()
    return [rows[family == g] for g in range(len(groups))]


def _interaction(
    block: np.ndarray, frame: pd.DataFrame, names: tuple[str, ...], grid: Any, consec: Any
) -> np.ndarray:
    """Interaction contrasts of cells; within the outer factors where some are nested."""
    inner = [name for name in names if name in grid.nested]
    if not inner:
        L = block
        weight = np.ones((1, 1))
        for name in names:
            one = consec([str(v) for v in grid.values[name]]).coefficients
            weight = np.kron(one, weight)
        return weight @ L
    outer = [name for name in names if name not in inner]
    family = frame.groupby(outer, sort=False, observed=True).ngroup().to_numpy()
    return np.concatenate([np.diff(block[family == g], axis=0) for g in range(family.max() + 1)])
