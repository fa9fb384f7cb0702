"""What is kept when the rows are let go: every table before and after, in memory, in a pickle, in the safe format."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings
import zipfile
from datetime import date, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.datasets import load
from henderson.errors import DataError
from henderson.results import file_classes

SAME = 1e-8  # relative; the same numbers by way of a triangular factor in place of the rows
PROFILED = 1e-5  # relative; profiles come from the engine where they came from the array computation

warnings_off = pytest.mark.filterwarnings("ignore")


def table(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    d = pd.DataFrame({
        "s": rng.integers(0, 24, n),
        "i": rng.integers(0, 10, n),
        "x": rng.normal(size=n),
        "f": rng.choice(list("abc"), n),
        "z": rng.integers(0, 2, n),
        "w": rng.uniform(0.5, 2, n),
        "o": rng.normal(size=n),
    })  # fmt: skip
    d["c"], d["x2"] = d.s // 3, 2 * d.x
    d["t"] = d.groupby("s").cumcount() % 9  # visits of the patients (s, k)
    d["p"] = [f"{s}.{k}" for s, k in zip(d.s, d.groupby("s").cumcount() // 9)]
    d["time"] = d.t + np.linspace(0, 0.4, n)
    d["y"] = d.x + rng.normal(size=24)[d.s] * (1 + 0.5 * d.x) + rng.normal(size=10)[d.i] + rng.normal(size=n)
    return d


DATA = table()
MASK = henderson.MixedLMParams.from_components(np.ones(2), cov_re=np.eye(2))
MODELS = {
    "slopes": lambda d: henderson.lmer("y ~ f * x + (x | s)", d),
    "crossed": lambda d: henderson.lmer("y ~ f + x + z + (1 | s) + (1 | i)", d),
    "nested": lambda d: henderson.lmer("y ~ f * z + (1 | c / s)", d),
    "weights and offset": lambda d: henderson.lmer("y ~ x + f + (x || s)", d, weights="w", offset="o"),
    "redundant column": lambda d: henderson.lmer("y ~ x + x2 + f + (1 | s)", d),
    "polynomial, ML": lambda d: henderson.lmer("y ~ np.exp(x) + poly(x, 2) + (1 | s)", d, REML=False),
    "Kenward-Roger": lambda d: henderson.lmer("y ~ x + f + (1 | s)", d, ddf="kenward-roger"),
    "cluster-robust": lambda d: henderson.lmer("y ~ x + f + (1 | s)", d, cov="CR2"),
    "components": lambda d: henderson.mixedlm(
        "y ~ x + f", d, groups="c", re_formula="~x", vc_formula={"s": "0 + C(s)"}
    ).fit(),
    "statsmodels' slopes": lambda d: henderson.mixedlm("y ~ x + f", d, groups="s", re_formula="~x").fit(),
    "arrays": lambda d: henderson.MixedLM(d.y, np.column_stack([np.ones(len(d)), d.x]), d.s).fit(reml=False),
    "unstructured": lambda d: henderson.mmrm("y ~ f * x + us(t | p)", d, ddf="kenward-roger"),
    "ar1 and weights": lambda d: henderson.lmer("y ~ f + x + (1 | s)", d, residual="ar1(t | p)", weights="w"),
    "ar1 crossed": lambda d: henderson.lmer("y ~ f + x + (1 | s) + (1 | i)", d, residual="ar1(t | p)"),
    "car1": lambda d: henderson.lmer("y ~ f + x", d, residual="car1(np.sqrt(time) | p)", REML=False),
    "ar1, an exponent": lambda d: henderson.mixedlm("y ~ f + x", d, groups="s", residual="ar1(t | p) * exp(o)").fit(),
    "a mask": lambda d: henderson.mixedlm("y ~ x", d, groups="s", re_formula="~x").fit(free=MASK),
}

#: what needs no rows
STAYS = {
    "summary": lambda r: str(r.summary()),
    "params": lambda r: r.params,
    "bse": lambda r: r.bse,
    "pvalues": lambda r: r.pvalues,
    "conf_int": lambda r: r.conf_int(),
    "cov_params": lambda r: r.cov_params(),
    "anova 1": lambda r: r.anova(1),
    "anova 2": lambda r: r.anova(2),
    "anova 3": lambda r: r.anova(3),
    "Kenward-Roger": lambda r: r.anova(3, ddf="kenward-roger"),
    "residual": lambda r: r.anova(3, ddf="residual"),
    "containment": lambda r: r.anova(3, ddf="containment"),
    "between-within": lambda r: r.anova(3, ddf="between-within"),
    "means": lambda r: r.emmeans("f").frame,
    "proportional": lambda r: r.emmeans("f", weights="proportional").frame,
    "pairs": lambda r: r.emmeans("f").contrasts().frame,
    "trends": lambda r: r.emtrends("f", "x").frame,
    "joint tests": lambda r: r.joint_tests(),
    "wald terms": lambda r: str(r.wald_test_terms()),
    "t test": lambda r: str(r.t_test("x = 0")),
    "r2": lambda r: list(r.r2()),
    "icc": lambda r: r.icc(),
    "criteria": lambda r: [r.aic, r.bic, r.aicc, r.llf, r.df_resid, r.nobs],
    "effective df": lambda r: r.effective_df,
    "rePCA": lambda r: r.rePCA(),
    "variances": lambda r: r.varcorr,
    "variance errors": lambda r: r.variance_errors(),
    "ranef": lambda r: r.ranef,
    "ranef_sd": lambda r: r.ranef_sd,
    "coef": lambda r: r.coef,
    "singular": lambda r: r.is_singular,
    "predict": lambda r: r.predict(DATA.head(5)),
    "predict with effects": lambda r: r.predict(DATA.head(5), random=True),
    "simulate new rows": lambda r: r.simulate(3, DATA.head(5), seed=1),
    "simulate at the modes": lambda r: r.simulate(3, DATA.head(5), re="same", seed=1),
    "by group": lambda r: r.random_effects,
    "profile": lambda r: r.profile().interval(),
    "loglike": lambda r: r.model.loglike(r.params_object),
}

#: what needs rows, and how the error begins
GOES = {
    "fittedvalues": lambda r: r.fittedvalues,
    "resid": lambda r: r.resid,
    "predict()": lambda r: r.predict(),
    "caic()": lambda r: r.caic(),
    "simulate()": lambda r: r.simulate(2, seed=1),
    "bootstrap()": lambda r: r.bootstrap(5, seed=1),
    "ranova()": lambda r: r.ranova(),
    "cluster-robust": lambda r: r.with_inference(cov="CR2").inference,
}


def in_memory(results, path):
    again = pickle.loads(pickle.dumps(results))
    again.remove_data()
    return again


def in_pickle(results, path):
    results.save(path, remove_data=True)
    return henderson.load(path)


def in_format(results, path):
    results.save(path.with_suffix(".henderson"))
    return henderson.load(path.with_suffix(".henderson"))


def outcome(function, results):
    """What a table says; of one that does not apply, why."""
    try:
        return flat(function(results))
    except (AttributeError, DataError, NotImplementedError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def flat(value):
    if isinstance(value, pd.DataFrame):
        return [list(map(str, value.index)), list(map(str, value)), [flat(value[name].tolist()) for name in value]]
    if isinstance(value, pd.Series | np.ndarray):
        return flat(value.tolist())
    if isinstance(value, dict):
        return [[str(key), flat(one)] for key, one in value.items()]
    return [flat(one) for one in value] if isinstance(value, list | tuple) else value


def same(one, other, tolerance) -> bool:
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other, [tolerance] * len(one)))
    if isinstance(one, float) and isinstance(other, float):
        return (
            one == other or (np.isnan(one) and np.isnan(other)) or one == pytest.approx(other, rel=tolerance, abs=1e-14)
        )
    return one == other


@warnings_off
@pytest.mark.parametrize("name", MODELS)
def test_tables_stay_and_the_rest_refuses(name, tmp_path):
    results = MODELS[name](DATA)
    goes_over_rows = {"profile"} if results.design.residual else set()
    before = {what: outcome(function, results) for what, function in STAYS.items() if what not in goes_over_rows}
    for how in (in_memory, in_pickle, in_format):
        light = how(results, tmp_path / "fit")
        assert type(light) is type(results)
        for what, function in STAYS.items():
            if what == "profile" and how is not in_format:
                continue  # dear, and the same whichever way the rows went
            after = outcome(function, light)
            if what in goes_over_rows:
                assert "removed by remove_data" in str(after)
                continue
            assert same(before[what], after, PROFILED if what == "profile" else SAME), (how.__name__, what, after)
        for what, function in GOES.items():
            if what == "cluster-robust" and "Error" in str(outcome(function, results)):
                continue  # crossed factors: there were no clusters
            message = "removed by remove_data" + ("|with the residual structure" if light.design.residual else "")
            with pytest.raises(DataError, match=message):
                function(light)


@warnings_off
def test_an_error_names_the_method():
    fit = MODELS["slopes"](DATA)
    fit.remove_data()
    for name in ("fittedvalues", "resid", "predict()", "caic()", "simulate()", "bootstrap()", "ranova()"):
        with pytest.raises(DataError, match=name.replace("(", r"\(").replace(")", r"\)")):
            GOES[name](fit)


@warnings_off
@pytest.mark.parametrize("how", [in_memory, in_pickle, in_format])
def test_comparisons_stay(how, tmp_path):
    models = [henderson.lmer(f"y ~ {fixed} + (1 | s)", DATA) for fixed in ("x", "x + f", "x + C(f, contr.sum)", "x2")]
    light = [how(model, tmp_path / str(k)) for k, model in enumerate(models)]
    other = henderson.lmer("y ~ x + f + (x | s)", DATA)
    for a, b in ((0, 1), (1, 2)):
        for one, two in ((light[a], light[b]), (light[a], models[b])):
            wanted, found = henderson.compare(models[a], models[b]), henderson.compare(one, two)
            np.testing.assert_allclose(found.to_numpy(float), wanted.to_numpy(float), rtol=1e-7, atol=1e-6)
            assert found.attrs["notes"] == wanted.attrs["notes"]
    wanted = henderson.compare(models[0], models[1], method="kenward-roger")
    np.testing.assert_allclose(henderson.compare(light[0], light[1], method="kenward-roger"), wanted, rtol=SAME)
    # the same space in other columns is one fixed part: the restricted likelihoods are compared
    assert "REML likelihoods" in henderson.compare(light[2], other).attrs["notes"][0]
    with pytest.raises(DataError, match=r"different (rows|responses)"):
        henderson.compare(light[0], henderson.lmer("y ~ x + (1 | s)", DATA.iloc[::-1]))


@warnings_off
def test_nothing_is_empty_that_once_had_rows():
    fit = MODELS["statsmodels' slopes"](DATA)
    fit.remove_data()
    for name in ("groups", "row_indices"):
        with pytest.raises(DataError, match=f"model.{name}: this needs the rows"):
            getattr(fit.model, name)
    small, large = (henderson.lmer(f"y ~ {fixed} + (1 | s)", DATA) for fixed in ("1", "x"))
    large.remove_data()
    with pytest.raises(DataError, match=r"compare\(method='bootstrap'\): this needs the rows"):
        henderson.compare(small, large, method="bootstrap", n=10)


def test_random_effects_of_components_are_tested_one_at_a_time():
    """A component's term has no bar with terms in it: it is removed as a whole."""
    data = {"groups": "c", "vc_formula": {"s": "0 + C(s)"}}
    fits = [
        henderson.mixedlm("y ~ x + f", DATA, re_formula="~x", **data).fit(),
        henderson.mixedlm("y ~ x + f", DATA, groups="c", re_formula="~x").fit(),
    ]
    statistic = fits[0].ranova().loc["(1 | c/s)", "statistic"]
    assert statistic == pytest.approx(2 * (fits[0].llf - fits[1].llf), abs=1e-6)


