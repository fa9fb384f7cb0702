"""Multiple membership against n × n algebra, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.errors import DataError, FormulaError

ROUNDING = 1e-9


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Pupils with three teachers each, some of them twice; a crossed school."""
    rng = np.random.default_rng(8)
    n, teachers = 240, np.array([f"t{k}" for k in range(20)])
    members = rng.integers(20, size=(n, 3))
    weights = rng.integers(1, 5, size=(n, 3)).astype(float)
    table = pd.DataFrame(
        {f"t{k}": teachers[members[:, k]] for k in range(3)} | {f"w{k}": weights[:, k] for k in range(3)}
    )
    table["school"], table["x"] = rng.integers(6, size=n), rng.normal(size=n)
    effect = 1.2 * rng.normal(size=20)
    share = weights / weights.sum(axis=1, keepdims=True)
    table["y"] = 1 + 0.3 * table["x"] + (share * effect[members]).sum(axis=1) + rng.normal(size=n)
    return table


def matrix(data, levels, weights, column=None):
    Z = np.zeros((len(data), len(levels)))
    for k in range(3):
        places = levels.get_indexer(data[f"t{k}"])
        np.add.at(Z, (np.arange(len(data)), places), weights[:, k])
    return Z if column is None else Z * column.to_numpy()[:, None]


def scaled(data):
    weights = data[["w0", "w1", "w2"]].to_numpy()
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("bar", "weights"),
    [
        ("(1 | mm(t0, t1, t2))", lambda d: np.full((len(d), 3), 1 / 3)),
        ("(1 | mm(t0, t1, t2, scale=False))", lambda d: np.ones((len(d), 3))),
        ("(1 | mm(t0, t1, t2, weights=c(w0, w1, w2)))", scaled),
        ("(1 | mm(t0, t1, t2, weights = cbind(w0, w1, w2), scale = TRUE))", scaled),
        ("(1 | mm(t0, t1, t2, weights=(w0, w1, w2), scale=FALSE))", lambda d: d[["w0", "w1", "w2"]].to_numpy()),
        ("(0 + x | mm(t0, t1, t2))", lambda d: np.full((len(d), 3), 1 / 3)),
    ],
)
@pytest.mark.parametrize("more", ["", " + (1 | school)"])
def test_dense_algebra(data, bar, weights, more):
    fit = henderson.lmer(f"y ~ x + {bar}{more}", data)
    term = fit.engine.design.terms[0]
    assert term.levels.tolist() == sorted(f"t{k}" for k in range(20))
    Z = matrix(data, term.levels, weights(data), data["x"] if bar.startswith("(0") else None)
    tau = [float(lam[0, 0] ** 2) * fit.engine.sigma**2 for lam in fit.engine.lam]
    V = fit.engine.sigma**2 * np.eye(len(data)) + tau[0] * Z @ Z.T
    if more:
        V += tau[1] * np.equal.outer(data["school"].to_numpy(), data["school"].to_numpy())
    X, y = np.column_stack([np.ones(len(data)), data["x"]]), data["y"].to_numpy()
    inverse = np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
    e = y - X @ beta
    deviance = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ inverse @ X)[1] + e @ inverse @ e
    assert fit.deviance == pytest.approx(deviance + (len(y) - 2) * np.log(2 * np.pi), abs=1e-8)
    np.testing.assert_allclose(fit.params, beta, rtol=ROUNDING)
    np.testing.assert_allclose(fit.ranef[term.group].iloc[:, 0], tau[0] * Z.T @ inverse @ e, atol=ROUNDING)
    assert fit.engine.optimum.converged
    np.testing.assert_allclose(fit.predict(data.iloc[:5], re="all"), fit.fittedvalues[:5], atol=ROUNDING)


def test_new_members(data):
    bar = "(1 | mm(t0, t1, t2, weights=c(w0, w1, w2)))"
    fit = henderson.lmer(f"y ~ x + {bar}", data)
    np.testing.assert_allclose(fit.predict(data.iloc[:5], re=bar), fit.predict(data.iloc[:5], re="all"))
    strange = data.iloc[:1].assign(t1="stranger")
    with pytest.raises(DataError, match="'t1' has the level 'stranger'"):
        fit.predict(strange, re="all")
    assert "mm(t0, t1, t2, weights" in str(fit.summary())


