"""Variances that are held, equal, or may be negative: what is said of them, against n × n algebra and closed forms."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import henderson
from henderson import compare, lmer, mixedlm
from henderson.errors import ConvergenceWarning, DataError, FormulaError

DEVIANCE = 1e-7
ESTIMATES = 1e-5  # of a dense optimum that Nelder and Mead find
SAME = 1e-8  # of two ways to write one model


@pytest.fixture(scope="module")
def crosses() -> pd.DataFrame:
    """Pairs of parents, each of one of twenty lines, as dam and as sire."""
    rng = np.random.default_rng(3)
    n, lines = 400, np.array([f"line{k:02d}" for k in range(20)])
    dam, sire = rng.integers(20, size=(2, n))
    own = 0.8 * rng.normal(size=20)
    x = rng.normal(size=n)
    y = (
        2
        + 0.5 * x
        + own[dam]
        + own[sire]
        + 0.6 * rng.normal(size=9)[(plot := rng.integers(9, size=n))]
        + rng.normal(size=n)
    )
    return pd.DataFrame({"y": y, "x": x, "dam": lines[dam], "sire": lines[sire], "plot": plot})


def indicator(labels) -> np.ndarray:
    return pd.get_dummies(pd.Series(list(labels))).to_numpy(float)


def dense(y, X, V, reml=True) -> float:
    """−2 (restricted) log-likelihood at Var(y) = V."""
    vx = np.linalg.solve(V, X)
    beta = np.linalg.solve(X.T @ vx, vx.T @ y)
    e = y - X @ beta
    logs = np.linalg.slogdet(V)[1] + float(e @ np.linalg.solve(V, e))
    nu = len(y) - X.shape[1] * reml
    return logs + (np.linalg.slogdet(X.T @ vx)[1] if reml else 0.0) + nu * np.log(2 * np.pi)


def least(of, start) -> tuple[np.ndarray, float]:
    found = minimize(of, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000})
    return found.x, float(found.fun)


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return henderson.datasets.load("sleepstudy")


# ---- held


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize(
    "fix", [{"Subject": 700.0}, {"Residual": 800.0}, {"Subject": 700.0, "Residual": 800.0}, {"Subject": 0}]
)
def test_held_variances(fix, reml, sleep):
    fit = lmer("Reaction ~ Days + (1 | Subject)", sleep, fix=fix, REML=reml)
    assert fit.converged
    y, X = sleep["Reaction"].to_numpy(float), np.column_stack([np.ones(180), sleep["Days"]])
    Z = indicator(sleep["Subject"])
    free = [name for name in ("Subject", "Residual") if name not in fix]

    def deviance(logs):
        own = {**fix, **dict(zip(free, np.exp(logs)))}
        return dense(y, X, own["Subject"] * Z @ Z.T + own["Residual"] * np.eye(180), reml)

    best, value = least(deviance, np.full(len(free), 6.5)) if free else (np.zeros(0), deviance([]))
    assert fit.deviance == pytest.approx(value, abs=DEVIANCE)
    shown = dict(zip(fit.varcorr["grp"], fit.varcorr["vcov"]))
    for name, estimate in zip(free, np.exp(best)):
        assert shown[name] == pytest.approx(estimate, rel=ESTIMATES)
    for name, value in fix.items():
        assert shown[name] == pytest.approx(value, rel=1e-10)
    assert fit.aic == pytest.approx(fit.deviance + 2 * (2 + len(free)))
    assert not fit.is_singular
    assert "held" in "".join(fit.summary().notes)


def test_a_matrix_is_held(sleep):
    G = np.array([[600.0, 10.0], [10.0, 35.0]])
    fit = lmer("Reaction ~ Days + (Days | Subject)", sleep, fix={"(Days | Subject)": G})
    y, X = sleep["Reaction"].to_numpy(float), np.column_stack([np.ones(180), sleep["Days"]])
    Z = np.einsum("ij,ia->ija", indicator(sleep["Subject"]), X).reshape(180, -1)
    V = Z @ np.kron(np.eye(18), G) @ Z.T
    (log,), value = least(lambda log: dense(y, X, V + np.exp(log[0]) * np.eye(180)), [6.0])
    assert fit.deviance == pytest.approx(value, abs=DEVIANCE)
    assert fit.sigma**2 == pytest.approx(np.exp(log), rel=ESTIMATES)
    np.testing.assert_allclose(fit.varcorr["vcov"][:3], [600.0, 35.0, 10.0], rtol=1e-9)
    frame = pd.DataFrame(G, index=["(Intercept)", "Days"], columns=["(Intercept)", "Days"])
    for other in (frame.iloc[::-1, ::-1], {"(Intercept)": 600, "Days": 35, ("(Intercept)", "Days"): 10}):
        assert lmer("Reaction ~ Days + (Days | Subject)", sleep, fix={"Subject": other}).deviance == pytest.approx(
            fit.deviance, abs=1e-9
        )


def test_how_a_term_may_be_called(sleep):
    table = sleep.assign(half=np.arange(180) % 2)
    deviances = [
        lmer("Reaction ~ Days + (1 | Subject / half)", table, fix={name: 50.0}).deviance
        for name in ("half:Subject", "Subject:half", "(1 | half:Subject)", "1|Subject:half")
    ]
    np.testing.assert_allclose(deviances, deviances[0], rtol=1e-12)
    both = [
        lmer("Reaction ~ Days + (Days || Subject)", sleep, fix={name: 30.0}).deviance
        for name in ("Subject.1", "(0 + Days | Subject)", "0+Days|Subject")
    ]
    np.testing.assert_allclose(both, both[0], rtol=1e-12)
    odd = sleep.rename(columns={"Subject": "the subject"})
    quoted = [
        lmer("Reaction ~ Days + (1 | `the subject`)", odd, fix={name: 50.0}).deviance
        for name in ("the subject", "`the subject`", "(1 | `the subject`)", "1|`the subject`")
    ]
    np.testing.assert_allclose(quoted, quoted[0], rtol=1e-12)
    ar1 = 900.0 * 0.5 ** np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    again = [
        lmer("Reaction ~ 1 + ar1(0 + Days | Subject)", sleep, fix={name: ar1}, check_identified="ignore").deviance
        for name in ("Subject", "ar1(0 + Days | Subject)")
    ]
    assert again[0] == pytest.approx(again[1], rel=1e-12)
    none = lmer("Reaction ~ Days + (Days || Subject)", sleep, fix={"Subject": 0})
    assert (none.varcorr["vcov"].iloc[:2] == 0).all()


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_what_is_held_adds_no_uncertainty(ddf, sleep):
    """df of the intercept from the residual variance alone: Var(β̂) = v(σ²), with its own information."""
    fit = lmer("Reaction ~ Days + (1 | Subject)", sleep, fix={"Subject": 1000.0}, ddf=ddf)
    y, X = sleep["Reaction"].to_numpy(float), np.column_stack([np.ones(180), sleep["Days"]])
    ZZ = 1000.0 * indicator(sleep["Subject"]) @ indicator(sleep["Subject"]).T
    at, h = fit.sigma**2, 1.0

    def v(variance):
        return np.linalg.inv(X.T @ np.linalg.solve(ZZ + variance * np.eye(180), X))[0, 0]

    def deviance(variance):
        return dense(y, X, ZZ + variance * np.eye(180))

    if ddf == "satterthwaite":
        information = (deviance(at + h) - 2 * deviance(at) + deviance(at - h)) / h**2 / 2
    else:
        inverse = np.linalg.inv(ZZ + at * np.eye(180))
        P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
        information = np.sum(P * P) / 2
    slope = (v(at + h) - v(at - h)) / (2 * h)
    assert fit.df_inference[0] == pytest.approx(2 * v(at) ** 2 * information / slope**2, rel=2e-4)
    errors = fit.variance_errors()
    assert errors["se"].isna().tolist() == [True, False]
    assert "held fixed" in errors.attrs["notes"][-1]


def test_known_variances_of_estimates_are_a_meta_analysis():
    """One row a study, its variance known: REML of τ², as DerSimonian and Laird's model has it."""
    y = np.array([-0.889, -1.585, -1.348, -1.442, -0.218, -0.786, -1.621, 0.012, -0.469, -1.371, -0.339, 0.446, -0.017])
    v = np.array(
        [0.3256, 0.1946, 0.4154, 0.0200, 0.0512, 0.0069, 0.2230, 0.0040, 0.0564, 0.0730, 0.0124, 0.5325, 0.0714]
    )
    table = pd.DataFrame({"y": y, "study": np.arange(13), "w": 1 / v})
    fit = lmer("y ~ 1 + (1 | study)", table, weights="w", fix={"Residual": 1}, REML=True)
    X = np.ones((13, 1))
    (log,), value = least(lambda log: dense(y, X, np.diag(v + np.exp(log[0]))), [-1.0])
    assert fit.deviance == pytest.approx(value, abs=DEVIANCE)
    assert fit.varcorr["vcov"][0] == pytest.approx(np.exp(log), rel=ESTIMATES)
    total = v + np.exp(log)
    assert fit.params.iloc[0] == pytest.approx(np.average(y, weights=1 / total), rel=1e-5)
    assert fit.bse.iloc[0] == pytest.approx(np.sum(1 / total) ** -0.5, rel=1e-5)
    shrunk = fit.ranef["study"]["(Intercept)"]
    np.testing.assert_allclose(shrunk, np.exp(log) / total * (y - fit.params.iloc[0]), rtol=1e-4)

    # tau² and the estimate that metafor documents for these thirteen trials of a vaccine
    assert fit.varcorr["vcov"].iloc[0] == pytest.approx(0.3132, abs=2e-4)
    assert (fit.params.iloc[0], fit.bse.iloc[0]) == pytest.approx((-0.7145, 0.1798), abs=2e-4)


