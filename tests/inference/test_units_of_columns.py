"""Tests of several coefficients do not depend on the units of the covariates, nor on how far from zero they are.

The same fit in another unit, and a polynomial in orthonormal columns, are the oracles.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import kr_compare, lmer, mixedlm
from henderson.inference.comparison.submodels import coefficients_in

#: F follows from the fit: where its deviance is flat it has half the digits
SAME = 1e-6
#: Satterthwaite's df of several rows depend a little on the directions in which they are taken, in lmerTest too
DF = 0.02
#: the covariance of coefficients of years and their squares has half the digits
FAR = 1e-4

rng = np.random.default_rng(5)
N = 96
TABLE = pd.DataFrame(
    {
        "g": np.repeat(np.arange(12), 8),
        "f": np.resize(list("abc"), N),
        "x": np.round(rng.uniform(1, 9, N)),
        "z": rng.normal(size=N),
        "w": rng.normal(size=N),
    }
)
TABLE["y"] = rng.normal(size=12)[TABLE.g] + 0.1 * TABLE.x + 0.3 * TABLE.z + rng.normal(size=N)


@pytest.fixture(scope="module")
def near():
    return lmer("y ~ x * f + z + (1 | g)", TABLE)


@pytest.mark.parametrize("unit", [1e-12, 1e6, 1e12])
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "between-within"])
def test_columns_in_units_that_are_not_alike(near, unit, ddf):
    # Satterthwaite's F left out the coefficient of the larger unit: 0.0007 in place of 4.59
    other = lmer("y ~ x * f + z + (1 | g)", TABLE.assign(x=TABLE.x * unit))
    for asked in ("x = 0, z = 0", "x = 0, z = 0, f[T.b] = 0", np.eye(7)[[1, 4, 5, 1]]):
        one, two = (fit.with_inference(ddf=ddf).f_test(asked) for fit in (near, other))
        assert float(two.fvalue) == pytest.approx(float(one.fvalue), rel=SAME)
        assert float(two.df_denom) == pytest.approx(float(one.df_denom), rel=DF)
        assert two.df_num == one.df_num
    for kind in (1, 2, 3):
        np.testing.assert_allclose(other.anova(kind, ddf=ddf).F, near.anova(kind, ddf=ddf).F, rtol=SAME)
    np.testing.assert_allclose(other.joint_tests(ddf=ddf).F, near.joint_tests(ddf=ddf).F, rtol=SAME)


def test_two_models_in_units_that_are_not_alike():
    found = []
    for unit in (1.0, 1e-9, 1e9):
        table = TABLE.assign(x=TABLE.x * unit)
        found.append(kr_compare(lmer("y ~ x + (1 | g)", table), lmer("y ~ x * f + z + (1 | g)", table)).to_numpy(float))
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=SAME)


@pytest.mark.parametrize(("unit", "far", "degree"), [(1.0, 0.0, 3), (10.0, 0.0, 3), (1e5, 0.0, 3), (1.0, 2000.0, 2)])
@pytest.mark.parametrize("right", ["f + z", "f + z + x"])
def test_a_raw_polynomial_is_the_orthonormal_one(unit, far, degree, right):
    table = TABLE.assign(x=far + unit * TABLE.x)
    raw, plain = (lmer(f"y ~ poly(x, {degree}{how}) + {right} + (1 | g)", table) for how in (", raw=True", ""))
    for kind in (1, 2, 3):
        for ddf in ("satterthwaite", "kenward-roger"):
            one, two = raw.anova(kind, ddf=ddf).iloc[0], plain.anova(kind, ddf=ddf).iloc[0]
            assert one.num_df == two.num_df
            assert pytest.approx(two.F, rel=FAR) == one.F
            assert one.den_df == pytest.approx(two.den_df, rel=DF)


def test_joint_tests_far_from_zero_and_beside_a_logarithm():
    near = lmer("y ~ f * x + (1 | g)", TABLE).joint_tests()
    stamps = TABLE.assign(x=1_700_000_000_000_000_000 + (TABLE.x * 1e12).astype("int64"))  # ns: one more is rounding
    far = lmer("y ~ f * x + (1 | g)", stamps).joint_tests()
    assert far.term.tolist() == near.term.tolist()
    np.testing.assert_allclose(far.F[1:], near.F[1:], rtol=FAR)
    # the mean less one has no logarithm; the tests of x and of f:x are those of any two points
    small = lmer("y ~ f * log(x) + (1 | g)", TABLE.assign(x=TABLE.x / 10)).joint_tests()
    large = lmer("y ~ f * log(x) + (1 | g)", TABLE).joint_tests()
    assert small.term.tolist() == ["f", "x", "f:x"]
    np.testing.assert_allclose(small.F[1:], large.F[1:], rtol=SAME)


def test_wald_tests_behind_statsmodels_door():
    found = []
    for unit in (1.0, 1e9):
        fit = mixedlm("y ~ x + z + f", TABLE.assign(x=TABLE.x * unit), groups="g").fit()
        found.append([float(np.squeeze(fit.f_test("x = 0, z = 0").fvalue)), *fit.wald_test_terms().table.statistic])
    np.testing.assert_allclose(np.asarray(found[1], float), np.asarray(found[0], float), rtol=SAME)


@pytest.mark.parametrize("how", [{}, {"ddf": "kenward-roger"}, {"cov": "CR2"}, {"cov": "CR3"}], ids=str)
@pytest.mark.parametrize("bar", ["(1 | g)", "(x | g)"])
def test_means_and_predictions_at_time_stamps(how, bar):
    # the variance of a mean was a difference of numbers that agree in all but their last digits: 10 % off at 1e10;
    # clusters were reduced by cross-products that say little but the mean: 1 % at 1e6, a thousand deviations away
    near, far = (
        lmer(f"y ~ x * f + {bar}", TABLE.assign(x=TABLE.x * 100 + move)).with_inference(**how) for move in (0.0, 1e9)
    )
    assert far.bse.iloc[-1] == pytest.approx(near.bse.iloc[-1], rel=SAME)
    new = TABLE.assign(x=TABLE.x * 100).iloc[:3]
    for one, two in (
        (near.emmeans("f").frame, far.emmeans("f").frame),
        (near.emmeans("f").contrasts("pairwise").frame, far.emmeans("f").contrasts("pairwise").frame),
        (near.predict(new, se=True), far.predict(new.assign(x=new.x + 1e9), se=True)),
    ):
        for column in ("estimate", "se", "df"):
            np.testing.assert_allclose(two[column], one[column], rtol=SAME)


@pytest.mark.parametrize("ddf", ["containment", "between-within"])
@pytest.mark.parametrize("random", ["(1 | g)", "(x | g)"])
def test_counted_degrees_of_freedom_do_not_know_where_zero_is(ddf, random):
    # seconds and parts of them in nanoseconds since 1970: 1e-10 of their size were twice as much as they vary by
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(12), 8)
    within, between = (256 * np.round(1e6 * rng.normal(size=size)) for size in (96, 12))
    y = rng.normal(size=96) + rng.normal(size=12)[g] * (1 + within / 2.56e8)
    found = []
    for origin in (0.0, 1.7e18):
        data = {"y": y, "g": g, "x": within + origin, "t": between[g] + origin}
        found.append(lmer(f"y ~ x + t + {random}", data).with_inference(ddf=ddf).coef_table["df"].tolist())
    assert found[1] == found[0]
    assert found[0][1] > 10  # not that of a covariate that is constant within the groups


@pytest.mark.parametrize("origin", [0.0, 1e5, 1e8, 1e10])
def test_a_covariate_far_from_zero_is_not_taken_for_a_constant(origin):
    rng = np.random.default_rng(1)
    x, z, one = rng.normal(size=40) + origin, rng.normal(size=40) + origin, np.ones(40)
    levels = np.eye(4)[np.arange(40) % 4]
    for small, large in (([one, x], [one]), ([one, x], [one, z]), ([x], [*levels.T, z])):
        assert coefficients_in(np.column_stack(small), np.column_stack(large)) is None
    for small, large in (([one], [one, x]), ([2 * x + 1], [*levels.T, x]), ([x - z], [one, x, z]), ([x], [x, z])):
        b = coefficients_in(np.column_stack(small), np.column_stack(large))
        assert b is not None
        fitted = np.column_stack(large) @ b
        np.testing.assert_allclose(fitted, np.column_stack(small), rtol=0, atol=1e-13 * (1 + origin))
