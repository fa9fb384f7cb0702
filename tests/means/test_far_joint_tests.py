"""Joint tests of covariates far from zero: a covariate is at its mean minus and plus one, as in emmeans, anywhere.

A millionth of the mean was taken, so that at 10⁸ of its spreads splines were asked for far outside of the data ("beyond
its boundary knots"), or tested there without a word.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from henderson import lmer

#: digits that the columns carry, moved so far for a spread of one
RTOL = {2.0**13: 1e-7, 2.0**27: 1e-5, 2.0**33: 1e-3}


@cache
def joint(formula, move):
    rng = np.random.default_rng(1)
    g, f = np.repeat(np.arange(10), 7), rng.choice(list("abc"), 70)
    x = np.round(2 * rng.normal(size=70) * 1024) / 1024
    y = 3 + np.sin(x) + 0.4 * x * (f == "b") + rng.normal(size=10)[g] + rng.normal(size=70)
    return lmer(formula, {"y": y, "x": x + move, "f": f, "g": g}).joint_tests()


@pytest.mark.parametrize("move", RTOL)
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ poly(x, 2) * f + (1 | g)",
        "y ~ ns(x, df=3) * f + (1 | g)",
        "y ~ bs(x, df=4) + f + (1 | g)",
        "y ~ x * f + (x | g)",
    ],
)
def test_joint_tests_far_from_zero(formula, move):
    near, far = (joint(formula, at)[["num_df", "den_df", "F"]] for at in (0.0, move))
    np.testing.assert_allclose(far, near, rtol=RTOL[move], atol=RTOL[move])
