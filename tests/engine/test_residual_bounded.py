"""Likelihoods without a maximum are refused by name where the pattern tells; where only values tell the fit says so."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from tests.reference import Data
from tests.structured import covariance, deviance, residual_covariance

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.errors import ConvergenceWarning, DataError, SingularMatrixWarning

#: least fall of −2 log L for each factor e of a standard deviation that goes to zero, an even integer far out; and none
FALL, NONE = -1.5, 0.05


def trial(last: int = 30) -> pd.DataFrame:
    """Thirty patients in two arms, four visits; the last visit of the first `last` only."""
    rng = np.random.default_rng(1)
    n = 30
    y = rng.normal(size=(n, 4)) @ np.linalg.cholesky(0.5 + 0.5 * np.eye(4)).T
    data = pd.DataFrame(
        {
            "patient": np.repeat(np.arange(n), 4),
            "visit": np.tile(list("abcd"), n),
            "arm": np.repeat(np.where(np.arange(n) % 2, "p", "q"), 4),
            "x": rng.normal(size=4 * n),
            "y": y.ravel(),
        }
    )
    return data[(data["visit"] != "d") | (data["patient"] < last)]


def strata(third: int) -> pd.DataFrame:
    """Sixty rows, the last `third` of which are a stratum "c"; items cross it."""
    rng = np.random.default_rng(2)
    label = np.repeat(["a", "b", "c"], [29, 31 - third, third])
    return pd.DataFrame(
        {"y": rng.normal(size=60), "x": rng.normal(size=60), "s": label, "item": np.repeat(np.arange(20), 3)}
    )


def slope(formula: str, data: pd.DataFrame, residual: str, psi, *, reml: bool, G: tuple[float, ...] = ()) -> float:
    """How −2 log L changes with the logarithm of a standard deviation that goes to zero, in n × n algebra.

    `psi` (ε) gives the residuals' parameters; random effects have the covariance `G`, or no variance.
    """
    design, rows = design_from_formula(formula, data, residual=residual)
    known = Data(design, rows)

    def V(e: float) -> np.ndarray:
        return covariance(known, np.array(G), psi(e)) if G else residual_covariance(known, psi(e))

    near, far = (deviance(known, V(e), reml) for e in (1e-3, 1e-5))
    return (far - near) / np.log(1e-5 / 1e-3)


def of_third(e: float) -> np.ndarray:
    """Variances of three strata."""
    return np.array([1.0, 1.0, e**2])


def test_a_stratum_as_large_as_its_effects():
    """Intercept and slope fit two rows of a stratum whatever they are, to which the deviance of other strata but adds
    something; REML is bounded there."""
    assert slope("y ~ x", strata(2), "ident(s)", of_third, reml=False) > -FALL
    assert abs(slope("y ~ x", strata(2), "ident(s)", of_third, reml=True)) < NONE
    assert slope("y ~ x", strata(3), "ident(s)", of_third, reml=False) < NONE  # one row more, and r² grows
    with pytest.warns(ConvergenceWarning, match="no maximum: the fixed effects can fit the 2 rows of s 'c' exactly"):
        fit = henderson.lmer("y ~ x", strata(2), residual="ident(s)", REML=False)
    assert not fit.converged
    assert henderson.lmer("y ~ x", strata(3), residual="ident(s)", REML=False).converged
    assert henderson.lmer("y ~ x", strata(2), residual="ident(s)").converged


def test_a_variance_that_reml_lets_go_to_zero_is_named():
    """Two rows on the line of all others are fitted exactly at no cost: V's two eigenvalues and X'V⁻¹X's cancel."""
    data = strata(2)
    rest = data["s"] != "c"
    one, other = np.polyfit(data["x"][rest], data["y"][rest], 1)
    data["y"] = data["y"].where(rest, one * data["x"] + other)
    with pytest.warns(SingularMatrixWarning, match="the variance of s 'c', whose 2 rows the fixed effects fit exactly"):
        fit = henderson.lmer("y ~ x", data, residual="ident(s)")
    X, y = np.column_stack([np.ones(len(data)), data["x"]]), data["y"].to_numpy()
    line = np.linalg.solve(X[~rest], y[~rest])  # log|V| and log|X'V⁻¹X| of its rows leave the determinant of these
    limit = 2 * np.linalg.slogdet(X[~rest])[1] + (len(y) - 2) * np.log(2 * np.pi)
    for stratum in "ab":
        left = (y - X @ line)[data["s"] == stratum]
        limit += len(left) * (1 + np.log(np.mean(left**2)))
    assert fit.deviance == pytest.approx(limit, abs=1e-7)
    assert fit.converged


