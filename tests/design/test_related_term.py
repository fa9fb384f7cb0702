"""Terms whose A⁻¹ is in the equations, by a sparse factor: equal to those whose effects are made independent, and bars
with several effects against n × n algebra, Var(b) = A ⊗ G."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import henderson
from henderson.contract.design import RelatedEffects
from henderson.design import known_term
from henderson.design.from_formula import design_from_formula
from henderson.engine.factor.sparse import pairs
from henderson.engine.fit import refit
from henderson.engine.given import fit_at
from henderson.engine.many.draws import residual as residual_draw
from henderson.engine.row_forms import forms_at, row_forms
from henderson.errors import DataError, FormulaError, NotAvailable
from henderson.planning import power
from henderson.prediction.breeding_values import breeding_values

SAME = 1e-8  # two algorithms for one number
ESTIMATED = 1e-6  # at two ends of searches, relative
PRINTED = 5.1e-4  # three digits, in the book


def relatives(n=50, seed=3):
    rng = np.random.default_rng(seed)
    sire, dam = ([None] * 8 + [f"a{rng.integers(0, i)}" for i in range(8, n)] for _ in range(2))
    return henderson.pedigree([f"a{k}" for k in range(n)], sire, dam)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Three records of most animals of a pedigree, weights, a copy of the animal, and a crossed block."""
    rng = np.random.default_rng(5)
    A = relatives()
    value = pd.DataFrame(A.root() @ rng.normal(size=(50, 2)) @ [[1.0, 0.3], [0.0, 0.7]], index=A.ids)
    animal = rng.permutation(np.repeat([f"a{k}" for k in range(5, 45)], 3))
    table = pd.DataFrame({"animal": animal, "block": rng.integers(6, size=120), "x": rng.normal(size=120)})
    table["w"] = rng.integers(1, 4, size=120).astype(float)
    noise = 0.8 * rng.normal(size=120) / np.sqrt(table["w"])
    value, slope = value.loc[animal].to_numpy().T
    y = 2 + 0.4 * table["x"] + value + slope * table["x"] + 0.5 * (table["block"] % 3) + noise
    return table.assign(pe=animal, y=y)


@pytest.fixture(scope="module")
def both(data):
    """One model by the dense root of A and by its sparse inverse."""

    def fit(few):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(known_term, "FEW", few)
            formula = "y ~ x + (1 | animal) + (1 | pe) + (1 | block)"
            return henderson.lmer(formula, data, relmat={"animal": relatives()}, weights="w")

    dense, sparse = fit(1000), fit(0)
    assert isinstance(sparse.engine.design.terms[0].known, RelatedEffects)
    assert not isinstance(dense.engine.design.terms[0].known, RelatedEffects)
    return dense, sparse


def test_is_the_fit_with_independent_effects(both):
    dense, sparse = both
    assert sparse.engine.optimum.converged
    assert sparse.deviance == pytest.approx(dense.deviance, abs=SAME)
    np.testing.assert_allclose(sparse.varcorr["vcov"], dense.varcorr["vcov"], rtol=ESTIMATED)
    at = replace(sparse.engine, lam=dense.engine.lam, theta=dense.engine.theta)
    assert at.criterion.deviance(at.theta) == pytest.approx(dense.deviance, abs=SAME)
    for name in ("coef_table", "anova", "variance_errors", "heritability", "breeding_values", "r2", "icc", "augment"):
        one, other = (getattr(fit, name) for fit in both)
        one, other = (one(), other()) if callable(one) else (one, other)
        one, other = (np.asarray(table if isinstance(table, tuple) else table.select_dtypes("number"), float)
                      for table in (one, other))  # fmt: skip
        np.testing.assert_allclose(other, one, rtol=ESTIMATED, atol=ESTIMATED, err_msg=name)
    kr = [fit.anova(ddf="kenward-roger").select_dtypes("number") for fit in both]
    np.testing.assert_allclose(kr[1], kr[0], rtol=ESTIMATED)
    for name in ("ranef", "ranef_sd"):
        one, other = (getattr(fit, name)["animal"] for fit in both)
        np.testing.assert_allclose(other, one, atol=ESTIMATED)


