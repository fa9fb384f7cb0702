"""Formulas of every kind, a table for them, and the terms that bars become."""

import numpy as np
import pandas as pd

from henderson.design.from_formula import design_from_formula


def table(n=48, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(1, 2, n),
            "z": rng.integers(0, 4, n),
            "a": rng.permutation(np.resize(list("qpr"), n)),
            "b": rng.permutation(np.resize(list("uv"), n)),
            "c": pd.Categorical(rng.permutation(np.resize(["lo", "mid", "hi"], n)), ["lo", "mid", "hi"]),
            "g": np.resize(np.arange(6), n),
            "h": np.resize(list("klmn"), n),
        }
    )


PLAIN = [
    "x",
    "a",
    "0 + a",
    "a - 1",
    "-1 + x",
    "x + z",
    "x:z",
    "x*z",
    "a*c",
    "x*a",
    "a:x",
    "0 + a:x",
    "a:c",
    "0 + a:c",
    "1 + a:c",
    "x:a + a",
    "a*b*c",
    "a*x*z",
    "x*z*a",
    "a + b + a:b:c",
    "(a + b):c",
    "a*(x + z)",
    "b:a + a:x + c",
    "a:b + a:c",
    "C(z)",
    "C(z)*a",
    "C(z):x",
    "0 + C(z) + a",
    "a*b - a",
    "a*b - a:b",
    "a*b*c - a:b:c",
    "a:b:c + a:b",
    "0 + a + b",
    "0 + a:b + c",
    "1",
    "0 + x",
    "x + 1",
    "a + 0",
    "x:x",
    "a:a + x",
    "x + x",
    "a:b + a",
    "(x + z)*(a + b)",
]


EXPRESSIONS = [
    "np.log(x)",
    "I(x**2)",
    "x**2",
    "(a + b + c)**2",
    "a/x",
    "a/b",
    "poly(x, 2)",
    "poly(x, degree=3):a",
    "scale(x)*b",
    "center(x) + a",
    "bs(x, df=4)",
    "bs(x, df=5, include_intercept=True)",
    "cr(x, df=4)",
    "C(a, Treatment(reference='r'))",
    "C(a, contr.sum)*x",
    "C(c, contr.poly)",
    "C(z, contr.helmert):b",
    "C(a, Sum)",
    "0 + C(a, contr.sum)",
    "{x + z}",
    "a:np.exp(x)",
    "double(x)",
    "Q('x')",
    "`x` + a",
    "a*np.log(x) + C(z)",
    "C(a, contr.custom(np.array([[1, 0], [0, 1], [-1, -1]])))",
]


def double(values):
    return 2 * values


def names_of(formula, data=None, **more):
    """Group, label and columns of each random-effects term."""
    design, _ = design_from_formula(formula, table(200) if data is None else data, **more)
    return [(term.group, term.label, term.names) for term in design.terms]