@pytest.mark.parametrize("seed", [17, 43, 48])
def test_sums_that_its_rows_outweigh_do_not_hide_the_limit(seed):
    """The last two said 2e-5 and 5e-6 less than there is: searches end where rounding of weights of 10^12 is lowest."""
    rng = np.random.default_rng(seed)
    s = np.repeat(np.arange(20), rng.integers(2, 5, size=20))
    data = pd.DataFrame({"s": s, "x": rng.normal(size=len(s))})
    data["y"] = rng.normal(size=len(s)) * np.exp(rng.normal(size=20))[s]
    with pytest.warns(SingularMatrixWarning, match="whose 2 rows the fixed effects fit exactly") as said:
        fit = henderson.lmer("y ~ x", data, residual="ident(s)")
    gone = int(re.search(r"the variance of s (\d+), whose", str(said[0].message)).group(1))
    X, y = np.column_stack([np.ones(len(data)), data["x"]]), data["y"].to_numpy()
    line = np.linalg.solve(X[s == gone], y[s == gone])
    limit = 2 * np.linalg.slogdet(X[s == gone])[1] + (len(y) - 2) * np.log(2 * np.pi)
    for stratum in set(s) - {gone}:
        left = (y - X @ line)[s == stratum]
        limit += len(left) * (1 + np.log(np.mean(left**2)))
    assert fit.converged
    assert fit.deviance == pytest.approx(limit, abs=1e-6)
    np.testing.assert_allclose(fit.params, line, atol=1e-6)


@pytest.mark.parametrize("structure", ["diag", "csh", "ar1h", "toeph", "adh", "us"])
def test_effects_of_a_visit_alone_are_refused_under_ml(structure):
    """Two patients, one an arm, have the last visit, and the arms have means of their own there."""
    with pytest.raises(
        DataError, match=r"effects fit the 2 rows of visit 'd' exactly.*fewer effects, or more rows there"
    ):
        henderson.lmer("y ~ visit * arm", trial(2), residual=f"{structure}(visit | patient)", REML=False)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ x + (1 | item)", "fixed effects can fit the 2 rows"),
        ("y ~ 1 + (0 + x | item)", "fixed and random effects can fit the 2 rows"),
    ],
)
def test_strata_beside_random_effects(formula, said):
    """Whose variances go to zero with the stratum's, or stay."""
    with pytest.warns(ConvergenceWarning, match=f"no maximum: the {said} of s 'c' exactly"):
        fit = henderson.lmer(formula, strata(2), residual="ident(s)", REML=False)
    assert not fit.converged


def test_a_stratum_within_a_level_where_its_line_and_its_height_determine_each_other():
    """An intercept and a slope of the item fit two rows of it, which is bounded: V has its full rank there. One of a
    singular covariance fits one row, and the mean the other."""
    data = strata(2).assign(item=lambda d: np.where(d["s"] == "c", 0, d["item"]))
    formula, singular, regular = "y ~ 1 + (x | item)", (1.0, 0.5, 0.25), (1.0, 0.5, 0.5)
    assert slope(formula, data, "ident(s)", of_third, reml=False, G=singular) > -FALL
    assert abs(slope(formula, data, "ident(s)", of_third, reml=False, G=regular)) < NONE
    said = "fixed and random effects can fit the 2 rows of s 'c' exactly, the covariance of item being singular"
    with pytest.warns(ConvergenceWarning, match=f"no maximum: the {said}"):
        fit = henderson.lmer(formula, data, residual="ident(s)", REML=False)
    assert not fit.converged
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularMatrixWarning)
        assert henderson.lmer(formula, data, residual="ident(s)").converged


def test_strata_that_only_together_are_fitted_exactly():
    """Levels of an item fit two rows of "b" and two of "c", but not both, since they have one level in common; with the
    slope they do."""
    data = strata(2).assign(s=np.repeat(["a", "b", "c"], [56, 2, 2]))
    data.loc[56:, "item"] = [0, 1, 1, 2]
    formula = "y ~ 0 + x + (1 | item)"
    one, both = (lambda e: np.array([1.0, 1.0, e**2])), (lambda e: np.array([1.0, e**2, e**2]))
    assert abs(slope(formula, data, "ident(s)", one, reml=False, G=(1.0,))) < NONE
    assert slope(formula, data, "ident(s)", both, reml=False, G=(1.0,)) > -FALL
    with pytest.warns(ConvergenceWarning, match="the 4 rows of s 'b'; s 'c' exactly, and .* as their variances go to"):
        fit = henderson.lmer(formula, data, residual="ident(s)", REML=False)
    assert not fit.converged
    data.loc[58, "item"] = 3  # no level in common
    assert abs(slope(formula, data, "ident(s)", both, reml=False, G=(1.0,))) < NONE
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.simplefilter("ignore", SingularMatrixWarning)
        assert henderson.lmer(formula, data, residual="ident(s)", REML=False).converged