def test_rows_are_counted_not_measured():
    """Once n was the length of a response that was gone: −2 df, and a BIC of −∞."""
    fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", load("sleepstudy"), REML=False)
    bic, aicc = fit.bic, fit.aicc
    fit.remove_data()
    assert fit.anova(ddf="residual")["den_df"].tolist() == [178.0]
    assert (fit.nobs, fit.df_resid, fit.bic, fit.aicc) == (180, 178, bic, aicc)


@pytest.mark.parametrize("suffix", ["pickle", "henderson"])
def test_predictions_in_another_process(tmp_path, suffix):
    """A group label that is a float, a fit without its rows, a process that knows the file only."""
    rng = np.random.default_rng(29)
    g = np.repeat(np.arange(30.0), 8)
    data = pd.DataFrame({"g": g, "t": np.tile(np.arange(8.0), 30)})
    data["y"] = 15 + 6 * data.t + 3 * rng.normal(size=30)[g.astype(int)] + rng.normal(size=240)
    fit = henderson.lmer("y ~ np.log1p(t) + poly(t, 2) + (1 | g)", data)
    new = {"t": [1.0, 2.0, 3.5], "g": [4.0, 5.0, 6.0]}
    fit.save(tmp_path / f"fit.{suffix}", remove_data=True)
    program = (
        f"import henderson; fit = henderson.load({str(tmp_path / f'fit.{suffix}')!r})\n"
        f"print(repr(list(map(float, fit.predict({new!r}, random=True)))))\n"
        "assert 'Fixed effects' in str(fit.summary()); fit.conf_int()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), fit.predict(new, random=True), rtol=1e-12)


@warnings_off
def test_levels_of_any_type_come_back(tmp_path):
    n = 240
    rng = np.random.default_rng(3)
    day = pd.date_range("2024-01-01", periods=12, tz="Europe/Vienna")
    kinds = {
        "text": np.array(list("abcdefghijkl")),
        "integer": np.arange(12) * 10**12,
        "float": np.arange(12) / 4,
        "time": day,
        "delta": pd.to_timedelta(np.arange(12), unit="h"),
        "period": pd.period_range("2024-01", periods=12, freq="M"),
        "ordered": pd.CategoricalIndex(list("lkjihgfedcba"), categories=list("lkjihgfedcba"), ordered=True),
        "interval": pd.IntervalIndex.from_breaks(np.arange(13.0)),
        "date": pd.Index([date(2024, 3, k + 1) for k in range(12)], dtype=object),
        "decimal": pd.Index([Decimal(k) / 3 for k in range(12)], dtype=object),
        "hour": pd.Index([time(k, 30) for k in range(12)], dtype=object),
    }
    for name, labels in kinds.items():
        data = pd.DataFrame({"g": pd.Series(labels).repeat(20).reset_index(drop=True)})
        data["h"], data["y"] = np.arange(n) % 7, rng.normal(size=n)
        fit = henderson.lmer("y ~ 1 + (1 | g) + (1 | g:h)", data)
        fit.save(tmp_path / f"{name}.henderson")
        again = henderson.load(tmp_path / f"{name}.henderson")
        for one, other in zip(again.design.terms, fit.design.terms):
            assert one.levels.equals(other.levels), name
        np.testing.assert_array_equal(again.predict(data.head(9), random=True), fit.predict(data.head(9), random=True))


@warnings_off
def test_a_file_is_small_and_has_no_rows(tmp_path):
    """40,000 rows, 640 crossed levels: what is saved does not grow with the rows."""
    rng = np.random.default_rng(5)
    sizes = []
    for n in (10_000, 40_000):
        data = pd.DataFrame({"a": rng.integers(0, 600, n), "b": rng.integers(0, 40, n), "x": rng.normal(size=n)})
        data["y"] = data.x + rng.normal(size=600)[data.a] + rng.normal(size=40)[data.b] + rng.normal(size=n)
        fit = henderson.lmer("y ~ x + (1 | a) + (1 | b)", data)
        fit.fittedvalues  # noqa: B018 - once what was computed was saved too
        fit.save(tmp_path / "whole")
        assert (tmp_path / "whole").stat().st_size < n * (3 * 8 + 3) + 40_000  # y and X, two codes; nothing twice
        for name in ("light.pickle", "light.henderson"):
            fit.save(tmp_path / name, remove_data=True)
            sizes.append((tmp_path / name).stat().st_size)
    assert max(sizes) < 200_000


@warnings_off
def test_without_cross_products_tests_stay(tmp_path):
    fit = MODELS["crossed"](DATA)
    fit.save(tmp_path / "light", remove_data=True, crossproducts=False)
    light = henderson.load(tmp_path / "light")
    for what in ("summary", "anova 2", "Kenward-Roger", "means", "variance errors", "ranef_sd", "effective df"):
        assert same(outcome(STAYS[what], fit), outcome(STAYS[what], light), SAME), what
    with pytest.raises(DataError, match="save with crossproducts=True"):
        light.profile()


def test_a_function_of_the_users_is_asked_for(tmp_path):
    def half(values):
        return values / 2

    fit = henderson.lmer("y ~ half(x) + (1 | s)", DATA)
    fit.save(tmp_path / "fit.henderson")
    with pytest.raises(DataError, match=r"'half', which is yours.*load\(\.\.\., env=\{'half': half\}\)"):
        henderson.load(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson", env={"half": half})
    np.testing.assert_allclose(again.predict(DATA.head(3)), fit.predict(DATA.head(3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head | {"version": 99}, "version 99 of the format"),
        (lambda head: head | {"format": "other"}, "holds no saved results"),
        (lambda head: head | {"results": {"object": "Popen", "fields": {}}}, "unknown kind, 'Popen'"),
        (lambda head: head | {"results": {"module": "os"}}, "asks for the module 'os'"),
        (lambda head: head | {"results": {"function": "os.system"}}, "asks for the module 'os'"),
        (lambda head: head | {"results": {"what": 1}}, "does not know"),
        (lambda head: json.loads(json.dumps(head).replace("log1p(x)", "eval('1')")), "uses 'eval'"),
        (lambda head: json.loads(json.dumps(head).replace("log1p(x)", "x.to_csv('f')")), "uses 'to_csv'"),
        (lambda head: json.loads(json.dumps(head).replace("log1p(x)", "np.load('f')")), "uses 'load'"),
    ],
)
def test_files_of_others_are_refused(tmp_path, change, message):
    path, other = tmp_path / "fit.henderson", tmp_path / "other.henderson"
    henderson.lmer("y ~ log1p(x) + (1 | s)", DATA.assign(x=DATA.x.abs())).save(path)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(other, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, json.dumps(change(json.loads(content))) if name == "model.json" else content)
    with pytest.raises(DataError, match=message):
        henderson.load(other)


@warnings_off
def test_the_times_of_a_residual_covariance_are_no_way_in(tmp_path):
    path, other = tmp_path / "fit.henderson", tmp_path / "other.henderson"
    MODELS["car1"](DATA).save(path)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(other, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            bad = content.replace(b"np.sqrt(time)", b"np.load(time)") if name == "model.json" else content
            after.writestr(name, bad)
    with pytest.raises(DataError, match="uses 'load'"):
        henderson.load(other)


@warnings_off
def test_a_trial_in_another_process(tmp_path):
    """Without rows a residual covariance gives the same tables and forecasts; with them a patient's past, too."""
    fit, new = MODELS["unstructured"](DATA), DATA.head(4)
    fit.save(tmp_path / "fit.henderson")
    fit.save(tmp_path / "fit.pickle")
    new.to_csv(tmp_path / "new.csv", index=False)
    program = (
        f"import henderson, json, pandas\nnew = pandas.read_csv({str(tmp_path / 'new.csv')!r}, dtype={{'p': str}})\n"
        f"fit, whole = (henderson.load({str(tmp_path)!r} + name) for name in ('/fit.henderson', '/fit.pickle'))\n"
        "tables = [fit.coef_table, fit.emmeans('f').frame.drop(columns='f'), fit.predict(new, interval='prediction'),\n"
        "          whole.predict(new, conditional=True, se=True)]\n"
        "print(json.dumps([t.to_numpy(float).tolist() for t in tables])); str(fit.summary())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    tables = [
        fit.coef_table,
        fit.emmeans("f").frame.drop(columns="f"),
        fit.predict(new, interval="prediction"),
        fit.predict(new, conditional=True, se=True),
    ]
    for one, other in zip(json.loads(done.stdout), tables):
        np.testing.assert_allclose(one, other.to_numpy(float), rtol=1e-8, atol=1e-10)
    without = henderson.load(tmp_path / "fit.henderson")
    given = without.predict(new, conditional=True)  # responses in `new` need no rows of the fit
    np.testing.assert_allclose(given, new["y"], rtol=1e-12)
    with pytest.raises(DataError, match=r"p '11.*give all responses of this p"):
        without.predict(new.drop(columns="y"), conditional=True)


def test_files_that_are_not_whole(tmp_path):
    for name in ("fit.henderson", "fit.pickle"):
        path = tmp_path / name
        henderson.lmer("Yield ~ 1 + (1 | Batch)", load("Dyestuff")).save(path, remove_data=True)
        content = path.read_bytes()
        for part in (content[: len(content) // 2], content[:-30], content[:20], b"", b"text, not a model"):
            path.write_bytes(part)
            with pytest.raises(DataError, match="fit"):
                henderson.load(path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("table.csv", "x,y")
    with pytest.raises(DataError, match=r"a\.zip"):
        henderson.load(tmp_path / "a.zip")
    (tmp_path / "list.pickle").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="no saved results but list"):
        henderson.load(tmp_path / "list.pickle")
    with pytest.raises(FileNotFoundError):
        henderson.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="there are pickle, henderson"):
        henderson.lmer("Yield ~ 1 + (1 | Batch)", load("Dyestuff")).save(tmp_path / "x", format="zip")


def test_every_class_of_the_format_is_there():
    for name in file_classes.CLASSES:
        assert file_classes.class_named(name).__name__ == name


def test_removing_twice_is_removing_once(tmp_path):
    fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", load("sleepstudy"))
    text = str(fit.summary())
    fit.remove_data()
    fit.remove_data()
    fit.save(tmp_path / "fit")
    again = henderson.load(tmp_path / "fit")
    again.save(tmp_path / "fit.henderson")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(henderson.load(tmp_path / "fit.henderson").summary()) == text


@warnings_off
def test_sums_that_grow_with_the_levels_alone_are_kept(tmp_path, monkeypatch):
    # a served model of 40,000 customers had no intervals for them, where all it took were a dozen numbers a customer
    monkeypatch.setattr("henderson.results.keeping.MOST_BYTES", 1000)
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"a": rng.integers(0, 60, 4000), "b": rng.integers(0, 50, 4000), "x": rng.normal(size=4000)})
    data["y"] = data.x + rng.normal(size=60)[data.a] + rng.normal(size=50)[data.b] + rng.normal(size=4000)
    rows = data.head(3)
    fit = henderson.lmer("y ~ x + (x | a)", data)
    fit.save(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson").predict(rows, re="all", interval="prediction")
    np.testing.assert_allclose(again, fit.predict(rows, re="all", interval="prediction"), rtol=1e-9)
    henderson.lmer("y ~ x + (x | a) + (x | b)", data).save(tmp_path / "pairs.henderson")
    with pytest.raises(DataError, match=r"left out of the file: save with crossproducts=True"):
        henderson.load(tmp_path / "pairs.henderson").predict(rows, re="all", se=True)
