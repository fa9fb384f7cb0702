"""Pictures and checks of models whose residuals correlate: the numbers in the artists are those of the results."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.reference import Data
from tests.structured import covariance

import henderson
from drawn import line, points, segments, ticks
from henderson import lmer, mmrm
from henderson.errors import NotAvailable
from henderson.results.fitted import MixedModelResults

FEV = henderson.datasets.load("fev")
SITES = FEV.assign(SITE=(FEV["USUBJID"].str[2:].astype(int) % 12).astype(str))
SITES["FEV1"] += 6 * np.sin(SITES["SITE"].astype(int))
US = mmrm("FEV1 ~ ARMCD * AVISIT + us(AVISIT | USUBJID)", FEV, weights="WEIGHT")
RANDOM = lmer("FEV1 ~ ARMCD + (1 | SITE)", SITES, residual="ar1h(AVISIT | USUBJID)")
BOTH = pytest.mark.parametrize("found", [US, RANDOM], ids=["us", "ar1h in sites"])


def by_hand(found: MixedModelResults) -> pd.DataFrame:
    """Products of residuals and correlations of the model, pair by pair."""
    fit, rows = found.engine, found.engine.observed
    V = covariance(Data(fit.design, rows), fit.sigma**2 * fit.g, fit.psi)
    size = np.sqrt(np.diag(V))
    z = (rows.y - rows.mean(fit.beta, fit.kept)) / size
    w, series = np.asarray(found.residuals("scaled", "marginal")), rows.residual
    pairs = [
        (abs(int(series.where[i] - series.where[j])), z[i] * z[j], V[i, j] / size[i] / size[j], w[i] * w[j])
        for code in np.unique(series.codes)
        for own in [np.flatnonzero(series.codes == code)]
        for a, i in enumerate(own)
        for j in own[:a]
    ]
    table = pd.DataFrame(pairs, columns=["apart", "observed", "expected", "whitened"]).groupby("apart")
    return table.mean().assign(pairs=table.size())


@BOTH
def test_autocorrelations_are_means_over_pairs(found):
    table, wanted = found.autocorrelation(), by_hand(found)
    for name in ("pairs", "observed", "expected", "whitened"):
        np.testing.assert_allclose(table[name], wanted[name], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(table["se"], 1 / np.sqrt(wanted["pairs"]))
    ax = found.plot.autocorrelation()
    np.testing.assert_allclose(line(ax.lines[1]), np.column_stack([table.index, table["expected"]]))
    np.testing.assert_allclose(line(ax.lines[-1]), np.column_stack([table.index, table["observed"]]))
    ends = segments(ax.collections[0])[:, :, 1]
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 4 * table["se"])
    ax.figure.canvas.draw()
    key = ax.get_legend().get_window_extent()
    assert key.ymin > ax.transData.transform((0, ends.max()))[1], "the key covered the last bar"


def test_many_distances_come_in_classes():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 12), "t": rng.uniform(0, 10, 360)})
    data["y"] = rng.normal(size=360) + rng.normal(size=30)[data["g"]]
    table = lmer("y ~ t", data, residual="car1(t | g)").autocorrelation()
    assert table["pairs"].sum() == 30 * 66
    assert len(table) == 12
    assert table["pairs"].between(150, 180).all()
    assert table.index.is_monotonic_increasing
    assert table.index.name == "distance"


def test_without_series_there_is_none():
    with pytest.raises(NotAvailable, match="independent"):
        lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff")).autocorrelation()
    alone = lmer("FEV1 ~ ARMCD + (1 | SITE)", SITES, residual="ident(ARMCD)")
    with pytest.raises(NotAvailable, match="no series has two rows"):
        alone.autocorrelation()
    assert alone.plot().shape == (2, 2)
    with pytest.raises(NotAvailable, match="no random effects"):
        US.plot.ranef()


@BOTH
def test_the_first_look(found):
    first, second, third, fourth = found.plot().ravel()
    drawn = points(first.collections[0])
    np.testing.assert_allclose(drawn, np.column_stack([found.fittedvalues, found.resid]))
    pearson = np.asarray(found.residuals("pearson"))
    np.testing.assert_allclose(points(second.collections[0])[:, 1], np.sqrt(np.abs(pearson)))
    np.testing.assert_allclose(points(third.collections[-1])[:, 1], np.sort(found.residuals("scaled", "marginal")))
    assert third.get_ylabel() == "whitened residual, ordered"
    if found is US:
        np.testing.assert_allclose(line(fourth.lines[1])[:, 1], found.autocorrelation()["expected"])
    else:
        assert len(points(fourth.collections[-1])) == 12


@BOTH
def test_other_pictures(found):
    drawn = points(found.plot.residuals().collections[0])
    np.testing.assert_allclose(drawn, np.column_stack([found.fittedvalues, found.resid]))
    (panel,) = found.plot.influence("USUBJID", exact=False)
    heights = np.sort(found.influence("USUBJID", exact=False)["cooks"])
    np.testing.assert_allclose(np.sort(segments(panel.collections[0])[:, 1, 1]), heights)
    assert len(found.plot.fits("USUBJID", levels=["PT1", "PT2"])) == 2
    assert found.plot.effects("ARMCD", data=True).get_xlabel() == "ARMCD"
    panels = found.plot.varcorr()
    wald = found.conf_int(method="wald", parameters="theta_")
    of_variances = next(ax for ax in panels if ax.get_xlabel() == "residual variance, FEV1 squared")
    np.testing.assert_allclose(line(of_variances.lines[0])[:, 0], found.engine.psi[[i for i, kind in enumerate(
        found.engine.structure.kinds) if kind == "variance"]])  # fmt: skip
    ends = segments(of_variances.collections[0])[:, :, 0]
    np.testing.assert_allclose(ends, wald.loc[[f"residual {name}" for name in ticks(of_variances.yaxis)]])


def test_checks_say_what_the_structure_leaves():
    good = US.check()
    assert good["is the residual covariance"].status == "ok"
    assert good["does one USUBJID"].verdict.endswith("that promised to move it most)")
    assert good["are there enough"].verdict == "yes: 197 of USUBJID"
    assert "Are random effects normal?" not in good.table.index
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"id": np.repeat(np.arange(80), 5), "visit": np.tile(np.arange(5), 80)})
    data["y"] = (1 + data["visit"]) * (rng.normal(size=80)[data["id"]] + rng.normal(size=400))
    poor = mmrm("y ~ 1 + ar1(visit | id)", data).check()["is the residual covariance"]
    assert poor.status == "look"
    assert "richer structure" in poor.advice
    whitened = np.asarray(mmrm("y ~ 1 + ar1(visit | id)", data).residuals("scaled", "marginal"))
    sizes = np.sqrt(pd.Series(whitened**2).groupby(data["visit"]).mean())
    assert f"by visit are {sizes.min():.2f} to {sizes.max():.2f}" in poor.verdict


def test_a_structure_at_its_end_is_looked_at():
    data = pd.DataFrame({"id": np.repeat(np.arange(20), 4), "visit": np.tile(np.arange(4), 20)})
    data["y"] = np.random.default_rng(0).normal(size=20)[data["id"]] + 1e-7 * np.arange(80) % 3
    with pytest.warns(henderson.errors.ConvergenceWarning, match="end of its range"):
        found = mmrm("y ~ 1 + ar1(visit | id)", data)
    answer = found.check()["is it singular"]
    assert (answer.status, answer.verdict) == ("look", "the residual covariance is at the end of its range: Corr")


def test_rows_that_depend_on_too_many_others_have_what_needs_no_matrix_of_them():
    """7,200 rows tied by crossed factors: the fit goes by effects, and so does what is drawn and checked."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"p": np.repeat(np.arange(1200), 6), "t": np.tile(np.arange(6), 1200)})
    data["r"], data["x"] = rng.integers(0, 40, len(data)), rng.normal(size=len(data))
    effects = rng.normal(size=40)[data["r"]] + rng.normal(size=1200)[data["p"]]
    data["y"] = data["x"] + effects + rng.normal(size=len(data))
    found = lmer("y ~ x + (1 | r) + (1 | p)", data, residual="ar1(t | p)")
    fit = found.engine
    pearson = np.asarray(found.residuals("pearson"))
    np.testing.assert_allclose(pearson, found.resid / np.sqrt(fit.psi[0]))
    total = fit.psi[0] + fit.sigma**2 * sum(float(one[0, 0]) for one in fit.covariances)
    marginal = (data["y"] - found.predict(data)) / np.sqrt(total)
    np.testing.assert_allclose(found.residuals("pearson", "marginal"), marginal, atol=1e-10)
    third = found.plot()[1, 0]
    assert third.get_ylabel() == "standardised residual, ordered"
    checks = found.check()
    assert "Is the residual covariance right?" not in checks.table.index
    assert checks["are residuals normal"].status == "ok"
    drawn = found.quantile_residuals(n=200, seed=1)
    assert drawn.tests.loc["dispersion", "statistic"] == pytest.approx(1.0, abs=0.05)
    with pytest.raises(henderson.DataError, match="up to 4000 rows"):
        found.influence("r", exact=False)


