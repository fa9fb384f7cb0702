"""Rows summed in one pass: the sums of all rows in the basis of all rows, whatever the first of them suggest."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from henderson.design.from_formula import design_from_formula
from henderson.engine.sums import one_pass
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts, Sums, working_columns
from henderson.engine.sums.one_pass import OnePass, Totals, guessed, in_exact_basis

#: sums in a guessed basis lose up to three digits when they are turned into that of all rows; of unit size
RTOL, ATOL = 1e-10, 1e-10


def table(far: float = 0.0, close: float = 1.0, n: int = 600) -> pd.DataFrame:
    """`x` is `far` standard deviations from zero, `z` differs from it by `close`."""
    rng = np.random.default_rng(4)
    g, x = rng.integers(30, size=n), far + rng.standard_normal(n)
    z = x + close * rng.standard_normal(n)
    y = 1 + x - z + rng.standard_normal(30)[g] * (1 + x - far) + rng.standard_normal(n)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


def designed(data: pd.DataFrame, formula: str):
    design, rows = design_from_formula(formula, data)[:2]
    return design, rows, Blocks.of(design.terms, [rows])


def sum_once(design, chunks, blocks) -> OnePass:
    """Sums of the chunks in the basis that the first of them suggests, turned."""
    guess, totals = guessed(design, chunks[0], blocks, 0), Totals.none(design)
    sums = Sums(blocks, guess)
    for rows in chunks:
        totals.add(rows)
        sums.add(rows)
    return in_exact_basis(design, blocks, guess, sums.total(), totals)


@pytest.mark.parametrize(
    ("far", "close", "plain"), [(0.0, 1.0, True), (2.0, 1.0, True), (50.0, 1.0, False), (0.0, 0.08, False)]
)
@pytest.mark.parametrize("formula", ["y ~ x + z + (1 + x | g)", "y ~ x + z + (1 | g)"])
def test_columns_are_summed_as_they_are_only_where_no_digits_go(far, close, plain, formula, monkeypatch):
    monkeypatch.setattr(one_pass, "CHUNK", 100)
    design, rows, blocks = designed(table(far, close), formula)
    assert guessed(design, rows, blocks, 0).is_as_given == plain
    found = sum_once(design, [rows[:200], rows[200:]], blocks)
    basis = Basis.of(design, [rows], blocks)
    expected = CrossProducts.of(design, [rows], blocks, basis)
    assert found.cross is not None
    assert found.basis is not None
    np.testing.assert_allclose(found.basis.beta0, basis.beta0, rtol=RTOL, atol=ATOL)
    for name in ("xy", "zz", "zx"):
        np.testing.assert_allclose(getattr(found.cross, name), getattr(expected, name), rtol=RTOL, atol=ATOL * rows.n)
    np.testing.assert_allclose(found.totals.x, rows.X.sum(axis=0), rtol=RTOL)
    np.testing.assert_array_equal(found.totals.high, rows.X.max(axis=0))
    np.testing.assert_allclose(found.totals.grams[0], rows.terms[0].gram(), rtol=RTOL)


def test_first_rows_that_mislead_are_found_out():
    """Columns near zero in the first rows, and together a thousand standard deviations away after them."""
    data = table()
    data.loc[300:, ["x", "z"]] += 1e3
    design, rows, blocks = designed(data, "y ~ x + z + (1 + x | g)")
    assert guessed(design, rows[:300], blocks, 0).is_as_given
    assert sum_once(design, [rows[:300], rows[300:]], blocks).cross is None


@pytest.mark.parametrize("y", [1e200, 1e-200])
def test_columns_whose_squares_no_double_holds_are_not_summed_as_they_are(y):
    data = table()
    data["y"] *= y
    design, rows, blocks = designed(data, "y ~ x + z + (1 | g)")
    with np.errstate(over="ignore"):
        assert not guessed(design, rows, blocks, 0).is_as_given


def test_rows_side_by_side_in_memory_are_summed_where_they_stand():
    """What a pass over a source sums, [X y] in one array, and the same rows in arrays of their own, weighted or not."""
    design, rows, blocks = designed(table(), "y ~ x + z + (1 + x | g)")
    basis = guessed(design, rows, blocks, 0)
    assert basis.is_as_given
    both = np.asfortranarray(np.column_stack([rows.X, rows.y]))
    terms = tuple(replace(term, columns=both[:, :2]) for term in rows.terms)
    joined = replace(rows, X=both[:, :-1], y=both[:, -1], terms=terms, joined=both)
    columns, Z = working_columns(joined, blocks, basis)
    assert np.shares_memory(columns, both)
    assert np.shares_memory(Z[0], both)
    one, other = (CrossProducts.of(design, [some], blocks, basis) for some in (rows, joined))
    for name in ("xy", "zz", "zx"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-13)
    others = (
        joined.with_response(rows.y + 1.0),
        replace(joined, X=joined.X[:, :2]),
        replace(joined, X=2.0 * joined.X),
        replace(joined, weights=np.ones(rows.n)),
        replace(joined, offset=np.ones(rows.n)),
        pickle.loads(pickle.dumps(joined)),
    )
    assert all(other.side_by_side is None for other in others)
    moved = replace(basis, shift=np.array([0.0, 1.0, 0.0]))
    assert not moved.is_as_given
    assert not np.shares_memory(working_columns(joined, blocks, moved)[0], both)
