"""Types of hypotheses where terms are redundant, and without an intercept."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson

# R's npk (Venables and Ripley 2002): three factors in blocks of four, N:P:K confounded with blocks
YIELD = [
    49.5, 62.8, 46.8, 57.0, 59.8, 58.5, 55.5, 56.0, 62.8, 55.8, 69.5, 55.0,
    62.0, 48.8, 45.5, 44.2, 52.0, 51.5, 49.8, 48.8, 57.2, 59.0, 53.2, 56.0,
]  # fmt: skip
N, P, K = "010111000110110010101100", "110001011100010110010110", "100101100101011000111010"


def npk() -> pd.DataFrame:
    table = pd.DataFrame({"N": list(N), "P": list(P), "K": list(K), "y": YIELD})
    return table.assign(b=np.repeat(list("123456"), 4))


def test_types_agree_when_a_whole_term_is_redundant():
    with pytest.warns(henderson.ValueWarning, match="dropped"):
        fit = henderson.lmer("y ~ b + N*P*K + (1 | b:N)", npk())
    for kind in (1, 2, 3):
        table = fit.anova(type=kind)
        for term, F, df in (("N", 7.7229, 4), ("P", 0.7704, 8), ("K", 8.7291, 8)):
            assert table.loc[term, "F"] == pytest.approx(F, abs=1e-3), (kind, term)
            assert table.loc[term, "den_df"] == pytest.approx(df, abs=1e-3), (kind, term)
        assert table.loc["N:P:K", "num_df"] == 0
        assert table.loc["b", "num_df"] == 5


def unbalanced() -> pd.DataFrame:
    rng = np.random.default_rng(51)
    s = np.repeat(np.arange(18), 8)
    table = pd.DataFrame({"s": s, "A": np.array(list("pq"))[s % 2], "B": np.tile(list("uvwuvwuv"), 18)})
    table["E"] = rng.choice(list("efgh"), 144, p=[0.4, 0.3, 0.2, 0.1])
    table["y"] = 0.4 * (table["A"] == "q") + rng.normal(size=18)[s] + rng.normal(size=144)
    return table


@pytest.mark.parametrize("right", ["A + B", "A*B", "A + B*E", "A*E + B"])
@pytest.mark.parametrize("kind", [2, 3])
def test_without_an_intercept_terms_stand_for_differences(right, kind):
    table = unbalanced()
    fits = [henderson.lmer(f"y ~ {left}{right} + (1 | s)", table) for left in ("", "0 + ")]
    one, two = (fit.anova(type=kind) for fit in fits)
    for term in one.index:
        assert one.loc[term, "num_df"] == two.loc[term, "num_df"]
        assert one.loc[term, "F"] == pytest.approx(two.loc[term, "F"], rel=1e-5)


def test_one_term_has_one_type():
    table = unbalanced()
    for right in ("E + (E | s)", "A + (1 | s)", "0 + E + (1 | s)"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = henderson.lmer(f"y ~ {right}", table)
        tests = [fit.anova(type=kind) for kind in (1, 2, 3)]
        for other in tests[1:]:
            pd.testing.assert_frame_equal(pd.DataFrame(tests[0]), pd.DataFrame(other))


def test_a_redundant_term_is_out_of_the_model():
    table = unbalanced()
    table = table[~((table["A"] == "p") & (table["B"] == "w")) & ~((table["B"] == "u") & (table["E"] != "e"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = henderson.lmer("y ~ A*B*E + (1 | s)", table)
        less = henderson.lmer("y ~ (A + B + E)**2 + (1 | s)", table)
    if whole.anova(type=1).loc["A:B:E", "num_df"] == 0:
        one, two = whole.anova(type=3), less.anova(type=3)
        np.testing.assert_allclose(one.loc[two.index, "num_df"], two["num_df"])
        np.testing.assert_allclose(one.loc[two.index, "F"], two["F"], rtol=1e-6)
