"""Intervals of predictions against merTools' simulations, which take the variances as known.

merTools draws the fixed effects and the random ones as if their errors were independent; they are not (the mean of all
levels and the level's own effect make up for each other), so its intervals of means are wider than those of the joint
covariance. With that difference made, ours are its own, within the error of 20,000 draws.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtri

from henderson import datasets, lmer

#: a half width of 20,000 draws at 2.5 %, relative; a middle, relative to the half width
WIDTH, MIDDLE = 0.03, 0.03
#: merTools draws σ for a new observation, too, which a table of 30 rows leaves open
FEW_ROWS = 0.10

CASES = json.loads((Path(__file__).parent / "mertools.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["data"])
def test_widths_are_those_of_independent_errors(case):
    data = datasets.load(case["data"])
    fit, rows = lmer(case["formula"], data), data.iloc[case["rows"]]
    engine = fit.engine
    independent = fit.predict(rows, re="none", se=True, variance_uncertainty=False)["se"].to_numpy() ** 2
    for own, cov in zip(engine.rows.terms, fit.ranef_cov):
        z, of_level = own.columns[case["rows"]], cov[own.codes[case["rows"]]]
        independent = independent + np.einsum("ma,mab,mb->m", z, of_level, z)
    for kind, residual in (("mean", 0.0), ("observation", fit.sigma**2)):
        its = {name: np.array(values) for name, values in case[kind].items()}
        half = (its["upr"] - its["lwr"]) / 2
        found = fit.predict(rows, re="all", interval="confidence" if kind == "mean" else "prediction",
                            variance_uncertainty=False)  # fmt: skip
        width = FEW_ROWS if residual and fit.nobs < 100 else WIDTH
        np.testing.assert_allclose(half, ndtri(0.975) * np.sqrt(independent + residual), rtol=width)
        assert (np.abs(found["estimate"].to_numpy() - its["fit"]) < MIDDLE * half).all()
        assert (found["upper"] - found["lower"] < 2 * half * (1 + WIDTH)).all()
