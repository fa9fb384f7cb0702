"""Residuals with a structure beside levels with known relationships, by a sparse factor: equal to effects that are made
independent, by dense matrices; bars with several effects against n × n algebra, Var(b) = A ⊗ G."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import henderson
from henderson.contract.design import RelatedEffects
from henderson.covariance import relationship
from henderson.design import known_term
from henderson.engine.residual.crossed import CrossedPoint
from henderson.engine.residual.fitting import structured_at
from henderson.engine.residual.model import to_user_units
from henderson.engine.residual.plain import PlainPoint
from henderson.engine.residual.related import RelatedModel, RelatedPoint
from henderson.engine.residual.related_moments import first_traces, moments_of_related
from henderson.engine.sums import crossproducts
from henderson.errors import DataError, FormulaError

SAME = 1e-8  # two algorithms for one number
ESTIMATED = 1e-6  # at two ends of searches, relative
DIFFERENCES = 1e-5  # of a deviance with twelve digits
ANIMALS, SIBS = 30, 6


def relatives() -> henderson.covariance.pedigree.Pedigree:
    """Six founders and their descendants, some inbred."""
    rng = np.random.default_rng(3)
    parents = [[None] * SIBS + [f"a{rng.integers(0, i)}" for i in range(SIBS, ANIMALS)] for _ in range(2)]
    return henderson.pedigree([f"a{k}" for k in range(ANIMALS)], *parents)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Test days of most animals, some missed, in any order, with weights, two pens and a copy of the animal."""
    rng = np.random.default_rng(5)
    A = relatives()
    value = pd.DataFrame(A.root() @ rng.normal(size=(ANIMALS, 2)) @ [[1.0, 0.2], [0.0, 0.6]], index=A.ids)
    animals = [f"a{k}" for k in range(3, ANIMALS)]
    table = pd.DataFrame({"animal": np.repeat(animals, 4), "day": np.tile(range(4), len(animals))})
    wave = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(range(4), range(4))))
    n = len(table)
    table["x"], table["pen"] = rng.normal(size=n), rng.integers(5, size=n)
    table["sex"], table["w"] = np.where(rng.random(n) < 0.5, "f", "m"), rng.integers(1, 4, size=n).astype(float)
    noise = (rng.normal(size=(len(animals), 4)) @ wave.T).ravel() / np.sqrt(table["w"])
    intercept, slope = value.loc[table["animal"]].to_numpy().T
    table["y"] = 2 + 0.4 * table["x"] + intercept + slope * table["x"] + 0.4 * (table["pen"] % 3) + noise
    return table.assign(pe=table["animal"]).sample(frac=0.92, random_state=1).reset_index(drop=True)


