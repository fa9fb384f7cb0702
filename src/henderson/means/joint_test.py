"""A joint test: are several linear functions of β all zero?

    F = (Lβ̂)' (L cov L')⁻¹ Lβ̂ / rank(L)

emmeans takes for its denominator the smallest degrees of freedom among the rows of L, orthonormalized in
their order. Functions that are not estimable are left out: what remains are the combinations of rows that
are.
"""

from __future__ import annotations

import numpy as np

from henderson.inference.inference import FTest, Inference
from henderson.means.estimability import ROUNDING, combine
from henderson.numerics.distributions import f_pvalue


def orthonormal_rows(L: np.ndarray) -> np.ndarray:
    """Rows of `L` (k, p), made orthonormal one after another; dependent ones are left out."""
    basis: list[np.ndarray] = []
    for row in L:
        size, total = np.linalg.norm(row), np.abs(row)
        for _ in range(2):
            for other in basis:
                part = (other @ row) * other
                row, total = row - part, total + np.abs(part)
        row = np.where(np.abs(row) < ROUNDING * total, 0.0, row)
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
    return combine(vectors[:, rank:].T, L)


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