def test_predictions_and_their_errors(both, data):
    """Of animals with records, of one without, and of one that is no relative."""
    new = data.head(4).assign(animal=["a7", "a0", "a49", "a30"], pe=["a7", "new", "new", "a30"])
    one, other = (fit.predict(new, re="all", se=True, new_levels="population") for fit in both)
    np.testing.assert_allclose(other, one, rtol=ESTIMATED)


def test_forms_between_rows(both):
    one, other = (row_forms(fit.engine).loads.block(np.arange(0, 120, 17)) for fit in both)
    np.testing.assert_allclose(other, one, atol=ESTIMATED)


def test_rows_whose_levels_never_met(both):
    """Of rows that a fit was without, z'Wz needs what the inverse on the pattern has not."""
    fit = both[1].engine
    animal, *others = fit.rows.terms
    turned = replace(fit.rows, terms=(replace(animal, codes=animal.codes[::-1]), *others))
    loads = forms_at(fit.at_optimum(), turned).loads
    np.testing.assert_allclose(loads.diagonal(), np.diag(loads.block(np.arange(120))), rtol=SAME)


def test_refitted_and_by_maximum_likelihood(both, data):
    y = data["y"].to_numpy() + data["x"].to_numpy() ** 2
    one, other = (fit.refit(y) for fit in both)
    assert other.deviance == pytest.approx(one.deviance, abs=SAME)
    small = [fit.ranova().select_dtypes("number") for fit in both]
    np.testing.assert_allclose(small[1], small[0], rtol=ESTIMATED, atol=ESTIMATED)


def dense(data, fit, weights):
    """−2 REML log-likelihood, β̂, effects, their error variances and those given β, by n × n algebra at a fit."""
    A, G = relatives().relationship(), fit.engine.sigma**2 * fit.engine.covariances[0]
    n, ids = len(data), A.index.get_indexer(data["animal"])
    Z = np.zeros((n, 50, 2))
    Z[np.arange(n), ids, 0], Z[np.arange(n), ids, 1] = 1.0, data["x"]
    Z, prior = Z.reshape(n, 100), np.kron(A.to_numpy(), G)
    block = fit.engine.sigma**2 * fit.engine.covariances[1][0, 0]
    V = Z @ prior @ Z.T + fit.engine.sigma**2 * np.diag(1 / weights)
    V += block * np.equal.outer(data["block"].to_numpy(), data["block"].to_numpy())
    X, y = np.column_stack([np.ones(n), data["x"]]), data["y"].to_numpy()
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    deviance = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ inverse @ X)[1] + y @ P @ y
    beta = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
    C = prior @ Z.T
    errors, given = (np.diag(prior - C @ own @ C.T) for own in (P, inverse))
    return deviance + (n - 2) * np.log(2 * np.pi), beta, C @ P @ y, errors, given


@pytest.fixture(scope="module")
def slopes(data):
    return henderson.lmer("y ~ x + (x | animal) + (1 | block)", data, relmat={"animal": relatives()}, weights="w")


def test_correlated_effects_of_relatives(data, slopes):
    deviance, beta, effects, errors, given = dense(data, slopes, data["w"].to_numpy())
    assert slopes.deviance == pytest.approx(deviance, abs=SAME)
    np.testing.assert_allclose(slopes.params, beta, rtol=SAME)
    found = slopes.breeding_values()
    assert found.index.names == ["animal", "effect"]
    assert found.index[1] == (found.index[0][0], "x")
    np.testing.assert_allclose(found["value"], effects, atol=SAME)
    np.testing.assert_allclose(found["se"] ** 2, errors, rtol=SAME)
    variances = np.tile(np.diag(slopes.engine.sigma**2 * slopes.engine.covariances[0]), 50)
    inbred = np.repeat(np.diag(relatives().relationship()), 2)
    np.testing.assert_allclose(found["reliability"], 1 - errors / (variances * inbred), atol=SAME)
    np.testing.assert_allclose(slopes.ranef["animal"].to_numpy().ravel(), effects, atol=SAME)
    np.testing.assert_allclose(slopes.ranef_sd["animal"].to_numpy().ravel() ** 2, given, rtol=SAME)
    np.testing.assert_allclose(np.sqrt(slopes.ranef_cov[0][:, 1, 1]), slopes.ranef_sd["animal"]["x"], rtol=SAME)


