"""Sums of two files of rows make the fit of both files, and refuse to be added when they are not of one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import DataError, RowSums, lmer
from henderson.errors import NotAvailable

#: sums in another order and another basis differ by rounding
CLOSE = 1e-10


def table(seed: int, shift: int = 0, n: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 30, n) + shift, rng.integers(0, 8, n)
    data = pd.DataFrame({"x": rng.normal(2000 + shift, 3, n), "a": rng.choice(list("uvw"), n), "g": g, "h": h})
    data["two"], data["w"] = rng.integers(0, 2, n), rng.uniform(1, 2, n)
    levels = np.random.default_rng(1).normal(size=(60, 2))
    data["y"] = data["x"] - 2000 + levels[g, 0] + levels[g, 1] * (data["x"] - 2000) / 3 + rng.normal(size=n)
    data.loc[rng.choice(n, 9, replace=False), "y"] = np.nan
    return data


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + a * two + (x | g)",
        "y ~ a + (1 | g) + (1 | h)",
        "y ~ I(x - 2000) + (1 | g/h)",
        "y ~ x + (x | g) + (two | h)",
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_two_files_are_one(formula: str, tmp_path: Path) -> None:
    """Today's groups are partly new, and its covariate has moved on."""
    old, new = table(3), table(4, shift=12)
    lmer(formula, iter([old])).crossproducts.save(tmp_path / "old.sums")
    both = RowSums.load(tmp_path / "old.sums") + lmer(formula, iter([new])).crossproducts
    data = pd.concat([old, new], ignore_index=True)
    for reml in (True, False):
        found, wanted = lmer(formula, both, REML=reml), lmer(formula, data, REML=reml)
        assert (found.nobs, found.design.n_missing) == (wanted.nobs, wanted.design.n_missing)
        assert found.deviance == pytest.approx(wanted.deviance, rel=CLOSE)
        np.testing.assert_allclose(found.params, wanted.params, rtol=1e-8)
        np.testing.assert_allclose(found.bse, wanted.bse, rtol=1e-8)
        for one, other, term, same in zip(found.engine.b, wanted.engine.b, found.design.terms, wanted.design.terms):
            assert term.levels.tolist() == same.levels.tolist()
            np.testing.assert_allclose(one, other, atol=1e-8 * wanted.sigma, rtol=0)
    terms, same = found.design.specs.terms, wanted.design.specs.terms
    assert terms.means == pytest.approx(same.means)
    assert terms.ranges == pytest.approx(same.ranges)
    assert terms.cells.counts.tolist() == same.cells.counts.tolist()
    np.testing.assert_allclose(found.anova()["F"], wanted.anova()["F"], rtol=1e-6)
    found.save(tmp_path / "fit.henderson")
    assert henderson.load(tmp_path / "fit.henderson").deviance == found.deviance


def test_sums_are_added_again(tmp_path: Path) -> None:
    parts = [table(seed, shift=3 * seed) for seed in range(4)]
    formula = "y ~ x + a + (1 | g)"
    sums = [lmer(formula, iter([part]), weights="w").crossproducts for part in parts]
    total = sums[0] + sums[1] + sums[2] + sums[3]
    wanted = lmer(formula, pd.concat(parts, ignore_index=True), weights="w")
    assert lmer(formula, total).deviance == pytest.approx(wanted.deviance, rel=CLOSE)
    with pytest.raises(ValueError, match="the rows were summed for"):
        lmer("y ~ x + (1 | g)", total)
    with pytest.raises(DataError, match="weights: the rows are summed already"):
        lmer(formula, total, weights="w")
    assert repr(total) == f"<RowSums: {wanted.nobs:,} rows of {formula}>"


@pytest.mark.parametrize(
    ("formula", "change", "said"),
    [
        ("y ~ x + (x | g)", {}, "different formulas: 'y ~ x"),
        ("y ~ a + (1 | g)", {"a": "z"}, "'a' has other categories: u, v, w and z, zz"),
        ("y ~ scale(x) + (1 | g)", {}, r"'scale\(x\)' learned other numbers"),
        ("y ~ x + I(2 * x) + (1 | g)", {}, "redundant"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_refused(formula: str, change: dict[str, str], said: str) -> None:
    new = table(4)
    if change:
        new["a"] = np.where(new["two"] == 1, "z", "zz")
    other = "y ~ x + (1 | g)" if "formulas" in said else formula
    one, more = lmer(formula, iter([table(3)])).crossproducts, lmer(other, iter([new])).crossproducts
    with pytest.raises(DataError, match=said):
        one + more


def test_what_has_no_sums(tmp_path: Path) -> None:
    fit = lmer("y ~ x + (1 | g)", table(3))
    with pytest.raises(NotAvailable, match=r"crossproducts: .*iter\(\[table\]\)"):
        fit.crossproducts  # noqa: B018 - the property raises
    fit.save(tmp_path / "fit.henderson")
    with pytest.raises(DataError, match="holds no sums of rows but MixedModelResults"):
        RowSums.load(tmp_path / "fit.henderson")