def test_where_nothing_estimated_moves_a_variance_df_are_infinite(sleep):
    """Balanced slopes within subjects have the variance σ²/S, and σ² is known."""
    fit = lmer("Reaction ~ Days + (1 | Subject)", sleep, fix={"Residual": 900.0})
    for ddf in ("satterthwaite", "kenward-roger"):
        table = fit.with_inference(ddf=ddf)
        assert np.isinf(table.df_inference[1])
        assert np.isfinite(table.df_inference[0])
        assert table.anova()["p"].iloc[0] == pytest.approx(table.pvalues.iloc[1])
        both = table.joint_tests() if hasattr(table, "joint_tests") else table.anova()
        assert np.isfinite(both["p"]).all()


# ---- equal


def test_equal_variances_of_two_factors_are_multiple_membership(crosses):
    fit = lmer("y ~ x + (1 | dam) + (1 | sire)", crosses, same=[("dam", "sire")])
    free = lmer("y ~ x + (1 | dam) + (1 | sire)", crosses)
    assert fit.deviance > free.deviance
    assert fit.aic == pytest.approx(fit.deviance + 2 * 4)
    y, X = crosses["y"].to_numpy(), np.column_stack([np.ones(400), crosses["x"]])
    K = sum(indicator(crosses[name]) @ indicator(crosses[name]).T for name in ("dam", "sire"))
    best, value = least(lambda log: dense(y, X, np.exp(log[0]) * K + np.exp(log[1]) * np.eye(400)), [0.0, 0.0])
    assert fit.deviance == pytest.approx(value, abs=DEVIANCE)
    np.testing.assert_allclose(fit.varcorr["vcov"], np.exp(best[[0, 0, 1]]), rtol=ESTIMATES)
    table = compare(fit, free, refit=False)
    assert list(table["df"])[1] == 1.0
    assert np.isfinite(table["statistic"].iloc[1])
    assert "one covariance of" in "".join(fit.summary().notes)
    other = lmer("y ~ x + (1 | dam) + (1 | sire)", crosses, fix={"dam": 0.5, "sire": 0.1})
    with pytest.raises(ValueError, match="what is held or equal differs"):
        compare(other, fit, refit=False)
    # a line as dam and the same line as sire are two effects here; of labels that never meet mm() is the same
    apart = crosses.assign(sire="s" + crosses["sire"])
    members = lmer("y ~ x + (1 | mm(dam, sire, weights=c(one, one), scale=False))", apart.assign(one=1.0))
    tied = lmer("y ~ x + (1 | dam) + (1 | sire)", apart, same=[("dam", "sire")])
    assert tied.deviance == pytest.approx(members.deviance, abs=DEVIANCE)
    np.testing.assert_allclose(tied.bse, members.bse, rtol=1e-6)
    np.testing.assert_allclose(tied.df_inference, members.df_inference, rtol=1e-4)
    kr = [model.with_inference(ddf="kenward-roger") for model in (tied, members)]
    np.testing.assert_allclose(kr[0].df_inference, kr[1].df_inference, rtol=1e-4)
    np.testing.assert_allclose(kr[0].bse, kr[1].bse, rtol=1e-6)


