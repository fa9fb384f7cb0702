"""`groups=` takes one grouping factor; for several, errors name the ways to say that."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pytest

from henderson import DataError, FormulaError, MixedLM, VCSpec, datasets, mixedlm


@pytest.fixture(scope="module")
def data():
    table = datasets.load("sleepstudy")
    return table.assign(half=np.where(table.Days > 4, "b", "a"), Subject=table.Subject.astype(int))


SEVERAL = {
    "a frame": lambda d: d[["Subject", "half"]],
    "a polars frame": lambda d: polars.from_pandas(d[["Subject", "half"]]),
    "names": lambda d: ["Subject", "half"],
    "a tuple of names": lambda d: ("Subject", "half"),
    "an array of names": lambda d: np.array(["Subject", "half"]),
    "an index of names": lambda d: pd.Index(["Subject", "half"]),
    "columns": lambda d: [d["Subject"], d["half"]],
    "a matrix": lambda d: d[["Subject", "Days"]].to_numpy(),
}


@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL)
def test_several_groupings_are_sent_to_bars_and_components(data, make):
    with pytest.raises(FormulaError, match=r"one grouping factor, not 2\. Write bars: lmer\(.*vc_formula=\{"):
        mixedlm("Reaction ~ Days", data, groups=make(data))
    with pytest.raises(FormulaError, match="one grouping factor, not 2"):
        MixedLM(data["Reaction"].to_numpy(), data[["Days"]].to_numpy(), make(data))


@pytest.mark.parametrize("groups", ["Subject/half", "Subject + half", "Subject:half"])
def test_names_that_are_formulas(data, groups):
    with pytest.raises(FormulaError, match="groups names one column, write anything else as bars"):
        mixedlm("Reaction ~ Days", data, groups=groups)


ONE = {
    "a name in a list": lambda d: ["Subject"],
    "as categories": lambda d: "C(Subject)",
    "a frame": lambda d: d[["Subject"]],
    "a polars frame": lambda d: polars.from_pandas(d[["Subject"]]),
    "a polars Series": lambda d: polars.from_pandas(d["Subject"]),
    "a list": lambda d: d["Subject"].tolist(),
    "an index": lambda d: pd.Index(d["Subject"]),
    "pairs": lambda d: list(zip(d["Subject"], d["Subject"])),
}


@pytest.mark.parametrize("make", ONE.values(), ids=ONE)
def test_one_grouping_in_any_dress(data, make):
    want = mixedlm("Reaction ~ Days", data, groups="Subject").fit().llf
    # the same sums
    np.testing.assert_allclose(mixedlm("Reaction ~ Days", data, groups=make(data)).fit().llf, want, rtol=1e-12)


@pytest.mark.parametrize(
    ("vc", "message"),
    [
        ("0 + C(half)", r"must be a dict of names and formulas, such as \{'name': '0 \+ C\(half\)'\}, not str"),
        (["0 + C(half)"], "must be a dict of names and formulas"),
        ({"half": None}, "'half' has NoneType, not text"),
        ({"half": ["0 + C(half)"]}, "'half' has list, not text"),
        ({"half": "half ~ Days"}, "must not have a response"),
    ],
)
def test_components_that_are_no_dict_of_formulas(data, vc, message):
    with pytest.raises(FormulaError, match=message):
        mixedlm("Reaction ~ Days", data, groups="Subject", vc_formula=vc)


@pytest.mark.parametrize(
    ("vc", "message"),
    [
        ([np.ones((10, 1))], "exog_vc must be a VCSpec or a dict of components"),
        ("0 + C(half)", "exog_vc must be a VCSpec or a dict of components"),
        (VCSpec(["v"], [[["a"]] * 18], [[np.array([["x"]] * 10)] * 18]), "'v' must have matrices of numbers"),
        (VCSpec(["v"], [[["a"]] * 18], [[np.full((10, 1), np.inf)] * 18]), "'v' is infinite somewhere"),
    ],
)
def test_components_that_are_no_matrices(data, vc, message):
    with pytest.raises(DataError, match=message):
        MixedLM(data["Reaction"], data[["Days"]], data["Subject"], exog_vc=vc)


@pytest.mark.parametrize("reml", ["ML", None])
def test_reml_is_true_or_false(data, reml):
    with pytest.raises(ValueError, match="REML must be True or False"):
        mixedlm("Reaction ~ Days", data, groups="Subject").fit(reml=reml)
