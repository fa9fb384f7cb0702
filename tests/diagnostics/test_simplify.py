"""The parsimonious sequence: every row is the model that its text says, and ratios are lme4's."""

from __future__ import annotations

import warnings

import pytest

from henderson import DataError, compare, datasets, lmer, simplify
from oracle_data import cases, frame

# the same model fitted from its text and from the sequence
SAME, LME4 = 1e-6, 1e-4

MODELS = {
    "sleepstudy": ("Reaction ~ Days", "(Days | Subject)", "sleepstudy"),
    "factor": ("score ~ Machine", "(Machine | Worker)", "Machines"),
    "interaction": ("y ~ A * B", "(A * B | subj) + (A | item)", "crossed"),
    "no-intercept": ("score ~ Machine", "(0 + Machine | Worker)", "Machines"),
    "covariate-by-factor": ("y ~ A", "(x * A | subj)", "crossed"),
    "singular": ("y ~ x", "(x | g)", "flat"),
    "nested": ("strength ~ 1", "(1 | batch/cask)", "Pastes"),
}


def table_of(name):
    table = frame("inference", MODELS[name][2])
    if name == "covariate-by-factor":
        table["x"] = [((7 * i) % 11) / 5 - 1 for i in range(len(table))]
    return table


def quiet(formula, table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer(formula, table)


@pytest.mark.parametrize("name", MODELS)
def test_every_row_is_the_model_of_its_text(name):
    fixed, random, _ = MODELS[name]
    table = table_of(name)
    found = simplify(quiet(f"{fixed} + {random}", table))
    assert len(found.table) >= 2
    for text, row in found.table.iterrows():
        written = quiet(f"{fixed} + {text}", table)
        assert written.deviance == pytest.approx(row["deviance"], abs=SAME), text
        assert written.engine.n_parameters == row["npar"]
        assert written.is_singular == (row["singular"] == "yes")
    assert found.proposed in found.table.index


def test_ratios_are_lme4s_deviances():
    """Of the models of sleepstudy that the listing has: REML criteria of lme4."""
    known = {
        name: case["fit"]["deviance"] for name, case in cases("inference").items() if name.startswith("sleepstudy")
    }
    found = simplify(lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))).table
    assert found.loc["(Days | Subject)", "deviance"] == pytest.approx(known["sleepstudy"], abs=LME4)
    assert found.loc["(Days || Subject)", "deviance"] == pytest.approx(known["sleepstudy-uncorrelated"], abs=LME4)
    ratio = known["sleepstudy-uncorrelated"] - known["sleepstudy"]
    assert found.loc["(Days || Subject)", "statistic"] == pytest.approx(ratio, abs=LME4)
    pair = compare(
        lmer("Reaction ~ Days + (Days || Subject)", datasets.load("sleepstudy")),
        lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy")),
    )
    assert found.loc["(Days || Subject)", "p"] == pytest.approx(pair["p"].iloc[1], rel=1e-4)


def test_what_is_proposed():
    assert (
        simplify(lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))).proposed
        == "(Days || Subject)"
    )
    assert simplify(quiet("y ~ x + (x | g)", frame("inference", "flat"))).proposed == "(1 | g)"
    machines = lmer("score ~ Machine + (Machine | Worker)", datasets.load("Machines"))
    assert simplify(machines).proposed == "(Machine | Worker)"
    assert simplify(machines, alpha=0.05).proposed == "(1 | Worker) + (1 | Worker:Machine)"


def test_correlations_return_where_they_matter():
    """Three covariates, of which one has no slopes and the others' are all but the same."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(40), 12)
    a, b, c = rng.normal(size=(3, len(g)))
    slope = rng.normal(size=40)
    y = slope[g] * a + (slope + 0.2 * rng.normal(size=40))[g] * b + rng.normal(size=40)[g] + rng.normal(size=len(g))
    found = simplify(
        quiet("y ~ a + b + c + (a + b + c | g)", pd.DataFrame({"y": y, "a": a, "b": b, "c": c, "g": g})), alpha=0.01
    )
    assert any("correlated" in step for step in found.table["step"])
    assert " || " not in found.proposed


def test_nothing_is_changed_and_it_prints():
    fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    before = fit.deviance
    found = simplify(fit)
    assert fit.deviance == before
    assert "nothing was changed" in repr(found)
    assert "<table>" in found._repr_html_()
    assert found.pca["sd"].tolist() == pytest.approx(fit.rePCA()["sd"].tolist())


def test_a_random_intercept_has_nothing_to_lose():
    found = simplify(lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff")))
    assert found.table.index.tolist() == ["(1 | Batch)"]
    assert found.proposed == "(1 | Batch)"


@pytest.mark.parametrize("bar", ["cs(0 + recipe | replicate)", "rr(0 + recipe | replicate, 1)"])
def test_effects_that_a_structure_ties_are_not_all_taken_away(bar):
    # the model without any random effects was fitted, and died with an IndexError
    smaller = simplify(lmer(f"angle ~ temp + {bar}", datasets.load("cake")))
    assert smaller.table["step"].tolist() == ["as fitted"]
    assert "the model as it is" in str(smaller)


def test_what_is_refused():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        simplify(fit, alpha=2)
    with pytest.raises(TypeError, match="not a str"):
        simplify("y ~ x")
    fit.remove_data()
    with pytest.raises(DataError, match=r"simplify\(\)"):
        simplify(fit)


def test_a_singular_model_gives_way_sooner():
    """p = 0.12 for the correlations of a singular model is no reason to keep them; for a regular one it would be."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    g, x = np.repeat(np.arange(24), 10), np.tile(np.linspace(-1, 1, 10), 24)
    b = rng.normal(size=24)
    table = pd.DataFrame({"y": 5 + x + b[g] + rng.normal(size=240), "x": x, "z": rng.normal(size=240), "g": g})
    found = simplify(quiet("y ~ x + z + (x + z | g)", table))
    assert found.table["p"].iloc[1] == pytest.approx(0.1241, abs=1e-3)
    assert found.table["singular"].iloc[0] == "yes"
    assert found.proposed == "(z || g)"


def test_residuals_with_a_structure_keep_it():
    """The sequence of a model with AR(1) residuals: every row is the model that its text says, with them."""
    data = datasets.load("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = lmer("Reaction ~ Days + (Days | Subject)", data, residual="ar1(Days | Subject)")
        table = simplify(fit).table
        for text, deviance in table["deviance"].items():
            again = lmer(f"Reaction ~ Days + {text}", data, residual="ar1(Days | Subject)")
            assert again.deviance == pytest.approx(deviance, abs=SAME)
        bare = lmer("Reaction ~ Days", data, residual="ar1(Days | Subject)")
    assert list(table.index) == ["(Days | Subject)", "(Days || Subject)", "(0 + Days | Subject)"]
    with pytest.raises(DataError, match="no random effects"):
        simplify(bare)
    with pytest.raises(DataError, match="no random effects"):
        bare.rePCA()
