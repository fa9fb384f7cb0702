"""Studies with more levels, or fewer: what new levels copy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson.design.from_arrays import design_from_arrays
from henderson.design.from_formula import design_from_formula
from henderson.design.without_response import design_without_response
from henderson.planning.extend import Study, extended, proportional_order


def study(formula: str, data: pd.DataFrame, **options) -> Study:
    return Study(*design_without_response(formula, data, **options))


def crossed(**levels) -> pd.DataFrame:
    return pd.DataFrame(pd.MultiIndex.from_product(levels.values(), names=levels).to_frame(index=False))


def counts(one: Study) -> dict[str, int]:
    return {term.group: term.n_levels for term in one.design.terms}


def test_crossed_factors_stay_crossed():
    more = extended(study("y ~ x + (x | s) + (1 | i)", crossed(s=range(3), i=range(4), x=[0, 1])), {"s": 7, "i": 5})
    assert counts(more) == {"s": 7, "i": 5}
    assert more.design.n == more.rows.n == 7 * 5 * 2
    s, i = (term.codes for term in more.rows.terms)
    assert len(np.unique(s * 5 + i)) == 35
    np.testing.assert_array_equal(more.rows.terms[0].columns, more.rows.X)


def test_nested_factors_are_new_in_every_copy():
    data = crossed(school=range(3), klass=range(2), pupil=range(4))
    more = extended(study("y ~ 1 + (1 | school/klass)", data), {"school": 8})
    assert counts(more) == {"klass:school": 16, "school": 8}
    again = extended(more, {"klass:school": 24})
    assert counts(again) == {"klass:school": 24, "school": 8}
    inner, outer = (term.codes for term in again.rows.terms)
    assert len(np.unique(np.stack([inner, outer]), axis=1).T) == 24


def test_an_interaction_of_factors_is_copied_with_either():
    data = crossed(s=range(4), i=range(3), r=range(2))
    more = extended(study("y ~ 1 + (1 | s) + (1 | i) + (1 | s:i)", data), {"s": 6, "i": 6})
    assert counts(more) == {"s": 6, "i": 6, "s:i": 36}


def test_copies_cover_unequal_levels():
    data = pd.DataFrame({"g": list("aaabbc"), "x": [1.0, 2, 3, 4, 5, 6]})
    more = extended(study("y ~ x + (1 | g)", data), {"g": 5})
    assert more.rows.X[:, 1].tolist() == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5]
    assert more.design.terms[0].levels.tolist() == ["a", "b", "c", "a (2)", "b (2)"]
    fewer = extended(study("y ~ x + (1 | g)", data), {"g": 2})
    assert (fewer.rows.X[:, 1].tolist(), fewer.design.terms[0].levels.tolist()) == ([1, 2, 3, 4, 5], ["a", "b"])


@pytest.mark.parametrize("size", [4, 6, 10, 18, 24, 30])
def test_arms_keep_their_proportions(size):
    data = crossed(s=range(18), t=range(2)).assign(arm=lambda d: np.where(d["s"] < 12, "drug", "placebo"))
    more = extended(study("y ~ arm + (1 | s)", data), {"s": size})
    placebo = more.rows.X[:, 1].sum() / 2
    assert abs(placebo - size / 3) <= 0.5


def test_counterbalanced_lists_keep_their_proportions():
    data = crossed(s=range(8), i=range(4)).assign(c=lambda d: (d["i"] + (d["s"] >= 4)) % 2)
    more = extended(study("y ~ c + (1 | s) + (1 | i)", data), {"s": 4})
    by_item = pd.crosstab(more.rows.terms[1].codes, more.rows.X[:, 1])
    assert (by_item.to_numpy() == 2).all()


def test_any_number_of_the_first_is_proportional():
    kind = np.repeat([0, 1, 2], [60, 30, 10])
    order = kind[proportional_order(kind)]
    share = np.array([0.6, 0.3, 0.1])
    for m in range(1, 101):
        assert np.abs(np.bincount(order[:m], minlength=3) - m * share).max() <= 1


def test_components_and_arrays():
    data = crossed(g=range(4), a=range(3), r=range(2)).assign(y=lambda d: np.cos(d.index.to_numpy() ** 2))
    one = Study(*design_from_formula("y ~ 1", data, groups="g", re_formula="1", vc_formula={"a": "0 + C(a)"}))
    more = extended(one, {"g": 9})
    assert [term.n_levels for term in more.design.terms] == [9, 27]
    assert more.rows.groups.max() == 8
    plain = Study(*design_from_arrays(data["y"], np.ones((24, 1)), groups=data["g"].to_numpy()))
    assert extended(plain, {plain.design.terms[0].group: 6}).rows.n == 36
