"""Single rows beside levels with known relationships, by a sparse factor: residuals, leverages, rows left out.

Against dense matrices of all rows: of the same levels (`BlockPoint` with A between rows), of effects that are made
independent by the roots of A, and n × n algebra."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.design import known_term
from henderson.design.from_formula import design_from_formula
from henderson.diagnostics import one_step
from henderson.diagnostics.autocorrelation import autocorrelation
from henderson.diagnostics.check import check
from henderson.diagnostics.one_step import is_apart
from henderson.diagnostics.structured_residuals import structured_residuals
from henderson.engine.many.deletions import Sets
from henderson.engine.residual import related_rows
from henderson.engine.residual.fit import StructuredFit, by_relatives
from henderson.engine.residual.fitting import structured_at
from henderson.engine.residual.follow import conditional_loglik, estimation_df
from henderson.engine.residual.row_forms import structured_forms
from henderson.engine.residual.rows import left_variances
from henderson.inference.fit_moments import FitMoments
from henderson.inference.information import curvature

SAME = 1e-8  # two algorithms for one number
ESTIMATED = 1e-5  # at two ends of searches
DIFFERENCES = 1e-5  # second derivatives by differences of first traces
ANIMALS, FOUNDERS = 24, 6


def relatives(name: str = "a") -> henderson.covariance.pedigree.Pedigree:
    """Six founders and their descendants, some inbred."""
    rng = np.random.default_rng(3)
    parents = [[None] * FOUNDERS + [f"{name}{rng.integers(0, i)}" for i in range(FOUNDERS, ANIMALS)] for _ in range(2)]
    return henderson.pedigree([f"{name}{k}" for k in range(ANIMALS)], *parents)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Test days of most animals and their dams' effects, some missed, in any order, with weights and pens."""
    rng = np.random.default_rng(5)
    value = pd.DataFrame(relatives().root() @ rng.normal(size=(ANIMALS, 2)), index=relatives().ids)
    animals = [f"a{k}" for k in range(3, ANIMALS)]
    table = pd.DataFrame({"animal": np.repeat(animals, 4), "day": np.tile(range(4), len(animals))})
    wave, n = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(range(4), range(4)))), len(table)
    table["x"], table["pen"] = rng.normal(size=n), rng.choice(list("pqrst"), size=n)
    table["sex"], table["w"] = np.where(rng.random(n) < 0.5, "f", "m"), rng.integers(1, 4, size=n).astype(float)
    noise = (rng.normal(size=(len(animals), 4)) @ wave.T).ravel() / np.sqrt(table["w"])
    intercept, slope = value.loc[table["animal"]].to_numpy().T
    table["y"] = 2 + 0.4 * table["x"] + intercept + 0.6 * slope * table["x"] + (table["pen"] == "p") + noise
    table["sire"] = rng.choice([f"s{k}" for k in range(4, 12)], size=n)
    return table.assign(pe=table["animal"]).sample(frac=0.92, random_state=1).reset_index(drop=True)


def fitted(data, few, formula, **options):
    """With the roots of A up to `few` levels, by its inverse beyond."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_term, "FEW", few)
        return henderson.lmer(formula, data, relmat={"animal": relatives()}, **options)


AR1 = {"residual": "ar1(day | animal)", "weights": "w"}
ONE = "y ~ x + sex + (1 | animal)"
MODELS = {  # and variances
    "ar1": (ONE, AR1, [0.8, 1.1, 0.4]),
    "slopes, pens": ("y ~ x + sex + (x | animal) + (1 | pen)", AR1, [0.8, 0.2, 0.5, 0.3, 1.1, 0.4]),
    "a singular covariance": ("y ~ x + sex + (x | animal)", AR1, [0.8, 0.4, 0.2, 1.1, 0.4]),
    "two pedigrees": ("y ~ x + (1 | animal) + (1 | sire)", AR1, [0.8, 0.3, 1.1, 0.4]),
    "strata": ("y ~ x + (1 | animal) + (1 | pen)", {"residual": "ident(sex)", "weights": "w"}, [0.8, 0.3, 1.1, 0.7]),
    "several animals a series": ("y ~ x + (1 | animal)", {"residual": "car1(x | pen)"}, [0.8, 1.1, 0.4]),
    "equal": ("y ~ x + (1 | animal) + (1 | pe)", {"same": [["animal", "pe"]]}, [0.6, 0.6, 1.1]),
    "equal, ar1": ("y ~ x + (1 | animal) + (1 | pe)", {**AR1, "same": [["animal", "pe"]]}, [0.6, 0.6, 1.1, 0.4]),
}


def at_given(data, name: str, reml: bool = True) -> StructuredFit:
    """A model at its variances, the equations with A⁻¹."""
    formula, options, variances = MODELS[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_term, "FEW", 0)
        relmat = {"animal": relatives(), **({"sire": relatives("s")} if "sire" in formula else {})}
        design, rows = design_from_formula(formula, data, relmat=relmat, **options)
    return structured_at(design, rows, np.array(variances), "given", reml=reml)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_is_what_dense_matrices_of_the_rows_give(data, name, reml):
    """Of V = R + Z(A ⊗ G)Z' as a matrix: its likelihood, forms, leverages, residuals, and what follows y."""
    fit = at_given(data, name, reml)
    assert fit.design.is_related
    model, rows, dense, sparse = fit.blocks, fit.observed, fit.block_point, by_relatives(fit)
    assert dense.deviance == pytest.approx(fit.deviance, abs=SAME)
    one, other = (structured_forms(model, point, rows) for point in (dense, sparse))
    for what in ("x", "vx", "e", "r", "own", "leverage", "p_diagonal", "fixed_leverage", "r2"):
        np.testing.assert_allclose(getattr(other, what), getattr(one, what), atol=SAME)
    for some in (np.arange(5), np.array([7]), np.arange(0, rows.n, 2), np.flatnonzero(rows.terms[0].codes == 9)):
        np.testing.assert_allclose(other.p_block(some), one.p_block(some), atol=SAME)
    np.testing.assert_allclose(left_variances(model, sparse, rows), left_variances(model, dense, rows), atol=SAME)
    assert conditional_loglik(model, sparse, rows) == pytest.approx(conditional_loglik(model, dense, rows), abs=SAME)
    second = curvature(FitMoments.of(fit).working).observed
    found, known = estimation_df(model, sparse, rows, second), estimation_df(model, dense, rows, dense.hessian_psi)
    assert found == pytest.approx(known, abs=(10 if "singular" in name else 1) * DIFFERENCES)  # one-sided there


