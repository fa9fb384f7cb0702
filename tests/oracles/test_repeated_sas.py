"""`mmrm` against SAS PROC MIXED's listings of its trial: fits, limits, tests, means, residuals, robust errors."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.datasets import load
from henderson.errors import ValueWarning
from oracle_data import cases

CASES = cases("sas_repeated")
#: SAS stops when its deviance moves by 1e-8 of itself; ours is lower by what that leaves
DEVIANCE = 2e-5
#: what is then left of estimates, in standard errors, and of these and limits, relative
ESTIMATE, ERROR = 4e-3, 1e-3
#: listings have four decimals, fit statistics one, tests two, df none
FOUR, ONE, TWO, WHOLE = 6e-5, 0.06, 0.012, 0.51
#: patients that were read, and those with a measurement
READ, USED = 200, 197
#: with a weight and an unstructured covariance SAS has df of its own
SAS_DF = {"weighted": "satterthwaite-sas"}


def fitted(case):
    options = {"ddf": SAS_DF.get(case["id"], case["ddf"]), "cov": "CR0" if "vcov" in case else None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "dropped as linear", ValueWarning)
        formula = f"{case['formula']} + {case['residual']}"
        return henderson.mmrm(formula, load("fev"), REML=case["reml"], weights=case["weights"], **options)


@pytest.mark.parametrize("name", CASES)
def test_fit(name):
    case = CASES[name]
    fit = fitted(case)
    assert fit.deviance == pytest.approx(case["deviance"], abs=DEVIANCE)
    assert fit.aic == pytest.approx(case["fit"]["aic"], abs=ONE)
    assert fit.aicc == pytest.approx(case["fit"]["aicc"], abs=ONE)
    n_parameters = (fit.bic - fit.deviance) / np.log(USED)
    assert fit.deviance + n_parameters * np.log(READ) == pytest.approx(case["fit"]["bic"], abs=ONE)
    for row in case.get("coefficients", []):
        at = "(Intercept)" if row["effect"] == "Intercept" else f"{row['effect']}[T.{row['levels']}]"
        if name == "weighted" and row["effect"] not in ("RACE", "SEX"):
            continue  # of other reference levels
        assert fit.params[at] == pytest.approx(row["estimate"], abs=ESTIMATE * row["se"] + FOUR)
        assert fit.bse[at] == pytest.approx(row["se"], rel=ERROR, abs=FOUR)
        assert fit.df_inference[fit.params.index.get_loc(at)] == pytest.approx(row["df"], abs=WHOLE)


def parameters(fit):
    """Ours under SAS's names, by stratum: name → (estimate, lower, upper)."""
    limits = fit.conf_int(method="wald", parameters="theta_")
    rows = dict(zip(fit.engine.structure.names, np.column_stack([fit.engine.psi, limits])))
    return {str(name): tuple(values) for name, values in rows.items()}


def place(sas: str, group: str | None, structure: str) -> str | None:
    """Our name of one of SAS's parameters; None for what SAS has otherwise."""
    before = f"{group}: " if group else ""
    kind, _, inside = sas.rstrip(")").partition("(")
    if kind == "UN":
        i, j = inside.split(",")
        return before + (f"Var(VIS{i})" if i == j else f"Cov(VIS{i}, VIS{j})")
    if kind == "Var":
        return f"Var(VIS{inside})"
    if kind == "TOEP":
        return f"Cov(lag {int(inside) - 1})"
    if kind == "TOEPH":
        return f"Corr(lag {inside})"
    if kind == "Rho":
        return f"Corr(VIS{inside}, VIS{int(inside) + 1})"
    if kind == "SP":
        return "Range"
    if kind == "CS":
        return before + "Cov"
    if kind in ("AR", "ARH", "CSH"):
        return before + "Corr"
    return None if structure == "cs" else before + "Var"  # SAS's is the variance less the covariance


@pytest.mark.parametrize("name", CASES)
def test_covariance_parameters(name):
    case = CASES[name]
    fit = fitted(case)
    own = parameters(fit)
    assert len(own) == len(case["parameters"])
    for row in case["parameters"]:
        at = place(row["name"], row["group"], fit.design.residual.structure)
        if at is None:
            continue
        estimate, lower, upper = own[at]
        half = abs(row["estimate"]) if row["upper"] is None else (row["upper"] - row["lower"]) / 2
        assert estimate == pytest.approx(row["estimate"], abs=ESTIMATE * half)
        # of a range SAS has limits by another transformation
        if row["upper"] is not None and at != "Range":
            np.testing.assert_allclose([lower, upper], [row["lower"], row["upper"]], atol=ESTIMATE * half)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.get("type3")])
def test_tests_of_terms(name):
    case = CASES[name]
    fit = fitted(case)
    table = fit.anova()
    for row in case["type3"]:
        own = table.loc[next(term for term in table.index if set(term.split(":")) == set(row["effect"].split("*")))]
        assert own["num_df"] == row["num_df"]
        assert own["F"] == pytest.approx(row["F"], abs=TWO)
        # of several rows Satterthwaite's df depend on how they are written: SAS takes differences to the last level
        if row["num_df"] == 3 and name in SAS_DF:
            continue
        assert own["den_df"] == pytest.approx(row["den_df"], abs=WHOLE)


