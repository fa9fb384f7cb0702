"""Quantiles of t against SciPy's, on both sides of the degrees of freedom from which an expansion serves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from henderson.numerics.distributions import MANY_DF, t_quantile


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.975, 0.9995, 1 - 1e-6, 0.025])
def test_quantiles_of_t(probability):
    df = np.array([0.5, 1, 2.5, 30, MANY_DF - 1, MANY_DF, MANY_DF + 1, 5000, 1e6, 1e12])
    # SciPy's own has 2e-13 in its newest release, 7e-13 in the oldest that is allowed
    np.testing.assert_allclose(t_quantile(probability, df), stats.t.ppf(probability, df), rtol=1e-12, atol=1e-15)


def test_no_degrees_of_freedom_and_all_of_them():
    found = t_quantile(0.975, [np.nan, np.inf])
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(stats.norm.ppf(0.975), rel=1e-14)
    assert t_quantile(0.975, 10.0) == pytest.approx(stats.t.ppf(0.975, 10), rel=1e-13)
