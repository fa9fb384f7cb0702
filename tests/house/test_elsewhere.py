"""A name that lme4, emmeans or statsmodels have, and we have not, says what to use."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import henderson
from henderson import elsewhere


@pytest.fixture(scope="module")
def objects():
    fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
    sm = henderson.mixedlm("score ~ Machine", henderson.datasets.load("Machines"), groups="Worker").fit()
    return {"results": fit, "means": fit.emmeans("Machine"), "package": henderson, "statsmodels": sm}


@pytest.mark.parametrize(
    ("kind", "names"), [("results", elsewhere.RESULTS), ("means", elsewhere.MEANS), ("package", elsewhere.PACKAGE)]
)
def test_what_to_use_is_there(objects, kind, names):
    one = objects[kind]
    for name, hint in names.items():
        assert not hasattr(one, name), name
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; use {re.escape(hint)}"):
            getattr(one, name)
        package, first = re.match(r"\(?(?:results\.|(henderson)\.)?(\w+)", hint).groups()
        assert hasattr(henderson if package else objects["means" if kind == "means" else "results"], first), hint


def test_statsmodels_own_names_stay(objects):
    assert objects["statsmodels"].cov_re is not None
    assert objects["statsmodels"].bse_re is not None
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        objects["results"].nonsense  # noqa: B018 - a name that is not there


def test_what_a_property_says_is_what_is_said():
    """A property that does not apply has its own words, and is asked once more, not replaced by 'no attribute'."""
    crossed = henderson.mixedlm(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", henderson.datasets.load("Penicillin")
    ).fit()
    with pytest.raises(AttributeError, match="crossed"):
        crossed.random_effects  # noqa: B018 - a property that raises


def test_copies_and_pickles(objects):
    for name in ("results", "means", "statsmodels"):
        for again in (
            copy.copy(objects[name]),
            copy.deepcopy(objects[name]),
            pickle.loads(pickle.dumps(objects[name])),
        ):
            assert repr(again) == repr(objects[name])
