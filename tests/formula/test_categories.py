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
