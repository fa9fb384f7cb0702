"""Variables are found under every name that a formula could give them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(27)
    data = pd.DataFrame({"s": np.repeat(np.arange(14), 8), "my f": np.tile(list("pqpqqrrp"), 14)})
    data["x 1"], data["b"] = rng.normal(size=112), rng.choice(list("tuv"), 112)
    data["yr"] = rng.choice([2019, 2020, 2021, 2022, 2023], 112)
    data["late"] = np.where(data["yr"] > 2021, "yes", "no")
    data["y"] = rng.normal(size=14)[data["s"]] + rng.normal(size=112)
    return data


@pytest.fixture(scope="module")
def fits(table):
    plain = table.rename(columns={"my f": "f", "x 1": "x"})
    return [
        henderson.lmer("y ~ `my f` * `x 1` + b + (1 | s)", table),
        henderson.lmer("y ~ `my f` * Q('x 1') + b + (1 | s)", table),
        henderson.lmer("y ~ f * x + b + (1 | s)", plain),
    ]


@pytest.mark.parametrize("fit", [0, 1])
@pytest.mark.parametrize("factor", ["my f", "`my f`", "Q('my f')", 'Q("my f")'])
@pytest.mark.parametrize("covariate", ["x 1", "`x 1`", "Q('x 1')", 'Q("x 1")'])
def test_names_are_quoted_or_not(fits, fit, factor, covariate):
    named, plain = fits[fit], fits[2]
    for got, want in (
        (named.emmeans([factor], at={covariate: 1.0}), plain.emmeans("f", at={"x": 1.0})),
        (named.emmeans("b", by=factor), plain.emmeans("b", by="f")),
        (named.emtrends([factor], covariate), plain.emtrends("f", "x")),
    ):
        np.testing.assert_allclose(got.frame["estimate"], want.frame["estimate"], rtol=1e-7)
    text = f"{covariate} = b[T.u]"
    assert named.t_test(text).effect == pytest.approx(plain.t_test("x = b[T.u]").effect, rel=1e-7)
    assert named.f_test({covariate: 0, "b[T.u]": 0}).fvalue == pytest.approx(plain.f_test("x = 0, b[T.u] = 0").fvalue)


@pytest.mark.parametrize(
    "expression", ["C(yr > 2021)", "factor(yr > 2021)", "ifelse(yr > 2021, 'yes', 'no')", "C(1 * (yr > 2021))"]
)
def test_values_of_a_column_go_through_the_expression_that_uses_it(table, expression):
    # a level and a value of the column can be the same number: under the column's name it is a value
    inline = henderson.lmer(f"y ~ {expression} * b + (1 | s)", table)
    explicit = henderson.lmer("y ~ late * b + (1 | s)", table)
    for year, late in ((2019, "no"), (2023, "yes"), (1, "no")):
        got, want = inline.emmeans("b", at={"yr": [year]}), explicit.emmeans("b", at={"late": [late]})
        np.testing.assert_allclose(got.frame["estimate"], want.frame["estimate"], rtol=1e-7)
    # three years are two levels
    both = inline.emmeans("b", at={"yr": [2019, 2020, 2022]}).frame["estimate"]
    ends = [explicit.emmeans("b", at={"late": [late]}).frame["estimate"] for late in ("no", "yes")]
    np.testing.assert_allclose(both, (ends[0] + ends[1]) / 2, rtol=1e-7)


@pytest.mark.parametrize("name", ["C(yr > 2021)", "C(yr>2021)", "C( yr>2021 )", "yr"])
def test_levels_of_an_expression_by_its_name_however_it_is_spaced(table, name):
    inline = henderson.lmer("y ~ C(yr > 2021) * b + (1 | s)", table)
    explicit = henderson.lmer("y ~ late * b + (1 | s)", table)
    got, want = inline.emmeans("b", at={name: [True]}), explicit.emmeans("b", at={"late": ["yes"]})
    np.testing.assert_allclose(got.frame["estimate"], want.frame["estimate"], rtol=1e-7)


def test_a_left_side_says_how_contrasts_are_asked_for(fits):
    with pytest.raises(ValueError, match=r"emmeans\(…\).contrasts\('pairwise'\)"):
        fits[0].emmeans("pairwise ~ b")
    assert len(fits[0].emmeans("~ b").frame) == 3
