"""Predictions of many rows: by combination of levels they are what they are row by row."""

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from henderson.prediction import combinations

# the same numbers in another order of sums
SAME = 1e-9

RNG = np.random.default_rng(5)


def table(m, missing=False):
    out = pd.DataFrame({
        "s": RNG.integers(0, 14, m),
        "i": RNG.integers(0, 7, m),
        "x": RNG.normal(2005.0, 3.0, m),
        "f": RNG.choice(list("abc"), m),
        "w": RNG.uniform(0.5, 2.0, m),
    })  # fmt: skip
    return out.assign(x=out["x"].where(np.arange(m) % 97 != 5)) if missing else out


DATA = table(400)
DATA["s"] %= 12
DATA["i"] %= 6
DATA["y"] = RNG.normal(size=12)[DATA.s] + RNG.normal(size=6)[DATA.i] + 0.1 * (DATA.x - 2005) + RNG.normal(size=400)
DATA["y"] += RNG.normal(size=12)[DATA.s] * (DATA.x - 2005) / 4


FORMULAS = {
    "crossed": "y ~ x + (1 | s) + (1 | i)",
    "slopes of a year": "y ~ x + f + (x | s) + (x | i)",
    "a column of its own": "y ~ f + (0 + w | s) + (1 | i)",
    "diagonal": "y ~ x + (x || s)",
    "levels of a pair": "y ~ x * f + (1 | s) + (1 | s:i)",
}


@pytest.mark.filterwarnings("ignore:.*singular.*")
@pytest.mark.parametrize("formula", FORMULAS.values(), ids=FORMULAS.keys())
@pytest.mark.parametrize("options", [{}, {"ddf": "KR"}, {"variance_uncertainty": "observed"}, {"re": ["s"]}], ids=str)
def test_many_rows_are_their_parts(formula, options, monkeypatch):
    fit, new = lmer(formula, DATA), table(30_000, missing=True)
    if formula == FORMULAS["a column of its own"]:
        new["w"] = new["w"].round(1)
    options = {"re": "all", "new_levels": "population", "interval": "prediction"} | options
    found = fit.predict(new, **options)
    monkeypatch.setattr(combinations, "FEW", len(new) + 1)
    wanted = fit.predict(new, **options)
    assert wanted["se"].isna().sum() == (new["x"].isna().sum() if "x" in formula else 0)
    pd.testing.assert_frame_equal(found, wanted, rtol=SAME)


def test_rows_are_combined_where_that_is_less_work(monkeypatch):
    fit = lmer(FORMULAS["slopes of a year"], DATA)
    new = table(30_000)

    def combined(rows):
        from henderson.prediction.new_rows import read_targets

        targets = read_targets(fit.engine, rows, ("known", "known"), groups=None, exog_re=None, offset=None)
        return combinations.combinations_of(targets.X, targets.terms)

    many = combined(new)
    assert len(many.levels[0]) == 13 * 7  # levels of the fit and a new one, of both factors
    assert many.c.shape == (30_000, 4)
    np.testing.assert_allclose(many.c @ many.t, np.column_stack([np.ones(30_000), *(
        (new["f"] == one).astype(float) for one in "bc"), new["x"]])[:, [0, 3, 1, 2]], atol=1e-9)  # fmt: skip
    assert combined(new.head(2_000)) is None
    monkeypatch.setattr(combinations, "WORTH", 40)
    assert combined(new) is None  # 91 combinations of 10 forms would be more work


def test_more_combinations_than_a_table_counts():
    codes = [RNG.integers(-1, 40_000, 5_000) for _ in range(3)]
    key, levels = combinations._combined(codes, 5_000)
    for own, one in zip(codes, levels):
        np.testing.assert_array_equal(one[key], own)
    assert combinations._combined(codes, 4_000) is None