def test_equal_covariances_of_slopes(crosses):
    fit = lmer("y ~ x + (x | dam) + (x | sire)", crosses, same=[("(x | dam)", "(1 + x | sire)")])
    dam, sire = fit.engine.lam
    np.testing.assert_allclose(dam @ dam.T, sire @ sire.T, rtol=1e-10, atol=1e-12)
    y, X = crosses["y"].to_numpy(), np.column_stack([np.ones(400), crosses["x"]])
    Z = [np.einsum("ij,ia->ija", indicator(crosses[one]), X).reshape(400, -1) for one in ("dam", "sire")]

    def deviance(theta):
        lam = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        G = np.kron(np.eye(20), lam @ lam.T)
        return dense(y, X, sum(one @ G @ one.T for one in Z) + np.exp(theta[3]) * np.eye(400))

    own = fit.sigma * dam
    at = np.array([own[0, 0], own[1, 0], own[1, 1], 2 * np.log(fit.sigma)])
    assert deviance(at) == pytest.approx(fit.deviance, abs=DEVIANCE)
    around = [deviance(at + sign * 1e-2 * step) for step in np.eye(4) for sign in (1, -1)]
    assert min(around) > fit.deviance - DEVIANCE


# ---- not bounded


def groups(seed: int, between: float, J: int = 30, n: int = 4) -> pd.DataFrame:
    """Rows within groups whose means vary less (between < 0) than independent rows would."""
    rng = np.random.default_rng(seed)
    e = rng.normal(size=(J, n))
    e += (np.sqrt(1 + n * between) - 1) * e.mean(axis=1, keepdims=True)
    return pd.DataFrame({"y": e.ravel(), "g": np.repeat(np.arange(J), n), "v": np.tile(np.arange(n), J)})


