"""Factors that a formula makes: labels, contrasts and codings."""

import numpy as np
import pandas as pd
import pytest

from formula_data import made, table
from henderson import DataError, FormulaError, lmer, mixedlm


def test_labels_of_whole_numbers():
    data = table().assign(n=lambda d: d["age"].astype("int16"))
    design, _ = made("y ~ C(n // 50) + (1 | g)", data)
    assert design.x_names[1:] == ("C(n // 50)[T.1]",)


def test_contrasts_by_name():
    data = table()
    for given, text in (("contr.sum", "Sum"), ("helmert", "Helmert"), (np.array([[1, 0], [0, 1], [-1, -1.0]]), "Sum")):
        _, found = made("y ~ k*x + (k | g)", data, contrasts={"k": given}, strict=False)
        _, wanted = made(f"y ~ C(k, {text})*x + (C(k, {text}) | g)", data, strict=False)
        np.testing.assert_array_equal(found.X, wanted.X)
        np.testing.assert_array_equal(found.terms[0].columns, wanted.terms[0].columns)
    assert lmer("y ~ k + (1 | g)", data, contrasts={"k": "sum"}).design.x_names[1] == "k[S.a]"
    with pytest.raises(DataError, match="'x', which is no factor"):
        made("y ~ k + (1 | g)", data, contrasts={"x": "sum"})
    with pytest.raises(FormulaError, match="have 2 rows, it has 3 levels"):
        made("y ~ k + (1 | g)", data, contrasts={"k": np.eye(2)})


def test_codings():
    data = table()
    _, wanted = made("y ~ k + (1 | g)", data)
    _, found = made("y ~ C(k, Treatment) + (1 | g)", data)
    np.testing.assert_array_equal(found.X, wanted.X)
    design, _ = made('y ~ C(k, Treatment(reference = "b")) + (1 | g)', data)
    assert design.x_names[1] == 'C(k, Treatment(reference="b"))[T.a]'
    for text, message in (("C(k, 3)", "second argument of C"), ("C(k, Treatment('z'))", "levels a, b, c")):
        with pytest.raises(FormulaError, match=message):
            made(f"y ~ {text} + (1 | g)", data)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("C(k, sum)", "C(k, Sum)"),
        ("C(k, contr.sum(3))", "C(k, Sum)"),
        ("C(k, helmert)", "C(k, Helmert)"),
        ("C(k, contr.treatment(3, base=2))", "C(k, Treatment('b'))"),
    ],
)
def test_codings_as_r_writes_them(text, same):
    _, wanted = made(f"y ~ {same} + (1 | g)", table())
    _, found = made(f"y ~ {text} + (1 | g)", table())
    np.testing.assert_array_equal(found.X, wanted.X)


@pytest.mark.parametrize("given", [sum, np.sum, "Sum"])
def test_contrasts_by_pythons_functions(given):
    """Once "sum() takes at least 1 positional argument"."""
    assert made("y ~ k + (1 | g)", table(), contrasts={"k": given})[0].x_names[1:] == ("k[S.a]", "k[S.b]")
    for other in (len, lambda x: x, 3, pd.Series(range(90))):
        with pytest.raises(FormulaError, match="they can be Treatment"):
            made("y ~ k + (1 | g)", table(), contrasts={"k": other})


def test_contrasts_with_labels_are_matched_by_level():
    weights = pd.DataFrame({"ab": [1, -1, 0], "c": [-1, -1, 2]}, index=["a", "b", "c"])
    _, wanted = made("y ~ k + (1 | g)", table(), contrasts={"k": weights.to_numpy()})
    for given in (weights, weights.loc[["c", "a", "b"]], weights.reset_index(drop=True)):
        _, found = made("y ~ k + (1 | g)", table(), contrasts={"k": given})
        np.testing.assert_array_equal(found.X, wanted.X)
    with pytest.raises(FormulaError, match="rows called a, b, z; it has the levels a, b, c"):
        made("y ~ k + (1 | g)", table(), contrasts={"k": weights.rename(index={"c": "z"})})


def test_successive_differences_by_the_name_that_r_gives_them():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 9), "k": np.tile(list("abc"), 30)})
    data["y"] = rng.normal(size=90) + rng.normal(size=10)[data.g]
    means = lmer("y ~ 0 + k + (1 | g)", data).fe_params.to_numpy()
    for fit in (
        lmer("y ~ C(k, contr.sdif) + (1 | g)", data),
        lmer("y ~ k + (1 | g)", data, contrasts={"k": "contr.sdif"}),
        mixedlm("y ~ C(k, contr.sdif)", data, groups="g").fit(),
    ):
        np.testing.assert_allclose(fit.fe_params, [means.mean(), *np.diff(means)], rtol=1e-7)
