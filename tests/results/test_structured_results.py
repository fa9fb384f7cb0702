"""What results of a model with a residual structure give after the fit, against n × n algebra; what they refuse."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm
from scipy.special import chdtrc
from tests.reference import Data
from tests.structured import covariance, residual_covariance, variance_of

import henderson
import oracle_data
from henderson.contract.rows import Rows
from henderson.design.from_formula import design_from_formula
from henderson.engine.fit import fit_design
from henderson.engine.many.draws import block_size, stream
from henderson.engine.many.draws import residual as residual_draw
from henderson.engine.residual.rows import scaled_residuals, total_roots
from henderson.errors import DataError, NotAvailable
from henderson.inference.names import InferenceRequest
from henderson.intervals.bootstrap.cases import draw_counts, owners
from henderson.results.fitted import MixedModelResults

FEV = henderson.datasets.load("fev")
#: the same numbers by other algebra
EXACT = 1e-8


def fitted(formula: str, residual: str, *, data=FEV, ddf: str = "satterthwaite", reml: bool = True, **options):
    design = design_from_formula(formula, data, residual=residual, **options)
    return MixedModelResults(fit_design(*design, reml=reml), InferenceRequest.of(ddf))


def dense(found: MixedModelResults) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Rows, Var(y) and Var(ε) of a fit, (n, n)."""
    fit = found.engine
    data = Data(fit.design, fit.observed)
    return fit.observed, covariance(data, fit.sigma**2 * fit.g, fit.psi), residual_covariance(data, fit.psi)


US = fitted("FEV1 ~ ARMCD * AVISIT", "us(AVISIT | USUBJID)", weights="WEIGHT")
SITES = FEV.assign(SITE=FEV["USUBJID"].astype(str).str[-1])
RANDOM = fitted("FEV1 ~ ARMCD + (1 | SITE)", "ar1h(AVISIT | USUBJID)", data=SITES)
#: the same where sites differ
SPREAD = SITES.assign(FEV1=SITES["FEV1"] + 2.5 * SITES["SITE"].astype(int))
WIDE = fitted("FEV1 ~ ARMCD + (1 | SITE)", "ar1h(AVISIT | USUBJID)", data=SPREAD)


@pytest.mark.parametrize("found", [US, RANDOM], ids=["us, weights", "ar1h in sites"])
def test_estimates_and_modes(found):
    rows, V, _ = dense(found)
    X, y = rows.X, rows.response
    S = np.linalg.inv(V)
    phi = np.linalg.inv(X.T @ S @ X)
    beta = phi @ X.T @ S @ y
    np.testing.assert_allclose(found.params, beta, rtol=EXACT)
    np.testing.assert_allclose(found.cov_params(), phi, rtol=1e-6, atol=1e-10)
    e = y - X @ beta
    for term, own, lam, b, cov in zip(
        found.design.terms, rows.terms, found.engine.lam, found.engine.b, found.engine.b_cov()
    ):
        G = found.sigma**2 * lam @ lam.T
        Z = own.matrix(term.n_levels).toarray()
        big = np.kron(np.eye(term.n_levels), G)
        np.testing.assert_allclose(b.ravel(), big @ Z.T @ S @ e, atol=1e-8)
        left = big - big @ Z.T @ S @ Z @ big
        np.testing.assert_allclose(cov[:, 0, 0], np.diag(left), rtol=1e-8)
    np.testing.assert_allclose(found.resid, y - found.fittedvalues, rtol=1e-12)


