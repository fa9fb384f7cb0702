"""statsmodels' `t_test_pairwise`: differences between the levels of a factor as its coefficients have them.

rows = (C_j − C_i) at the columns of the term, C the coding matrix of the L levels; then t tests of the rows, and their
p-values adjusted. Other terms do not move: with interactions the differences are those at the others' reference, where
`emmeans(...).pairs()` averages over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from henderson.arguments import probability
from henderson.design.intercept import other_spelling
from henderson.means.multiplicity.adjust import Family, adjusted_p

if TYPE_CHECKING:
    from henderson.results.constraint_tests import ConstraintTests

FloatArray = np.ndarray

#: statsmodels' names of a method -> the registry's
METHODS = {
    "b": "bonferroni", "bonf": "bonferroni", "bonferroni": "bonferroni",
    "s": "sidak", "sidak": "sidak",
    "h": "holm", "holm": "holm",
    "hs": "holm-sidak", "holm-sidak": "holm-sidak",
    "sh": "hochberg", "simes-hochberg": "hochberg",
    "ho": "hommel", "hommel": "hommel",
    "fdr_bh": "fdr", "fdr_i": "fdr", "fdr_p": "fdr", "fdri": "fdr", "fdrp": "fdr",
    "fdr_by": "by", "fdr_n": "by", "fdr_c": "by", "fdrn": "by", "fdrcorr": "by",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PairwiseTests:
    """What `t_test_pairwise` returns; statsmodels' MultiCompResult.

    Attributes
    ----------
    result_frame : DataFrame
        A row a pair, ``later-earlier``; the columns of `t_test(...).summary_frame()`, then ``pvalue-<method>`` and
        ``reject-<method>`` for each method.
    contrasts : (m, k_fe) array
        The pairs, over the fixed effects.
    term : str
    contrast_labels : list of m str
    term_encoding_matrix : (L, k) array
        Columns of the term at its levels.
    """

    result_frame: pd.DataFrame
    contrasts: FloatArray
    term: str
    contrast_labels: list[str]
    term_encoding_matrix: FloatArray

    def __repr__(self) -> str:
        return f"Pairs of {self.term}\n{self.result_frame}"

    def _repr_html_(self) -> str:
        return self.result_frame.to_html()


def pairwise(
    results: ConstraintTests,
    term_name: str,
    method: str | Sequence[str] = "hs",
    alpha: float = 0.05,
    factor_labels: Sequence[str] | None = None,
) -> PairwiseTests:
    """Test all pairs of levels; see `MixedLMResults.t_test_pairwise`."""
    alpha = probability(alpha, "alpha")
    methods = {one: method_called(one) for one in ([method] if isinstance(method, str) else list(method))}
    at, levels, coding = coding_of(results, term_name)
    if factor_labels is not None and len(factor_labels) != len(levels):
        raise ValueError(f"factor_labels: {term_name} has {len(levels)} levels, not {len(factor_labels)}")
    names = levels if factor_labels is None else list(factor_labels)
    pairs = list(combinations(range(len(names)), 2))
    rows = np.zeros((len(pairs), len(results.design.x_names)))
    rows[:, at] = np.array([coding[j] - coding[i] for i, j in pairs]).reshape(len(pairs), -1)
    labels = [f"{names[j]}-{names[i]}" for i, j in pairs]
    tests = results.t_test(rows)
    frame = tests.summary_frame(labels, alpha)
    family = Family(np.asarray(tests.statistic), np.asarray(tests.df_denom), np.empty((0, 0)), 0)
    for given, name in methods.items():
        p = holm_sidak(family.raw_p) if name == "holm-sidak" else adjusted_p(name, family)
        frame[f"pvalue-{given}"], frame[f"reject-{given}"] = p, p <= alpha
    return PairwiseTests(frame, rows, term_name, labels, coding)


def method_called(name: object) -> str:
    """The adjustment that statsmodels calls so."""
    if name not in METHODS:
        raise ValueError(f"method: there is no adjustment {name!r}; there are {', '.join(METHODS)}")
    return METHODS[str(name)]


def coding_of(results: ConstraintTests, term_name: str) -> tuple[slice, list[str], FloatArray]:
    """The columns of a term of one factor, its levels, and what its columns are at them, (L, k)."""
    spec = getattr(results.design.specs, "fixed", None)
    if spec is None:
        raise ValueError("t_test_pairwise needs a model that was made by a formula; use t_test with a matrix")
    terms = {":".join(term): k for k, term in enumerate(spec.terms)}
    if term_name not in terms:
        known = ", ".join(name for name in terms if name) or other_spelling("(Intercept)")
        raise ValueError(f"term_name: the fixed part has no term {term_name!r}; it has {known}")
    k = terms[term_name]
    if len(spec.terms[k]) != 1:
        raise ValueError(f"{term_name} is an interaction: t_test_pairwise is of one factor, emmeans().pairs() of any")
    factor = spec.factors[spec.terms[k][0]]
    if factor.levels is None:
        raise ValueError(f"{term_name} is a number and has no levels to compare")
    ((_, full),) = spec.pieces[k][0]
    coding = np.eye(len(factor.levels)) if full else factor.contrasts
    return spec.slices[k], [str(level) for level in factor.levels], coding


def holm_sidak(p: FloatArray) -> FloatArray:
    """1 − (1 − p₍ᵢ₎)^{k − i + 1}, made monotone from the smallest on; NaN stays.

    Examples
    --------
    >>> holm_sidak(np.array([0.04, 0.01])).round(4)
    array([0.04  , 0.0199])
    """
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    k = len(p)
    stepped = -np.expm1((k - np.arange(k)) * np.log1p(-p[order]))
    out = np.empty(k)
    out[order] = np.maximum.accumulate(np.where(np.isnan(stepped), -np.inf, stepped))
    return np.where(np.isnan(p), np.nan, out)