def test_saved_and_read(data, tmp_path):
    fit = henderson.lmer("y ~ x + (1 | mm(t0, t1, t2, weights=c(w0, w1, w2)))", data)
    fit.save(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson")
    np.testing.assert_allclose(again.predict(data.iloc[:5], re="all"), fit.predict(data.iloc[:5], re="all"))


@pytest.mark.parametrize(
    ("bar", "error", "said"),
    [
        ("(1 | mm(t0))", FormulaError, "takes two columns of members or more"),
        ("(1 | mm(t0, t1 + t2))", FormulaError, r"'t1 \+ t2' is not a column"),
        ("(1 | mm(t0, t1, weights=c(w0)))", FormulaError, "2 members and 1 weights"),
        ("(1 | mm(t0, t1, weights=w0))", FormulaError, r"as in weights=c\(w1, w2\), not 'w0'"),
        ("(1 | mm(t0, t1, by=x))", FormulaError, "takes columns, weights=.* not 'by=x'"),
        ("(1 | mm(t0, t1, scale=2))", FormulaError, "not 'scale=2'"),
        ("(x | mm(t0, t1))", FormulaError, "goes with one effect a level"),
        ("(x || mm(t0, t1))", FormulaError, "stands behind a single bar"),
        ("(1 | mm(t0, nobody))", FormulaError, "nobody"),
        ("(1 | mm(t0, school))", DataError, "columns of members are of different kinds, number and text"),
        ("(1 | mm(t0, t1, weights=c(w0, x)))", DataError, "finite and not negative: 'x' is -"),
        ("(1 | mm(t0, t1, weights=c(zero, zero)))", DataError, "all zero in row 0"),
    ],
)
def test_refused_by_name(data, bar, error, said):
    with pytest.raises(error, match=said):
        design_from_formula(f"y ~ x + {bar}", data.assign(zero=0.0))


def test_members_have_no_relationships(data):
    with pytest.raises(FormulaError, match="relmat does not go with mm"):
        henderson.lmer("y ~ x + (1 | mm(t0, t1))", data, relmat={"mm(t0, t1)": np.eye(20)})


def test_members_that_the_fit_does_not_have(data):
    # a new observation adds Σ_t (Σ_{m: label t} w_m)² σ²: a label that stands twice in a row is one member
    fit = henderson.lmer("y ~ x + (1 | mm(t0, t1, weights=c(w0, w1)))", data)
    share = data.w0.iloc[:2].to_numpy() / (data.w0 + data.w1).iloc[:2].to_numpy()
    variance, own = fit.varcorr.vcov.iloc[0], {"variance_uncertainty": False, "interval": "prediction"}
    mean = fit.predict(data.iloc[:2], interval="confidence", variance_uncertainty=False).se ** 2
    for labels, load in (({"t0": "a", "t1": "b"}, share**2 + (1 - share) ** 2), ({"t0": "a", "t1": "a"}, 1.0)):
        rows = data.iloc[:2].assign(**labels)
        want = np.sqrt(mean + fit.scale + variance * load)
        for found in (fit.predict(rows, **own), fit.predict(rows, re="all", new_levels="population", **own)):
            np.testing.assert_allclose(found.se, want, rtol=1e-6)
    without = fit.predict(data.iloc[:2].drop(columns=["t0", "t1"]), **own)
    np.testing.assert_allclose(without, fit.predict(data.iloc[:2].assign(t0="a", t1="b"), **own))
    with pytest.raises(DataError, match=r"'t0' has the level 3 .int. in row 0"):
        fit.predict(data.iloc[:1].assign(t0=3), re="all", new_levels="population")


def test_new_members_are_drawn_one_by_one(data):
    fit = henderson.lmer("y ~ x + (1 | mm(t0, t1))", data)
    rows = data.iloc[:3].assign(t0=["new", "new", "newer"], t1=["newer", "newest", data.t1.iloc[0]])
    drawn = np.asarray(fit.simulate(4000, rows, params={"varcorr": {"mm(t0, t1)": 4.0}, "sigma": 1e-3}, seed=1))
    # rows 1 and 2 share "new", 1 and 3 "newer": covariances are 4 / 4
    np.testing.assert_allclose(np.cov(drawn), [[2, 1, 1], [1, 2, 0], [1, 0, 2]], atol=0.15)
