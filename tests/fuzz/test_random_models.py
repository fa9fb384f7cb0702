"""Random tables and random models behind both doors, against the definition in dense algebra written out here.

Nothing below looks at a `Design`: columns are built from the table by name, V = Σ Z_k G_k Z_k' + σ² W⁻¹ from what the
results report, and then

1. the reported criterion is −2 log (restricted) likelihood at the reported variances;
2. the fixed effects and their standard errors are generalised least squares at V;
3. fitted values, and predictions for the same table, are Xβ̂ + Σ Z_k b̂_k;
4. no variances tried at random have a lower criterion;
5. the order of the rows does not matter.

`make fuzz` runs 100,000 examples, the test suite 200 (see `conftest.py`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from hypothesis import assume, event, given
from hypothesis import strategies as st

from henderson import DataError, lmer, mixedlm

AGREE = 1e-6  # deviance; two ways of computing one number, from variances that are printed in the user's units
RELATIVE = 1e-5  # estimates against their standard errors
LOWER = 1e-4  # deviance by which a point tried at random may not be lower
SATURATED = 1e-3  # residuals against the response, below which the dense algebra here loses its own digits

NUMBERS = ("int8", "int64", "float32", "float64", "Int64")
LABELS = ("str", "category", "int16", "int64", "string")
FIXED = ("1", "x", "x + z", "f", "f + x", "x * f", "0 + f", "0 + x", "x + I(x * z)", "f:x", "u + f * u")
BARS = (
    "(1 | g)",
    "(x | g)",
    "(0 + x | g)",
    "(x || g)",
    "(1 | g) + (1 | h)",
    "(1 | g/h)",
    "(1 | h) + (z | g)",
    "(1 | g:h)",
)
GROUPED = ("1", "~x", "~0 + x", "1 & h", "~x & h")


@dataclass(frozen=True)
class Case:
    """One table and one model.

    Attributes
    ----------
    data : DataFrame
    fixed, random : str
    reml : bool
    weights : (n,) array, or None
    """

    data: pd.DataFrame
    fixed: str
    random: str
    reml: bool
    weights: np.ndarray | None


def _number(rng: np.random.Generator, n: int, kind: str, scale: float, shift: float) -> pd.Series:
    values = rng.normal(size=n)
    if kind == "int8":
        return pd.Series(rng.integers(-100, 127, n).astype("int8"))
    if kind in ("int64", "Int64"):
        return pd.Series(np.round(1000 * values + shift).astype("int64")).astype(kind)
    return pd.Series((scale * (values + shift)).astype(kind))


def _labels(codes: np.ndarray, kind: str) -> pd.Series:
    if kind.startswith("int"):
        return pd.Series((100 + codes).astype(kind))
    return pd.Series([f"l{code:02d}" for code in codes]).astype({"str": object}.get(kind, kind))


@st.composite
def cases(draw, random: tuple[str, ...]) -> Case:
    """A table of up to 40 rows with unbalanced groups, numbers of many types and scales, and a formula."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(14, 40))
    uneven = draw(st.sampled_from([0.3, 1.0, 30.0]))
    J, K = draw(st.integers(3, 8)), draw(st.integers(2, 5))
    g = rng.choice(J, n, p=rng.dirichlet(np.full(J, uneven)))
    h = rng.choice(K, n, p=rng.dirichlet(np.full(K, uneven)))
    f = rng.integers(0, draw(st.integers(2, 3)), n)
    shift = draw(st.sampled_from([0.0, 3.0, 200.0]))
    scale = 10.0 ** draw(st.integers(-5, 5))
    data = pd.DataFrame(
        {
            "x": _number(rng, n, draw(st.sampled_from(NUMBERS)), scale, shift),
            "z": _number(rng, n, draw(st.sampled_from(NUMBERS)), 1.0, 0.0),
            "u": rng.integers(0, 2, n).astype(bool),
            "f": _labels(f, draw(st.sampled_from([kind for kind in LABELS if not kind.startswith("int")]))),
            "g": _labels(g, draw(st.sampled_from(LABELS))),
            "h": _labels(h, draw(st.sampled_from(LABELS))),
        }
    )
    sd = draw(st.sampled_from([0.0, 0.5, 5.0]))
    y = rng.normal(size=n) + sd * rng.normal(size=J)[g] + sd * rng.normal(size=K)[h] + 0.5 * f
    data["y"] = 10.0 ** draw(st.integers(-4, 4)) * (y + draw(st.sampled_from([0.0, 100.0])))
    if draw(st.booleans()):
        data = data.iloc[rng.permutation(n)]  # an index that is not the position
    weights = np.exp(rng.normal(size=n)) if draw(st.booleans()) else None
    return Case(data, draw(st.sampled_from(FIXED)), draw(st.sampled_from(random)), draw(st.booleans()), weights)


