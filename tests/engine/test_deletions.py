"""Fits without some rows, from subtracted cross-products and as one array computation, against fits of the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from henderson import datasets
from henderson.design.from_formula import design_from_formula
from henderson.engine.deletion import criterion_without, fit_without
from henderson.engine.fit import fit_design
from henderson.engine.many.deletions import Sets, fits_without
from henderson.engine.many.refits import batched_components
from henderson.engine.row_forms import deviances_without_rows, row_forms
from oracle_data import frame
from reference import at_fit

# both searches stop when the deviance would fall by 1e-12 or so: a variance is known to half of the digits of that
VARIANCE, DEVIANCE, FIXED = 2e-5, 1e-8, 1e-7

MODELS = {
    "slope": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", None, "Subject"),
    "diagonal": ("Reaction ~ Days + (Days || Subject)", "sleepstudy", None, "Subject"),
    "one-way": ("Yield ~ 1 + (1 | Batch)", "Dyestuff", None, "Batch"),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "Pastes", None, "batch"),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", None, "sample"),
    "crossed-slope": ("y ~ A * B + (1 + A | subj) + (1 | item)", "crossed", None, "item"),
    "weighted": ("y ~ f + x + (1 | g)", "weighted", "w", "g"),
    "partly-crossed": ("angle ~ temp + (1 | recipe:replicate) + (1 | replicate)", "cake", None, "replicate"),
}


def built(name):
    formula, data, weights, by = MODELS[name]
    table = frame("inference", data)
    design, rows = design_from_formula(formula, table, weights=weights)
    codes = pd.factorize(table[by])[0]
    return design, rows, codes


def rest(design, rows, gone):
    kept = np.setdiff1d(np.arange(rows.n), gone)
    return fit_design(replace(design, n=len(kept)), rows[kept])


def assert_same(found, i, want):
    assert found.deviance[i] == pytest.approx(want.deviance, abs=DEVIANCE)
    se = np.sqrt(np.diag(want.vcov))
    assert np.abs(found.beta[i][want.kept] - want.beta[want.kept]).max() < FIXED * se.min() + FIXED * np.abs(se).max()
    assert found.sigma[i] == pytest.approx(want.sigma, rel=VARIANCE)
    assert found.vcov[i] == pytest.approx(want.vcov, rel=VARIANCE, abs=VARIANCE * want.vcov.max())
    for cov, lam in zip(found.cov, want.lam):
        assert cov[i] == pytest.approx(lam @ lam.T, abs=VARIANCE * max(float((lam @ lam.T).max()), 1e-2))


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_levels_and_rows_left_out(name, reml):
    design, rows, codes = built(name)
    fit = fit_design(design, rows, reml=reml)
    for every in (Sets.of_codes(codes, codes.max() + 1), Sets.of_codes(np.arange(fit.n), fit.n)):
        sets = every.chosen(np.unique(np.linspace(0, every.m - 1, 4).astype(int)))
        found = fits_without(fit, sets)
        for i in range(sets.m):
            kept = np.setdiff1d(np.arange(fit.n), sets[i])
            assert_same(found, i, fit_design(replace(design, n=len(kept)), rows[kept], reml=reml))


@pytest.mark.parametrize("name", ["slope", "crossed-slope", "weighted"])
def test_one_by_one_is_the_same(name):
    design, rows, codes = built(name)
    fit = fit_design(design, rows)
    gone = np.flatnonzero(codes == 1)
    want, found = rest(design, rows, gone), fit_without(fit, gone)
    assert found.deviance == pytest.approx(want.deviance, abs=DEVIANCE)
    assert found.beta == pytest.approx(want.beta, rel=1e-6)
    assert found.n == want.n == fit.n - len(gone)


def test_a_level_without_rows_has_modes_of_zero():
    design, rows, codes = built("slope")
    found = fit_without(fit_design(design, rows), np.flatnonzero(codes == 3))
    assert np.abs(found.b[0][3]).max() == pytest.approx(0.0, abs=1e-12)
    assert np.abs(found.b[0][4]).max() > 0.1


def test_folds_that_take_rows_of_every_group():
    design, rows, _ = built("slope")
    fit = fit_design(design, rows)
    sets = Sets.of_codes(np.arange(fit.n) % 5, 5)
    found = fits_without(fit, sets)
    for i in range(5):
        assert_same(found, i, rest(design, rows, sets[i]))


def test_a_column_that_only_the_deleted_rows_had_is_dropped():
    table = datasets.load("Dyestuff")
    table["alone"] = (table["Batch"] == "C").astype(float)
    design, rows = design_from_formula("Yield ~ alone + (1 | Batch)", table)
    fit = fit_design(design, rows)
    codes = pd.factorize(table["Batch"])[0]
    found = fits_without(fit, Sets.of_codes(codes, 6))
    assert np.isnan(found.beta[2]).tolist() == [False, True]
    assert not np.isnan(found.beta[[0, 1, 3, 4, 5]]).any()
    assert found.beta[2, 0] == pytest.approx(rest(design, rows, np.flatnonzero(codes == 2)).beta[0], rel=1e-7)


def test_a_singular_fit_and_fits_that_are_not():
    design, rows = design_from_formula("y ~ x + (x | g)", frame("inference", "flat"))
    fit = fit_design(design, rows)
    codes = rows.terms[0].codes
    sets = Sets.of_codes(codes, codes.max() + 1)
    found = fits_without(fit, sets)
    for i in range(0, sets.m, 4):
        assert_same(found, i, rest(design, rows, sets[i]))


def test_a_set_without_which_nothing_is_determined_is_nan():
    table = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 4.5], "g": list("aabbcc")})
    design, rows = design_from_formula("y ~ 1 + (1 | g)", table)
    found = fits_without(fit_design(design, rows), Sets.of_codes(np.array([0, 0, 0, 0, 0, 1]), 2))
    assert found.converged.tolist() == [False, True]
    assert np.isnan(found.beta[0, 0])


def test_large_models_go_one_by_one():
    rng = np.random.default_rng(3)
    a, b = np.repeat(np.arange(80), 4), rng.integers(80, size=320)
    table = pd.DataFrame({"y": rng.normal(size=320) + rng.normal(size=80)[a], "a": a, "b": b})
    design, rows = design_from_formula("y ~ 1 + (1 | a) + (1 | b)", table)
    fit = fit_design(design, rows)
    assert batched_components(fit) is None
    sets = Sets.of_codes(np.where(a < 3, a, -1), 3)
    found = fits_without(fit, sets)
    for i in range(3):
        assert_same(found, i, rest(design, rows, sets[i]))


@pytest.mark.parametrize("name", MODELS)
def test_forms_of_rows_against_dense_algebra(name):
    design, rows, _ = built(name)
    fit = fit_design(design, rows)
    forms, dense = row_forms(fit), at_fit(fit)
    w = rows.unit_weights
    assert forms.leverage == pytest.approx(1 - np.diag(dense.P) / w, abs=1e-10)
    assert forms.fixed_leverage == pytest.approx(np.diag(dense.hat), abs=1e-10)
    assert forms.e == pytest.approx(dense.P @ rows.response / np.sqrt(w), abs=1e-9 * np.abs(rows.response).max())
    assert 1 + forms.random == pytest.approx(np.diag(dense.V) * w, rel=1e-10)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_small_components_inverted_by_cofactors(q, monkeypatch):
    """The same numbers as by Cholesky factors, which larger components have."""
    from henderson.engine.many import small_components
    from henderson.engine.many.components import components
    from henderson.engine.many.pieces import Responses, pieces

    rng = np.random.default_rng(q)
    g = np.repeat(np.arange(9), rng.integers(3, 8, 9))
    table = pd.DataFrame(rng.normal(size=(len(g), 3)), columns=["y", "a", "b"]).assign(g=g)
    bar = ("(1 | g)", "(a | g)", "(a + b | g)")[q - 1]
    design, rows = design_from_formula(f"y ~ a + {bar}", table, strict=False, check_identified="ignore")
    parts = components(design, rows, np.ones(2, bool))
    root = np.tril(rng.normal(size=(q, q, 4)).transpose(2, 0, 1)).transpose(1, 2, 0)
    responses = Responses.of(parts, rows.y[:, None])
    direct = pieces(parts, responses, root, reml=True)
    monkeypatch.setattr(small_components, "DIRECT", 0)
    monkeypatch.setattr(small_components, "TOGETHER", 8)  # and in slices
    for name, want in vars(pieces(parts, responses, root, reml=True)).items():
        assert getattr(direct, name) == pytest.approx(want, rel=1e-9, abs=1e-10), name


def test_the_lowest_of_several_minima():
    """Without level 4 the nearest minimum is 1.56 of deviance above the lowest."""
    rng = np.random.default_rng(143)
    levels = rng.integers(4, 8)
    sizes = rng.choice([1, 2, 3, 4, 30], levels)
    sizes[0] = 30
    g = np.repeat(np.arange(levels), sizes)
    x = rng.normal(size=len(g))
    y = rng.normal(size=levels)[g] * rng.choice([0, 0.5, 2, 5]) + rng.normal(size=len(g))
    design, rows = design_from_formula("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g}), strict=False)
    fit = fit_design(design, rows)
    sets = Sets.of_codes(g, levels)
    found = fits_without(fit, sets)
    for i in range(levels):
        assert found.deviance[i] == pytest.approx(rest(design, rows, sets[i]).deviance, abs=1e-5)


@pytest.mark.parametrize("reml", [True, False])
def test_deviances_without_single_rows_are_known_at_any_theta(reml):
    design, rows, _ = built("crossed-slope")
    fit = fit_design(design, rows, reml=reml)
    theta = 0.7 * fit.theta + 0.2
    known = deviances_without_rows(fit, theta)
    for row in (0, 5):
        without = criterion_without(fit, np.array([row]))
        assert known[row] == pytest.approx(without.deviance(theta), abs=1e-9)


@pytest.mark.parametrize("c", [0.5, 0.0], ids=["inside", "singular"])
def test_rows_left_out_of_a_maximal_model_end_where_single_searches_do(c):
    # 68 effects in one component; levels few and unlike, so that fits look for other minima
    rng = np.random.default_rng(3)
    s, i, half = rng.integers(0, 20, 220), rng.integers(0, 14, 220), rng.choice([-0.5, 0.5], 220)
    b, d = rng.normal(size=(20, 2)) * [1.0, c], rng.normal(size=(14, 2)) * [0.6, c]
    y = half + b[s, 0] + b[s, 1] * half + d[i, 0] + d[i, 1] * half + rng.normal(size=220)
    table = {"y": y, "c": half, "s": s, "i": i}
    design, rows = design_from_formula("y ~ c + (c | s) + (c | i)", table)
    fit = fit_design(design, rows)
    sets = Sets.of_codes(np.arange(220), 220).chosen(np.array([3, 90]))
    found = fits_without(fit, sets)
    for k in range(sets.m):
        assert_same(found, k, rest(design, rows, sets[k]))