AFTER = {
    "studentized": lambda fit: fit.residuals("studentized"),
    "studentized, marginal": lambda fit: fit.residuals("studentized", "marginal"),
    "external": lambda fit: fit.residuals("external"),
    "scaled": lambda fit: fit.residuals("scaled", "marginal"),
    "autocorrelation": lambda fit: fit.autocorrelation(),
    "caic": lambda fit: np.array(list(vars(fit.caic()).values())),
    "influence of rows": lambda fit: fit.influence(exact=False),
    "influence of animals": lambda fit: fit.influence("animal", exact=False).sort_index(),
    "influence, exact": lambda fit: fit.influence("sex", exact=True),
    "cross-validation": lambda fit: fit.cross_validate("sex", 2).predictions,
    "saved": lambda fit: light(fit).breeding_values(),
    "saved, given the mean": lambda fit: light(fit).ranef_sd["animal"],
    "its own past": lambda fit: fit.predict(NEW, re="all", interval="prediction", conditional=True),
}
NEW = pd.DataFrame({"animal": ["a7", "a0", "a20"], "day": [3, 0, 2], "x": [0.2, 1.0, -1.0], "sex": list("fmf")}).assign(
    w=[1.0, 2.0, 3.0]
)


def light(fit):
    """A copy without its rows."""
    copy = pickle.loads(pickle.dumps(fit))
    copy.remove_data()
    return copy


@pytest.fixture(scope="module")
def both(data):
    """One model by the roots of A and by its sparse inverse."""
    return [fitted(data, few, ONE, **AR1) for few in (1000, 0)]


@pytest.mark.parametrize("name", AFTER)
def test_is_what_independent_effects_give(both, name):
    one, other = (AFTER[name](fit) for fit in both)
    one, other = (table if isinstance(table, np.ndarray) else numbers(table) for table in (one, other))
    np.testing.assert_allclose(other, one, rtol=ESTIMATED, atol=ESTIMATED)


def numbers(table) -> np.ndarray:
    """The columns of numbers."""
    return (table.to_frame() if isinstance(table, pd.Series) else table).select_dtypes("number").to_numpy(float)


def matrices(fit) -> tuple[np.ndarray, np.ndarray]:
    """V and R of the model 'ar1' by n × n algebra."""
    rows, (variance, rho) = fit.observed, fit.psi
    day, animal = rows.residual.where, rows.residual.codes
    root = np.sqrt(np.multiply.outer(rows.unit_weights, rows.unit_weights))
    R = variance * rho ** np.abs(np.subtract.outer(day, day)) * np.equal.outer(animal, animal) / root
    codes = rows.terms[0].codes
    A = relatives().relationship().to_numpy()[np.ix_(codes, codes)]
    return R + fit.sigma**2 * fit.covariances[0][0, 0] * A, R


