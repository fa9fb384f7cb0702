"""Intervals of residual covariances against nlme's intervals() and glmmTMB's profiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson

LISTING = json.loads((Path(__file__).parent / "repeated_intervals.json").read_text())
#: nlme takes its Hessian by differences, whose steps suit some parameters ill: half the width of an interval, and where
#: its middle is relative to the width, on the scale on which it is symmetric
WIDTH, MIDDLE = {"csh": 0.04, "sp_exp": 0.07}, 0.006
OTHER_WIDTH = 0.005
#: glmmTMB's profile points, ζ²
ZETA = 2e-4

FEV = henderson.datasets.load("fev").dropna(subset=["FEV1"]).reset_index(drop=True)
ORTHODONT = pd.DataFrame(LISTING["orthodont"])
RESIDUAL = {
    "ar1": "ar1(AVISIT | USUBJID)",
    "car1": "car1(VISITN | USUBJID)",
    "csh": "csh(AVISIT | USUBJID)",
    "sp_exp": "sp_exp(VISITN | USUBJID)",
    "ar1_ident": "ar1(AVISIT | USUBJID) * ident(ARMCD)",
    "exp": "exp(VISITN)",
    "slopes": "ident(Sex)",
    "intercepts": "car1(age | Subject) * ident(Sex)",
}
FORMULA = {
    "slopes": "distance ~ age * Sex + (age | Subject)",
    "intercepts": "distance ~ age * Sex + (1 | Subject)",
}
#: nlme's name → ours
NAMES = {
    "Corr": "residual Corr",
    "expon": "residual Exp(VISITN)",
    "sd((Intercept))": "sd_(Intercept)|Subject",
    "sd(age)": "sd_age|Subject",
    "cor((Intercept),age)": "cor_age.(Intercept)|Subject",
}


def fitted(name: str) -> henderson.results.fitted.MixedModelResults:
    structure, method = name.rsplit(" ", 1)
    formula = FORMULA.get(structure, "FEV1 ~ ARMCD * AVISIT")
    data = ORTHODONT if structure in FORMULA else FEV
    return henderson.lmer(formula, data, residual=RESIDUAL[structure], REML=method == "REML")


def compared(ours: np.ndarray, theirs: np.ndarray, to: Callable[[np.ndarray], np.ndarray], width: float) -> None:
    """Middle and half width on the scale of `to`."""
    (a, b), (c, d) = to(ours), to(theirs)
    assert (b - a) / (d - c) == pytest.approx(1.0, abs=width)
    assert abs(a + b - c - d) < MIDDLE * (d - c)


def theirs_as_ours(kind: str, theirs: str) -> tuple[str | None, Callable[[np.ndarray], np.ndarray]]:
    """Our name of nlme's parameter, and its scale; None where ours is another parameter."""
    if theirs == "Var":
        row = {"csh": "residual Var(VIS2)", "slopes": "residual Var(Female)", "ar1_ident": None}
        return row.get(kind, "residual Var"), np.log
    if theirs in ("Male", "PBO"):  # a ratio to the other stratum is the inverse
        return {"slopes": None, "ar1_ident": "residual Ratio(TRT)"}.get(kind, "residual Ratio(Male)"), np.log
    if theirs == "Corr" and kind == "sp_exp":
        return "residual Range", np.log
    low = {"car1": 0.0, "intercepts": 0.0, "csh": -1 / 3}.get(kind, -1.0)
    scales = {
        "Corr": lambda r: np.log((r - low) / (1 - r)),
        "cor((Intercept),age)": np.arctanh,
        "expon": lambda v: v,
    }
    return NAMES.get(theirs), scales.get(theirs, np.log)


@pytest.mark.parametrize("name", LISTING["intervals"])
def test_wald_limits_on_the_scale_without_bounds(name):
    fit, want = fitted(name), LISTING["intervals"][name]
    table = fit.conf_int(method="wald", transform=True)
    kind = name.split()[0]
    seen, width = 0, WIDTH.get(kind, OTHER_WIDTH)
    for theirs, limits in want.items():
        row, to = theirs_as_ours(kind, theirs)
        if row is None:
            continue
        limits, ours = np.array(limits)[[0, 2]], table.loc[row].to_numpy()
        compared(1 / ours[::-1] if theirs == "PBO" else ours, limits, to, width)
        seen += 1
    assert seen >= 2


def test_limits_of_models_without_a_structure_are_transformed_too():
    fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    errors, table = fit.variance_errors(), fit.conf_int(method="wald", transform=True)
    for name, to in (("sd_Days|Subject", np.log), ("sigma", np.log), ("cor_Days.(Intercept)|Subject", np.arctanh)):
        v, se = errors.loc[name]
        slope = 1 / v if to is np.log else 1 / (1 - v**2)
        assert to(table.loc[name].to_numpy()) == pytest.approx(
            to(v) + 1.959963984540054 * se * slope * np.array([-1, 1])
        )
    assert fit.conf_int(transform=True).equals(table)
    door = henderson.mixedlm("Reaction ~ Days", henderson.datasets.load("sleepstudy"), groups="Subject").fit()
    assert (door.conf_int(transform=True)["lower"].iloc[:2] > 0).all()
    with pytest.raises(ValueError, match="transform= is not an option of method='profile'"):
        fit.conf_int(method="profile", transform=True)


def test_profiles_are_glmmtmbs():
    """ζ² at its points: two fixed effects, log σ, and ρ/√(1 − ρ²)."""
    fit = henderson.lmer("FEV1 ~ ARMCD", FEV, residual="ar1(AVISIT | USUBJID)", REML=False)
    curves = fit.profile(level=0.999).spline
    maps = {
        "(Intercept)": ("(Intercept)", lambda v: v),
        "ARMCDTRT": ("ARMCD[T.TRT]", lambda v: v),
        "theta_0+AVISIT|USUBJID.1": ("residual Var", lambda v: np.exp(2 * v)),
        "theta_0+AVISIT|USUBJID.2": ("residual Corr", lambda v: v / np.sqrt(1 + v**2)),
    }
    assert len(LISTING["profiles"]) == len(maps)
    for one in LISTING["profiles"]:
        name, to = maps[one["parameter"]]
        zeta = curves[name](to(np.array(one["value"])))
        assert zeta**2 == pytest.approx(np.array(one["zeta2"]), abs=ZETA, rel=ZETA)