def fitted(data, few, formula, **options):
    """With the roots of A up to `few` levels, by its inverse beyond."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_term, "FEW", few)
        return henderson.lmer(formula, data, relmat={"animal": relatives()}, **options)


MODELS = {
    "ar1": ("y ~ x + (1 | animal)", {"residual": "ar1(day | animal)"}),
    "weights, ML": ("y ~ x + (1 | animal)", {"residual": "ar1(day | animal)", "weights": "w", "REML": False}),
    "strata": ("y ~ x + (1 | animal) + (1 | pen)", {"residual": "ident(sex)", "weights": "w"}),
    "times held": ("y ~ x + (1 | animal) + (1 | pen)", {"residual": "car1(day | animal)", "fix": {"pen": 0.3}}),
    "equal": ("y ~ x + (1 | animal) + (1 | pe)", {"same": [["animal", "pe"]]}),
    "equal, other columns": (
        "y ~ x + (1 | animal) + (0 + x | animal)",
        {"same": [["(1 | animal)", "(0 + x | animal)"]]},
    ),
    "equal, ar1": ("y ~ x + (1 | animal) + (1 | pen)", {"residual": "ar1(day | animal)", "same": [["animal", "pen"]]}),
}
POINTS = {"equal": PlainPoint, "equal, other columns": PlainPoint}


@pytest.mark.parametrize("name", MODELS)
def test_is_the_fit_with_independent_effects(data, name):
    formula, options = MODELS[name]
    dense, sparse = (fitted(data, few, formula, **options) for few in (1000, 0))
    assert isinstance(dense.engine._block_point, CrossedPoint) or dense.engine.has_blocks
    assert isinstance(sparse.engine._block_point, POINTS.get(name, RelatedPoint))
    assert sparse.converged
    assert sparse.deviance == pytest.approx(dense.deviance, abs=SAME)
    assert (sparse.aic, sparse.bic) == pytest.approx((dense.aic, dense.bic), abs=SAME)
    np.testing.assert_allclose(sparse.engine.variances, dense.engine.variances, rtol=ESTIMATED, atol=ESTIMATED)
    one, other = (numbers(fit.coef_table) for fit in (dense, sparse))  # with Satterthwaite's df
    np.testing.assert_allclose(other, one, rtol=5 * ESTIMATED)
    one, other = (numbers(fit.variance_errors()) for fit in (dense, sparse))
    np.testing.assert_allclose(other, one, rtol=5 * ESTIMATED)


def numbers(table) -> np.ndarray:
    """The columns of numbers."""
    return table.select_dtypes("number").to_numpy(float)


@pytest.fixture(scope="module")
def both(data):
    """One model by the roots of A and by its sparse inverse."""
    options = {"residual": "ar1(day | animal)", "weights": "w"}
    dense, sparse = (fitted(data, few, "y ~ x + sex + (1 | animal)", **options) for few in (1000, 0))
    assert isinstance(sparse.engine.design.terms[0].known, RelatedEffects)
    assert not isinstance(dense.engine.design.terms[0].known, RelatedEffects)
    return dense, sparse


AFTER = {
    "Kenward-Roger": lambda fit: numbers(fit.anova(ddf="kenward-roger")),
    "Kenward-Roger, linear": lambda fit: numbers(fit.anova(ddf="kenward-roger-linear")),
    "breeding values": lambda fit: numbers(fit.breeding_values()),
    "conditional sd": lambda fit: numbers(fit.ranef_sd["animal"]),
    "heritability": lambda fit: numbers(fit.heritability()),
    "augmented": lambda fit: numbers(fit.augment()),
    "of inbred animals": lambda fit: fit.residuals("pearson", "marginal").to_numpy(),
    "means": lambda fit: numbers(fit.emmeans("sex").frame),
    "R2": lambda fit: np.array([fit.r2().marginal, fit.r2().conditional]),
    "matrix": lambda fit: fit.residual_cov("a7").to_numpy(),
    "refit": lambda fit: fit.refit(fit.engine.observed.y + fit.engine.observed.X[:, 1] ** 2).params.to_numpy(),
}


@pytest.mark.parametrize("name", AFTER)
def test_after_the_fit(both, name):
    one, other = (AFTER[name](fit) for fit in both)
    np.testing.assert_allclose(other, one, rtol=10 * ESTIMATED, atol=10 * ESTIMATED)


def test_predictions_know_the_animal_and_its_past(both, data):
    new = data.head(3).assign(animal=["a7", "a0", "a29"], day=[3, 0, 2])
    for options in ({}, {"conditional": True}):
        one, other = (fit.predict(new.drop(columns="y"), re="all", **options) for fit in both)
        np.testing.assert_allclose(other, one, rtol=ESTIMATED)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "asymptotic"])
def test_errors_of_predictions(both, data, ddf):
    """Of an animal with records, one without, an inbred one, and one that is no relative."""
    new = data.head(4).assign(animal=["a7", "a0", "a29", "a28"], day=[3, 0, 2, 1])
    one, other = (fit.predict(new, re="all", interval="prediction", ddf=ddf) for fit in both)
    np.testing.assert_allclose(numbers(other), numbers(one), rtol=10 * ESTIMATED)


def test_profile_of_a_fixed_effect(both):
    one, other = (numbers(fit.conf_int(method="profile", parameters="x")) for fit in both)
    np.testing.assert_allclose(other, one, rtol=ESTIMATED)


def algebra(data, fit):
    """−2 REML log-likelihood, and effects and their error variances, by n × n algebra at a fit with (x | animal)."""
    rows, term = fit.engine.observed, fit.engine.design.terms[0]
    A, G, n = relatives().relationship().to_numpy(), fit.engine.sigma**2 * fit.engine.covariances[0], len(data)
    Z = np.zeros((n, term.n_levels, 2))
    Z[np.arange(n), rows.terms[0].codes] = rows.terms[0].columns
    Z, prior = Z.reshape(n, -1), np.kron(A, G)
    variance, rho = fit.engine.psi
    day, animal = data["day"].to_numpy(), data["animal"].to_numpy()
    R = variance * rho ** np.abs(np.subtract.outer(day, day)) * np.equal.outer(animal, animal)
    S, X, y = np.linalg.inv(R + Z @ prior @ Z.T), rows.X, rows.y
    P = S - S @ X @ np.linalg.solve(X.T @ S @ X, X.T @ S)
    deviance = -np.linalg.slogdet(S)[1] + np.linalg.slogdet(X.T @ S @ X)[1] + y @ P @ y
    C = prior @ Z.T
    return deviance + (n - X.shape[1]) * np.log(2 * np.pi), C @ P @ y, np.diag(prior - C @ P @ C.T)


@pytest.fixture(scope="module")
def slopes(data):
    return fitted(data, 0, "y ~ x + (x | animal)", residual="ar1(day | animal)")


def test_correlated_effects_of_relatives(data, slopes):
    deviance, effects, errors = algebra(data, slopes)
    assert slopes.deviance == pytest.approx(deviance, abs=SAME)
    found = slopes.breeding_values()
    np.testing.assert_allclose(found["value"], effects, atol=SAME)
    np.testing.assert_allclose(found["se"] ** 2, errors, atol=SAME)


def test_derivatives_at_given_variances(slopes):
    """Of the likelihood, beside differences; T2 of the moments beside those of first traces along every parameter."""
    fit = slopes.engine
    design, rows, at = fit.design, fit.observed, fit.variances * [1.3, 1.0, 0.9, 0.8, 1.1]
    unit = np.array([0.3, 0.05, 0.1, 0.3, 0.1])

    def moved(step):
        return structured_at(design, rows, at + unit * step, "given", reml=True)._block_point

    point = moved(np.zeros(5))
    model = point.related.model
    assert isinstance(point, RelatedPoint)

    def deviance(phi):
        return point.related.at(phi).deviance

    found = optimize.approx_fprime(point.theta, deviance, 1e-6)
    np.testing.assert_allclose(point.gradient, found, rtol=DIFFERENCES, atol=DIFFERENCES)
    moments = moments_of_related(point)
    h, t2 = 1e-5, np.empty((5, 5))
    for a, step in enumerate(np.eye(5) * h):
        up, down = (first_traces(moved(own)) for own in (step, -step))
        t2[:, a] = -(up - down) / (2 * h * unit[a])
    bent = moments.second.curved_traces()
    np.testing.assert_allclose(moments.t2, t2 @ to_user_units(model) + bent, rtol=100 * DIFFERENCES)


def test_rows_of_scattered_series_in_any_chunks(both, monkeypatch):
    """Columns were written in the order of the series beside levels in the order of the rows, from 16,384 rows on."""
    fit = both[1].engine
    monkeypatch.setattr(crossproducts, "CHUNK", 20)
    again = RelatedModel(fit.blocks, fit.observed).at(fit.blocks.working(fit.psi_working))
    assert again.deviance == pytest.approx(fit.deviance, abs=SAME)


def test_no_likelihood_is_said_where_the_digits_of_the_inverse_are_gone(both):
    """Of residuals that all but determine each other R has no inverse to speak of; V has, but not by way of R's."""
    fit = both[1].engine
    at = structured_at(fit.design, fit.observed, np.append(fit.variances[:2], 1 - 1e-7), "given", reml=True)
    assert np.isfinite(at.deviance)
    model = RelatedModel(fit.blocks, fit.observed)
    psi = np.append(fit.psi_working[:2], 1 - 1e-11)
    assert RelatedPoint(model, fit._block_point.theta, psi).deviance == np.inf


