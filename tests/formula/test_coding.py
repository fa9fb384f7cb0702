"""Columns of fixed terms are formulaic's and patsy's, names and order included."""

import formulaic
import numpy as np
import patsy
import pytest

from formula_cases import EXPRESSIONS, PLAIN, double, table
from henderson.formula.coding import fill, make_part
from henderson.formula.environment import Environment
from henderson.formula.evaluate import learn
from henderson.formula.terms import terms_of, written_terms


def matrix(text, data, order="degree"):
    env = Environment({"np": np, "double": double})
    for name in ("np", "double"):
        env.get(name)
    columns = {name: data[name].array if name == "c" else data[name].to_numpy() for name in data}
    terms = written_terms(text)
    learned = {expr: learn(expr, columns, env) for term in terms for expr in term}
    part = make_part(terms, {expr: spec for expr, (spec, _) in learned.items()}, order=order)
    values = {expr: found for expr, (_, found) in learned.items()}
    return part, fill(part, values, np.empty((len(data), len(part.names))))


@pytest.mark.parametrize("text", PLAIN + EXPRESSIONS)
def test_columns_are_formulaics(text):
    data = table()
    part, X = matrix(text, data)
    wanted = formulaic.model_matrix(text, data, context={"np": np, "double": double})
    assert list(part.names) == list(wanted.columns)
    np.testing.assert_allclose(X, wanted.to_numpy(dtype=float), atol=1e-13)
    slices = {str(term): value for term, value in wanted.model_spec.term_slices.items()}
    assert list(part.slices) == list(slices.values())


@pytest.mark.parametrize("text", [*PLAIN, "I(x > 1.5)", "I(x > 1.5):a", "0 + I(a == 'q')"])
def test_patsy_order_is_patsys(text):
    data = table()
    part, X = matrix(text, data, "patsy")
    wanted = patsy.dmatrix(text, data)
    assert list(part.names) == wanted.design_info.column_names
    np.testing.assert_allclose(X, np.asarray(wanted), atol=1e-13)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_formulas_are_read_as_formulaic_reads_them(text):
    wanted = [tuple(f.expr for f in term.factors if f.expr != "1") for term in formulaic.Formula(text)]
    assert list(terms_of(text)) == wanted


@pytest.mark.parametrize("seed", range(60))
def test_random_formulas_are_coded_as_formulaic_codes_them(seed):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "x", "z", "C(z)"]
    terms = [":".join(rng.choice(names, rng.integers(1, 4), replace=False)) for _ in range(rng.integers(1, 5))]
    text = ("0 + " if rng.random() < 0.5 else "") + " + ".join(terms)
    test_columns_are_formulaics(text)
    test_patsy_order_is_patsys(text)
