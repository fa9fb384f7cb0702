"""tidy, glance and augment against broom.mixed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from oracle_data import load_oracle

# lme4 stops at 1e-6 of the best θ or so
LOOSE = 5e-5
CASES = load_oracle("broom")["cases"]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case["formula"])
def both(request):
    case = request.param
    return case, henderson.lmer(case["formula"], henderson.datasets.load(case["data"]), REML=case["reml"])


def compare(mine: pd.DataFrame, its: dict, exact: tuple[str, ...]) -> None:
    its = pd.DataFrame(its)
    for name in exact:
        assert mine[name].fillna("").tolist() == its[name].fillna("").astype(str).tolist(), name
    for name in mine.columns.difference(exact):
        want = its[name].to_numpy(float)
        scale = np.nanmax(np.abs(want))
        np.testing.assert_allclose(mine[name].to_numpy(float), want, rtol=LOOSE, atol=LOOSE * scale, err_msg=name)


def test_tidy(both):
    case, fit = both
    mine = fit.tidy(conf_int=True)
    assert list(mine.columns) == [name for name in pd.DataFrame(case["tidy"]).columns if name in mine.columns]
    # broom names the second of two terms on one factor; the names of the first agree
    compare(mine, case["tidy"], ("effect", "group", "term"))


@pytest.mark.parametrize("effects", ["ran_vals", "ran_coefs"])
def test_levels(both, effects):
    case, fit = both
    mine = fit.tidy(effects).sort_values(["group", "term", "level"])
    its = pd.DataFrame(case[effects])
    its["level"] = its["level"].astype(str)
    mine = mine[[name for name in mine.columns if name in its.columns]]
    key = ["group", "term", "level"]
    together = mine.merge(its, on=key, suffixes=("", "_r"))
    assert len(together) == len(mine)
    np.testing.assert_allclose(together["estimate"], together["estimate_r"], rtol=2e-4, atol=2e-3)


def test_glance_and_augment(both):
    case, fit = both
    its = pd.DataFrame(case["glance"])
    mine = fit.glance()
    assert list(mine.columns) == list(its.columns)
    np.testing.assert_allclose(mine.to_numpy(float), its.to_numpy(float), rtol=1e-6)
    rows = fit.augment(henderson.datasets.load(case["data"])).head(5)
    its = pd.DataFrame(case["augment"])
    names = [name for name in its if name.startswith(".")]
    assert [name for name in rows if name.startswith(".")] == names
    for name in names:
        np.testing.assert_allclose(rows[name], its[name], rtol=1e-4, atol=1e-3, err_msg=name)


def test_effects_are_known():
    fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    with pytest.raises(ValueError, match="no effects are called 'random'; there are fixed, ran_pars"):
        fit.tidy("random")


def test_augment_with_weights_and_an_offset():
    """broom.mixed 0.2.9.4 of a model with an offset and weights, as printed."""
    sleep = henderson.datasets.load("sleepstudy").assign(w=lambda d: d["Days"] + 1)
    fit = henderson.lmer("Reaction ~ Days + offset(2 * Days) + (1 | Subject)", sleep, weights="w")
    want = {
        ".fitted": [305.9646, 316.9712, 327.9777],
        ".hat": [0.02345513, 0.04320656, 0.06026439],
        ".cooksd": [0.007483605, 0.030648435, 0.116620545],
        ".fixed": [248.1697, 259.1762, 270.1827],
        ".offset": [0, 2, 4],
        ".sqrtXwt": [1, 1.414214, 1.732051],
        ".sqrtrwt": [1, 1.414214, 1.732051],
        ".wtres": [-56.40464, -82.40121, -133.67462],
    }
    found = fit.augment().head(3)
    for name, values in want.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-5, err_msg=name)


FEV = henderson.datasets.load("fev")
STRUCTURED = {
    "us": ["sd__VIS1", "sd__VIS2", "sd__VIS3", "sd__VIS4", "cor__VIS1.VIS2", "cor__VIS1.VIS3", "cor__VIS2.VIS3",
           "cor__VIS1.VIS4", "cor__VIS2.VIS4", "cor__VIS3.VIS4"],
    "ar1h": ["sd__VIS1", "sd__VIS2", "sd__VIS3", "sd__VIS4", "Corr"],
    "cs": ["sd__Observation", "cor__Cov"],
    "ar1": ["sd__Observation", "Corr"],
}  # fmt: skip


@pytest.mark.parametrize("structure", STRUCTURED)
def test_residuals_that_correlate_are_not_one_standard_deviation(structure):
    """Once the first visit's was said to be every row's."""
    fit = henderson.mmrm(f"FEV1 ~ ARMCD * AVISIT + {structure}(AVISIT | USUBJID)", FEV)
    table = fit.tidy("ran_pars")
    assert table["term"].tolist() == STRUCTURED[structure]
    assert table["group"].eq("Residual").all()
    correlation, sd = fit.residual_cov(correlation=True).to_numpy(), np.sqrt(np.diag(fit.residual_cov()))
    found = dict(zip(table["term"], table["estimate"]))
    for k, visit in enumerate(fit.design.residual.visits):
        assert found.get(f"sd__{visit}", found.get("sd__Observation")) == pytest.approx(sd[k])
    first = found.get("cor__VIS1.VIS2", found.get("Corr", found.get("cor__Cov")))
    assert first == pytest.approx(correlation[0, 1])
    state = fit.to_dict()
    assert state["residual"]["structure"] == f"{structure}(AVISIT | USUBJID)"
    assert list(state["residual"]["parameters"].values()) == fit.engine.psi.tolist()
    assert state["levels"] == {"USUBJID": 197}


@pytest.mark.filterwarnings("error")
def test_a_negative_variance_has_no_standard_deviation():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(12, 4))
    table = {"y": (y - 0.5 * y.mean(axis=1, keepdims=True)).ravel(), "g": np.repeat(np.arange(12), 4)}
    fit = henderson.lmer("y ~ 1 + (1 | g)", table, bound=False)
    assert fit.varcorr.vcov.iloc[0] < 0
    found = fit.tidy("ran_pars").estimate
    np.testing.assert_allclose(found, [np.nan, fit.sigma])
