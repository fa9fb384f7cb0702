"""The command line: what it prints, what it writes, and that an error is one line and exit code 2."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pyarrow
import pytest

from henderson import __version__, compare, datasets, lmer, load
from henderson.app import cli
from henderson.app import record as records
from henderson.errors import DataError

# The table of statsmodels 0.15 for this model, to the character.
NBA_TABLE = """\
        Mixed Linear Model Regression Results
======================================================
Model:            MixedLM Dependent Variable: Points  
No. Observations: 10      Method:             REML    
No. Groups:       2       Scale:              45.7191 
Min. group size:  5       Log-Likelihood:     -30.8931
Max. group size:  5       Converged:          Yes     
Mean group size:  5.0                                 
------------------------------------------------------
            Coef.  Std.Err.   z   P>|z|  [0.025 0.975]
------------------------------------------------------
Intercept    1.759   22.753 0.077 0.938 -42.835 46.353
Minutes      0.641    0.624 1.027 0.304  -0.582  1.863
Team Var    28.935    8.542                           
======================================================
"""  # noqa: W291 - statsmodels pads its lines

SLEEP = "Reaction ~ Days + (Days | Subject)"
# lme4 1.1 on sleepstudy: REML criterion, then -2 log-likelihood at the ML fit; printed to 4 decimals by R.
SLEEP_REML, SLEEP_ML = 1743.6283, 1751.9393


@pytest.fixture
def sleep_csv(tmp_path):
    path = tmp_path / "sleep.csv"
    datasets.load("sleepstudy").to_csv(path, index=False)
    return path


def run(capsys, *argv):
    """Exit code, stdout, stderr of one command."""
    try:
        code = cli.main([str(word) for word in argv])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def fit_record(capsys, tmp_path, *argv):
    out = tmp_path / "fit.json"
    code, _, err = run(capsys, "fit", *argv, "--out", out)
    assert (code, err) == (0, "")
    return json.loads(out.read_text(encoding="utf-8"))


def test_statsmodels_table(capsys):
    code, out, err = run(capsys, "fit", "Points ~ Minutes", "nba", "--groups", "Team")
    assert (code, out, err) == (0, NBA_TABLE, "")


def test_file_and_data_set_print_the_same_table(capsys, sleep_csv, tmp_path):
    parquet = tmp_path / "sleep.parquet"
    datasets.load("sleepstudy").to_parquet(parquet)
    tsv = tmp_path / "sleep.tsv"
    datasets.load("sleepstudy").to_csv(tsv, index=False, sep="\t")
    code, expected, _ = run(capsys, "fit", SLEEP, "sleepstudy")
    assert code == 0
    assert "251.40" in expected
    for path in (sleep_csv, parquet, tsv):
        assert run(capsys, "fit", SLEEP, path) == (0, expected, "")


def test_record_holds_full_precision_and_the_certificate(capsys, tmp_path):
    record = fit_record(capsys, tmp_path, SLEEP, "sleepstudy")
    assert record["henderson"] == __version__
    assert record["formula"] == SLEEP
    assert record["method"] == "REML"
    assert record["nobs"] == 180
    assert record["groups"] == {"Subject": 18}
    assert record["deviance"] == pytest.approx(SLEEP_REML, abs=1e-4)
    assert [row["name"] for row in record["fixed"]] == ["(Intercept)", "Days"]
    assert record["fixed"][1]["estimate"] == pytest.approx(10.467285959595, rel=1e-8)
    assert [row["grp"] for row in record["varcorr"]] == ["Subject"] * 3 + ["Residual"]
    assert len(record["theta"]) == 3
    assert record["singular"] is False
    assert record["converged"] is True
    assert record["optimum"]
    assert record["warnings"] == []


def test_ml(capsys, tmp_path):
    record = fit_record(capsys, tmp_path, SLEEP, "sleepstudy", "--ml")
    assert record["method"] == "ML"
    assert record["deviance"] == pytest.approx(SLEEP_ML, abs=1e-4)


def test_slopes_through_groups_are_the_same_model(capsys, tmp_path):
    bars = fit_record(capsys, tmp_path, SLEEP, "sleepstudy")
    argv = ("Reaction ~ Days", "sleepstudy", "--groups", "Subject", "--re-formula", "~ Days")
    groups = fit_record(capsys, tmp_path, *argv)
    assert groups["deviance"] == pytest.approx(bars["deviance"], abs=1e-7)


def test_variance_components_are_the_nested_model(capsys, tmp_path):
    bars = fit_record(capsys, tmp_path, "strength ~ 1 + (1 | batch/cask)", "Pastes")
    vc = fit_record(
        capsys,
        tmp_path,
        "strength ~ 1",
        "Pastes",
        "--groups",
        "batch",
        "--re-formula",
        "~ 1",
        "--vc",
        "cask=0 + C(cask)",
    )
    assert vc["deviance"] == pytest.approx(bars["deviance"], abs=1e-7)


def test_weights(capsys, tmp_path):
    data = datasets.load("sleepstudy")
    data["w"] = 1.0 + data["Days"] % 3
    path = tmp_path / "weighted.csv"
    data.to_csv(path, index=False)
    plain = fit_record(capsys, tmp_path, SLEEP, path)
    weighted = fit_record(capsys, tmp_path, SLEEP, path, "--weights", "w")
    assert abs(weighted["deviance"] - plain["deviance"]) > 1


def test_datasets_lists_all_and_describes_one(capsys):
    code, out, _ = run(capsys, "datasets")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == datasets.names()
    code, out, _ = run(capsys, "datasets", "sleepstudy")
    assert code == 0
    assert "Belenky" in out


def test_demo_prints_three_tables_each_with_its_time(capsys, monkeypatch):
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    code, out, err = run(capsys, "demo")
    assert (code, err) == (0, "")
    assert NBA_TABLE in out
    assert out.count("Fitted in") == 3
    assert "Subject" in out
    assert "dept" in out


WRONG = {
    "no such file": (("fit", SLEEP, "nowhere.csv"), "nowhere.csv"),
    "the table first": (("fit", "sleepstudy", SLEEP), "it comes first, then the table"),
    "no such data set": (("fit", SLEEP, "sleep"), "sleepstudy"),
    "no name": (("fit", SLEEP, ""), "sleepstudy"),
    "unknown column in the formula": (("fit", "Reaction ~ Dayz + (1 | Subject)", "sleepstudy"), "Dayz"),
    "unknown grouping column": (("fit", "Reaction ~ Days + (1 | Subjekt)", "sleepstudy"), "Subjekt"),
    "unknown --groups": (("fit", "Reaction ~ Days", "sleepstudy", "--groups", "Subjekt"), "Subjekt"),
    "unknown --weights": (("fit", SLEEP, "sleepstudy", "--weights", "w"), "'w'"),
    "unbalanced formula": (("fit", "Reaction ~ Days + (Days | Subject", "sleepstudy"), "("),
    "formula without a response": (("fit", "Days + (1 | Subject)", "sleepstudy"), ""),
    "no random effects": (("fit", "Reaction ~ Days", "sleepstudy"), ""),
    "formula that is no Python": (("fit", "Reaction ~ np.log(Days + (1 | Subject)", "sleepstudy"), ""),
    "call of something unknown": (("fit", "Reaction ~ frob(Days) + (1 | Subject)", "sleepstudy"), "frob"),
    "--vc without a name": (
        ("fit", "strength ~ 1", "Pastes", "--groups", "batch", "--vc", "C(cask)"),
        "--vc",
    ),
    "--vc without --groups": (("fit", SLEEP, "sleepstudy", "--vc", "a=C(b)"), "--groups"),
    "no formula": (("fit",), "formula"),
    "unknown option": (("fit", SLEEP, "sleepstudy", "--mll"), "--mll"),
    "unknown command": (("fitt",), "fitt"),
    "no command": ((), "COMMAND"),
    "--vc twice by one name": (
        ("fit", SLEEP, "sleepstudy", "--groups", "Subject", *("--vc", "a=0 + Days") * 2),
        "twice",
    ),
    "--out without a name": (("fit", SLEEP, "sleepstudy", "--out", ""), "no name"),
    "--out is a folder": (("fit", SLEEP, "sleepstudy", "--out", "/"), "a folder"),
    "--level without --interval": (("predict", "m.json", "sleepstudy", "--level", "0.9"), "--interval"),
    "unknown data set to describe": (("datasets", "rails"), "rails"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_is_one_line_and_exit_code_2(capsys, case):
    argv, culprit = WRONG[case]
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("henderson")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert culprit in err


def test_files_that_are_not_what_they_say(capsys, tmp_path):
    (tmp_path / "bad.parquet").write_text("not parquet", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    (tmp_path / "latin.csv").write_bytes(b"Reaction,Days,Subject\n1,2,\xff\xfe\n")
    (tmp_path / "ragged.csv").write_text('a,b\n1,2\n3,4,5\n"', encoding="utf-8")
    (tmp_path / "plain.csv.gz").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "semicolons.csv").write_text("Reaction;Days;Subject\n1,5;2;3\n", encoding="utf-8")
    (tmp_path / "twice.csv").write_text("Reaction,Days,Subject,Days\n1,2,3,4\n", encoding="utf-8")  # pandas: Days.1
    for path in [*tmp_path.iterdir(), tmp_path]:
        code, out, err = run(capsys, "fit", SLEEP, path)
        assert (code, out, err.count("\n")) == (2, "", 1), path.name
        assert path.name in err


def _broken_files(text):
    """Name → bytes of files that are cut off, or are not what their names say."""
    packed, zipped = gzip.compress(text), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sleep.csv", text)
    return {
        "half.csv.gz": packed[: len(packed) // 2],
        "flipped.csv.gz": packed[:20] + b"\xff" * 4 + packed[24:],
        "text.csv.gz": text,
        "half.csv.zip": zipped.getvalue()[:300],
        "text.csv.zip": text,
        "half.csv.bz2": bz2.compress(text)[:300],
        "half.csv.xz": lzma.compress(text)[:300],
        "text.tar.gz": packed,
        "half.parquet": b"PAR1xx",
        "book.xlsx": b"PK",
        "list.json": b"[1, 2",
        "quote.csv": b'a,b\n"1,2\n3,4',
        "utf16.csv": b"\xff\xfe\x00a,b\n1,2",
        "empty.csv": b"",
    }


@pytest.mark.parametrize("name", _broken_files(b"a,b\n1,2\n" * 200))
def test_a_broken_file_is_one_line_and_exit_code_2(capsys, tmp_path, sleep_csv, name):
    path = tmp_path / name
    path.write_bytes(_broken_files(sleep_csv.read_bytes())[name])
    code, out, err = run(capsys, "fit", SLEEP, path)
    assert (code, out) == (2, "")
    assert err.startswith(f"henderson: error: cannot read {path}: ")
    assert err.count("\n") == 1


def test_parquet_without_pyarrow_names_the_extra(capsys, tmp_path, monkeypatch):
    path = tmp_path / "sleep.parquet"
    datasets.load("sleepstudy").to_parquet(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run(capsys, "fit", SLEEP, path)
    assert (code, err.count("\n")) == (2, 1)
    assert "henderson[io]" in err


def test_out_in_a_folder_that_is_not_there(capsys, tmp_path):
    code, out, err = run(capsys, "fit", SLEEP, "sleepstudy", "--out", tmp_path / "no" / "fit.json")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_ctrl_c_ends_with_130(capsys, monkeypatch):
    def interrupted(place):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "table_or_stream", interrupted)
    assert run(capsys, "fit", SLEEP, "sleepstudy") == (130, "", "")


def test_missing_rows_are_said(capsys, tmp_path):
    data = datasets.load("sleepstudy")
    data.loc[3, "Reaction"] = float("nan")
    path = tmp_path / "gap.csv"
    data.to_csv(path, index=False)
    record = fit_record(capsys, tmp_path, SLEEP, path)
    assert (record["nobs"], record["missing"]) == (179, 1)


def test_both_ways_to_start_it():
    ran = subprocess.run([sys.executable, "-m", "henderson", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"henderson {__version__}\n"


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m henderson datasets | head -1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert ran.stderr == ""


def test_plain_turns_everything_into_json():
    table = pd.DataFrame({"a": [1.0, float("nan")]})
    record = records._plain({"t": table, "s": table["a"], "x": float("inf"), "o": object, "l": (1, "b", None)})
    assert record["t"] == [{"a": 1.0}, {"a": None}]
    assert record["x"] is None
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_tables_that_are_asked_for(capsys):
    formula = "angle ~ recipe + temp + (1 | recipe:replicate)"
    code, out, err = run(capsys, "fit", formula, "cake", "--ddf", "KR", "--anova", "--emmeans", "recipe")
    fit = lmer(formula, datasets.load("cake")).with_inference(ddf="kenward-roger")
    assert (code, err) == (0, "")
    assert out == f"{fit.summary()}\n\n{fit.anova()}\n\n{fit.emmeans('recipe')}\n"


def test_an_unknown_method_of_degrees_of_freedom_is_said_before_work(capsys):
    code, out, err = run(capsys, "fit", SLEEP, "no_such.csv", "--ddf", "guess")
    assert (code, out) == (2, "")
    assert "unknown ddf 'guess'" in err


@pytest.mark.parametrize("door", [(SLEEP,), ("Reaction ~ Days", "--groups", "Subject")])
def test_a_saved_model_predicts(capsys, tmp_path, door):
    saved, out = tmp_path / "sleep.henderson", tmp_path / "new.csv"
    assert run(capsys, "fit", door[0], "sleepstudy", *door[1:], "--save", saved)[0] == 0
    data = datasets.load("sleepstudy")
    fit = load(saved)
    code, text, err = run(capsys, "predict", saved, "sleepstudy", "--re", "none")
    assert (code, err) == (0, "")
    plain = pd.read_csv(io.StringIO(text), index_col="row")["estimate"]
    assert plain.to_numpy() == pytest.approx(np.asarray(fit.predict(data, re="none")), rel=1e-12)
    assert run(capsys, "predict", saved, "sleepstudy", "--interval", "prediction", "--out", out) == (0, "", "")
    wanted = fit.predict(data, re="all", interval="prediction")
    found = pd.read_csv(out, index_col="row")
    assert list(found.columns) == list(wanted.columns)
    assert found.to_numpy() == pytest.approx(wanted.to_numpy(), rel=1e-12)


def test_only_models_without_code_are_read(capsys, tmp_path):
    assert run(capsys, "predict", tmp_path / "fit.pkl", "sleepstudy")[0] == 2
    code, _, err = run(capsys, "predict", tmp_path / "fit.henderson", "sleepstudy")
    assert code == 2
    assert "no such file" in err


MODELS = {"slopes": SLEEP, "intercepts": "Reaction ~ Days + (1 | Subject)", "null": "Reaction ~ 1 + (1 | Subject)"}


@pytest.fixture
def saved_models(capsys, tmp_path):
    """Three models of sleepstudy, as records and as saved models."""
    for name, formula in MODELS.items():
        out, save = tmp_path / f"{name}.json", tmp_path / f"{name}.henderson"
        assert run(capsys, "fit", formula, "sleepstudy", "--out", out, "--save", save)[0] == 0
    return tmp_path


@pytest.mark.parametrize(
    ("files", "method"),
    [
        (("intercepts.json", "slopes.json"), "lr"),
        (("slopes.json", "intercepts.henderson", "null.json"), "lr"),
        (("null.henderson", "slopes.json"), "kenward-roger"),
    ],
)
def test_saved_models_are_compared(capsys, saved_models, files, method):
    fits = [lmer(MODELS[name.split(".")[0]], datasets.load("sleepstudy")) for name in files]
    code, out, err = run(capsys, "compare", *(saved_models / name for name in files), "--method", method)
    assert (code, err) == (0, "")
    assert out == f"{compare(*fits, method=method)}\n"


def test_a_record_is_a_saved_model(capsys, saved_models):
    code, text, _ = run(capsys, "predict", saved_models / "slopes.json", "sleepstudy")
    fit = lmer(SLEEP, datasets.load("sleepstudy"))
    assert code == 0
    assert pd.read_csv(io.StringIO(text))["estimate"].to_numpy() == pytest.approx(fit.fittedvalues.to_numpy())
    assert load(saved_models / "slopes.json").deviance == pytest.approx(fit.deviance, rel=1e-12)


def _not_comparable(place):
    record = json.loads((place / "slopes.json").read_text())
    texts = {
        "cut.json": json.dumps(record)[:-200],
        "old.json": json.dumps({key: value for key, value in record.items() if key != "model"}),
        "none.json": json.dumps(record | {"model": None}),
        "damaged.json": json.dumps(record | {"model": record["model"][:4000]}),
        "letters.json": json.dumps(record | {"model": "no base 64!"}),
        "list.json": "[1, 2]",
        "empty.json": "",
        "cut.henderson": "PK",
    }
    for name, text in texts.items():
        (place / name).write_text(text)
    (place / "folder.json").mkdir()
    return [(name, "slopes.json") for name in [*texts, "missing.json", "fit.pkl", "folder.json"]] + [("slopes.json",)]


def test_what_cannot_be_compared_is_one_line_and_exit_code_2(capsys, saved_models):
    cases = _not_comparable(saved_models)
    for names in cases:
        code, out, err = run(capsys, "compare", *(saved_models / name for name in names))
        assert (code, out, err.count("\n")) == (2, "", 1), names
        if len(names) == 2:
            assert names[0] in err
    assert len(cases) == 12


def test_models_of_other_rows_are_not_compared(capsys, saved_models):
    other = saved_models / "cake.json"
    assert run(capsys, "fit", "angle ~ temp + (1 | replicate)", "cake", "--out", other)[0] == 0
    code, out, err = run(capsys, "compare", saved_models / "slopes.json", other)
    assert (code, out, err) == (2, "", "henderson: error: the models are fitted to different rows: 180 and 270\n")
    code, _, err = run(capsys, "compare", saved_models / "slopes.json", other, "--method", "guess")
    assert (code, err.count("\n")) == (2, 1)


def test_a_record_says_why_it_has_no_model(capsys, tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise DataError("the formula uses 'f', which has no place in a file")

    monkeypatch.setattr("henderson.results.saved.model_text", refused)
    out = tmp_path / "fit.json"
    code, _, err = run(capsys, "fit", SLEEP, "sleepstudy", "--out", out)
    assert code == 0
    record = json.loads(out.read_text())
    why = "no model in this file: the formula uses 'f', which has no place in a file"
    assert (record["model"], record["warnings"], err) == (None, [why], f"henderson: warning: {why}\n")


def test_predictions_by_another_method_and_level(capsys, saved_models):
    options = ("--interval", "confidence", "--ddf", "KR", "--level", "0.8")
    code, text, err = run(capsys, "predict", saved_models / "slopes.henderson", "sleepstudy", *options)
    data = datasets.load("sleepstudy")
    wanted = lmer(SLEEP, data).predict(data, re="all", interval="confidence", ddf="KR", level=0.8)
    assert (code, err) == (0, "")
    assert pd.read_csv(io.StringIO(text), index_col="row").to_numpy() == pytest.approx(wanted.to_numpy(), rel=1e-7)
    for bad in (
        ("--ddf", "KR"),
        ("--interval", "confidence", "--level", "95"),
        ("--interval", "confidence", "--ddf", "x"),
    ):
        code, out, err = run(capsys, "predict", saved_models / "slopes.henderson", "sleepstudy", *bad)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_rows_that_come_in_parts(capsys, tmp_path):
    """A glob, a folder, a Feather file and a query give the table of the file in memory, but for its residuals."""
    data = datasets.load("sleepstudy")
    data.iloc[:90].to_parquet(tmp_path / "a.parquet")
    data.iloc[90:].to_parquet(tmp_path / "b.parquet")
    (tmp_path / "f").mkdir()
    data.to_feather(tmp_path / "f" / "all.feather")
    wanted = fit_record(capsys, tmp_path, SLEEP, "sleepstudy")
    query = f"SELECT * FROM '{tmp_path}/*.parquet'"
    with pyarrow.CompressedOutputStream(str(tmp_path / "all.csv.zst"), "zstd") as stream:
        stream.write(data.to_csv(index=False).encode())
    for place in (
        tmp_path / "*.parquet",
        tmp_path / "f",
        tmp_path / "f" / "all.feather",
        tmp_path / "all.csv.zst",
        query,
    ):
        code, out, err = run(capsys, "fit", SLEEP, place, "--anova")
        assert (code, err) == (0, "")
        assert "Number of obs: 180, groups:  Subject, 18" in out
        assert f"{wanted['deviance']:.1f}" in out
    # what was saved of them is compared and predicts, also what comes in parts
    saved, simple = tmp_path / "parts.json", tmp_path / "simple.henderson"
    run(capsys, "fit", SLEEP, tmp_path / "*.parquet", "--out", saved)
    run(capsys, "fit", "Reaction ~ Days + (1 | Subject)", "sleepstudy", "--save", simple)
    code, out, err = run(capsys, "compare", simple, saved)
    assert (code, err) == (0, "")
    assert "42.837" in out
    code, whole, _ = run(capsys, "predict", saved, "sleepstudy", "--interval", "confidence")
    assert run(capsys, "predict", saved, tmp_path / "*.parquet", "--interval", "confidence") == (0, whole, "")
    code, out, err = run(capsys, "fit", "Reaction ~ nothing + (1 | Subject)", tmp_path / "*.parquet")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no column 'nothing'" in err
    code, out, err = run(capsys, "fit", SLEEP, tmp_path / "*.csv")
    assert (code, out) == (2, "")
    assert "no file matches" in err


def test_sums_that_predictions_need_are_kept_when_asked_for(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("henderson.results.keeping.MOST_BYTES", 0)
    monkeypatch.setattr("henderson.results.keeping.TIMES_EFFECTS", 0)
    place, asked = tmp_path / "fit.henderson", ("sleepstudy", "--interval", "confidence")
    assert run(capsys, "fit", SLEEP, "sleepstudy", "--save", place)[0] == 0
    code, _, err = run(capsys, "predict", place, *asked)
    assert code == 2
    assert "henderson fit --crossproducts" in err
    assert run(capsys, "fit", SLEEP, "sleepstudy", "--save", place, "--crossproducts")[0] == 0
    assert run(capsys, "predict", place, *asked)[0] == 0
    code, _, err = run(capsys, "fit", SLEEP, "sleepstudy", "--crossproducts")
    assert (code, err) == (2, "henderson: error: --crossproducts goes with --save or --out\n")
