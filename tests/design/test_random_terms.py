"""Bars become lme4's random-effects terms."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from formula_cases import names_of, table
from henderson.design.from_formula import design_from_formula


@pytest.mark.parametrize(
    ("bars", "wanted"),
    [
        ("(1 | g)", [("g", "g", ("(Intercept)",))]),
        ("(x || g)", [("g", "g", ("(Intercept)",)), ("g", "g.1", ("x",))]),
        ("(0 + x | g)", [("g", "g", ("x",))]),
        ("(x - 1 | g)", [("g", "g", ("x",))]),
        ("(1 | g/h)", [("h:g", "h:g", ("(Intercept)",)), ("g", "g", ("(Intercept)",))]),
        ("(1 | g:h)", [("g:h", "g:h", ("(Intercept)",))]),
        ("(a | g)", [("g", "g", ("(Intercept)", "a[T.q]", "a[T.r]"))]),
        ("(0 + a | g)", [("g", "g", ("a[p]", "a[q]", "a[r]"))]),
        ("(a || g)", [("g", "g", ("(Intercept)", "a[T.q]", "a[T.r]"))]),
        ("(0 + a || g)", [("g", "g", ("a[p]", "a[q]", "a[r]"))]),
        ("(0 + a || g/h)", [("h:g", "h:g", ("a[p]", "a[q]", "a[r]")), ("g", "g", ("a[p]", "a[q]", "a[r]"))]),
        (
            "(x || g) + (a || g)",
            [("g", "g", ("(Intercept)",)), ("g", "g.1", ("x",)), ("g", "g.2", ("(Intercept)", "a[T.q]", "a[T.r]"))],
        ),
        ("diag(a | g)", [("g", "g", ("(Intercept)", "a[T.q]", "a[T.r]"))]),
        ("cs(0 + a | g/h)", [("h:g", "h:g", ("a[p]", "a[q]", "a[r]")), ("g", "g", ("a[p]", "a[q]", "a[r]"))]),
        ("(x*z | g)", [("g", "g", ("(Intercept)", "x", "z", "x:z"))]),
        ("(poly(x, 2) | g)", [("g", "g", ("(Intercept)", "poly(x, 2)[1]", "poly(x, 2)[2]"))]),
        ("(scale(x) | g) + (1 | h)", [("g", "g", ("(Intercept)", "scale(x)")), ("h", "h", ("(Intercept)",))]),
        ("(1 | g) + (0 + x | g)", [("g", "g", ("(Intercept)",)), ("g", "g.1", ("x",))]),
        (
            "(1 + x + a:z || h)",
            [("h", "h", ("(Intercept)", "x", "a[p]:z", "a[q]:z", "a[r]:z"))],
        ),
    ],
)
def test_bars(bars, wanted):
    assert names_of(f"y ~ x + {bars}") == wanted


def test_double_bars_split_as_lme4_does():
    design, _ = design_from_formula("y ~ x + (a || g)", table(), doublevert="split")
    assert [(term.label, term.names, term.structure) for term in design.terms] == [
        ("g", ("(Intercept)",), "unstructured"),
        ("g.1", ("a[p]", "a[q]", "a[r]"), "unstructured"),
    ]
    design, _ = design_from_formula("y ~ x + (a || g)", table())
    assert [term.structure for term in design.terms] == ["diagonal"]
    with pytest.raises(ValueError, match="doublevert must be 'diag_special' or 'split'"):
        design_from_formula("y ~ x + (a || g)", table(), doublevert="diag")


BARE = str.maketrans("", "", "()")  # R keeps parentheses that mean nothing
LME4 = json.loads(gzip.decompress((Path(__file__).parents[1] / "oracles" / "bars.json.gz").read_bytes()))


@pytest.mark.parametrize("model", LME4["models"], ids=lambda model: model["bar"][0])
def test_bars_are_lme4s(model):
    data = pd.DataFrame(LME4["data"])
    design, rows = design_from_formula(f"y ~ x + {model['bar'][0]}", data, strict=False, doublevert="split")
    terms = design.terms
    found = sorted((t.group.translate(BARE), t.n_columns) for t in terms)
    assert found == sorted((group.translate(BARE), k) for group, k in zip(model["groups"], model["columns"]))
    levels, codes = ({group.translate(BARE): x for group, x in model[what].items()} for what in ("levels", "codes"))
    for term, own in zip(terms, rows.terms):
        assert term.levels.astype(str).tolist() == levels[term.group.translate(BARE)]
        assert own.codes.tolist() == codes[term.group.translate(BARE)]


def test_columns_at_equal_distances_are_a_view():
    _, rows = design_from_formula("y ~ x + z + (z | g)", table())
    assert np.shares_memory(rows.terms[0].columns, rows.X)
    np.testing.assert_array_equal(rows.terms[0].columns, rows.X[:, [0, 2]])


def test_terms_on_one_factor_share_codes():
    first, second = design_from_formula("y ~ x + (x || g)", table())[1].terms
    assert first.codes is second.codes
