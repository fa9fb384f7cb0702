"""`t_test_pairwise` against statsmodels: rows as its OLS makes them, adjusted p-values as its `multipletests`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.contrast import t_test_multi
from statsmodels.stats.multitest import multitest_alias

from henderson import MixedLM, mixedlm
from henderson.compat.statsmodels.pairwise import METHODS, method_called

#: both compute the same numbers from the same estimates
ROUNDING = 1e-9

#: two-stage procedures, and the local false discovery rate, which statsmodels has besides
NOT_THERE = {"fdr_tsbh", "fdr_2sbh", "fdr_tsbky", "fdr_2sbky", "fdr_twostage", "fdr_gbs", "lfdr"}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"a": np.tile(list("pqrst"), 24), "x": rng.normal(size=120), "g": np.repeat(range(12), 10)})
    table["n"] = table["a"].map(dict(zip("pqrst", [1, 2, 3, 4, 5])))
    effect = table["a"].map(dict(zip("pqrst", [0.0, 0.2, 0.6, 0.7, 1.4])))
    return table.assign(y=effect + rng.normal(size=12)[table["g"]] + rng.normal(size=120))


@pytest.mark.parametrize(
    ("right", "term"),
    [
        ("a + x", "a"),
        ("x + C(a)", "C(a)"),
        ("C(n) + x", "C(n)"),
        ("C(a, Treatment('r')) + x", "C(a, Treatment('r'))"),
        ("C(a, Sum) + x", "C(a, Sum)"),
        ("0 + C(a) + x", "C(a)"),
    ],
)
def test_pairs_are_those_of_statsmodels(data, right, term):
    fit = mixedlm(f"y ~ {right}", data, groups="g").fit()
    found = fit.t_test_pairwise(term, list(METHODS))
    theirs = smf.ols(f"y ~ {right}", data).fit().t_test_pairwise(term)
    assert found.contrast_labels == theirs.contrast_labels
    order = [list(fit.fe_params.index).index(name) for name in smf.ols(f"y ~ {right}", data).exog_names]
    np.testing.assert_allclose(found.contrasts[:, order], theirs.contrasts, atol=ROUNDING)
    expected = t_test_multi(
        fit, found.contrasts, method=list(METHODS), ci_method=None, contrast_names=found.contrast_labels
    )
    pd.testing.assert_frame_equal(found.result_frame, expected, rtol=ROUNDING, check_dtype=False)


def test_every_name_of_statsmodels_is_known_or_refused_by_name():
    assert set(METHODS) <= set(multitest_alias)
    assert {multitest_alias[name] for name in multitest_alias if name not in METHODS} <= NOT_THERE
    for name in NOT_THERE & set(multitest_alias):
        with pytest.raises(ValueError, match="there is no adjustment"):
            method_called(name)


def test_bad_input_is_refused_by_name(data):
    fit = mixedlm("y ~ a * x", data, groups="g").fit()
    assert fit.t_test_pairwise("a", factor_labels=list("ABCDE"), alpha=0.1).result_frame.index[0] == "B-A"
    for given, message in (
        (("b",), "no term 'b'"),
        (("x",), "has no levels"),
        (("a:x",), "interaction"),
        (("a", "tukey"), "no adjustment 'tukey'"),
        (("a", "hs", 5), "alpha must be between"),
        (("a", "hs", 0.05, ["one"]), "5 levels, not 1"),
    ):
        with pytest.raises(ValueError, match=message):
            fit.t_test_pairwise(*given)
    arrays = MixedLM(data["y"], np.ones(len(data)), data["g"]).fit()
    with pytest.raises(ValueError, match="made by a formula"):
        arrays.t_test_pairwise("a")
