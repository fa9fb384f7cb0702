"""Hypotheses of terms beside covariates far from zero are those of the covariate less its mean.

The sequential rows of `x * f`, x at 10⁸ of its spreads, came from a QR decomposition of X, whose digits times a mean
are nothing: F of f was off by half, type II lost one of the two degrees of freedom of x:f, containment counted effects
that are there as none, and tests of `0 + f` (at x = 0, far away) died of a singular matrix.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import henderson
from henderson import lmer

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

#: digits that X carries, moved so far for a spread of one
RTOL = {2.0**13: 1e-8, 2.0**27: 1e-5, 2.0**33: 2e-4}
DDF = ["satterthwaite", "kenward-roger", "containment", "between-within", "residual"]


@cache
def fitted(formula, move):
    rng = np.random.default_rng(1)
    g, f = np.repeat(np.arange(10), 7), rng.choice(list("abc"), 70)
    x = np.round(rng.normal(size=70) * 1024) / 1024
    y = 3 + 0.5 * x + 0.4 * x * (f == "b") + rng.normal(size=10)[g] * (1 + 0.5 * x) + rng.normal(size=70)
    k = np.tile(list("uvvuvuu"), 10)
    return lmer(formula, {"y": y, "x": x + move, "f": f, "g": g, "k": k})


#: formula -> terms whose hypotheses of each type do not know where zero is
FORMULAS = {
    "y ~ x * f + (x | g)": {1: ["x", "f", "x:f"], 2: ["x", "f", "x:f"], 3: ["x:f"]},
    "y ~ 0 + f + f:x + (1 | g)": {1: ["f", "f:x"], 3: ["f:x"]},
    "y ~ 0 + f + x + (x | g)": {1: ["f", "x"], 2: ["x"], 3: ["x"]},
    "y ~ 0 + x + f + x:f + (1 | g)": {1: ["x:f"], 2: ["x", "x:f"], 3: ["x", "x:f"]},
    "y ~ 0 + x + f + k + x:f + (1 | g)": {1: ["k", "x:f"], 2: ["x", "k", "x:f"], 3: ["x", "k", "x:f"]},
}


@pytest.mark.parametrize("move", RTOL)
@pytest.mark.parametrize("formula", FORMULAS)
def test_terms(formula, move):
    near, far = fitted(formula, 0.0), fitted(formula, move)
    for kind, terms in FORMULAS[formula].items():
        if "x * f" in formula and kind == 2:
            terms = ["x", "x:f"]  # f without x:f is of the mean of x, and with it, of zero
        for ddf in DDF:
            one, two = (fit.anova(kind, ddf=ddf).loc[terms] for fit in (near, far))
            np.testing.assert_allclose(two, one, rtol=RTOL[move], atol=RTOL[move], err_msg=f"{kind} {ddf}")
    one, two = (fit.with_inference(cov="CR2").anova(1).loc[FORMULAS[formula][1]] for fit in (near, far))
    np.testing.assert_allclose(two, one, rtol=RTOL[move], atol=RTOL[move])


#: formula -> terms, of fits with redundant columns: of a cell without rows, of plots in blocks
REDUNDANT = {
    "y ~ f * k * x + (1 | g)": ["x", "f:x", "k:x", "f:k:x"],
    "y ~ block + x * f + plot + (1 | g)": ["block", "x", "plot", "x:f"],
}


@cache
def fitted_redundant(formula, move):
    rng = np.random.default_rng(1)
    f, k = rng.choice(list("abc"), 160), rng.choice(list("uv"), 160)
    g, kept = np.repeat(np.arange(20), 8), (f != "c") | (k != "v")
    x = np.round(rng.normal(size=160) * 1024) / 1024
    y = 3 + 0.5 * x + 0.4 * x * (f == "b") + rng.normal(size=20)[g] + rng.normal(size=160)
    columns = {
        "y": y,
        "x": x + move,
        "f": f,
        "k": k,
        "g": g,
        "block": (g // 5).astype(str),
        "plot": (g // 2).astype(str),
    }
    return lmer(formula, {name: column[kept] for name, column in columns.items()})


@pytest.mark.parametrize("move", RTOL)
@pytest.mark.parametrize("formula", REDUNDANT)
def test_terms_beside_redundant_columns(formula, move):
    """The weights of what a redundant column is a sum of were noise: f:x lost a degree of freedom, or x:block had one
    more."""
    near, far = fitted_redundant(formula, 0.0), fitted_redundant(formula, move)
    for kind in (2, 3):
        one, two = (fit.anova(kind) for fit in (near, far))
        terms = REDUNDANT[formula]
        np.testing.assert_allclose(two.loc[terms], one.loc[terms], rtol=RTOL[move], atol=RTOL[move])
        np.testing.assert_array_equal(two["num_df"], one["num_df"])


@pytest.mark.parametrize("move", [0.0, *RTOL])
@pytest.mark.parametrize("options", [{}, {"residual": "ident(k)"}])
def test_predictions_beside_redundant_columns(move, options):
    """One row is in cell c:v, where the model has a line: it is predicted where it is, and nowhere else. Its standard
    error was NaN; far from zero the line was told from the one row."""
    rng = np.random.default_rng(1)
    f, k, g = np.tile(list("abc"), 40), np.repeat(list("uv"), 60), np.tile(np.repeat(np.arange(10), 6), 2)
    x = np.round(rng.normal(size=120) * 1024) / 1024
    kept = (f != "c") | (k != "v") | (np.arange(120) == 62)
    y = x + rng.normal(size=10)[g] + rng.normal(size=120)
    fit = lmer(
        "y ~ x * f * k + (1 | g)",
        {"y": y[kept], "x": x[kept] + move, "f": f[kept], "k": k[kept], "g": g[kept]},
        **options,
    )
    new = {"x": x[62] + move + np.array([0.0, 0.5]), "f": ["c", "c"], "k": ["v", "v"], "g": g[[62, 62]]}
    with pytest.warns(henderson.ValueWarning, match="not estimable"):
        found = fit.predict(new, interval="confidence", re="none")
    assert np.isnan(found.iloc[1]).all()
    assert np.isfinite(found.iloc[0]).all()
    if not options:  # by dense algebra: a line for each of the other cells, and one coefficient for the row
        f, k, x, y, g = f[kept], k[kept], x[kept], y[kept], g[kept]
        inside = [(f == level) & (k == other) for level, other in ("au", "bu", "cu", "av", "bv")]
        alone = (f == "c") & (k == "v")
        X = np.column_stack([*(own * column for own in inside for column in (np.ones(len(x)), x)), alone])
        V = np.eye(len(x)) + fit.theta[0] ** 2 * (g[:, None] == g)
        cov = np.linalg.inv(X.T @ np.linalg.solve(V, X))
        expected = (cov @ X.T @ np.linalg.solve(V, y))[-1]
        rtol = RTOL.get(move, 1e-8)
        np.testing.assert_allclose(found["estimate"].iloc[0], expected, atol=rtol)
        np.testing.assert_allclose(found["se"].iloc[0], fit.sigma * np.sqrt(cov[-1, -1]), rtol=rtol)


@pytest.mark.parametrize("ddf", DDF)
def test_a_hypothesis_far_from_the_data_has_an_f(ddf):
    """Of `0 + f + x`, f is of means at x = 0. There the three are all but one: F is of the line through x, f apart."""
    far = fitted("y ~ 0 + f + x + (x | g)", 2.0**20)
    test = far.anova(3, ddf=ddf).loc["f"]
    L = np.eye(4)[:3]
    B = far.engine.basis
    W = np.linalg.cholesky(far.engine.turned_vcov).T @ (L @ B.to_beta).T
    expected = np.square(np.linalg.lstsq(W, np.eye(4), rcond=None)[0].T @ (L @ far.params)).sum() / 3
    if ddf != "kenward-roger":  # whose covariance is another
        assert test["F"] == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(test["den_df"])


def test_after_saving_without_rows(tmp_path):
    far = fitted("y ~ x * f + (x | g)", 2.0**27)
    far.save(tmp_path / "far.json", remove_data=True, format="henderson")
    light = henderson.load(tmp_path / "far.json")
    for kind in (1, 2, 3):
        np.testing.assert_allclose(light.anova(kind), far.anova(kind), rtol=1e-7)
