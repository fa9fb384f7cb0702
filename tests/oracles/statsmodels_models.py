"""The models of statsmodels_fits.py: name → function of a MixedLM class that makes the model."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd


def nba():
    """The table of the issue."""
    return pd.DataFrame(
        {
            "Points": [10, 25, 35, 30, 22, 14, 24, 28, 32, 27],
            "Minutes": [35, 40, 30, 38, 33, 32, 34, 39, 41, 36],
            "Team": list("GGRRGGRRGR"),
        }
    )


def school(n_groups=30, seed=3):
    """Pupils in classes in schools, a treatment factor, two covariates; unequal groups."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(6, 14, n_groups)
    g = np.repeat(np.arange(n_groups), sizes)
    n = len(g)
    c = rng.integers(0, 3, n)
    x, z = rng.normal(size=(2, n))
    a = rng.choice(list("uvw"), n)
    classes = rng.normal(size=(n_groups, 3))
    y = 1 + x + 0.5 * (a == "v") + rng.normal(size=n_groups)[g] * 1.5 + 0.7 * rng.normal(size=n_groups)[g] * x
    y = y + classes[g, c] + 0.8 * rng.normal(size=n_groups)[g] * z + rng.normal(size=n)
    labels = {"a": a, "c": [f"k{i}" for i in c], "g": [f"s{i:02d}" for i in g]}
    return pd.DataFrame({"y": y, "x": x, "z": z, **labels})


def slopes(seed=4):
    """Slopes that vary by group, a common intercept."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(25), 8)
    x = rng.normal(size=len(g))
    y = 1 + x + 1.2 * rng.normal(size=25)[g] * x + rng.normal(size=len(g))
    return pd.DataFrame({"y": y, "x": x, "g": g})


def formula(text, data, **kwargs):
    """A model from a formula."""
    return lambda MixedLM: MixedLM.from_formula(text, data(), **kwargs)


def arrays(MixedLM, use_sqrt=True):
    """Arrays with random slopes and two components given as dicts, one with two columns."""
    rng = np.random.default_rng(8)
    n_groups, size = 40, 5
    groups = np.repeat(np.arange(n_groups), size)
    n = len(groups)
    exog = np.column_stack([np.ones(n), rng.normal(size=n)])
    exog_re = np.column_stack([np.ones(n), rng.normal(size=n)])
    v = rng.normal(size=(n, 3))
    y = exog.sum(1) + (rng.normal(size=(n_groups, 2))[groups] * exog_re).sum(1)
    y = y + (rng.normal(size=(n_groups, 3))[groups] * v).sum(1) + rng.normal(size=n)
    vc = {"a": {}, "b": {}}
    for i in range(n_groups):
        vc["a"][i], vc["b"][i] = v[groups == i, :2], v[groups == i, 2:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return MixedLM(y, exog, groups, exog_re, exog_vc=vc, use_sqrt=use_sqrt)


MODELS = {
    "nba": formula("Points ~ Minutes", nba, groups="Team"),
    "intercept": formula("y ~ x + a", school, groups="g"),
    "slope": formula("y ~ x * a", school, groups="g", re_formula="~x"),
    "slope-only": formula("y ~ x", slopes, groups="g", re_formula="0 + x"),
    "component": formula("y ~ x", school, groups="g", re_formula="1", vc_formula={"class": "0 + C(c)"}),
    "components": formula("y ~ x", school, groups="g", vc_formula={"class": "0 + C(c)", "z": "0 + z"}),
    "all": formula("y ~ x", school, groups="g", re_formula="~x", vc_formula={"z": "0 + z", "class": "0 + c"}),
    "arrays": arrays,
    "arrays-cov": lambda MixedLM: arrays(MixedLM, use_sqrt=False),
}
