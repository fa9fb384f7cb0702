"""Functions of a formula: what they learn, and from which rows."""

import numpy as np
import pytest

from formula_data import made, table
from henderson import FormulaError, datasets, lmer, load

RTOL = 1e-10


def test_a_function_without_a_value_is_an_error():
    """Once the term vanished."""

    def nothing(values):
        values + 1

    with pytest.raises(FormulaError, match="has no value"):
        lmer("y ~ nothing(x) + (1 | g)", table())


def test_transforms_learn_once(monkeypatch):
    from henderson.formula import functions

    calls = []
    monkeypatch.setitem(
        functions.FUNCTIONS, "poly", functions.Function(lambda state, x, k: calls.append(k) or x, True, True)
    )
    made("y ~ poly(x, 2) + (poly(x, 2) | g)", table())
    assert calls == [2]


def test_rows_that_transforms_learn_from():
    """R's model frame: all rows with the column, whatever else is missing or left out; patsy's: those of the subset."""
    data = table()
    data.loc[:9, "y"] = np.nan
    data.loc[50, "x"] = np.nan
    standard = (data["x"] - data["x"].mean()) / data["x"].std()
    for subset in (None, data["age"] < 70):
        _, rows = made("y ~ scale(x) + (1 | g)", data, subset=subset)
        np.testing.assert_allclose(rows.X[:, 1], standard[rows.index], rtol=RTOL)
    _, rows = made("y ~ center(x) + (1 | g)", data, subset=data["age"] < 70, order="patsy")
    np.testing.assert_allclose(rows.X[:, 1], (data["x"] - data["x"][data["age"] < 70].mean())[rows.index], rtol=RTOL)


def sleep():
    """Sleepstudy with a second number, and texts of several lengths."""
    data = datasets.load("sleepstudy")
    return data.assign(z=data["Reaction"] ** 0.5 + np.sin(7 * data["Days"]), name=["a", "bb", "cccc"] * 60)


#: R 4.2, lme4 1.1-31: fixef and REMLcrit of `lmer(Reaction ~ … + (1 | Days), sleepstudy)`, z as above
OF_R = {
    "poly(Days, z, degree=2)": ([298.141433, 179.874779, -33.992987, 711.306461, 219.541624, 33.648727], 671.975289291),
    "polym(Days, z, degree=2, raw=TRUE)": (
        [-71.37444553, 3.02776538, -0.34868729, 6.57755065, 0.27758841, 0.77388463],
        715.372003364,
    ),
    "dummy(Subject, c('308', '309'))": ([300.985952, 41.147878, -85.752972], 1865.09373894),
}


@pytest.mark.parametrize("term", OF_R)
def test_functions_of_r_that_make_several_columns(term, tmp_path):
    params, deviance = OF_R[term]
    fit = lmer(f"Reaction ~ {term} + (1 | Days)", sleep(), env="closed")
    np.testing.assert_allclose(fit.params, params, rtol=2e-6)
    assert fit.deviance == pytest.approx(deviance, abs=1e-6)
    # learned once: the same of some rows, and after a file
    fit.save(tmp_path / "fit.henderson")
    some = sleep().iloc[[3, 50, 120]]
    np.testing.assert_allclose(fit.predict(some), fit.predict().loc[some.index], rtol=RTOL)
    np.testing.assert_allclose(load(tmp_path / "fit.henderson").predict(some), fit.predict(some), rtol=RTOL)


def test_functions_of_texts_and_conditions():
    _, rows = made("Reaction ~ nchar(name) + xor(Days > 2, Days > 5) + (0 + dummy(Subject, '309') | Days)", sleep())
    data = sleep()
    np.testing.assert_array_equal(rows.X[:, 1], data["name"].str.len())
    np.testing.assert_array_equal(rows.X[:, 2], (data["Days"] > 2) != (data["Days"] > 5))
    np.testing.assert_array_equal(rows.terms[0].columns[:, 0], data["Subject"].astype(str) == "309")
    for wrong, named in (
        ("nchar(Subject)", "as.character"),
        ("dummy(Subject, 'x')", "no level 'x'"),
        ("xor(Days, Days > 2)", "condition"),
    ):
        with pytest.raises(FormulaError, match=named):
            made(f"Reaction ~ {wrong} + (1 | Days)", data)