def test_it_is_an_optimum(data, slopes):
    """The deviance of n × n algebra rises in each direction of the variances."""
    fit, w = slopes.engine, data["w"].to_numpy()
    assert fit.optimum.converged
    for step in 1e-3 * np.eye(len(fit.theta)):
        for theta in (fit.theta + step, fit.theta - step):
            moved = fit_at(fit.design, fit.rows, theta)
            assert moved.deviance == pytest.approx(dense(data, _Result(moved), w)[0], abs=SAME)
            assert moved.deviance > fit.deviance


class _Result:
    def __init__(self, engine):
        self.engine = engine


def test_slopes_of_their_own(data):
    """(x || animal) is two bars; each has a variance, and both are the sparse factor's."""
    one = henderson.lmer("y ~ x + (x || animal)", data, relmat={"animal": relatives()})
    two = henderson.lmer("y ~ x + (1 | animal) + (0 + x | animal)", data, relmat={"animal": relatives()})
    assert one.deviance == pytest.approx(two.deviance, abs=SAME)


def test_a_matrix_has_an_inverse_too(data, slopes):
    given = {"animal": relatives().relationship().sample(frac=1, random_state=1).pipe(lambda A: A[A.index[::-1]])}
    fit = henderson.lmer("y ~ x + (x | animal) + (1 | block)", data, relmat=given, weights="w")
    assert fit.deviance == pytest.approx(slopes.deviance, abs=SAME)
    markers = np.random.default_rng(0).normal(size=(50, 20))
    singular = {"animal": (markers @ markers.T, relatives().ids)}
    with pytest.raises(DataError, match=r"relmat\['animal'\] is singular, and has no inverse"):
        henderson.lmer("y ~ x + (x | animal)", data, relmat=singular)