def columns(data: pd.DataFrame) -> dict[str, np.ndarray]:
    """Every column that the fixed parts above can have, by name."""
    x, z = data.x.to_numpy(float), data.z.to_numpy(float)
    u = data.u.to_numpy(float)
    one = np.ones(len(x))
    out = {"Intercept": one, "(Intercept)": one, "x": x, "z": z, "I(x * z)": x * z, "u[T.True]": u, "u[T.1]": u, "u": u}
    for level in sorted(data.f.unique()):
        is_level = (data.f == level).to_numpy(float)
        for name in (f"f[{level}]", f"f[T.{level}]"):
            out |= {name: is_level, f"{name}:x": is_level * x, f"x:{name}": is_level * x}
            for v in ("u[T.True]", "u[T.1]", "u"):
                out |= {f"{v}:{name}": u * is_level, f"{name}:{v}": u * is_level}
    return out


def terms(case: Case) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """(codes, columns) of each term of a formula of `BARS`, in its order."""
    data, one = case.data, np.ones(len(case.data))
    known = {"1": [one], "x": [one, data.x.to_numpy(float)], "z": [one, data.z.to_numpy(float)]}
    known["0 + x"] = known["x"][1:]
    out = []
    for bar in case.random.split(" + ("):
        left, group = bar.strip("() ").split("| ") if "||" not in bar else bar.strip("() ").split("|| ")
        left = left.strip()
        nested = [data[name].astype(str) for name in group.replace("/", ":").split(":")]
        joined = pd.factorize(nested[0] if len(nested) == 1 else nested[0] + "/" + nested[1])[0]
        if "/" in group:
            out += [(joined, known[left]), (pd.factorize(nested[0])[0], known[left])]
        elif "||" in bar:
            out += [(joined, [column]) for column in known[left]]
        else:
            out.append((joined, known[left]))
    return out


def covariance(case: Case, parts: list[tuple[np.ndarray, list[np.ndarray], np.ndarray]], sigma: float) -> np.ndarray:
    """V = σ² W⁻¹ + Σ_k Z_k G_k Z_k', (n, n)."""
    n = len(case.data)
    V = np.diag(sigma**2 / (np.ones(n) if case.weights is None else case.weights))
    for codes, cols, G in parts:
        Z = np.column_stack(cols)
        V += (codes[:, None] == codes[None, :]) * (Z @ G @ Z.T)
    return V


