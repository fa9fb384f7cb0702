"""Common factors behind random effects against glmmTMB (`factors.R`): rr(), and fa() as its rr() + diag()."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from oracle_data import load_oracle

LISTING = load_oracle("factors")
DEVIANCE = 2e-6  # theirs are found by optimizers that stop at 1e-8
ESTIMATES = 1e-4
VARIANCES = 4e-4


def ours(bar: str) -> str:
    """fa() for rr() + diag()."""
    return re.sub(r"rr\((.*?), (\d)\) \+ diag\(.*?\)", r"fa(\1, \2)", bar)


@pytest.mark.parametrize("case", LISTING["cases"], ids=lambda c: f"{ours(c['bar'])} {'REML' if c['reml'] else 'ML'}")
def test_fits(case):
    fit = lmer(f"y ~ trait + {ours(case['bar'])}", pd.DataFrame(LISTING["data"]), REML=case["reml"])
    assert fit.optinfo["converged"]
    assert fit.deviance == pytest.approx(case["deviance"], abs=DEVIANCE)
    assert fit.engine.n_variances + len(case["fixef"]) == case["df"]
    np.testing.assert_allclose(fit.params, case["fixef"], atol=ESTIMATES)
    assert fit.sigma == pytest.approx(case["sigma"], rel=ESTIMATES)
    (g,) = [k for k, term in enumerate(fit.engine.design.terms) if term.group == "g"]
    own = fit.engine.sigma**2 * fit.engine.lam[g] @ fit.engine.lam[g].T
    theirs = [np.array(one) for one in case["cov"] if np.shape(one) == own.shape]
    if "diag" in case["bar"]:
        theirs = [theirs[0] + np.diag(np.diag(theirs[1]))]
    np.testing.assert_allclose(own, theirs[0], atol=VARIANCES)


@pytest.mark.parametrize("case", LISTING["strata"], ids=lambda c: ours(c["bar"]))
def test_with_a_residual_variance_for_each_trait(case):
    """Where descents end in other minima, too."""
    table = pd.DataFrame(LISTING["data"])
    fit = lmer(f"y ~ trait + {ours(case['bar'])}", table, residual="ident(trait)", REML=False)
    assert fit.optinfo["converged"]
    assert fit.deviance == pytest.approx(case["deviance"], abs=DEVIANCE)
    assert fit.engine.n_parameters == case["df"]
    np.testing.assert_allclose(fit.params, case["fixef"], atol=ESTIMATES)