def test_levels_of_a_pedigree_without_rows_are_no_series():
    rng = np.random.default_rng(0)
    parents = [0] * 10 + list(rng.integers(1, 6, 30)), [0] * 10 + list(rng.integers(6, 11, 30))
    pedigree = henderson.pedigree(np.arange(1, 41), *parents)
    data = pd.DataFrame({"animal": np.repeat(np.arange(11, 41), 4), "t": np.tile(np.arange(4), 30)})
    data["y"] = 2 * rng.normal(size=30)[data["animal"] - 11] + rng.normal(size=120)
    found = lmer("y ~ t + (1 | animal)", data, relmat={"animal": pedigree}, residual="ar1(t | animal)")
    assert len(found.plot.fits("animal", most=3)) == 3
    A = pedigree.relationship()
    new = pd.DataFrame({"animal": [1, 11, 40], "t": [2, 3, 1]})
    table = found.predict(new, re="all", se=True, variance_uncertainty=False)
    fit, X = found.engine, np.column_stack([np.ones(120), data["t"]])
    G = fit.sigma**2 * fit.covariances[0][0, 0]
    apart = np.abs(np.subtract.outer(data["t"].to_numpy(), data["t"].to_numpy()))
    R = np.equal.outer(data["animal"].to_numpy(), data["animal"].to_numpy()) * fit.psi[0] * fit.psi[1] ** apart
    S = np.linalg.inv(G * A.loc[data["animal"], data["animal"]].to_numpy() + R)
    C = G * A.loc[data["animal"], new["animal"]].to_numpy()
    d = np.column_stack([np.ones(3), new["t"]]) - C.T @ S @ X
    variance = G * np.diag(A.loc[new["animal"], new["animal"]]) - np.einsum("nm,nk,km->m", C, S, C)
    variance = variance + np.einsum("mi,ij,mj->m", d, np.linalg.inv(X.T @ S @ X), d)
    np.testing.assert_allclose(table["se"], np.sqrt(variance), rtol=1e-7)


def test_a_negative_variance_has_no_effects_to_show():
    dyestuff = henderson.datasets.load("Dyestuff2").assign(Yield=np.tile(np.arange(5.0), 6) + np.arange(30) % 7 / 9)
    found = lmer("Yield ~ 1 + (1 | Batch)", dyestuff, bound=False)
    assert found.engine.covariances[0][0, 0] < 0
    assert found.plot()[1, 1].texts[0].get_text() == "no random effect has a variance"
    new = {"Batch": ["A"]}
    with pytest.raises(NotAvailable, match="variance of Batch is negative"):
        found.predict(new, re="all", se=True)
    wide = found.predict(new, interval="prediction")
    mean = found.predict(new, se=True)
    total = found.scale * (1 + found.engine.covariances[0][0, 0])
    np.testing.assert_allclose(wide["se"] ** 2, mean["se"] ** 2 + total)