def lines(last: list[int]) -> pd.DataFrame:
    """Eight items with five rows each in two strata; a third stratum, of `last` items."""
    rng = np.random.default_rng(0)
    n = 40 + len(last)
    item, s = np.r_[np.repeat(np.arange(8), 5), last], np.repeat(["a", "b", "c"], [20, 20, len(last)])
    return pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "item": item, "s": s})


@pytest.mark.parametrize("reml", [True, False])
def test_a_direction_of_effects_that_is_made_for_the_response(reml):
    """Lines of two items that cross where a singular covariance says, and a mean: three numbers and the place where
    they cross fit four responses. Searches ran after it and were given up, or ended certified at a local maximum."""
    data, formula = lines([0, 0, 1, 1]), "y ~ 1 + (x | item)"
    one, x, y = np.ones(4), data["x"][40:].to_numpy(), data["y"][40:].to_numpy()
    first = np.array([1.0, 1.0, 0.0, 0.0])

    def columns(v: float) -> np.ndarray:
        return np.column_stack([one, (v + x) * first, (v + x) * (1 - first), y])

    v = np.linspace(-9.0, 9.0, 301)
    at = np.array([np.linalg.det(columns(one)) for one in v])
    k = np.flatnonzero(at[1:] * at[:-1] < 0)[0]
    v = brentq(lambda v: np.linalg.det(columns(v)), v[k], v[k + 1], xtol=1e-15)
    assert slope(formula, data, "ident(s)", of_third, reml=reml, G=(v * v, v, 1.0)) > -FALL
    assert slope(formula, data, "ident(s)", of_third, reml=reml, G=(v * v, v, 1.1)) < NONE
    with pytest.warns(ConvergenceWarning, match="no maximum: .* the 4 rows of s 'c' exactly, .* being singular"):
        fit = henderson.lmer(formula, data, residual="ident(s)", REML=reml)
    assert not fit.converged