def test_a_variance_of_zero(data):
    """No genetic variance: the certificate at the boundary is that of levels that are independent."""
    rng = np.random.default_rng(2)
    noise = data.assign(y=rng.normal(size=120) - 0.5 * np.tile([1, -1], 60)[np.argsort(np.argsort(data["animal"]))])
    fits = []
    for few in (1000, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(known_term, "FEW", few)
            fits.append(
                henderson.lmer("y ~ x + (1 | animal) + (1 | block)", noise, relmat={"animal": relatives(seed=8)})
            )
    one, other = fits
    assert one.varcorr["vcov"].min() == 0
    assert other.deviance == pytest.approx(one.deviance, abs=SAME)
    assert other.engine.optimum.converged
    np.testing.assert_allclose(
        other.engine.optimum.smallest_curvature, one.engine.optimum.smallest_curvature, atol=ESTIMATED
    )


def test_mrodes_weaning_weights(monkeypatch):
    """Mrode's example 3.1 by the sparse factor: residual variance 40 and additive variance 20."""
    monkeypatch.setattr(known_term, "FEW", 0)
    calves = henderson.pedigree([4, 5, 6, 7, 8], [1, 3, 1, 4, 3], [None, 2, 2, 5, 6])
    sexes = ["male", "female", "female", "male", "male"]
    weights = {"calf": [4, 5, 6, 7, 8], "sex": sexes, "gain": [4.5, 2.9, 3.9, 3.5, 5]}
    model = design_from_formula("gain ~ 0 + sex + (1 | calf)", weights, relmat={"calf": calves})
    fit = replace(fit_at(*model, np.array([np.sqrt(20 / 40)])), sigma=np.sqrt(40.0))
    np.testing.assert_allclose(fit.beta, [3.404, 4.358], atol=PRINTED)
    found = breeding_values(fit).loc[range(1, 9)]
    values = [0.098, -0.019, -0.041, -0.009, -0.186, 0.177, -0.249, 0.183]
    np.testing.assert_allclose(found["value"], values, atol=PRINTED)
    errors = [0.471, 0.492, 0.456, 0.428, 0.428, 0.442, 0.442, 0.422]
    np.testing.assert_allclose(found["se"] ** 2 / 40, errors, atol=PRINTED)


def test_drawn_effects_vary_as_relatives_do(both):
    """Responses drawn from the model have the covariance of the model."""
    fit = both[1]
    drawn = fit.simulate(4000, seed=1).to_numpy() - fit.predict(re=None).to_numpy()[:, None]
    A, rows = relatives().relationship(), fit.engine.rows
    ids = rows.terms[0].codes
    wanted = fit.varcorr.set_index("grp")["vcov"]["animal"] * A.to_numpy()[np.ix_(ids, ids)]
    apart = ids[:, None] != ids
    apart &= rows.terms[2].codes[:, None] != rows.terms[2].codes
    slope = np.cov(drawn)[apart] @ wanted[apart] / (wanted[apart] @ wanted[apart])
    assert slope == pytest.approx(1.0, abs=0.1)


def test_variances_may_be_fixed(data):
    """By the sparse inverse, and by independent effects of the dense root."""
    found = []
    for few in (1000, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(known_term, "FEW", few)
            formula, fixed = "y ~ x + (1 | animal) + (1 | block)", {"animal": 0.6, "Residual": 0.9}
            found.append(henderson.lmer(formula, data, relmat={"animal": relatives()}, weights="w", fix=fixed))
    dense, sparse = found
    assert sparse.engine.design.is_related
    assert not dense.engine.design.is_related
    assert sparse.deviance == pytest.approx(dense.deviance, abs=SAME)
    np.testing.assert_allclose(sparse.bse, dense.bse, rtol=ESTIMATED)
    np.testing.assert_allclose(sparse.varcorr["vcov"], dense.varcorr["vcov"], rtol=ESTIMATED)
    values = dense.ranef["animal"]
    np.testing.assert_allclose(sparse.ranef["animal"].loc[values.index], values, atol=ESTIMATED)
    tables = [fit.with_inference(ddf="satterthwaite").anova().to_numpy(float) for fit in found]
    np.testing.assert_allclose(*tables, rtol=1e-5)
    tables = [fit.conf_int(method="profile", parameters="x").to_numpy(float) for fit in found]
    np.testing.assert_allclose(*tables, rtol=ESTIMATED)
    assert sparse.caic().caic == pytest.approx(dense.caic().caic, abs=ESTIMATED)


def test_conditional_aic(both, data):
    """Of independent effects of the dense root; of correlated effects of relatives ρ is at least tr H."""
    dense, sparse = (fit.caic() for fit in both)
    assert sparse.caic == pytest.approx(dense.caic, abs=1e-5)
    assert sparse.rho == pytest.approx(dense.rho, abs=1e-5)
    slopes = henderson.lmer("y ~ x + (x | animal)", data, relmat={"animal": relatives()}, weights="w").caic()
    assert slopes.rho > slopes.effective_df


def test_resampled_effects_vary_as_relatives_do(both):
    """The residual bootstrap draws what animals have beside their parents' means: responses have the model's V."""
    fit, A = both[1], relatives().relationship().to_numpy()
    drawn = residual_draw(fit.engine)(np.random.default_rng(1), 4000)
    rows, sizes = fit.engine.rows, fit.varcorr.set_index("grp")["vcov"]
    animal, pe, block = (term.codes for term in rows.terms)
    wanted = sizes["animal"] * A[np.ix_(animal, animal)] + np.diag(sizes["Residual"] / rows.unit_weights)
    wanted += sizes["pe"] * (pe[:, None] == pe) + sizes["block"] * (block[:, None] == block)
    np.testing.assert_allclose(np.cov(drawn), wanted, atol=0.15 * wanted.max())
    np.testing.assert_allclose(drawn.mean(axis=1), fit.predict(re=None), atol=0.15)


def test_new_rows_are_drawn_with_their_relatives(both):
    """Animals without records correlate with their parents; a stranger with none."""
    fit, A = both[1], relatives().relationship()
    new = pd.DataFrame({"animal": ["a49", "a49", "a2", "stranger"], "x": 0.0, "block": 1, "pe": [1, 2, 3, 4], "w": 1e9})
    drawn = fit.simulate(6000, newdata=new, seed=2).to_numpy()
    sizes = fit.varcorr.set_index("grp")["vcov"]
    ids = ["a49", "a49", "a2"]
    wanted = np.full((4, 4), sizes["block"])
    wanted[:3, :3] += sizes["animal"] * A.loc[ids, ids].to_numpy()
    wanted[3, 3] += sizes["animal"]
    wanted += sizes["pe"] * np.eye(4)
    np.testing.assert_allclose(np.cov(drawn), wanted, atol=0.08 * wanted.max())


@pytest.mark.parametrize(
    "ask",
    [
        lambda fit: fit.rlrt("animal"),
        lambda fit: fit.with_inference(cov="CR0").bse,
        lambda fit: henderson.power(fit, "x", n=10, sizes={"animal": 100}),
        lambda fit: fit.bootstrap(10, seed=1, kind="cases"),
    ],
    ids=["rlrt", "CR0", "power of more levels", "cases"],
)
def test_what_takes_effects_to_be_independent_says_so(both, ask):
    with pytest.raises((NotAvailable, DataError), match="known relationships"):
        ask(both[1])


def test_power(both, monkeypatch):
    """Data sets are drawn and refitted one by one: each p is that of the model by the dense root of A."""
    dense, sparse = both
    drawn, blocks = [], power.blocks

    def seen(*args):
        for number, y in blocks(*args):
            drawn.append(y)
            yield number, y

    monkeypatch.setattr(power, "blocks", seen)
    found = henderson.power(sparse, "x", n=2, seed=1, ddf="asymptotic")
    again = [refit(dense.engine, y) for y in np.hstack(drawn).T]
    expected = [2 * stats.norm.sf(abs(one.beta[1]) / np.sqrt(one.vcov[1, 1])) for one in again]
    np.testing.assert_allclose(found.pvalues[0], expected, rtol=1e-5)


def test_refused_by_name(data, monkeypatch):
    A = relatives()
    with pytest.raises(FormulaError, match="has a covariance matrix, which may not be indefinite"):
        henderson.lmer("y ~ x + (x | animal)", data, relmat={"animal": A}, bound=False)
    with pytest.raises(ValueError, match="rest='iterative' does not go with relmat"):
        henderson.lmer("y ~ x + (x | animal)", data, relmat={"animal": A}, rest="iterative")
    monkeypatch.setattr(pairs, "free_memory", lambda: 1e4)
    with pytest.raises(DataError, match=r"100 effects have a Cholesky factor of [\d,]+ numbers, which takes 0.0 GB"):
        henderson.lmer("y ~ x + (x | animal)", data, relmat={"animal": A})


def test_statsmodels_door_has_them(data, slopes):
    fit = henderson.mixedlm("y ~ x + (x | animal) + (1 | block)", data, weights="w", relmat={"animal": relatives()})
    found = fit.fit()
    assert found.llf == pytest.approx(slopes.llf, abs=SAME)
    np.testing.assert_allclose(found.breeding_values()["value"], slopes.breeding_values()["value"], atol=ESTIMATED)


def test_saved_and_read(slopes, data, tmp_path):
    slopes.save(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson")
    pd.testing.assert_frame_equal(again.breeding_values(), slopes.breeding_values(), rtol=1e-9)
    np.testing.assert_allclose(again.predict(data.iloc[:4], re="all"), slopes.predict(data.iloc[:4], re="all"))