@pytest.mark.parametrize(("effect", "main"), [("AVISIT", 1.0), ("AVISIT*ARMCD", 0.0)])
def test_df_of_visits_as_sas_writes_their_contrasts(effect, main):
    case = CASES["weighted"]
    fit = fitted(case)
    to_last = np.zeros((3, len(fit.params)))
    for k, visit in enumerate(("VIS1", "VIS2", "VIS3")):
        for name, sign in ((visit, 1.0), ("VIS4", -1.0)):
            if name != "VIS1":  # the reference
                to_last[k, fit.params.index.get_loc(f"AVISIT[T.{name}]")] = main * sign
                to_last[k, fit.params.index.get_loc(f"ARMCD[T.TRT]:AVISIT[T.{name}]")] = sign / 2
    found = fit.f_test(to_last)
    row = next(row for row in case["type3"] if row["effect"] == effect)
    assert found.fvalue == pytest.approx(row["F"], abs=TWO)
    assert found.df_denom == pytest.approx(row["den_df"], abs=WHOLE)


def test_means_by_visit():
    case = CASES["weighted"]
    fit = fitted(case)
    means = fit.emmeans("ARMCD", by="AVISIT").frame.set_index(["AVISIT", "ARMCD"])
    for row in case["means"]:
        own = means.loc[(row["AVISIT"], row["ARMCD"])]
        assert own["estimate"] == pytest.approx(row["estimate"], abs=ESTIMATE * row["se"])
        assert own["se"] == pytest.approx(row["se"], rel=ERROR)
        assert own["df"] == pytest.approx(row["df"], abs=WHOLE)
        np.testing.assert_allclose([own["lower"], own["upper"]], [row["lower"], row["upper"]], rtol=1e-5, atol=FOUR)
    differences = fit.emmeans("ARMCD", by="AVISIT").contrasts("revpairwise").frame.set_index("AVISIT")
    for row in case["differences"]:
        own = differences.loc[row["AVISIT"]]
        assert own["estimate"] == pytest.approx(row["estimate"], abs=ESTIMATE * row["se"])
        assert own["se"] == pytest.approx(row["se"], rel=ERROR)
        assert own["df"] == pytest.approx(row["df"], abs=WHOLE)
    cells = fit.emmeans(["AVISIT", "ARMCD"])
    at = {tuple(pair): k for k, pair in enumerate(cells.frame[["AVISIT", "ARMCD"]].astype(str).to_numpy())}
    wanted = np.zeros((len(case["across"]), len(at)))
    for k, row in enumerate(case["across"]):
        wanted[k, at[tuple(row["of"])]], wanted[k, at[tuple(row["less"])]] = 1.0, -1.0
    across = cells.contrasts({f"c{k}": own for k, own in enumerate(wanted)}, adjust="none").frame
    listed = pd.DataFrame(case["across"])
    np.testing.assert_allclose(across["estimate"], listed["estimate"], atol=FOUR + ESTIMATE)
    np.testing.assert_allclose(across["se"], listed["se"], rtol=ERROR)
    np.testing.assert_allclose(across["df"], listed["df"], atol=WHOLE)
    assert (across["df"] == 526).sum() == 9  # SAS's df are no more than n - rank X


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "vcov" in case])
def test_empirical_errors_and_between_within(name):
    case = CASES[name]
    fit = fitted(case)
    difference = case["difference"]
    np.testing.assert_allclose(fit.cov_params(), case["vcov"], rtol=ERROR)
    assert fit.params["ARMCD[T.TRT]"] == pytest.approx(difference["estimate"], abs=ESTIMATE * difference["se"])
    assert fit.bse["ARMCD[T.TRT]"] == pytest.approx(difference["se"], rel=ERROR)
    limits = fit.conf_int().loc["ARMCD[T.TRT]"].to_list()
    np.testing.assert_allclose(limits, [difference["lower"], difference["upper"]], rtol=2e-3)
    assert fit.df_inference.tolist() == [difference["df"]] * 2


@pytest.mark.parametrize("name", ["resid_un", "resid_un_grp"])
def test_residuals(name):
    case = CASES[name]
    fit = fitted(case)
    data = load("fev")
    kinds = {"resid": "raw", "scaled_resid": "scaled", "student_resid": "studentized", "pearson_resid": "pearson"}
    own = {kind: fit.residuals(kind, level="marginal") for kind in kinds.values()}
    places = {tuple(pair): row for row, pair in data[["USUBJID", "AVISIT"]].astype(str).iterrows()}
    assert len(case["residuals"]) > 30
    for row in case["residuals"]:
        at = places[row["USUBJID"], row["AVISIT"]]
        for sas, kind in kinds.items():
            assert own[kind][at] == pytest.approx(row[sas], abs=2e-3 * max(1.0, abs(row[sas])))