@pytest.mark.parametrize("found", [US, RANDOM], ids=["us, weights", "ar1h in sites"])
def test_residuals_of_every_kind(found):
    rows, V, R = dense(found)
    X = rows.X
    S = np.linalg.inv(V)
    phi = np.linalg.inv(X.T @ S @ X)
    marginal = rows.y - rows.mean(found.engine.beta)
    conditional = np.asarray(found.resid)
    P = S - S @ X @ phi @ X.T @ S
    np.testing.assert_allclose(found.residuals("pearson", level="marginal"), marginal / np.sqrt(np.diag(V)), rtol=1e-7)
    np.testing.assert_allclose(
        found.residuals("pearson", level="conditional"), conditional / np.sqrt(np.diag(R)), rtol=1e-7
    )
    of_marginal = np.diag(V - X @ phi @ X.T)
    np.testing.assert_allclose(
        found.residuals("studentized", level="marginal"), marginal / np.sqrt(of_marginal), rtol=1e-7
    )
    left = np.diag(R @ P @ R)
    np.testing.assert_allclose(
        found.residuals("studentized", level="conditional"), conditional / np.sqrt(left), rtol=1e-6
    )
    scaled = np.asarray(found.residuals("scaled", level="marginal"))
    assert scaled @ scaled == pytest.approx(marginal @ S @ marginal, rel=1e-8)
    given = np.asarray(found.residuals("scaled"))  # conditional: it was the Pearson one, correlated as before
    assert given @ given == pytest.approx(conditional @ np.linalg.solve(R, conditional), rel=1e-8)
    assert found.effective_df == pytest.approx(len(X) - np.trace(R @ P), rel=1e-8)
    with pytest.raises(ValueError, match="raw, pearson, studentized, external, scaled, quantile"):
        found.residuals("deviance")


def test_normalized_residuals_are_nlmes():
    """resid(lme(distance ~ age * Sex, Orthodont, ~ 1 | Subject, corAR1(form = ~ I((age - 6) / 2) | Subject)), type =
    "normalized") of the first two subjects, nlme 3.1."""
    data = oracle_data.frame("repeated", "orthodont")
    fit = henderson.lmer("distance ~ age * Sex + (1 | Subject)", data, residual="ar1(age | Subject)")
    nlme = [0.6893227, -1.1579306, 0.5420791, 0.9212729, 0.2215339, -0.1860340, -0.9820907, 0.3945535]
    np.testing.assert_allclose(fit.residuals("normalized")[:8], nlme, atol=2e-6)
    backwards = henderson.lmer("distance ~ age * Sex + (1 | Subject)", data[::-1], residual="ar1(age | Subject)")
    np.testing.assert_allclose(backwards.residuals("scaled").loc[data.index[:8]], nlme, atol=2e-6)
    alone = henderson.mmrm("FEV1 ~ ARMCD * AVISIT + toeph(AVISIT | USUBJID)", FEV)
    pd.testing.assert_series_equal(alone.residuals("scaled"), alone.residuals("scaled", level="marginal"), rtol=1e-8)


def test_cluster_robust_covariances():
    rows, V, _ = dense(US)
    X, codes = rows.X, rows.residual.codes
    S = np.linalg.inv(V)
    M = np.linalg.inv(X.T @ S @ X)
    e = rows.response - X @ US.engine.beta
    meat = {kind: np.zeros((8, 8)) for kind in ("CR0", "CR2-mmrm", "CR3")}
    for code in np.unique(codes):
        own = np.flatnonzero(codes == code)
        Vi, Xi, ei = V[np.ix_(own, own)], X[own], e[own]
        left = np.linalg.inv(np.eye(len(own)) - Xi @ M @ Xi.T @ np.linalg.inv(Vi))
        for kind, adjust in (("CR0", np.eye(len(own))), ("CR2-mmrm", sqrtm(left).real), ("CR3", left)):
            s = Xi.T @ np.linalg.solve(Vi, adjust @ ei)
            meat[kind] += np.outer(s, s)
    for kind, middle in meat.items():
        found = US.with_inference(cov=kind)
        np.testing.assert_allclose(found.cov_params(), M @ middle @ M, rtol=1e-6, atol=1e-9)


def test_residual_covariances_are_shown():
    cov = US.residual_cov()
    assert cov.index.tolist() == ["VIS1", "VIS2", "VIS3", "VIS4"]
    psi = US.engine.psi
    np.testing.assert_allclose(cov.to_numpy()[np.tril_indices(4)], psi)
    rows, _, R = dense(US)
    own = np.flatnonzero(rows.residual.codes == US.design.residual.levels.get_loc("PT2"))
    np.testing.assert_allclose(US.residual_cov("PT2"), R[np.ix_(own, own)], rtol=1e-10)
    assert np.diag(US.residual_cov(correlation=True)) == pytest.approx(np.ones(4))
    with pytest.raises(henderson.errors.DataError, match="USUBJID"):
        US.residual_cov("nobody")
    with pytest.raises(NotAvailable, match="independent"):
        henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff")).residual_cov()


