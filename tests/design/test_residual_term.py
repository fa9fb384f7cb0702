"""A residual covariance in a formula's design: its text, places of rows, checks before the fit, replay on new rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.covariance.residual.structures import RESIDUAL_STRUCTURES
from henderson.design.from_formula import design_from_formula
from henderson.design.replay_residual import new_residual_rows
from henderson.errors import DataError, FormulaError, ValueWarning
from henderson.formula.residual import parse_residual, split_covariance

RNG = np.random.default_rng(11)
VISITS = ["V1", "V2", "V3", "V4"]


def trial(n: int = 24, missing: bool = True) -> pd.DataFrame:
    """Patients of two arms with four visits, some missing, rows in any order."""
    data = pd.DataFrame({"patient": np.repeat(np.arange(n), 4), "visit": VISITS * n})
    data["day"] = data["patient"] % 3 + 7.0 * data["visit"].str[1].astype(int) + RNG.uniform(0, 1, 4 * n)
    data["x1"], data["x2"] = RNG.uniform(size=(2, 4 * n))
    data["arm"] = np.where(data["patient"] % 2, "drug", "placebo")
    data["sex"] = np.where(data["patient"] % 3, "f", "m")
    data["age"] = RNG.uniform(20, 60, n)[data["patient"]]
    data["site"] = data["patient"] // 4
    data["y"] = RNG.normal(size=4 * n)
    return data.sample(frac=0.8 if missing else 1.0, random_state=2)


DATA = trial()


def made(residual: str, data: pd.DataFrame = DATA, formula: str = "y ~ arm"):
    return design_from_formula(formula, data, residual=residual)


DATES = {
    "dates": lambda days: pd.Timestamp("2024-02-20T06:00") + pd.to_timedelta(days, unit="D"),
    "with a zone": lambda days: (pd.Timestamp("2024-02-20") + pd.to_timedelta(days, unit="D")).tz_localize("UTC"),
    "spans": lambda days: pd.to_timedelta(days, unit="D"),
    "datetime.date": lambda days: (pd.Timestamp("2024-02-20") + pd.to_timedelta(days, unit="D")).date,
}


@pytest.mark.parametrize("kind", DATES)
@pytest.mark.parametrize("door", ["car1", "ou"])
def test_dates_are_days(kind, door):
    """On the residual side and in bars: what counts are the days between them."""
    days = np.array([3, 0, 40, 12, 3, 15, 0, 12])
    data = pd.DataFrame(
        {"y": RNG.normal(size=8), "g": [1, 1, 1, 1, 2, 2, 2, 2], "day": days, "date": DATES[kind](days)}
    )
    if door == "ou":
        (one, other) = (design_from_formula(f"y ~ 1 + ou(0 + {name} | g)", data, check_identified="ignore")[0].terms[0]
                        for name in ("day", "date"))  # fmt: skip
        assert one.structure == other.structure
        return
    design, rows = made("car1(date | g)", data, "y ~ 1")
    assert rows.residual.where.ravel().tolist() == days.tolist()
    new = pd.DataFrame({"g": [2, 1], "date": DATES[kind](np.array([5, 41]))})
    assert new_residual_rows(design, new).where.ravel().tolist() == [5, 41]
    with pytest.raises(DataError, match=r"holds (dates|spans of time) where the model was fitted, and here dtype"):
        new_residual_rows(design, new.assign(date=[1.0, 2.0]))


def test_coordinates_are_no_dates():
    with pytest.raises(DataError, match="'date' holds dates or times"):
        made("sp_exp(date | patient)", DATA.assign(date=pd.Timestamp("2024-01-01")))


# ---- text


@pytest.mark.parametrize("name", [name for name in RESIDUAL_STRUCTURES if name != "iid"])
def test_every_structure_is_read(name):
    places = {"visits": "visit", "time": "day", "coordinates": "x1, x2"}[RESIDUAL_STRUCTURES[name].places]
    design, rows = made(f"{name}({places}|patient)")
    term = design.residual
    assert term.structure == name
    assert term.group == "patient"
    assert term.label == f"{name}({places} | patient)"
    assert term.n_series == DATA["patient"].nunique()
    np.testing.assert_array_equal(term.levels[rows.residual.codes], DATA["patient"])
    if places == "visit":
        assert term.visits.tolist() == VISITS
        np.testing.assert_array_equal(np.array(VISITS)[rows.residual.where], DATA["visit"])
    else:
        np.testing.assert_array_equal(rows.residual.where, DATA[places.split(", ")])


def test_strata():
    design, rows = made("us(visit | arm / patient)", trial(40))
    assert design.residual.stratum == "arm"
    assert design.residual.strata.tolist() == ["drug", "placebo"]
    assert design.residual.group == "patient"
    assert set(zip(rows.residual.codes % 2, rows.residual.strata)) == {(0, 1), (1, 0)}


def test_a_label_within_strata_is_a_series_of_its_own():
    """Patient 1 of one arm is not patient 1 of the other."""
    data = DATA.assign(patient=DATA["patient"] // 2)
    design, rows = made("ar1(visit | arm / patient)", data)
    assert design.residual.group == "arm:patient"
    assert design.residual.n_series == 24
    assert len(np.unique(rows.residual.codes)) == 24


def test_series_and_visits_of_several_columns():
    data = DATA.assign(within=DATA["patient"] % 4, half=np.where(DATA["visit"] < "V3", 1, 2), k=DATA["visit"])
    design, _ = made("ar1(half:k | site:within)", data)
    assert design.residual.group == "site:within"
    assert design.residual.visits.tolist() == ["1:V1", "1:V2", "2:V3", "2:V4"]


def test_variance_functions():
    design, rows = made("ar1(visit | patient) * power(age) * ident(sex)")
    assert [own.label for own in design.residual.variance] == ["power(age)", "ident(sex)"]
    np.testing.assert_array_equal(rows.residual.covariates[0], DATA["age"])
    assert design.residual.variance[1].strata.tolist() == ["f", "m"]
    design, rows = made("exp(log(age)) * ar1(visit | patient)")
    np.testing.assert_allclose(rows.residual.covariates[0], np.log(DATA["age"]))
    design, _ = made("power(fitted)")
    assert design.residual.variance[0].of_fitted


def test_visits_with_raised_digits_are_in_order():
    data = DATA.assign(visit=DATA["visit"].replace({"V1": "²", "V2": "³"}))
    assert list(made("ident(arm) * ar1(visit | patient)", data)[0].residual.visits) == ["V3", "V4", "²", "³"]


def test_a_column_called_as_the_fitted_values_is_in_backticks():
    data = DATA.rename(columns={"age": "fitted"})
    design, rows = made("power(`fitted`)", data)
    assert not design.residual.variance[0].of_fitted
    np.testing.assert_array_equal(rows.residual.covariates[0], DATA["age"])
    with pytest.raises(FormulaError, match="`fitted`"):
        made("power(fitted)", data)


def test_unequal_variances_alone():
    """One variance for each stratum: a linear covariance, each row its own series."""
    design, rows = made("ident(arm)")
    assert (design.residual.structure, design.residual.group) == ("diag", "")
    assert design.residual.visits.tolist() == ["drug", "placebo"]
    np.testing.assert_array_equal(rows.residual.codes, np.arange(len(DATA)))
    design, _ = made("power(age)")
    assert design.residual.structure == "iid"


def test_odd_names_and_factors():
    data = DATA.rename(columns={"patient": "patient id", "visit": "in"})
    assert made("ar1(`in` | `patient id`)", data)[0].residual.group == "patient id"
    assert made("ar1(factor(visit) | C(patient))")[0].residual.places == ("visit",)


# ---- places of rows


def test_visits_of_text_have_their_natural_order():
    data = DATA.assign(visit=DATA["visit"].map({"V1": "week 1", "V2": "week 2", "V3": "week 10", "V4": "week 12"}))
    with pytest.warns(ValueWarning, match="in the order week 1, week 2, week 10, week 12"):
        design, rows = made("ar1(visit | patient)", data)
    assert design.residual.visits.tolist() == ["week 1", "week 2", "week 10", "week 12"]
    np.testing.assert_array_equal(design.residual.visits[rows.residual.where], data["visit"])


def test_visits_of_categories_have_theirs(recwarn):
    order = ["V4", "V1", "V3", "V2", "never"]
    data = DATA.assign(visit=pd.Categorical(DATA["visit"], order))
    design, rows = made("ar1(visit | patient)", data)
    assert design.residual.visits.tolist() == order[:4]
    np.testing.assert_array_equal(np.array(order)[rows.residual.where], DATA["visit"])
    assert not recwarn


@pytest.mark.parametrize("column", ["patient", "visit", "arm", "age"])
def test_missing_values_drop_the_row(column):
    data = DATA.copy()
    data[column] = data[column].astype(object if column != "age" else float)
    data.iloc[[3, 17], data.columns.get_loc(column)] = np.nan
    design, rows = made("ar1(visit | arm / patient) * power(age)", data, "y ~ x1")
    assert design.n_missing == 2
    assert design.n == len(rows.residual.codes) == len(data) - 2


def test_new_rows_find_their_places():
    design, _ = made("ar1(visit | arm / patient) * power(age) * ident(sex)")
    new = DATA.iloc[[5, 6, 7]].reset_index(drop=True)
    new["patient"] = [new["patient"][0], 999, new["patient"][2]]
    new["visit"] = [new["visit"][0], new["visit"][1], "V9"]
    places = new_residual_rows(design, new)
    assert design.residual.levels[places.codes[[0, 2]]].tolist() == new["patient"][[0, 2]].tolist()
    assert places.codes[1] == -1
    assert places.where.tolist() == [VISITS.index(new["visit"][0]), VISITS.index(new["visit"][1]), -1]
    np.testing.assert_array_equal(design.residual.strata[places.strata], new["arm"])
    np.testing.assert_array_equal(places.covariates[0], new["age"])


def test_new_rows_have_no_fitted_values():
    design, _ = made("power(fitted)")
    assert np.isnan(new_residual_rows(design, DATA.iloc[:3]).covariates[0]).all()  # until a prediction puts them there


# ---- checks, by name, before a fit

TWICE = pd.concat([DATA, DATA.iloc[[8]]])
EARLY_OR_LATE = DATA[(DATA["patient"] % 4 < 2) == DATA["visit"].isin(["V1", "V2"])]

BAD = {
    "unknown": ("xyz(visit | patient)", "unknown residual structure 'xyz': there are us, cs, csh, toep"),
    "of SAS": ("UN(visit | patient)", "UN is us here"),
    "of nlme": ("corCAR1(day | patient)", "corCAR1 is car1 here"),
    "no series": ("ar1(visit)", r"does not say whose residuals .* write ar1\(visit \| patient\)"),
    "nothing": ("", "cannot read"),
    "no call": ("patient", "cannot read 'patient'"),
    "not text": (3, "residual is text"),
    "sum": ("ar1(visit | patient) + 1", "cannot read"),
    "two": ("ar1(visit | patient) * cs(visit | patient)", "two structures, ar1 and cs"),
    "no visit": ("ar1(1 | patient)", "does not say which visit a row is of"),
    "nothing before": ("ar1( | patient)", "nothing before the bar"),
    "nothing after": ("ar1(visit | )", "nothing after the bar"),
    "two bars": ("ar1(visit | patient | arm)", "one bar"),
    "deep": ("ar1(visit | site / arm / patient)", "one stratum and one series"),
    "two visits": ("ar1(visit, day | patient)", "takes one column"),
    "two times": ("car1(day, x1 | patient)", "takes one"),
    "added coordinates": (
        "sp_gau(x1 + x2 | patient)",
        r"adds x1 and x2: commas .* sp_gau\(x1, x2 \| patient\).* write I\(x1 \+ x2\)",
    ),
    "expression": ("ar1(log(day) | patient)", "not a column"),
    "bar in a variance": ("power(age | patient)", "has no bar"),
    "empty variance": ("ident()", "cannot read|needs a stratum"),
    "column": ("ar1(visitt | patient)", "no column 'visitt'"),
    "group column": ("ar1(visit | pateint)", "no column 'pateint'"),
    "covariate": ("power(agee)", "no column 'agee'|agee"),
    "text time": ("car1(visit | patient)", r"in car1\(visit \| patient\), 'visit' is categorical, it must be numeric"),
    "text covariate": ("exp(arm)", "'arm' is categorical"),
    "zero": ("power(x1 - x1)", "is zero in row"),
    "constant": ("exp(0 * age)", "the same in all rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_text_is_refused_by_name(case):
    text, message = BAD[case]
    with pytest.raises((FormulaError, DataError), match=message):
        made(text)


def test_rows_twice_at_a_place():
    with pytest.raises(DataError, match=r"us\(visit .*: patient \d+ has two rows at visit .V\d. \(rows 8 and"):
        made("us(visit | patient)", TWICE)
    with pytest.raises(DataError, match=r"patient \d+ has two rows at day [\d.]+ \(rows 8 and"):
        made("car1(day | patient)", TWICE)
    with pytest.raises(DataError, match=r"has two rows at x1 .*, x2"):
        made("sp_exp(x1, x2 | patient)", TWICE)
    assert made("diag(visit | patient)", TWICE)[0].n == len(TWICE)  # independent rows may share a visit


def test_more_parameters_than_the_data_tell():
    with pytest.raises(DataError, match=r"say nothing of Cov\(V3, V1\), Cov\(V3, V2\), Cov\(V4, V1\), Cov\(V4, V2\)"):
        made("us(visit | patient)", EARLY_OR_LATE)
    with pytest.raises(DataError, match=r"say nothing of Cov\(lag 2\), Cov\(lag 3\)"):
        made("toep(visit | patient)", EARLY_OR_LATE)
    assert made("ar1(visit | patient)", EARLY_OR_LATE)[0].residual.structure == "ar1"
    few = DATA[DATA["patient"] < 4]
    with pytest.raises(DataError, match="has 4 visits and 4 patient: an unstructured covariance needs more"):
        made("us(visit | patient)", few)
    with pytest.raises(DataError, match="with arm 'drug'"):
        made("us(visit | arm / patient)", DATA[(DATA["patient"] % 2 == 0) | (DATA["patient"] < 7)])
    once = DATA[(DATA["visit"] != "V4") | (DATA["patient"] == DATA.loc[DATA["visit"] == "V4", "patient"].iloc[0])]
    with pytest.raises(DataError, match="visit 'V4' has one row"):
        made("ar1h(visit | patient)", once)
    single = DATA.drop_duplicates("patient")
    with pytest.raises(DataError, match="say nothing of Corr"):
        made("ar1(visit | patient)", single)


@pytest.mark.parametrize(
    ("residual", "random", "names"),
    [
        ("us(visit | patient)", "(1 | patient)", "Var(V1), Cov(V2, V1)"),
        ("us(visit | patient)", "(x1 | patient)", "Var(V1), Cov(V2, V1)"),
        ("us(visit | arm / patient)", "(1 | patient)", "drug: Var(V1)"),
        ("cs(visit | patient)", "(1 | patient)", "Var, Cov, the variance of (1 | patient)"),
        ("toep(visit | patient)", "(1 | patient)", "Var, Cov(lag 1)"),
        ("diag(visit | patient)", "(1 | patient:visit)", "Var(V1), Var(V2)"),
        ("us(visit | patient)", "(1 | patient:visit)", "Var(V1), Var(V2)"),
        ("us(visit | patient)", "(1 | site) + (1 | patient)", "(1 | patient)"),
        ("us(visit | patient)", "ar1(0 + factor(visit) | patient)", "visit[V4] | patient)"),
        ("diag(visit | patient)", "us(0 + factor(visit) | patient)", "Var(V1), Var(V2)"),
    ],
)
def test_what_a_random_effect_adds_is_not_in_the_structure(residual, random, names):
    with pytest.raises(DataError, match="cannot be told apart") as error:
        made(residual, trial(40), f"y ~ arm + {random}")
    assert names in str(error.value)
    assert "(1 | site)" not in str(error.value)


@pytest.mark.parametrize(
    ("residual", "random"),
    [
        ("us(visit | patient)", "(1 | site)"),
        ("us(visit | patient)", "(1 | sex:visit)"),  # crossed with patients
        ("ar1(visit | patient)", "(1 | patient)"),
        ("ar1(visit | patient)", "(1 | patient:visit)"),  # a nugget
        ("car1(day | patient)", "(day | patient)"),
        ("ident(arm)", "(1 | patient)"),
        ("power(age)", "(1 | patient)"),
        ("ad(visit | patient)", "(1 | patient)"),
        ("ident(arm)", "ar1(0 + factor(visit) | patient)"),
        ("ar1(visit | patient)", "cs(0 + factor(visit) | patient)"),
    ],
)
def test_what_is_told_apart_is_not_refused(residual, random):
    design, _ = made(residual, trial(40), f"y ~ arm + {random}")
    assert design.residual is not None


def test_ratios_that_variances_hold_already():
    with pytest.raises(DataError, match=r"Ratio\(V2\), Ratio\(V3\), Ratio\(V4\) cannot be told apart"):
        made("ar1h(visit | patient) * ident(visit)")


def test_order_of_rows_does_not_matter():
    for seed in range(3):
        data = DATA.sample(frac=1.0, random_state=seed)
        design, rows = made("ar1(visit | patient)", data)
        np.testing.assert_array_equal(design.residual.levels[rows.residual.codes], data["patient"])
        np.testing.assert_array_equal(design.residual.visits[rows.residual.where], data["visit"])


# ---- a trial's formula


def test_a_covariance_in_a_formula():
    assert split_covariance("y ~ a * b + us(v | g) + c") == ("y ~ a * b + c", "us(v | g)")
    assert split_covariance("y ~ us(v | g)") == ("y ~ 1", "us(v | g)")
    assert split_covariance("y ~ 0 + a + ar1(v | arm / g) * power(x) - b") == (
        "y ~ 0 + a - b",
        "ar1(v | arm / g) * power(x)",
    )
    assert split_covariance("y ~ x + (1 | site) + cs(v | g)") == ("y ~ x + (1 | site)", "cs(v | g)")
    assert split_covariance("log(y) ~ I(a | b) + cs(v | g)") == ("log(y) ~ I(a | b)", "cs(v | g)")


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x", "has no covariance term"),
        ("y ~ x + (1 | g)", "has no covariance term"),
        ("y ~ us(v | g) + ar1(v | g)", "has 2 covariance terms"),
        ("y ~ x - us(v | g)", "cannot be subtracted"),
        ("us(v | g)", "with one '~'"),
        (7, "a formula is a string"),
    ],
)
def test_formulas_without_one_covariance(formula, message):
    with pytest.raises(FormulaError, match=message):
        split_covariance(formula)


def test_an_unknown_structure_in_a_formula():
    _, text = split_covariance("y ~ x + spatial(v | g)")
    with pytest.raises(FormulaError, match="unknown residual structure 'spatial'"):
        parse_residual(text)


@pytest.mark.parametrize("structure", ["ar1", "ar1h", "toep", "us", "car1"])
def test_an_infinite_time_is_refused(structure):
    """A double's infinity was one visit more to those that count visits."""
    data = pd.DataFrame({"g": np.repeat(np.arange(8), 3), "t": np.tile([0.0, 1.0, 2.0], 8), "y": np.sin(np.arange(24))})
    data.loc[5, "t"] = np.inf
    with pytest.raises(DataError, match=r"'t' is infinite"):
        henderson.lmer("y ~ 1", data, residual=f"{structure}(t | g)")
    for kind in ("ar1", "ou"):
        with pytest.raises(DataError, match=r"'t' is infinite"):
            henderson.lmer(f"y ~ 1 + {kind}(0 + t | g)", data)