def criterion(case: Case, X: np.ndarray, V: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """−2 log (restricted) likelihood at V, with generalised least squares' estimates and covariance."""
    y = case.data.y.to_numpy(float)
    L = np.linalg.cholesky(V)
    whiteX, whitey = np.linalg.solve(L, X), np.linalg.solve(L, y)
    Q, R = np.linalg.qr(whiteX)
    beta = np.linalg.solve(R, Q.T @ whitey)
    resid = whitey - whiteX @ beta
    value = 2 * np.log(np.diag(L)).sum() + resid @ resid + len(y) * np.log(2 * np.pi)
    if case.reml:
        value += 2 * np.log(np.abs(np.diag(R))).sum() - X.shape[1] * np.log(2 * np.pi)
    inverse = np.linalg.inv(R)
    return float(value), beta, inverse @ inverse.T


def judge(case: Case, fit, parts, sigma: float, deviance: float) -> np.ndarray:
    """Properties 1 to 4 of a fit; returns the covariance of the fixed effects that were kept."""
    known, estimates = columns(case.data), fit.fe_params
    assert set(estimates.index) <= set(known), set(estimates.index) - set(known)
    kept = estimates.dropna()
    X = np.column_stack([known[name] for name in kept.index])
    V = covariance(case, parts, sigma)
    value, beta, cov = criterion(case, X, V)
    assert abs(value - deviance) <= AGREE * (1 + abs(value)), (value, deviance)
    se = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(kept.to_numpy() / se, beta / se, atol=RELATIVE, rtol=RELATIVE)
    y = case.data.y.to_numpy(float)
    solved = np.linalg.solve(V, y - X @ beta)
    fitted = y - sigma**2 * solved / (1.0 if case.weights is None else case.weights)
    np.testing.assert_allclose(np.asarray(fit.fittedvalues), fitted, atol=1e-5 * np.std(y), rtol=1e-7)
    rng = np.random.default_rng(0)
    for size in (0.0, 0.3, 1.0, 3.0):
        elsewhere = []
        for codes, cols, _ in parts:
            lam = (
                size
                * np.diag(sigma / np.sqrt(np.mean(np.square(cols), 1)))
                @ np.tril(rng.normal(size=(len(cols),) * 2))
            )
            elsewhere.append((codes, cols, lam @ lam.T))
        V = covariance(case, elsewhere, sigma)
        r = _profiled(case, X, V)
        assert r >= deviance - LOWER, f"variances tried at random give {r}, the fit {deviance}"
    return cov


def _profiled(case: Case, X: np.ndarray, V: np.ndarray) -> float:
    """The criterion with V's size at its best."""
    y, nu = case.data.y.to_numpy(float), len(case.data) - (X.shape[1] if case.reml else 0)
    inverse = np.linalg.inv(V)
    resid = y - X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
    return criterion(case, X, V * (resid @ inverse @ resid / nu))[0]


def fitted(make):
    """The fit, or nothing where the data cannot have such a model: that is said before fitting, as a DataError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make()
        except DataError as error:
            event(type(error).__name__)
            assume(False)


@given(cases(BARS))
def test_lmer(case: Case) -> None:
    formula = f"y ~ {case.fixed} + {case.random}"
    fit = fitted(lambda: lmer(formula, case.data, REML=case.reml, weights=case.weights))
    assume(fit.sigma > SATURATED * case.data.y.std())
    parts, at = [], 0
    for codes, cols in terms(case):
        q = len(cols)
        lam = np.zeros((q, q))
        lam[np.tril_indices(q)] = 0.0
        for column, row in ((c, r) for c, r in product(range(q), range(q)) if r >= c):
            lam[row, column], at = fit.theta[at], at + 1
        parts.append((codes, cols, fit.sigma**2 * lam @ lam.T))
    assert at == len(fit.theta)
    event(f"singular: {fit.is_singular}")
    cov = judge(case, fit, parts, fit.sigma, fit.deviance)
    se = fit.bse_fe.dropna()
    expected = np.sqrt(np.diag(cov))[fit.bse_fe.notna()[fit.fe_params.notna()].to_numpy()]
    np.testing.assert_allclose(se, expected, rtol=RELATIVE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = np.asarray(fit.predict(case.data, random=True))
        np.testing.assert_allclose(predicted, np.asarray(fit.fittedvalues), atol=1e-7 * case.data.y.std(), rtol=1e-9)
        order = np.random.default_rng(1).permutation(len(case.data))
        weights = None if case.weights is None else case.weights[order]
        again = lmer(formula, case.data.iloc[order], REML=case.reml, weights=weights)
    assert abs(again.deviance - fit.deviance) <= AGREE * (1 + abs(fit.deviance))


@given(cases(GROUPED))
def test_mixedlm(case: Case) -> None:
    re_formula, _, component = case.random.partition(" & ")
    vc = {"h": "0 + C(h)"} if component else None
    model = fitted(lambda: mixedlm(f"y ~ {case.fixed}", case.data, groups="g", re_formula=re_formula, vc_formula=vc))
    fit = fitted(lambda: model.fit(reml=case.reml))
    case = Case(case.data, case.fixed, case.random, case.reml, None)
    assume(np.sqrt(fit.scale) > SATURATED * case.data.y.std())
    data, one = case.data, np.ones(len(case.data))
    cols = {"1": [one], "~x": [one, data.x.to_numpy(float)], "~0 + x": [data.x.to_numpy(float)]}[re_formula]
    g = pd.factorize(data.g)[0]
    parts = [(g, cols, np.asarray(fit.cov_re))]
    if component:
        inner = pd.factorize(data.g.astype(str) + "/" + data.h.astype(str))[0]
        parts.append((inner, [one], np.asarray(fit.vcomp).reshape(1, 1)))
    judge(case, fit, parts, float(np.sqrt(fit.scale)), -2 * fit.llf)
