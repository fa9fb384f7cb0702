"""Groups and variance components of statsmodels' interface."""

from dataclasses import replace

import numpy as np
import pytest

from formula_cases import names_of, table
from henderson.design.from_formula import design_from_formula
from henderson.errors import FormulaError


def statsmodels_components(data, vc, groups="g"):
    """statsmodels' own matrices, as (n, J)."""
    import statsmodels.formula.api as smf

    model = smf.mixedlm("y ~ 1", data, groups=groups, vc_formula=vc)
    whole = []
    for mats in model.exog_vc.mats:
        columns = []
        for label, block in zip(model.group_labels, mats):
            out = np.zeros((len(data), block.shape[1]))
            out[model.row_indices[label]] = block
            columns.append(out)
        out = np.hstack(columns)
        whole.append(out[:, (out != 0).any(axis=0)])
    return whole


def dense(term, rows):
    if term.loaded:
        return rows.loadings.toarray()
    return np.equal.outer(rows.codes, np.arange(term.n_levels)) * rows.columns


@pytest.mark.parametrize(
    ("text", "as_codes"),
    [
        ("0 + C(h)", True),
        ("0 + h", True),
        ("0 + x", True),
        ("1", True),
        ("0 + h:a", True),
        ("0 + a:x", True),
        ("0 + x + z", False),
        ("C(h)", False),
        ("h", False),
        ("0 + np.log(x)", True),
        ("x", False),
        ("0 + center(x)", True),
        ("0 + h + a", False),
    ],
)
def test_variance_components_are_statsmodels(text, as_codes):
    data = table(96)
    data["g"] = np.repeat(np.arange(4), 24)
    design, rows = design_from_formula("y ~ 1", data, groups="g", vc_formula={"b": text, "a": "0 + C(a)"})
    assert [term.label for term in design.terms] == ["a", "b"]
    term = design.terms[1]
    assert term.loaded != as_codes
    wanted = statsmodels_components(data, {"v": text})[0]
    found = dense(term, rows.terms[1])
    order = [np.lexsort(array[::-1]) for array in (found, wanted)]
    np.testing.assert_allclose(found[:, order[0]], wanted[:, order[1]], atol=1e-12)
    assert term.levels.names == ["g", "b"]


@pytest.mark.parametrize("text", ["1", "0 + C(h)", "x", "0 + h"])
def test_effects_have_statsmodels_names(text):
    """Those of `1` alone once were ``''``, and its effects ``v[]``."""
    import statsmodels.formula.api as smf

    data = table(96)
    data["g"] = np.repeat(np.arange(4), 24)
    wanted = smf.mixedlm("y ~ 1", data, groups="g", vc_formula={"v": text}).exog_vc.colnames[0]
    term = design_from_formula("y ~ 1", data, groups="g", vc_formula={"v": text})[0].terms[0]
    assert set(term.levels.get_level_values("v")) == set(np.concatenate(wanted))


@pytest.mark.parametrize(
    ("re_formula", "vc", "wanted"),
    [
        (None, None, [("g", ("(Intercept)",))]),
        ("1", None, [("g", ("(Intercept)",))]),
        ("~x", None, [("g", ("(Intercept)", "x"))]),
        ("0 + x", None, [("g", ("x",))]),
        (None, {"v": "0 + C(h)"}, [("g/v", ("(Intercept)",))]),
        ("1", {"v": "0 + C(h)"}, [("g", ("(Intercept)",)), ("g/v", ("(Intercept)",))]),
    ],
)
def test_groups(re_formula, vc, wanted):
    data = table()
    for groups, name in (("g", "g"), (data["g"], "Group"), (data["g"].tolist(), "Group")):
        design, rows = design_from_formula("y ~ x", data, groups=groups, re_formula=re_formula, vc_formula=vc)
        assert [(t.group.replace(name, "g"), t.names) for t in design.terms] == wanted
        assert design.specs.groups == name
        np.testing.assert_array_equal(rows.groups, data["g"])


def test_bars_and_groups():
    data = table()
    assert names_of("y ~ x + (1 | h)", data, groups="h") == [("h", "h", ("(Intercept)",))]
    with pytest.raises(FormulaError, match=r"groups='g' has no part .* write \(1 \| g\)"):  # once left out silently
        names_of("y ~ x + (1 | h)", data, groups="g")
    assert names_of("y ~ x + (1 | h)", data, groups="g", re_formula="0 + x") == [
        ("h", "h", ("(Intercept)",)),
        ("g", "g", ("x",)),
    ]


def test_groups_as_an_array_with_missing_labels_and_subset():
    data = table()
    labels = data["g"].astype(object)
    labels.iloc[0] = None
    design, rows = design_from_formula("y ~ x", data, groups=labels, subset="x < 1.8")
    kept = (data["x"] < 1.8) & (data.index > 0)
    np.testing.assert_array_equal(design.terms[0].levels[rows.terms[0].codes], data["g"][kept])


@pytest.mark.parametrize("text", ["0 + x + z", "x", "0 + x:z + z"])
def test_numbers_are_read_for_all_groups_at_once_as_for_each(text):
    data = table(96)
    data["g"] = np.repeat(np.arange(4), 24)
    data.loc[data["g"] == 2, "x"] = 0.0  # no effect there
    design, rows = design_from_formula("y ~ 1", data, groups="g", vc_formula={"v": text})
    (spec,) = design.specs.random
    (part,) = spec.parts
    each = replace(spec, parts=(part,) * 4)
    groups = np.array([3, -1, 2, 0, 3])
    new = {"x": np.array([1.0, 2.0, 3.0, 0.0, 5.0]), "z": np.array([0.5, 1.0, 2.0, 3.0, 4.0])}
    found, expected = (
        one.loadings(groups, new, design.terms[0].n_levels, design.specs.environment) for one in (spec, each)
    )
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
    assert found[1, -1] == 1.0
    here = spec.loadings(
        np.asarray(data["g"]),
        {name: np.asarray(data[name]) for name in ("x", "z")},
        design.terms[0].n_levels,
        design.specs.environment,
    )
    np.testing.assert_array_equal(here.toarray()[:, :-1], dense(design.terms[0], rows.terms[0]))
