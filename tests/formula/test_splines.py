"""`ns()` has R's columns."""

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import lmer


def test_natural_splines_are_rs():
    """lme4 1.1-31 with splines::ns on sleepstudy: log-likelihood and predictions, one beyond the data."""
    fit = lmer("Reaction ~ ns(Days, df=3) + (ns(Days, df=2) | Subject)", henderson.datasets.load("sleepstudy"))
    assert fit.llf == pytest.approx(-856.22273, abs=1e-3)  # lme4's optimizer stops there
    new = pd.DataFrame({"Days": [4, 7, 11], "Subject": [372, 372, 308]})
    np.testing.assert_allclose(fit.predict(new), [290.18375, 324.48832, 373.5706], atol=1e-3)
    np.testing.assert_allclose(fit.predict(new, random=True), [309.15987, 346.07171, 463.81154], atol=0.01)