def test_negative_intraclass_correlation_is_the_anova_estimate():
    table = groups(1, -0.15)
    means = table.groupby("g")["y"].mean()
    msb = 4 * means.var()
    msw = ((table["y"] - means[table["g"]].to_numpy()) ** 2).sum() / (30 * 3)
    assert msb < msw
    fit = lmer("y ~ 1 + (1 | g)", table, bound=False)
    assert fit.converged
    np.testing.assert_allclose(fit.varcorr["vcov"], [(msb - msw) / 4, msw], rtol=1e-7)
    assert np.isnan(fit.varcorr["sdcor"].iloc[0])
    assert not fit.is_singular
    assert "is negative" in "".join(fit.summary().notes)
    errors = fit.variance_errors()
    variance = 2 / 16 * (msb**2 / 29 + msw**2 / 90)  # of (MSB − MSW)/4
    assert errors["se"].iloc[0] == pytest.approx(np.sqrt(variance), rel=1e-5)
    assert fit.bse.iloc[0] == pytest.approx(np.sqrt(msb / 120), rel=1e-7)
    assert fit.df_inference[0] == pytest.approx(29, rel=1e-5)
    modes = fit.ranef["g"]["(Intercept)"].to_numpy()
    np.testing.assert_allclose(modes, (1 - msw / msb) * (means - means.mean()), rtol=1e-5, atol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert lmer("y ~ 1 + (1 | g)", table).is_singular


@pytest.mark.parametrize("seed", range(4))
def test_it_is_compound_symmetry_of_the_residuals(seed):
    rng = np.random.default_rng(seed + 100)
    table = groups(seed, -0.12).assign(x=rng.normal(size=120))
    table = table[rng.random(120) < 0.85]
    fit = lmer("y ~ x + (1 | g)", table, bound=False)
    cs = lmer("y ~ x", table, residual="cs(v | g)")
    assert fit.deviance == pytest.approx(cs.deviance, abs=DEVIANCE)
    np.testing.assert_allclose(fit.params, cs.params, rtol=1e-5)
    np.testing.assert_allclose(fit.bse, cs.bse, rtol=1e-6)
    np.testing.assert_allclose(fit.df_inference, cs.df_inference, rtol=1e-3)


def test_a_likelihood_without_a_maximum_is_said():
    """Groups with one mean: σ² + nτ goes to zero, and the likelihood to infinity."""
    rng = np.random.default_rng(1)
    e = rng.normal(size=(10, 4))
    table = pd.DataFrame({"y": (e - e.mean(axis=1, keepdims=True)).ravel(), "g": np.repeat(np.arange(10), 4)})
    with pytest.warns(ConvergenceWarning, match="the covariance of the data is singular"):
        fit = lmer("y ~ 1 + (1 | g)", table, bound=False)
    assert not fit.converged


def test_where_it_is_positive_nothing_changes(sleep):
    for ddf in ("satterthwaite", "kenward-roger"):
        fit, plain = (lmer("Reaction ~ Days + (1 | Subject)", sleep, bound=b, ddf=ddf) for b in (False, True))
        assert fit.deviance == pytest.approx(plain.deviance, abs=SAME)
        assert fit.aic == pytest.approx(plain.aic, abs=SAME)
        assert fit.bic == pytest.approx(plain.bic, abs=SAME)
        pd.testing.assert_frame_equal(fit.varcorr, plain.varcorr, rtol=1e-6)
        pd.testing.assert_frame_equal(fit.coef_table, plain.coef_table, rtol=1e-6)
        np.testing.assert_allclose(fit.ranef["Subject"], plain.ranef["Subject"], rtol=1e-5)
        np.testing.assert_allclose(fit.conf_int(), plain.conf_int(), rtol=1e-6)


@pytest.mark.parametrize("crossed", [False, True], ids=["nested", "crossed"])
def test_two_factors_of_any_sign(crossed):
    """By blocks of rows, and where more rows are tied than that pays, by effects."""
    rng = np.random.default_rng(8)
    a, b = np.repeat(np.arange(8), 24), np.tile(np.repeat(np.arange(6), 4), 8)
    inner = b if crossed else a * 6 + b
    Z = [indicator(a), indicator(inner)]
    true = -0.008 * Z[0] @ Z[0].T + (0.5 if crossed else -0.1) * Z[1] @ Z[1].T + np.eye(192)
    y = np.linalg.cholesky(true) @ rng.normal(size=192)
    table = pd.DataFrame({"y": y, "a": a, "b": inner})
    fit = lmer("y ~ 1 + (1 | a) + (1 | b)", table, bound=False)

    def deviance(t):
        V = t[0] * Z[0] @ Z[0].T + t[1] * Z[1] @ Z[1].T + np.exp(t[2]) * np.eye(192)
        return dense(y, np.ones((192, 1)), V) if np.linalg.eigvalsh(V)[0] > 0 else 1e10

    estimate = dict(zip(fit.varcorr["grp"], fit.varcorr["vcov"]))
    at = np.array([estimate["a"], estimate["b"], np.log(estimate["Residual"])])
    assert fit.converged
    assert min(at[:2]) < 0
    assert deviance(at) == pytest.approx(fit.deviance, abs=DEVIANCE)
    best, value = least(deviance, at + np.array([0.001, 0.02, 0.05]))
    assert value == pytest.approx(fit.deviance, abs=1e-6)
    np.testing.assert_allclose(best, at, atol=1e-4)


# ---- everything after the fit


def test_the_rest_follows(tmp_path, sleep):
    fits = {
        "held": lmer("Reaction ~ Days + (Days | Subject)", sleep, fix={"Subject": [[600, 10], [10, 35]]}),
        "negative": lmer("y ~ v + (1 | g)", groups(1, -0.15), bound=False),
    }
    for name, fit in fits.items():
        again = pickle.loads(pickle.dumps(fit))
        pd.testing.assert_frame_equal(again.coef_table, fit.coef_table)
        fit.save(tmp_path / name)
        loaded = henderson.load(tmp_path / name)
        pd.testing.assert_frame_equal(loaded.varcorr, fit.varcorr)
        pd.testing.assert_frame_equal(loaded.coef_table, fit.coef_table)
        table = fit.bootstrap(5, seed=1).frame
        assert np.isfinite(table.to_numpy(float)).all()
        assert np.isfinite(fit.conf_int(method="profile")).all(axis=None)
        assert np.isfinite(fit.predict().to_numpy(float)).all()
        assert fit.refit(2 * fit.engine.observed.y).converged
    held = fits["held"].bootstrap(5, seed=1).frame
    assert np.ptp(held.filter(like="sd_Days")).max() < 1e-9
    profile = fits["negative"].profile()
    low, high = profile.interval(0.95).loc["var_(Intercept)|g"]
    assert low < fits["negative"].varcorr["vcov"].iloc[0] < high
    for refused in ("rePCA", "ranef_sd"):
        with pytest.raises(DataError, match="the variance of g is negative"):
            getattr(fits["negative"], refused)() if refused == "rePCA" else fits["negative"].ranef_sd
    assert fits["negative"].icc()["icc"].iloc[0] < 0
    assert "rvc[var_(Intercept)|g]" in fits["negative"].influence("g")
    drawn = fits["negative"].simulate(200, seed=2)
    means = np.asarray(drawn).reshape(30, 4, -1).mean(axis=1)
    assert 4 * means.var(axis=0, ddof=1).mean() < 0.8 * np.asarray(drawn).var(axis=0).mean()


def test_what_takes_terms_out_says_that_it_does_not(sleep):
    fit = lmer("Reaction ~ Days + (1 | Subject)", sleep, fix={"Subject": 700.0})
    negative = lmer("y ~ v + (1 | g)", groups(1, -0.15), bound=False)
    for one in (fit, negative):
        for method in ("ranova", "step"):
            with pytest.raises(DataError, match=rf"{method}\(\): not available for a model with constraints"):
                getattr(one, method)()
        with pytest.raises(DataError, match=r"not available for a model with constraints|negative"):
            henderson.simplify(one)
        assert np.isfinite(one.drop1()["p"]).all()
    for call in (negative.caic, lambda: negative.simulate(2, groups(1, 0.0))):
        with pytest.raises(DataError, match="the variance of g is negative"):
            call()
    assert np.isfinite(fit.caic().rho)


def test_mixedlm_has_them(sleep):
    wanted = lmer("Reaction ~ Days + (1 | Subject)", sleep, fix={"Subject": 700.0})
    fit = mixedlm("Reaction ~ Days", sleep, groups="Subject", fix={"Subject": 700.0}).fit()
    assert fit.llf == pytest.approx(-wanted.deviance / 2, abs=SAME)
    fit = mixedlm("Reaction ~ Days + (1 | Subject)", sleep, bound=False).fit(reml=False)
    assert fit.llf == pytest.approx(lmer("Reaction ~ Days + (1 | Subject)", sleep, REML=False).llf, abs=SAME)


# ---- what is refused


@pytest.mark.parametrize(
    ("formula", "options", "said"),
    [
        ("(1 | Subject)", {"fix": {"Item": 1}}, r"no random term 'Item'; there are Subject, \(1 \| Subject\)"),
        ("(1 | Subject)", {"fix": {"Subject": -1}}, "a number from zero"),
        ("(1 | Subject)", {"fix": {"Subject": True}}, "a number from zero"),
        ("(1 | Subject)", {"fix": {"Subject": "much"}}, "a number from zero"),
        ("(1 | Subject)", {"fix": {"Residual": 0}}, "must be positive"),
        ("(1 | Subject)", {"fix": 3}, "fix is a dict"),
        ("(Days | Subject)", {"fix": {"Subject": 600}}, "whose covariance is a matrix"),
        ("(Days | Subject)", {"fix": {"Subject": [[1, 2], [2, 1]]}}, "not positive semidefinite"),
        ("(Days | Subject)", {"fix": {"Subject": [[1, 2], [0, 1]]}}, "not symmetric"),
        ("(Days | Subject)", {"fix": {"Subject": {"(Intercept)": 600}}}, "lacks 'Days'"),
        ("(Days || Subject)", {"fix": {"Subject": [[1, 0], [0, 1]]}}, "has several terms; name one of"),
        ("(1 | Subject)", {"fix": {"Subject": 1, "(1 | Subject)": 2}}, "given twice"),
        ("(1 | Subject)", {"same": [("Subject", "Item")]}, "no random term 'Item'"),
        ("(1 | Subject)", {"same": [("Subject",)]}, "two terms or more"),
        ("(1 | Subject)", {"same": "Subject"}, "same is a list"),
        ("(1 | Subject) + (Days | Item)", {"same": [("Subject", "Item")]}, "covariances of different kinds"),
        ("(1 | Subject) + (1 | Item)", {"same": [("Subject", "Item")], "fix": {"Item": 1}}, "is fixed"),
        ("(Days | Subject)", {"bound": False}, "may not be indefinite"),
        ("(1 | Subject)", {"bound": None}, "bound must be True or False"),
    ],
)
def test_what_cannot_be_is_said_before_the_fit(formula, options, said, sleep):
    table = sleep.assign(Item=np.arange(180) % 5)
    with pytest.raises(ValueError, match=said):
        lmer(f"Reaction ~ Days + {formula}", table, **options)


def test_residuals_with_a_structure(sleep):
    fit = lmer("Reaction ~ Days + (1 | Subject)", sleep, residual="ar1(Days | Subject)", fix={"Subject": 300.0})
    assert fit.varcorr["vcov"].iloc[0] == pytest.approx(300.0)
    free = lmer("Reaction ~ Days + (1 | Subject)", sleep, residual="ar1(Days | Subject)")
    assert fit.deviance > free.deviance
    with pytest.raises(FormulaError, match=r"the residuals have the structure ar1\(Days \| Subject\)"):
        lmer("Reaction ~ Days + (1 | Subject)", sleep, residual="ar1(Days | Subject)", fix={"Residual": 300.0})