def test_a_direction_in_which_columns_are_the_same_fits_nothing():
    """Three rows of one item: as the slope goes from the effects, its column becomes the mean's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.simplefilter("ignore", SingularMatrixWarning)
        assert henderson.lmer("y ~ 1 + (x | item)", lines([0, 0, 0]), residual="ident(s)").converged


def test_all_rows_are_a_stratum_too():
    """Two crossed factors and a slope fit eight rows: the variances of all go to zero together."""
    rng = np.random.default_rng(4)
    g, h = [0, 0, 0, 1, 1, 2, 2, 3, 3, 4], [0, 1, 2, 0, 1, 1, 3, 2, 3, 4]
    data = pd.DataFrame({"y": rng.normal(size=10), "v": rng.uniform(1, 2, size=10), "g": g, "h": h})
    formula = "y ~ v + (1 | g) + (1 | h)"

    def psi(e: float) -> np.ndarray:
        return np.array([e**2, 0.5])

    assert slope(formula, data[:8], "power(v)", psi, reml=False, G=(1.0, 1.0)) > -FALL
    assert slope(formula, data, "power(v)", psi, reml=False, G=(1.0, 1.0)) < NONE  # two rows more, one column
    with pytest.warns(ConvergenceWarning, match="the fixed and random effects can fit the 8 rows of the data exactly"):
        fit = henderson.lmer(formula, data[:8], residual="power(v)", REML=False)
    assert not fit.converged


def singular_towards(a: np.ndarray, e: float) -> np.ndarray:
    """Parameters of `us` that leave ε² of the combination `a` of visits, one of all others."""
    unit = a / np.linalg.norm(a)
    return (np.eye(4) - (1 - e**2) * np.outer(unit, unit))[np.tril_indices(4)]


@pytest.mark.parametrize("reml", [True, False])
def test_series_that_share_visits_may_be_too_few_for_a_covariance(reml):
    """Three patients have the last visit, of whom the arms fit two: a combination of visits is equal for the others."""
    data = trial(3)
    design, rows = design_from_formula("y ~ visit * arm", data, residual="us(visit | patient)")
    known, y = Data(design, rows), data.loc[data["patient"] < 3, "y"].to_numpy().reshape(3, 4)
    difference = y[2] - y[0]  # of two patients of one arm
    a = np.append(-difference[3] * difference[:3] / (difference[:3] @ difference[:3]), 1.0)
    near, far = (deviance(known, residual_covariance(known, singular_towards(a, e)), reml) for e in (1e-3, 1e-5))
    assert (far - near) / np.log(1e-2) > -FALL
    said = "3 patient have all of 'a', 'b', 'c', 'd', and the fixed effects fit 2 there.*It takes 6 of them"
    with pytest.raises(DataError, match=said):
        henderson.lmer("y ~ visit * arm", data, residual="us(visit | patient)", REML=reml)
    with pytest.raises(DataError, match="2 patient with arm 'p' have all of"):
        henderson.lmer("y ~ visit", trial(4), residual="us(visit | arm / patient)", REML=reml)
    with pytest.warns(ConvergenceWarning, match="3 patient have all of 'c', 'd', and the fixed effects fit 2 there"):
        henderson.lmer("y ~ visit * arm", data, residual="adh(visit | patient)", REML=reml)
    assert henderson.lmer("y ~ visit * arm", trial(9), residual="us(visit | patient)", REML=reml).converged


@pytest.mark.parametrize(("kind", "exponent"), [("power", np.log(0.1)), ("exp", -0.9)])
def test_an_exponent_may_run_away(kind, exponent):
    """One row with a covariate of its own: |z|^δ gives it a variance of its own."""
    data = trial().assign(z=1.0)
    data.loc[5, "z"] = 0.1

    def psi(e: float) -> np.ndarray:  # the odd row's standard deviation is ε, the others' one
        delta = np.log(e) / exponent
        return np.array([1.0 if kind == "power" else np.exp(-2 * delta), delta])

    assert slope("y ~ visit", data, f"{kind}(z)", psi, reml=False) > -FALL
    with pytest.warns(ConvergenceWarning, match=f"the row with the smallest z exactly.*exponent of {kind}.z. grows"):
        fit = henderson.lmer("y ~ visit", data, residual=f"{kind}(z)", REML=False)
    assert not fit.converged
    assert henderson.lmer("y ~ visit", data, residual=f"{kind}(z)").converged
    data.loc[7:30, "z"] = 8.0  # the mean exponent lies above that of the rows not fitted
    assert henderson.lmer("y ~ visit", data, residual=f"{kind}(z)", REML=False).converged


@pytest.mark.parametrize("reml", [True, False])
def test_a_visit_at_which_nothing_changed(reml):
    """Change from baseline with the baseline visit in it: the same model, and nothing to be fitted there."""
    data = trial()
    data.loc[data["visit"] == "a", "y"] = 0.0
    said = "has no maximum: the fixed effects fit y exactly in all rows of visit 'a'"
    for structure in ("us", "csh"):
        with pytest.warns(ConvergenceWarning, match=said):
            fit = henderson.lmer("y ~ visit * arm", data, residual=f"{structure}(visit | patient)", REML=reml)
        assert not fit.converged


def test_equal_responses_of_a_small_stratum():
    """An end within the range was called converged: the mean of the others, beside which the likelihood has a peak
    without a top where the mean is what the three have in common."""
    data = strata(3)
    data.loc[data["s"] == "c", "y"] = 1.0
    with pytest.warns(ConvergenceWarning, match="fit y exactly in all rows of s 'c'"):
        fit = henderson.lmer("y ~ 1", data, residual="ident(s)")
    assert not fit.converged


def test_visits_that_repeat_each_other_are_named():
    """Last observation carried forward at one visit, for all."""
    data = trial()
    data.loc[data["visit"] == "d", "y"] = data.loc[data["visit"] == "c", "y"].to_numpy()
    with pytest.warns(ConvergenceWarning, match="residuals at 'c', 'd' determine each other"):
        fit = henderson.lmer("y ~ visit * arm", data, residual="us(visit | patient)")
    assert not fit.converged


def test_strata_of_one_row_are_named():
    """Of `ident` alone and beside a correlation."""
    with pytest.raises(DataError, match="variance for each s, and s 'c' has one row"):
        henderson.lmer("y ~ x", strata(1), residual="ident(s)")
    data = strata(1).assign(t=np.tile([0, 1, 2], 20))
    with pytest.raises(DataError, match="variance for each s, and s 'c' has one row"):
        henderson.lmer("y ~ x", data, residual="cs(t | item) * ident(s)")
