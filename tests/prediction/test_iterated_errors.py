"""Errors of predictions where crossed effects were solved by iteration, against those of the factored equations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.design.replay import NewTerm
from henderson.errors import ApproximationWarning
from henderson.numerics.distributions import t_quantile
from henderson.prediction import iterated_errors
from henderson.prediction.loads import loads_of
from henderson.prediction.row_errors import Loads
from henderson.results.fitted import MixedModelResults

#: the variances at which both are computed differ by their Monte-Carlo error
SOLVED = 2e-4
#: 64 probes: the largest of 900 rows
PROBED = 0.03


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 900
    table = pd.DataFrame({
        "u": rng.integers(0, 80, n), "i": rng.integers(0, 40, n), "c": rng.integers(0, 12, n),
        "x": rng.normal(size=n), "w": rng.uniform(0.5, 2.0, n),
    })  # fmt: skip
    table["y"] = 1 + 0.3 * table["x"] + 0.6 * rng.normal(size=80)[table["u"]]
    table["y"] += 0.4 * rng.normal(size=80)[table["u"]] * table["x"] + 0.5 * rng.normal(size=40)[table["i"]]
    table["y"] += 0.5 * rng.normal(size=12)[table["c"]] + rng.normal(size=n)
    return table


@pytest.fixture(scope="module", params=["y ~ x + (x | u) + (1 | i)", "y ~ x + (1 | u) + (1 | i) + (1 | c)"])
def fits(request: pytest.FixtureRequest, data: pd.DataFrame) -> list[MixedModelResults]:
    return [henderson.lmer(request.param, data, rest=rest, weights="w") for rest in ("exact", "iterative")]


@pytest.mark.parametrize(
    "how",
    [{}, {"ddf": "kenward-roger"}, {"variance_uncertainty": "observed"}, {"variance_uncertainty": False}],
    ids=str,
)
def test_few_rows_are_solved_for(fits: list[MixedModelResults], data: pd.DataFrame, how: dict) -> None:
    new = data.head(12).copy()
    new.loc[3, "u"] = new.loc[5, "i"] = 10**6
    for interval in ("confidence", "prediction"):
        exact, found = (
            fit.predict(new, re="all", se=True, interval=interval, new_levels="population", **how) for fit in fits
        )
        for name in ("se", "df"):
            np.testing.assert_allclose(found[name], exact[name], rtol=100 * SOLVED if name == "df" else SOLVED)


def test_many_rows_come_from_probes_and_their_error_is_told(fits: list[MixedModelResults], data: pd.DataFrame) -> None:
    exact = fits[0].predict(data, re="all", se=True)
    with pytest.warns(ApproximationWarning, match="standard errors of 900 predictions were estimated from 64 probes"):
        found = fits[1].predict(data, re="all", se=True)
    off = np.abs(found["se"] / exact["se"] - 1)
    assert off.max() < PROBED
    t = [t_quantile(0.975, one["df"].to_numpy()) for one in (found, exact)]  # df themselves vary by half
    np.testing.assert_allclose(t[0], t[1], rtol=PROBED)


def test_the_error_told_is_the_error_made(fits: list[MixedModelResults], monkeypatch: pytest.MonkeyPatch) -> None:
    """Root mean square of the differences over what is told of them, row by row."""
    _, found = fits
    point = found.engine.at_optimum()
    kernels = iterated_errors.error_kernels(point.factor, point.phi, None, point.ze)
    loads = _loads(found)
    probed = kernels(loads).variance
    (told,) = kernels.errors
    monkeypatch.setattr(iterated_errors, "FEW", 10**6)
    solved = kernels(loads).variance
    assert 0.6 < np.sqrt((((probed / solved - 1) / 2 / told) ** 2).mean()) < 1.6


def _loads(fit: MixedModelResults) -> Loads:
    point, rows = fit.engine.at_optimum(), fit.engine.rows
    terms = [NewTerm(term.codes, term.columns) for term in rows.terms]
    return loads_of(point.criterion, point.lam, rows.X, terms)[0]