def test_varcorr_has_the_structure():
    table = US.varcorr
    assert table["grp"].eq("Residual").all()
    assert table["var1"].tolist()[:4] == ["VIS1", "VIS2", "VIS3", "VIS4"]
    pair = table[(table["var1"] == "VIS1") & (table["var2"] == "VIS2")].iloc[0]
    cov = US.residual_cov()
    assert pair["vcov"] == pytest.approx(cov.loc["VIS1", "VIS2"])
    assert pair["sdcor"] == pytest.approx(US.residual_cov(correlation=True).loc["VIS1", "VIS2"])
    text = str(RANDOM.summary())
    assert "Random effects, and residuals ar1h(AVISIT | USUBJID)" in text
    assert "Corr" in text


def test_predictions_given_the_series_own_rows():
    rows, V, _ = dense(US)
    e = rows.response - rows.X @ US.engine.beta
    new = FEV[FEV["USUBJID"].isin(["PT1", "PT2", "PT3"])]
    found = US.predict(new, conditional=True, se=True, weights=new["WEIGHT"], variance_uncertainty=False)
    plain = US.predict(new)
    for at, (_, row) in enumerate(new.iterrows()):
        own = np.flatnonzero(rows.residual.codes == US.design.residual.levels.get_loc(row["USUBJID"]))
        if np.isfinite(row["FEV1"]):  # was observed: as it was
            assert found["estimate"].iloc[at] == pytest.approx(row["FEV1"], rel=1e-8)
            assert found["se"].iloc[at] == pytest.approx(0.0, abs=1e-4)
            continue
        cov = US.residual_cov().loc[row["AVISIT"]]
        visits = US.design.residual.visits[rows.residual.where[own]]
        C = cov[visits].to_numpy() / np.sqrt(row["WEIGHT"] * rows.weights[own])
        half = np.linalg.solve(V[np.ix_(own, own)], C)
        assert found["estimate"].iloc[at] == pytest.approx(plain.iloc[at] + half @ e[own], rel=1e-8)
        x = np.asarray(design_row(new, at))
        a = x - half @ rows.X[own]
        variance = cov[row["AVISIT"]] / row["WEIGHT"] - half @ C + a @ US.engine.vcov @ a
        assert found["se"].iloc[at] == pytest.approx(np.sqrt(variance), rel=1e-7)


def design_row(new: pd.DataFrame, at: int) -> np.ndarray:
    """x of a new row, in the order of the model's columns."""
    row, x = new.iloc[at], np.zeros(8)
    arm, visit = row["ARMCD"] == "TRT", ["VIS1", "VIS2", "VIS3", "VIS4"].index(row["AVISIT"])
    names = US.design.x_names
    x[names.index("(Intercept)")] = 1.0
    x[names.index("ARMCD[T.TRT]")] = arm
    if visit:
        x[names.index(f"AVISIT[T.VIS{visit + 1}]")] = 1.0
        x[names.index(f"ARMCD[T.TRT]:AVISIT[T.VIS{visit + 1}]")] = arm
    return x


def test_a_new_patient_has_the_variance_of_the_visit():
    found = fitted("FEV1 ~ ARMCD * AVISIT", "us(AVISIT | USUBJID)")
    new = FEV[FEV["USUBJID"] == "PT1"].assign(USUBJID="new")
    mean, wide = found.predict(new, se=True), found.predict(new, interval="prediction")
    np.testing.assert_allclose(wide["se"] ** 2 - mean["se"] ** 2, np.diag(found.residual_cov()), rtol=1e-7)
    assert (wide["df"] < 200).all()
    assert (wide["df"] > 100).all()
    site = RANDOM.predict(SITES.iloc[[0]].assign(SITE="none", USUBJID="none"), interval="prediction")
    G = RANDOM.sigma**2 * RANDOM.engine.lam[0][0, 0] ** 2
    mean = RANDOM.predict(SITES.iloc[[0]], se=True)
    expected = mean["se"].iloc[0] ** 2 + G + RANDOM.engine.psi[0]
    assert site["se"].iloc[0] ** 2 == pytest.approx(expected, rel=1e-7)


