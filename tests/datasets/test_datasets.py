"""The example data: what `load` promises, and sums that anyone can check against the publication."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import datasets

# Sum of one numeric column, and number of levels of each factor. From R: sum(x), nlevels(f).
KNOWN = {
    "nba": ("Points", 247.0, {"Team": 2}),
    "sleepstudy": ("Reaction", 53731.4205, {"Subject": 18}),
    "Dyestuff": ("Yield", 45825.0, {"Batch": 6}),
    "Dyestuff2": ("Yield", 169.968, {"Batch": 6}),
    "Machines": ("score", 3221.1, {"Worker": 6, "Machine": 3}),
    "Pastes": ("strength", 3603.2, {"batch": 10, "cask": 3, "sample": 30}),
    "Penicillin": ("diameter", 3308.0, {"plate": 24, "sample": 6}),
    "cake": ("angle", 8673.0, {"replicate": 15, "recipe": 3, "temperature": 6}),
    "fev": ("FEV1", 22712.9029560318, {"USUBJID": 200, "AVISIT": 4, "ARMCD": 2, "RACE": 3, "SEX": 2}),
    "bcva": ("BCVA_CHG", 61757.3893868938, {"USUBJID": 1000, "AVISIT": 10, "ARMCD": 2, "RACE": 3}),
    "VerbAgg": ("Anger", 151704.0, {"id": 316, "item": 24, "resp": 3, "btype": 3, "Gender": 2}),
    "InstEval": ("y", 235369.0, {"s": 2972, "d": 1128, "dept": 14, "service": 2, "studage": 4, "lectage": 6}),
}
#: visits that did not take place
MISSING = {"fev": 263}


def test_every_data_set_is_checked():
    assert set(KNOWN) == set(datasets.names())


@pytest.mark.parametrize("name", datasets.names())
def test_table_is_as_described(name):
    table = datasets.load(name)
    about = datasets.describe(name)
    column, total, levels = KNOWN[name]
    assert table.shape == (about.rows, len(about.columns))
    assert list(table.columns) == list(about.columns)
    assert table.isna().sum().sum() == MISSING.get(name, 0)
    assert table[column].sum() == pytest.approx(total, rel=1e-12)
    for factor, count in levels.items():
        assert len(table[factor].cat.categories) == table[factor].nunique() == count
    for factor in about.factors:
        assert isinstance(table[factor].dtype, pd.CategoricalDtype)
        assert table[factor].cat.ordered == (factor in about.ordered)
    for other in set(table.columns) - set(about.factors):
        assert table[other].dtype in (np.dtype("int64"), np.dtype("float64"))


@pytest.mark.parametrize("name", datasets.names())
def test_description_names_source_licence_and_every_column(name):
    text = str(datasets.describe(name))
    assert "Source:" in text
    assert "Licence:" in text
    assert all(column in text for column in datasets.load(name).columns)


def test_levels_keep_their_published_order():
    inst = datasets.load("InstEval")
    assert list(inst["dept"].cat.categories) == [15, 5, 10, 12, 6, 7, 4, 8, 9, 14, 1, 3, 11, 2]
    verb = datasets.load("VerbAgg")
    assert list(verb["resp"].cat.categories) == ["no", "perhaps", "yes"]
    assert list(verb["mode"].cat.categories) == ["want", "do"]
    assert verb["item"].cat.categories[0] == "S1WantCurse"


def test_pastes_sample_is_batch_and_cask():
    table = datasets.load("Pastes")
    joined = table["batch"].astype(str) + ":" + table["cask"].astype(str)
    assert (joined == table["sample"].astype(str)).all()


def test_each_load_is_a_new_table():
    first = datasets.load("nba")
    first["Points"] = 0
    assert datasets.load("nba")["Points"].sum() == 247


def test_case_does_not_matter_and_an_unknown_name_lists_the_known():
    assert datasets.load("insteval").shape == (73421, 7)
    with pytest.raises(ValueError, match=r"'rails'.*sleepstudy"):
        datasets.load("rails")


def test_naming_the_data_sets_does_not_import_numpy():
    code = "import sys; from henderson import datasets; datasets.names(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", datasets.names())
def test_the_model_of_the_description_fits(name):
    assert henderson.lmer(datasets.describe(name).formula, datasets.load(name)).converged