def test_breeding_values_where_a_variance_is_held(data):
    one, other = (fitted(data, few, "y ~ x + (1 | animal)", fix={"animal": 0.8}) for few in (1000, 0))
    np.testing.assert_allclose(numbers(other.breeding_values()), numbers(one.breeding_values()), atol=ESTIMATED)


@pytest.mark.filterwarnings("ignore:singular fit")
def test_herds_without_a_common_ancestor_are_independent_blocks(data):
    herds = henderson.pedigree(list("abcdef"), [None, None, "a", None, None, "d"], [None, None, "b", None, None, "e"])
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {"animal": np.repeat(list("abcdef"), 6), "day": np.tile(range(6), 6), "y": rng.normal(size=36)}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_term, "FEW", 0)
        fit = henderson.lmer("y ~ 1 + (1 | animal)", table, relmat={"animal": herds}, residual="ar1(day | animal)")
    assert fit.engine.n_blocks == 2


@pytest.mark.parametrize(
    ("formula", "residual", "seed"),
    [
        ("y ~ x + (1 | animal)", None, 9),
        ("y ~ x + (1 | animal) + (1 | pen)", None, 9),
        ("y ~ x + (1 | animal) + (1 | pen)", "ar1(day | animal)", 9),
    ],
)
def test_negative_variances_of_relatives(formula, residual, seed, data):
    """Against the roots of A in the rows; the levels of a pedigree have no limit there."""
    noise = data.assign(y=np.random.default_rng(seed).normal(size=len(data)))
    dense, sparse = (fitted(noise, few, formula, residual=residual, bound=False) for few in (1000, 0))
    assert isinstance(sparse.engine.design.terms[0].known, RelatedEffects)
    assert sparse.converged
    assert sparse.engine.variances[0] < 0
    assert sparse.deviance == pytest.approx(dense.deviance, abs=SAME)
    np.testing.assert_allclose(sparse.engine.variances, dense.engine.variances, rtol=1e-5)
    for one, other in ((dense.coef_table, sparse.coef_table), (dense.variance_errors(), sparse.variance_errors())):
        np.testing.assert_allclose(numbers(other), numbers(one), rtol=1e-4)


def test_covariances_of_relatives_may_not_be_indefinite(data):
    with pytest.raises(FormulaError, match="has a covariance matrix, which may not be indefinite"):
        fitted(data, 0, "y ~ x + (x | animal)", bound=False)


def test_matrices_have_a_limit(monkeypatch):
    monkeypatch.setattr(relationship, "MOST", 20)
    with pytest.raises(DataError, match="no such limit"):
        relationship.relationship(relatives().root() @ relatives().root().T, "animal", None)