def test_simulated_responses_have_the_models_covariance():
    rows, V, _ = dense(RANDOM)
    drawn = RANDOM.simulate(4000, seed=1).to_numpy()
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    own = np.flatnonzero(rows.residual.codes < 2)
    np.testing.assert_allclose(centred[own] @ centred[own].T / 4000, V[np.ix_(own, own)], atol=0.12 * V.max())
    np.testing.assert_allclose(drawn.mean(axis=1), rows.mean(RANDOM.engine.beta), atol=0.9)


def test_a_parametric_bootstrap_refits_the_structure():
    found = fitted("FEV1 ~ ARMCD", "ar1(AVISIT | USUBJID)")
    draws = found.bootstrap(60, seed=2)
    assert draws.frame.columns.tolist() == [*found.params.index, "residual Var", "residual Corr"]
    errors = found.variance_errors()
    assert draws.se["residual Corr"] == pytest.approx(errors.loc["residual Corr", "se"], rel=0.35)
    assert draws.se["ARMCD[T.TRT]"] == pytest.approx(found.bse["ARMCD[T.TRT]"], rel=0.35)


def test_a_bootstrap_of_cases_draws_whole_series():
    """A replicate is the fit of the table of the series that were drawn, each copy a series of its own."""
    data = SITES[SITES["USUBJID"].isin(SITES["USUBJID"].unique()[:60])]
    found = fitted("FEV1 ~ ARMCD", "ar1h(AVISIT | USUBJID)", data=data)
    draws = found.bootstrap(3, kind="cases", seed=4)
    fit = found.engine
    owner = owners(fit)
    counts = draw_counts(owner.max() + 1)(stream(draws.seed, 0), block_size(owner.max() + 1))[:, 1]
    series = fit.design.residual.levels[[fit.observed.residual.codes[owner == one][0] for one in range(len(counts))]]
    parts = [
        data[data["USUBJID"] == name].assign(USUBJID=f"{name} {copy}")
        for name, count in zip(series, counts)
        for copy in range(int(count))
    ]
    again = fitted("FEV1 ~ ARMCD", "ar1h(AVISIT | USUBJID)", data=pd.concat(parts))
    assert draws.deviance[1] == pytest.approx(again.deviance, abs=1e-6)
    np.testing.assert_allclose(draws.frame.iloc[1, :2], again.params, rtol=1e-5)
    np.testing.assert_allclose(draws.frame.iloc[1, 2:], again.engine.psi, rtol=1e-4)
    interval = draws.interval("bca", parameters=["residual Corr"])
    assert interval["lower"].iloc[0] < interval["upper"].iloc[0]
    with pytest.raises(NotAvailable, match="breaks up the series"):
        found.bootstrap(3, kind="cases", within=True)


def test_crossed_factors_leave_no_cases():
    found = fitted("y ~ x + (1 | rater)", "ar1(visit | patient)", data=crossed_trial())
    with pytest.raises(DataError, match="connect all rows"):
        found.bootstrap(3, kind="cases")


@pytest.mark.parametrize("found", [US, RANDOM], ids=["us, weights", "ar1h in sites"])
def test_a_bootstrap_of_residuals_correlates_them_as_the_model_has_it(found):
    """L u with u = L⁻¹(y − Xβ̂) is y − Xβ̂; drawn anew, u is independent, so that the responses have the model's V."""
    rows, V, _ = dense(found)
    fit = found.engine
    e = rows.y - rows.mean(fit.beta)
    u, back = scaled_residuals(fit.blocks, fit.block_point, rows), np.empty(rows.n)
    for at, low in total_roots(fit.blocks, fit.block_point, rows):
        back[at] = np.einsum("bij,bj->bi", low, u[at])
        np.testing.assert_allclose(low[0] @ low[0].T, V[np.ix_(at[0], at[0])], atol=1e-9 * V.max())
    np.testing.assert_allclose(back, e, atol=1e-10 * np.abs(e).max())
    drawn = residual_draw(fit)(np.random.default_rng(1), 4000) - rows.mean(fit.beta)[:, None]
    own = np.arange(8)
    np.testing.assert_allclose(drawn[own] @ drawn[own].T / 4000, V[np.ix_(own, own)], atol=0.12 * V.max())
    draws = found.bootstrap(4, kind="residual", seed=3)
    assert draws.converged.all()
    assert draws.frame.notna().all(axis=None)


