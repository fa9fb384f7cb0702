"""A small table of mixed types, for tests of formulas."""

import numpy as np
import pandas as pd

from henderson.design.from_formula import design_from_formula


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "age": rng.integers(20, 100, n).astype(float),
            "k": rng.permutation(np.resize(list("abc"), n)),
            "t": rng.random(n) > 0.5,
            "g": np.resize(np.arange(6), n),
        }
    )


def made(formula, data, **more):
    return design_from_formula(formula, data, **more)
