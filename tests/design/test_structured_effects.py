"""Bars with a structure: what they are read as, and what is refused by name before anything is fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.errors import DataError, FormulaError


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    t = np.tile(np.arange(1, 6), 40)
    table = pd.DataFrame(
        {"g": np.repeat(np.arange(20), 10), "h": np.arange(200) % 3, "t": t, "x": rng.normal(size=200)}
    )
    own = rng.normal(size=(20, 5)).cumsum(axis=1)
    return table.assign(
        y=own[table["g"], t - 1] + rng.normal(size=200),
        visit=[f"v{k}" for k in t],
        week=[f"week {4 * k}" for k in t],
        word=np.array(list("abcde"))[t - 1],
        dose=t**1.5,
        late=np.array([0, 1, 3, 4, 8])[t - 1],
        day=pd.Timestamp("2026-01-01") + pd.to_timedelta(7 * t, unit="D"),
        gap=pd.Categorical(np.array(list("abcde"))[t - 1], categories=list("abxcde"), ordered=True),
        f=pd.Categorical(t),
    )


def structures(bars, data):
    design, _ = design_from_formula(f"y ~ x + {bars}", data)
    return [term.structure for term in design.terms]


@pytest.mark.parametrize(
    ("bars", "wanted"),
    [
        ("us(x | g)", ["unstructured"]),
        ("diag(0 + f | g)", ["diagonal"]),
        ("diag(0 + f | g, hom = TRUE)", ["identity"]),
        ("homdiag(0 + f | g)", ["identity"]),
        ("cs(0 + f | g)", ["cs"]),
        ("cs(0 + f | g, hom=True)", ["homcs"]),
        ("cs(x | h/g)", ["cs", "cs"]),
        ("ar1(0 + t | g)", ["ar1"]),
        ("(ar1(0 + t | g)) + (1 | h)", ["ar1", "unstructured"]),
        ("ar1(t - 1 | g)", ["ar1"]),
        ("ar1(0 + t | g, hom = FALSE)", ["hetar1"]),
        ("hetar1(0 + f | g)", ["hetar1"]),
        ("ar1(0 + visit | g)", ["ar1"]),
        ("ar1(0 + day | g)", ["ar1"]),
        ("ar1(0 + late | g)", ["ar1(0,1,3,4,8)"]),
        ("ar1(0 + I(late / 7) | g)", None),
        ("ar1(0 + gap | g)", ["ar1(0,1,3,4,5)"]),
        ("toep(0 + t | g)", ["toep"]),
        ("toep(0 + t | g, hom=T)", ["homtoep"]),
        ("ou(0 + late | g)", ["ou(0,1,3,4,8)"]),
        ("ou(0 + f | g)", ["ou(1,2,3,4,5)"]),
        ("ou(0 + day | g)", ["ou(0,7,14,21,28)"]),  # in days: Kenward and Roger's ρ is that of a distance of one
    ],
)
def test_what_bars_are(bars, wanted, data):
    if wanted is None:
        with pytest.raises(FormulaError, match="takes one factor or column of times"):
            structures(bars, data)
    else:
        assert structures(bars, data) == wanted


@pytest.mark.parametrize(
    ("bars", "error", "said"),
    [
        ("foo(0 + t | g)", FormulaError, "words before a bar are us, diag, homdiag, cs, homcs, ar1"),
        ("foo(0 + t | g) + (1 | g)", FormulaError, "no column or function 'foo'.*before a bar are us"),
        ("ar1(t | g)", FormulaError, r"write ar1\(0 \+ t \| g\)"),
        ("ar1(1 | g)", FormulaError, "takes one factor or column of times"),
        ("ar1(0 + x + t | g)", FormulaError, "takes one factor or column of times"),
        ("ar1(0 + f:x | g)", FormulaError, "takes one factor or column of times"),
        ("ar1(0 + word | g)", DataError, "word is text, a, b, c, d, …, and has no order"),
        ("ar1(0 + week | g)", DataError, "week is text, week 12, week 16, week 20, week 4, …"),
        ("ar1(0 + t || g)", FormulaError, r"\|\| takes no structure"),
        ("ar1(0 + t | g, d = 2)", FormulaError, r"ar1\(\) takes hom=True or hom=False, not 'd = 2'"),
        ("us(x | g, hom = TRUE)", FormulaError, r"us\(\) takes no argument beside the bar"),
        ("cs(0 + f | g, hom = 2)", FormulaError, "hom is True or False, not '2'"),
        ("ar1(0 + dose | g)", DataError, r"not multiples of one step; ou\(0 \+ dose \| g\) takes any times"),
        ("ou(0 + word | g)", DataError, "the times must be numbers, not a, b, c, d, …"),
        ("toep(0 + late | g)", DataError, "the times 0, 1, 3, 4, … are not equally far apart"),
        ("ar1(0 + t | g | h)", FormulaError, "it has 2 bars"),
        ("ar1(0 + t |)", FormulaError, "nothing after the bar"),
        ("ar1(| g)", FormulaError, "nothing before the bar"),
        ("ar1(0 + t | nobody)", FormulaError, "nobody"),
    ],
)
def test_refused_by_name(bars, error, said, data):
    with pytest.raises(error, match=said):
        structures(bars, data)


def test_not_subtracted(data):
    with pytest.raises(FormulaError, match="cannot be subtracted"):
        design_from_formula("y ~ x - cs(0 + f | g)", data)


def test_tables_name_the_times(data):
    fit = henderson.lmer("y ~ x + ar1(0 + t | g)", data)
    frame = fit.varcorr
    assert frame["var1"].tolist() == ["t[1]...t[5]", "t[1]", None]
    text = str(fit.summary())
    assert "g: ar1: the correlation is that of the effects nearest in time, from which the others follow" in text
    assert f"{frame['sdcor'].iloc[1]:.2f}" in text.split("Residual")[0]
    assert "t in ar1(0 + t | g)" in fit.ranova().index


def test_what_a_double_bar_did_is_said(data):
    now = henderson.lmer("y ~ x + (f || g)", data)
    assert "|| with the factor f: its effects are independent of each other" in str(now.summary())
    diag = henderson.lmer("y ~ x + diag(f | g)", data)
    assert now.deviance == pytest.approx(diag.deviance, abs=1e-9)
    assert "||" not in "".join(diag.summary().notes)


def test_new_rows_and_conditional_modes(data):
    fit = henderson.lmer("y ~ x + ar1(0 + t | g) + (1 | h)", data)
    np.testing.assert_allclose(fit.predict(data.iloc[:7], re="all"), fit.fittedvalues[:7])
    some = fit.predict(data.iloc[:7], re="ar1(0 + t | g)")
    np.testing.assert_allclose(some, fit.predict(data.iloc[:7], re="g"))
    assert list(fit.ranef["g"].columns)[:2] == ["t[1]", "t[2]"]
    with pytest.raises(ValueError, match=r"there are 'ar1\(0 \+ t "):
        fit.predict(data.iloc[:7], re="(1 | nobody)")


def test_saved_and_read(data, tmp_path):
    fit = henderson.lmer("y ~ x + ou(0 + late | g)", data)
    fit.save(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson")
    np.testing.assert_allclose(again.predict(data.iloc[:5]), fit.predict(data.iloc[:5]))
    assert again.engine.design.terms[0].structure == "ou(0,1,3,4,8)"


def test_statsmodels_door_has_native_results_of_what_it_cannot_pack(data):
    for bars in ("ar1(0 + t | g)", "rr(0 + f | g, 1)"):
        fit = henderson.mixedlm(f"y ~ x + {bars}", data).fit()
        wanted = henderson.lmer(f"y ~ x + {bars}", data)
        assert fit.llf == pytest.approx(wanted.llf, abs=1e-9)
        np.testing.assert_allclose(fit.params, wanted.params, rtol=1e-9)
    with pytest.raises(ValueError, match=r"fit\(do_cg\): a model with structures of random effects"):
        henderson.mixedlm("y ~ x + ar1(0 + t | g)", data).fit(do_cg=False)
    with pytest.raises(FormulaError, match=r"cov_re has a parameter for each of its entries.*lmer\(\) takes ar1"):
        henderson.mixedlm("y ~ x + ar1(0 + t | g)", lambda: iter([data]))


def test_profiles_are_refused_by_name(data):
    for bars in ("rr(0 + f | g, 2)", "fa(0 + f | g, 1)"):
        with pytest.raises(DataError, match=r"profile.*there are method='boot' and 'wald'"):
            henderson.lmer(f"y ~ x + {bars}", data).conf_int(method="profile")


#: gls(Reaction ~ Days, sleepstudy, correlation = corExp(c(8, .1), form = ~ Days | Subject, nugget = TRUE)), nlme 3.1
NUGGET = {"deviance": 1734.186468, "fixed": [253.9074, 10.44886], "se": [11.36529, 1.517620]}


@pytest.mark.parametrize("bar", ["ar1(0 + Days | Subject)", "ou(0 + Days | Subject)"])
def test_one_row_an_effect_tells_a_process_from_noise(bar):
    """A variance and a correlation are not the residual's: as nlme's gls with corExp(nugget = TRUE)."""
    fit = henderson.lmer("Reaction ~ Days + " + bar, henderson.datasets.load("sleepstudy"))
    assert fit.deviance == pytest.approx(NUGGET["deviance"], abs=1e-5)
    np.testing.assert_allclose(fit.params, NUGGET["fixed"], rtol=1e-5)
    np.testing.assert_allclose(fit.bse, NUGGET["se"], rtol=1e-4)
    assert not fit.inference.notes  # all variances are identified
    assert np.isfinite(fit.inference.df(np.eye(2))).all()


@pytest.mark.parametrize("bar", ["homcs(0 + factor(Days) | Subject)", "toep(0 + factor(Days) | Subject)"])
def test_one_row_an_effect_does_not_tell_what_holds_the_residual(bar):
    with pytest.raises(DataError, match="cannot be told apart"):
        henderson.lmer("Reaction ~ Days + " + bar, henderson.datasets.load("sleepstudy"))


#: −2 log L of glmmTMB(Reaction ~ Days + rr(0 + factor(Days) | Subject, d = k), sleepstudy, REML = …), 1.1.5, and sigma
REDUCED = {(1, True): (1748.536037, 27.33396), (2, False): (1727.842661, 22.89515)}


@pytest.mark.parametrize(("k", "REML"), REDUCED)
def test_one_row_an_effect_tells_reduced_rank_from_noise(k, REML):
    """As glmmTMB fits many species at each site once."""
    fit = henderson.lmer(
        f"Reaction ~ Days + rr(0 + factor(Days) | Subject, {k})", henderson.datasets.load("sleepstudy"), REML=REML
    )
    assert (fit.deviance, fit.sigma) == pytest.approx(REDUCED[k, REML], rel=1e-6)
    assert not fit.inference.notes
    assert np.isfinite(fit.inference.df(np.eye(2))).all()