def test_random_effects_are_tested_beside_the_residuals_structure():
    """ranova is the likelihood ratio of two fits; step leaves no random term where none is needed."""
    table = WIDE.ranova()
    without = fitted("FEV1 ~ ARMCD", "ar1h(AVISIT | USUBJID)", data=SPREAD)
    assert table.loc["(1 | SITE)", "statistic"] == pytest.approx(without.deviance - WIDE.deviance, abs=1e-6)
    assert table["npar"].tolist() == [8, 7]
    p = float(chdtrc(1, table.loc["(1 | SITE)", "statistic"]))
    assert table.loc["(1 | SITE)", "p"] == pytest.approx(p)
    assert table.loc["(1 | SITE)", "p_chibar"] == pytest.approx(p / 2)
    assert WIDE.step().random["eliminated"].tolist() == [0, 0]
    found, without = RANDOM.step(), fitted("FEV1 ~ ARMCD", "ar1h(AVISIT | USUBJID)")
    assert found.random["eliminated"].tolist() == [0, 1]
    assert found.formula == "FEV1 ~ ARMCD"
    assert "residual ar1h(AVISIT | USUBJID)" in repr(found)
    assert found.model.deviance == pytest.approx(without.deviance, abs=1e-6)
    np.testing.assert_allclose(found.fixed.loc["ARMCD", "F"], without.anova().loc["ARMCD", "F"], rtol=1e-5)


def test_held_variances_are_not_tested():
    found = henderson.lmer("FEV1 ~ ARMCD + (1 | SITE)", SPREAD, fix={"SITE": 40.0})
    for ask in (found.rlrt, found.ranova, found.step):
        with pytest.raises(NotAvailable, match="constraints on its variances"):
            ask()


