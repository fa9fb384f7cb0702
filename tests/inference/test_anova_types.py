"""Types of hypotheses where terms are redundant, and without an intercept."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.inference.anova.anova import hypotheses

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


def test_an_empty_cell_that_takes_a_whole_interaction_with_it():
    # lmerTest 3.1-3, anova(m, type = ) of yield ~ N*P*K + (1 | block), npk less cell N0:P0:K1. Type III is as in SAS:
    # the hypotheses speak of cells, so they differ from those of (N + P + K)^2, which spans the same columns
    listed = {
        1: [(8.49068362, 11.7650441), (0.53719754, 12.4119492), (5.08944169, 13.2934161), (2.34114922, 13.9991866),
            (0.23331794, 11.9291184), (0.50963963, 5.4444905)],
        2: [(8.82183910, 13.9991866), (0.23525004, 13.9991866), (6.12627715, 13.9991866), (1.26954938, 5.4444904),
            (0.00118366, 5.4444905), (0.50963963, 5.4444905)],
        3: [(6.88882998, 9.2437259), (0.00213209, 9.2437259), (4.60489108, 9.2437259), (1.26954938, 5.4444904),
            (0.00118366, 5.4444905), (0.50963963, 5.4444905)],
    }  # fmt: skip
    table = npk()
    table = table[~((table.N == "0") & (table.P == "0") & (table.K == "1"))]
    with pytest.warns(henderson.ValueWarning, match="dropped"):
        fit = henderson.lmer("y ~ N*P*K + (1 | b)", table)
    for kind, expected in listed.items():
        tests = fit.anova(type=kind)
        np.testing.assert_allclose(tests[["F", "den_df"]].iloc[:6], expected, rtol=1e-4)
        assert tests.loc["N:P:K", "num_df"] == 0
    np.testing.assert_allclose(hypotheses(fit.engine, 3)["N"][0, [1, 4, 5, 6]], [1, 3 / 5, 2 / 5, 0], atol=1e-10)


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


def test_a_redundant_term_stays_in_the_hypotheses_of_those_that_it_contains():
    # lmerTest 3.1-3: anova(lmer(y ~ A*B*E + (1 | s))), and of y ~ (A + B + E)^2 + (1 | s), which spans the same columns
    listed = {
        "A*B*E": [(0.239645798, 21.886202), (0.220578348, 72.141579), (0.216712713, 75.464187)],
        "(A + B + E)**2": [(0.11738592, 30.65971), (0.25763692, 72.31717), (0.15173293, 75.56385)],
    }
    shared = [(0.113756322, 71.051772), (1.389442555, 74.163676), (0.013998272, 72.968847)]
    table = unbalanced()
    table = table[~((table["A"] == "p") & (table["B"] == "w")) & ~((table["B"] == "u") & (table["E"] != "e"))]
    for right, expected in listed.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tests = henderson.lmer(f"y ~ {right} + (1 | s)", table).anova(type=3)
        np.testing.assert_allclose(tests[["F", "den_df"]].iloc[:6], expected + shared, rtol=1e-5)
