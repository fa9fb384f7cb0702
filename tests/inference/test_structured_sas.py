"""Residual covariance structures against SAS PROC MIXED on mmrm's trial: fits, limits, df, Kenward-Roger, robust."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.structured import FEV, fev, repeated

from henderson.engine.fit import fit_design
from henderson.inference.names import InferenceRequest
from henderson.results.fitted import MixedModelResults

SAS = json.loads((FEV.parent / "sas.json").read_text())
#: SAS stops when the deviance moves by less than 1e-8 of itself: four more digits of it are ours
DEVIANCE = 2e-5
#: what SAS leaves to go at its end, and what its listings do not show, in standard errors
SLACK = 4e-3
#: of df, which listings show as whole numbers
WHOLE = 0.51
#: of what SAS computed from a Hessian at its own end: df and adjusted errors, relative
AT_ITS_END = 5e-4

DATA = fev()
ONE = {"(Intercept)": np.ones(len(DATA))}
ARM = {**ONE, "ARMCDTRT": (DATA["ARMCD"] == "TRT") * 1.0}
SEX = {**ARM, "SEXFemale": (DATA["SEX"] == "Female") * 1.0}
NAMES = {"un": "us"}


def fitted(structure: str, X, reml: bool, request: InferenceRequest, **options) -> MixedModelResults:
    visit = ("VISITN",) if structure.startswith("sp_") else "AVISIT"
    data = repeated(DATA, structure, y="FEV1", subject="USUBJID", visit=visit, X=X, **options)
    return MixedModelResults(fit_design(*data, reml=reml), request)


@pytest.mark.parametrize("name", SAS["listings"])
def test_listings(name):
    listing = SAS["listings"][name]
    words = [word for word in name.split("_") if word not in ("coef", "ci", "reml", "ml", "group")]
    structure = "_".join(words)
    X = SEX if name.startswith("coef_ci") else ONE
    options = {"stratum": "ARMCD"} if name.startswith("group") else {}
    found = fitted(NAMES.get(structure, structure), X, "reml" in name, InferenceRequest.of("satterthwaite"), **options)
    assert found.deviance == pytest.approx(listing["deviance"], abs=DEVIANCE)
    for row, values in zip(listing["fixed"], zip(found.params, found.bse, found.df_inference)):
        assert values[0] == pytest.approx(row[1], abs=SLACK * row[2])
        assert values[1] == pytest.approx(row[2], abs=1.5e-4)
        assert values[2] == pytest.approx(row[3], abs=WHOLE)
    limits = found.conf_int(method="wald", parameters="theta_")
    psi = found.engine.psi
    for label, estimate, low, high, arm in listing["parameters"]:
        at = _place(label, structure, arm, found)
        if at is None:
            continue
        half = (high - low) / 2
        assert psi[at] == pytest.approx(estimate, abs=SLACK * half)
        np.testing.assert_allclose(limits.iloc[at], [low, high], atol=SLACK * half)


def _place(label: str, structure: str, arm: str, found: MixedModelResults) -> int | None:
    """Where a listing's parameter is among ours; None for SAS's residual beside a covariance of all visits, which is
    the variance less that covariance."""
    names = [str(name) for name in found.engine.structure.names]
    before = f"{arm}: " if arm else ""
    if structure == "cs":
        return names.index(before + "Cov") if label.startswith("CS") else None
    if label.startswith("UN("):
        r, s = (int(one) for one in label[3:-1].split(","))
        return r * (r - 1) // 2 + s - 1
    if label.startswith("Var("):
        return int(label[4:-1]) - 1
    if label.startswith("TOEPH("):
        return 3 + int(label[6:-1])
    own = [k for k, name in enumerate(names) if name.startswith(before)]
    return own[0] if label in ("Residual", "Variance") else own[-1]


@pytest.mark.parametrize("structure", SAS["kenward_roger"])
def test_kenward_roger(structure):
    listing = SAS["kenward_roger"][structure]
    found = fitted(structure, ARM, True, InferenceRequest.of("kenward-roger"))
    linear = found.with_inference(ddf="kenward-roger-linear")
    assert found.df_inference[1] == pytest.approx(listing["df"], rel=AT_ITS_END)
    assert linear.df_inference[1] == pytest.approx(listing["df"], rel=AT_ITS_END)
    assert found.bse.iloc[1] == pytest.approx(listing["se"], rel=AT_ITS_END)
    assert linear.bse.iloc[1] == pytest.approx(listing["se_linear"], rel=AT_ITS_END)


def test_second_derivatives_count_in_kenward_roger():
    found = fitted("ar1", ARM, True, InferenceRequest.of("kenward-roger"))
    linear = found.with_inference(ddf="kenward-roger-linear")
    assert linear.bse.iloc[1] - found.bse.iloc[1] == pytest.approx(0.96058142305176 - 0.95865439662225, abs=1e-7)


@pytest.mark.parametrize("structure", SAS["robust"])
def test_empirical_and_between_within(structure):
    listing = SAS["robust"][structure]
    found = fitted(structure, ARM, True, InferenceRequest.of("between-within", "CR0"))
    assert found.params.iloc[1] == pytest.approx(listing["estimate"], abs=SLACK * listing["se"])
    assert found.bse.iloc[1] == pytest.approx(listing["se"], rel=1e-4)
    cov = np.asarray(found.cov_params())
    np.testing.assert_allclose(np.diag(cov), [listing["intercept"], listing["variance"]], rtol=2e-4)
    assert found.df_inference[1] == listing["df"]


def test_weights():
    """WEIGHT: Var(ε) = W^(−1/2) R W^(−1/2). SAS's df there exceed what 197 patients can give; they are not compared."""
    X = {**ONE, "RACEBlack": DATA["RACE"].str.startswith("Black") * 1.0, "RACEWhite": (DATA["RACE"] == "White") * 1.0}
    X |= {"SEXFemale": (DATA["SEX"] == "Female") * 1.0, "ARMCDTRT": (DATA["ARMCD"] == "TRT") * 1.0}
    X |= {visit: (DATA["AVISIT"] == visit) * 1.0 for visit in ("VIS1", "VIS2", "VIS3")}
    X |= {f"{visit}:TRT": X[visit] * X["ARMCDTRT"] for visit in ("VIS1", "VIS2", "VIS3")}
    request = InferenceRequest.of("satterthwaite")
    found = fitted("us", X, True, request, weights=DATA["WEIGHT"].to_numpy())
    assert found.deviance == pytest.approx(3475.77144483, abs=DEVIANCE)
    estimates = [45.8590, 1.2031, 5.3808, 0.2326, 4.2616, -14.7955, -9.9287, -4.7479, -0.8654, -0.8436, -0.8687]
    errors = [1.2490, 0.6291, 0.6707, 0.5325, 1.6901, 1.3187, 1.2644, 1.2491, 1.8916, 1.8168, 1.8317]
    np.testing.assert_allclose(found.params, estimates, atol=2e-4)
    np.testing.assert_allclose(found.bse, errors, atol=2e-4)
    psi = [22.3763, 6.6766, 13.3115, 2.6988, 1.3677, 8.3589, 6.5390, 3.7323, 0.08496, 49.7530]
    np.testing.assert_allclose(found.engine.psi, psi, rtol=2e-4, atol=2e-3)


def test_weights_with_antedependence():
    found = fitted("adh", ONE, True, InferenceRequest.of("satterthwaite"), weights=DATA["WEIGHT"].to_numpy())
    assert found.deviance == pytest.approx(3800.47793975, abs=DEVIANCE)
    assert found.params.iloc[0] == pytest.approx(42.3354, abs=1e-4)
    assert found.engine.psi[0] == pytest.approx(60.0152, rel=1e-5)


def test_information_criteria_are_counted_as_sas_counts_them():
    found = fitted("us", ARM, True, InferenceRequest.of("satterthwaite"))
    assert (round(found.aic, 1), round(found.aicc, 1)) == (3688.0, 3688.4)
    # BIC with the patients that have a response, as mmrm; SAS counts all 200: 3720.9
    assert found.bic == pytest.approx(found.deviance + 10 * np.log(197))
    by_ml = fitted("us", ARM, False, InferenceRequest.of("satterthwaite"))
    assert by_ml.aic == pytest.approx(by_ml.deviance + 24)