def test_slopes_leave_one_after_the_other():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(np.arange(25), 8), "t": np.tile(np.arange(8.0), 25)})
    data["y"] = rng.normal(size=25)[data["g"]] + rng.normal(size=len(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = henderson.lmer("y ~ t + (t | g)", data, residual="ar1(t | g)").ranova()
    assert list(table.index) == ["<none>", "t in (t | g)"]
    assert table.loc["t in (t | g)", "df"] == 2
    assert "0.5 χ²(1) + 0.5 χ²(2)" in table.attrs["notes"][0]


@pytest.mark.parametrize("held", [False, True], ids=["free", "fix="])
def test_standard_errors_of_the_joint_information(held):
    """cov='hessian': the joint Hessian of (β, G, ψ) by differences of the n × n likelihood; of what is free."""
    options = {"fix": {"SITE": 40.0}} if held else {}
    few = SPREAD[SPREAD["USUBJID"].isin(SPREAD["USUBJID"].unique()[:60])]
    found = henderson.lmer("FEV1 ~ ARMCD + (1 | SITE)", few, residual="ar1h(AVISIT | USUBJID)", **options)
    rows, _, _ = dense(found)
    fit = found.engine
    variance = variance_of(Data(fit.design, rows))
    whole = np.concatenate([fit.beta, fit.sigma**2 * fit.g, fit.psi])
    p = len(fit.beta)
    free = [i for i in range(len(whole)) if not (held and i == p)]

    def minus_twice(x: np.ndarray) -> float:
        at = whole.copy()
        at[free] = x
        V = variance(at[p : p + 1], at[p + 1 :])
        e, solved = rows.response - rows.X @ at[:p], np.linalg.solve(V, rows.X)
        logs = np.linalg.slogdet(V)[1] + np.linalg.slogdet(rows.X.T @ solved)[1]
        return float(logs + e @ np.linalg.solve(V, e))

    x, k = whole[free], len(free)
    step = 1e-3 * np.maximum(np.abs(x), 0.05)
    hessian = np.empty((k, k))
    for i in range(k):
        for j in range(i + 1):
            a, b = step[i] * np.eye(k)[i], step[j] * np.eye(k)[j]
            corners = minus_twice(x + a + b) - minus_twice(x + a - b) - minus_twice(x - a + b) + minus_twice(x - a - b)
            hessian[i, j] = hessian[j, i] = corners / (4 * step[i] * step[j])
    expected = np.sqrt(np.diag(np.linalg.inv(hessian / 2)))[:p]
    np.testing.assert_allclose(found.with_inference(cov="hessian").bse, expected, rtol=1e-4)
    assert (found.with_inference(cov="hessian").bse > found.bse).all()


def test_a_search_begins_where_it_is_told():
    start = {"theta": WIDE.engine.theta, "residual": WIDE.engine.psi}
    residual = "ar1h(AVISIT | USUBJID)"
    near = henderson.lmer("FEV1 ~ ARMCD + (1 | SITE)", SPREAD, residual=residual, start=start)
    far = henderson.lmer("FEV1 ~ ARMCD + (1 | SITE)", SPREAD, residual=residual, start=[3.0, 9, 9, 9, 9, -0.5])
    assert near.deviance == pytest.approx(WIDE.deviance, abs=1e-8)
    assert far.deviance == pytest.approx(WIDE.deviance, abs=1e-7)
    assert near.engine.optimum.evaluations < far.engine.optimum.evaluations
    wrong = {
        "1 numbers; the model has 1 of theta and 5": [1.0],
        "Corr = 2 is not between -1 and 1": {"theta": [1.0], "residual": [1, 1, 1, 1, 2.0]},
        "it takes 'theta'": {"psi": [1.0]},
    }
    for message, value in wrong.items():
        with pytest.raises(ValueError, match=message):
            henderson.lmer("FEV1 ~ ARMCD + (1 | SITE)", SPREAD, residual=residual, start=value)
    with pytest.raises(ValueError, match="not positive definite"):
        henderson.lmer("FEV1 ~ ARMCD", SITES, residual="cs(AVISIT | USUBJID)", start=[1.0, 2.0])


def test_new_series_are_simulated_from_the_structure():
    """Rows of one new label correlate as the structure has it, with the site's effect; known sites may keep theirs."""
    visits = ["VIS1", "VIS3", "VIS4"]
    new = pd.DataFrame({"SITE": "1", "USUBJID": np.repeat(["one", "two"], 3), "AVISIT": visits * 2, "ARMCD": "TRT"})
    drawn = WIDE.simulate(6000, new, seed=1).to_numpy()
    fit = WIDE.engine
    own = WIDE.residual_cov().loc[visits, visits].to_numpy()
    site = fit.sigma**2 * fit.lam[0][0, 0] ** 2
    expected = np.kron(np.eye(2), own) + site
    np.testing.assert_allclose(np.cov(drawn), expected, atol=0.06 * own.max())
    kept = WIDE.simulate(6000, new, re="same", seed=1).to_numpy()
    np.testing.assert_allclose(np.cov(kept), np.kron(np.eye(2), own), atol=0.06 * own.max())
    np.testing.assert_allclose(
        kept.mean(axis=1), WIDE.predict(new, conditional=True, new_levels="population"), atol=0.5
    )
    again = WIDE.simulate(2, new.iloc[::-1], seed=1)
    assert again.shape == (6, 2)
    with pytest.raises(DataError, match="USUBJID 'one' has two rows at AVISIT 'VIS1'"):
        WIDE.simulate(1, new.assign(AVISIT="VIS1"))
    with pytest.raises(DataError, match="'AVISIT' has the level 'VIS9' in row 0"):
        WIDE.simulate(1, new.assign(AVISIT="VIS9"))
    weighted = US.simulate(4000, new.assign(WEIGHT=[1.0, 2, 4, 1, 1, 1]), seed=2).to_numpy()
    np.testing.assert_allclose(
        weighted.var(axis=1)[:3], np.diag(US.residual_cov().loc[visits, visits]) / [1, 2, 4], rtol=0.1
    )


def test_structures_are_compared():
    names = ("ar1", "ar1h", "toeph", "us", "csh", "cs")
    fits = {name: fitted("FEV1 ~ ARMCD", f"{name}(AVISIT | USUBJID)") for name in names}
    table = henderson.compare(fits["ar1"], fits["ar1h"], fits["us"])
    one, two = table.iloc[1], table.iloc[2]
    assert one["statistic"] == pytest.approx(fits["ar1"].deviance - fits["ar1h"].deviance, abs=1e-6)
    assert (one["df"], two["df"]) == (3.0, 5.0)
    assert table["aic"].tolist() == pytest.approx([fits[name].aic for name in ("ar1", "ar1h", "us")])
    assert table["bic"].tolist() == pytest.approx([fits[name].bic for name in ("ar1", "ar1h", "us")])
    other = henderson.compare(fits["ar1"], fits["csh"])
    assert np.isnan(other["statistic"]).all()
    assert "not nested" in " ".join(other.attrs["notes"])
    assert "the lowest AIC and BIC are those of FEV1 ~ ARMCD, csh" in " ".join(other.attrs["notes"])
    fixed = henderson.compare(
        fitted("FEV1 ~ ARMCD", "us(AVISIT | USUBJID)"), fitted("FEV1 ~ 1", "us(AVISIT | USUBJID)")
    )
    assert "refitted by ML" in " ".join(fixed.attrs["notes"])
    assert fixed["p"].iloc[1] < 1e-6


def test_results_are_kept():
    again = pickle.loads(pickle.dumps(RANDOM))
    np.testing.assert_allclose(again.with_inference(ddf="kenward-roger").bse, RANDOM.with_inference(ddf="KR").bse)
    light = pickle.loads(pickle.dumps(US))
    light.remove_data()
    light = pickle.loads(pickle.dumps(light))
    np.testing.assert_allclose(light.bse, US.bse)
    np.testing.assert_allclose(light.with_inference(ddf="KR").df_inference, US.with_inference(ddf="KR").df_inference)
    assert light.aic == pytest.approx(US.aic)
    assert str(light.summary()) == str(US.summary())
    np.testing.assert_allclose(light.residual_cov(), US.residual_cov())
    with pytest.raises(NotAvailable, match="removed"):
        light.resid  # noqa: B018 - refused


REFUSED = {
    "rlrt": lambda r: r.rlrt(),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_takes_residuals_to_be_independent_is_refused_by_name(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(NotAvailable, match=r"ar1h\(AVISIT \| USUBJID\)"):
            REFUSED[name](RANDOM)


def crossed_trial() -> pd.DataFrame:
    """Patients × raters, visits of a patient correlated."""
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"patient": np.repeat(np.arange(20), 9), "visit": np.tile(np.arange(9), 20)})
    data["rater"], data["x"] = rng.integers(8, size=len(data)), rng.normal(size=len(data))
    e = rng.normal(size=(20, 9))
    for t in range(1, 9):
        e[:, t] += 0.5 * e[:, t - 1]
    effects = rng.normal(size=20)[data["patient"]] + rng.normal(size=8)[data["rater"]]
    data["y"] = data["x"] + effects + e.ravel()
    return data


def test_crossed_factors_have_everything_after_the_fit():
    """By effects, and by n × n blocks where rows ask for them: one model."""
    formula = "y ~ x + (1 | patient) + (1 | rater)"
    found = fitted(formula, "ar1(visit | patient)", data=crossed_trial(), ddf="kenward-roger")
    rows, V, _ = dense(found)
    S = np.linalg.inv(V)
    np.testing.assert_allclose(found.engine.vcov, np.linalg.inv(rows.X.T @ S @ rows.X), rtol=1e-8)
    scaled = np.asarray(found.residuals("scaled", level="marginal"))
    marginal = rows.y - rows.X @ found.engine.beta
    assert scaled @ scaled == pytest.approx(marginal @ S @ marginal, rel=1e-8)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_allclose(again.with_inference(ddf="satterthwaite").df_inference,
                               found.with_inference(ddf="satterthwaite").df_inference)  # fmt: skip
    found.predict(crossed_trial().head(3), conditional=True)
    light = pickle.loads(pickle.dumps(found))
    light.remove_data()
    np.testing.assert_allclose(light.ranef_sd["rater"], found.ranef_sd["rater"])
    assert (light.aic, *light.r2()) == pytest.approx((found.aic, *found.r2()))
    for refused in (
        lambda: found.with_inference(cov="CR2").bse,
        lambda: found.with_inference(ddf="between-within").df_inference,
    ):
        with pytest.raises(henderson.errors.DataError, match="crossed"):
            refused()


def test_residuals_without_series_have_no_matrix_of_one():
    """'' has no level 'PT1', it said."""
    fit = henderson.lmer("FEV1 ~ ARMCD", henderson.datasets.load("fev"), residual="ident(SEX)")
    assert np.diag(fit.residual_cov()) == pytest.approx(fit.engine.psi)
    with pytest.raises(NotAvailable, match=r"residuals of ident\(SEX\) are independent, and have no series"):
        fit.residual_cov("PT1")
