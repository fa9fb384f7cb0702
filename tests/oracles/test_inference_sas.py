"""SAS: listings of GLIMMIX and MIXED (`tests/oracles/sas_listings.json`), and classical balanced designs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.inference import coef_table, infer
from henderson.inference.anova.anova import anova
from henderson.intervals.variance_errors import variance_covariance
from oracle_data import load_oracle, normal

LISTINGS = load_oracle("sas_listings")
CASES = {case["id"]: case for case in LISTINGS["cases"] if "formula" in case}

# SAS stops earlier than we do: its quadratic listing is 2e-6 (SE) and 4e-4 (asymptotic covariance) from the optimum.
SE, DF, ASYCOV = 1e-5, 1e-4, 1e-3


def fitted(name: str):
    case = CASES[name]
    data = LISTINGS["data"].get(case["data"])
    table = henderson.datasets.load(case["data"]) if data is None else pd.DataFrame(data)
    return case, henderson.lmer(case["formula"], table, REML=case["reml"])


def listed(table: pd.DataFrame, listing: dict) -> pd.DataFrame:
    table.index = [normal(name) for name in table.index]
    return table.loc[[normal(name) for name in listing["names"]]]


@pytest.mark.parametrize("name", [name for name in CASES if "kenward_roger" in CASES[name]])
def test_kenward_roger_with_the_observed_information(name):
    case, result = fitted(name)
    table = listed(coef_table(infer(result, ddf="kenward-roger-observed")), case["kenward_roger"])
    np.testing.assert_allclose(table["se"], case["kenward_roger"]["se"], rtol=SE)
    np.testing.assert_allclose(table["df"], case["kenward_roger"]["df"], rtol=DF)


@pytest.mark.parametrize("name", [name for name in CASES if "satterthwaite" in CASES[name]])
def test_satterthwaite(name):
    case, result = fitted(name)
    table = listed(coef_table(infer(result, ddf="satterthwaite")), case["satterthwaite"])
    np.testing.assert_allclose(table["se"], case["satterthwaite"]["se"], rtol=SE)
    np.testing.assert_allclose(table["df"], case["satterthwaite"]["df"], rtol=DF)


@pytest.mark.parametrize("name", [name for name in CASES if "asycov" in CASES[name]])
def test_asymptotic_covariance_of_the_variance_parameters(name):
    case, result = fitted(name)
    expected = np.array(case["asycov"]["values"])
    np.testing.assert_allclose(variance_covariance(result), expected, rtol=ASYCOV)


def test_containment_of_a_split_plot():
    case, result = fitted("split-plot")
    table = anova(result, 3, infer(result, ddf="containment"))
    listing = case["containment_type3"]
    assert list(table.index) == listing["term"]
    np.testing.assert_array_equal(table["den_df"], listing["den_df"])
    np.testing.assert_allclose(table["F"], listing["F"], atol=0.005)
    np.testing.assert_allclose(table["p"], listing["p"], atol=5e-5)


def test_containment_where_nothing_contains():
    case, result = fitted("bond-ml")
    table = coef_table(infer(result, ddf="containment"))
    np.testing.assert_array_equal(table["df"], case["containment"]["df"])
    np.testing.assert_allclose(table["se"], case["containment"]["se"], atol=5e-5)


@pytest.mark.parametrize("ddf", ["containment", "between-within"])
def test_sleepstudy_counts(ddf):
    _, result = fitted("sleepstudy")
    df = coef_table(infer(result, ddf=ddf))["df"]
    assert df.tolist() == ([17, 17] if ddf == "containment" else [17, 161])


def test_between_within_gives_a_factor_its_interaction_with_subjects():
    # whole plots are subjects: 45 - 3, and 270 - 18 - 42 for what varies within them
    result = henderson.lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", henderson.datasets.load("cake"))
    table = anova(result, 3, infer(result, ddf="between-within"))
    assert table["den_df"].tolist() == [42, 210, 210]
    # two factors within blocks: (b - 1)(a - 1), (b - 1)(c - 1), (b - 1)(a - 1)(c - 1)
    _, split = fitted("split-plot")
    blocks = henderson.lmer("Y ~ A * B + (1 | Block)", pd.DataFrame(LISTINGS["data"]["stroup"]))
    assert anova(blocks, 3, infer(blocks, ddf="between-within"))["den_df"].tolist() == [6, 3, 6]
    assert anova(split, 3, infer(split, ddf="between-within"))["den_df"].tolist() == [6, 3, 6]


def test_between_within_counts_of_mmrm():
    # openpharma/mmrm's definition: N - (1 + p_between) between; n - (N + p_within) within
    case = next(case for case in LISTINGS["cases"] if case["id"] == "between-within")
    counts = case["counts"]
    generator = np.random.default_rng(3)
    n, subjects = counts["n_obs"], counts["n_subjects"]
    subject = np.concatenate([np.arange(subjects), generator.integers(0, subjects, n - subjects)])
    between = generator.normal(size=(subjects, counts["p_between"]))[subject]
    within = generator.normal(size=(n, counts["p_within"]))
    columns = {f"b{k}": column for k, column in enumerate(between.T)} | {
        f"w{k}": column for k, column in enumerate(within.T)
    }
    table = pd.DataFrame(
        columns | {"subject": subject, "y": generator.normal(size=n) + generator.normal(size=subjects)[subject]}
    )
    result = henderson.lmer(f"y ~ {' + '.join(columns)} + (1 | subject)", table)
    df = coef_table(infer(result, ddf="between-within"))["df"]
    assert set(df.filter(like="b")) == {case["ddf_between"]}
    assert set(df.filter(like="w")) == {case["ddf_within"]}