def test_the_symmetric_root_of_many_rows(both):
    """M^{-1/2}L⁻¹e with M = L⁻¹VL⁻ᵀ: what residuals of more rows than dense matrices take are whitened by."""
    fit = replace(both[1].engine)
    V, R = matrices(fit)
    order = np.lexsort((fit.observed.residual.where, fit.observed.residual.codes))
    L = np.zeros_like(R)
    L[np.ix_(order, order)] = np.linalg.cholesky(R[np.ix_(order, order)])
    inverse = np.linalg.inv(L)
    values, vectors = np.linalg.eigh(inverse @ V @ inverse.T)
    known = vectors / np.sqrt(values) @ vectors.T @ inverse @ (fit.observed.y - fit.observed.mean(fit.beta))
    vars(fit)["has_blocks"] = False
    assert {"Is the residual covariance right?", "Does one animal decide?"} <= set(check(fit).table.index)
    np.testing.assert_allclose(structured_residuals(fit, "scaled", "marginal"), known, atol=SAME)


@pytest.mark.parametrize("name", ["ar1", "slopes, pens", "several animals a series"])
def test_correlations_within_a_series_need_no_dense_matrix(data, name):
    fit = at_given(data, name)
    dense = autocorrelation(fit)
    vars(fit)["has_blocks"] = False
    sparse = autocorrelation(fit)
    same = ["pairs", "observed", "expected", "se"]
    np.testing.assert_allclose(sparse[same], dense[same], atol=SAME)
    assert not np.allclose(sparse["whitened"], dense["whitened"])  # by another root


@pytest.mark.parametrize("largest", [1.5, 1e3, 1e8])
def test_a_root_is_a_sum_of_inverses(largest):
    x = np.geomspace(1, largest, 9)
    found = sum(weight / (x + square) for weight, square in related_rows._midpoints(largest))
    np.testing.assert_allclose(found, x**-0.5, rtol=SAME)


@pytest.mark.parametrize("most", [400, 3])
@pytest.mark.parametrize("options", [{"residual": "ar1(day | animal)"}, {}], ids=["ar1", "independent"])
def test_levels_left_out_have_relatives(data, options, most, monkeypatch):
    """An animal's rows are no block of V by themselves: DFBETAS were off by 1.5 of independent residuals."""
    monkeypatch.setattr(one_step, "MOST_ROWS", most)
    fit = fitted(data, 0, ONE, **options)
    engine, rows = fit.engine, fit.engine.observed
    codes, animal, day = rows.terms[0].codes, data["animal"].to_numpy(), data["day"].to_numpy()
    variance, rho = engine.psi if options else (engine.sigma**2, 0.0)
    R = variance * rho ** np.abs(np.subtract.outer(day, day)) * np.equal.outer(animal, animal)
    V = R + engine.sigma**2 * engine.covariances[0][0, 0] * relatives().relationship().to_numpy()[np.ix_(codes, codes)]

    def estimate(kept):
        S, X = np.linalg.inv(V[np.ix_(kept, kept)]), rows.X[kept]
        cov = np.linalg.inv(X.T @ S @ X)
        return cov @ X.T @ S @ rows.y[kept], np.sqrt(np.diag(cov))

    whole, _ = estimate(np.ones(rows.n, bool))
    table = fit.influence("animal", exact=False)
    assert set(table.index) == set(animal)
    for level, row in table.filter(like="dfbetas").iterrows():
        beta, se = estimate(animal != level)
        np.testing.assert_allclose(row, (whole - beta) / se, atol=SAME)


def test_families_are_apart(data):
    """Of levels that share no relative closed forms serve, as they do of levels without any."""
    fit = at_given(data, "ar1")
    assert not is_apart(fit, Sets.of_codes(fit.observed.terms[0].codes, ANIMALS))
    fathers = [None, None, "a0", None, None, "a3"], [None, None, "a1", None, None, "a4"]
    herds = henderson.pedigree([f"a{k}" for k in range(6)], *fathers)
    some = data.assign(animal=[f"a{k % 6}" for k in range(len(data))], day=np.arange(len(data)) // 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_term, "FEW", 0)
        design, rows = design_from_formula(ONE, some, relmat={"animal": herds}, **AR1)
    fit, herd = structured_at(design, rows, np.array([0.8, 1.1, 0.4]), "given", reml=True), some["animal"] > "a2"
    sets = Sets.of_codes(herd.to_numpy(int), 2)
    assert is_apart(fit, sets)
    forms = structured_forms(fit.blocks, fit.row_point, rows)
    closed, (whole, _) = one_step.one_step(fit, sets, forms), one_step._any(fit, sets, forms)
    np.testing.assert_allclose(closed.beta[:, fit.kept], fit.beta[fit.kept] - whole @ forms.to_beta.T, atol=SAME)


def test_what_is_lost_with_rows_that_are_left_out(both, monkeypatch):
    monkeypatch.setattr(one_step, "MOST_ROWS", 3)
    assert both[1].influence("sex", exact=False)["cooks"].isna().all()
