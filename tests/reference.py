"""The model in dense n × n algebra, straight from its definition: what the engine is tested against.

V = W⁻¹ + Σ_i G_i V_i with Var(y) = σ² V. Slow and obvious; knows the contract and `covariance` only.
Functions take anything that has a `design` and its `rows`: a `Data`, a `Fit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import linalg, sparse

from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.layout import Layout, layouts_of
from henderson.engine.fit import Fit
from henderson.engine.moments import Moments, Second


class Data(NamedTuple):
    """A design and its rows."""

    design: Design
    rows: Rows


def blocks(term: RandomTerm, rows: TermRows) -> np.ndarray:
    """Z of a term, one matrix a column: (q, n, J)."""
    if term.loaded:
        return rows.loadings.toarray()[None]
    indicator = rows.codes[:, None] == np.arange(term.n_levels)
    return np.stack([indicator * column[:, None] for column in rows.columns.T])


def layouts(data: Data) -> tuple[Layout, ...]:
    """Where θ goes in the λ of each term."""
    return layouts_of(data.design.terms)


def split(data: Data, theta: np.ndarray) -> list[np.ndarray]:
    """θ term by term."""
    return np.split(np.asarray(theta, float), np.cumsum([layout.n_theta for layout in layouts(data)])[:-1])


def relative_factors(data: Data, theta: np.ndarray) -> list[np.ndarray]:
    """λ of each term, (q, q)."""
    return [layout.lam(part) for layout, part in zip(layouts(data), split(data, theta))]


def g_of(data: Data, theta: np.ndarray) -> np.ndarray:
    """The G parameters of a θ."""
    return np.concatenate([layout.g(lam @ lam.T) for layout, lam in zip(layouts(data), relative_factors(data, theta))])


def derivatives(data: Data) -> np.ndarray:
    """V_i = ∂V/∂G_i for every G parameter, (k, n, n)."""
    out = []
    for term, own, layout in zip(data.design.terms, data.rows.terms, layouts(data)):
        z = blocks(term, own)
        out.append(np.einsum("irs,rmj,snj->imn", layout.basis(), z, z, optimize=True))
    return np.concatenate(out)


def marginal(data: Data, g: np.ndarray) -> np.ndarray:
    """V at the G parameters, (n, n)."""
    return np.diag(1 / data.rows.unit_weights) + np.tensordot(g, derivatives(data), 1)


def response(data: Data) -> np.ndarray:
    """y without the offset."""
    return data.rows.response


def solve(data: Data, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """β̂, X'V⁻¹X, r² and V at a θ."""
    v = marginal(data, g_of(data, theta))
    vx = linalg.solve(v, data.rows.X, assume_a="pos")
    information = data.rows.X.T @ vx
    beta = linalg.solve(information, vx.T @ response(data)) if data.rows.X.shape[1] else np.zeros(0)
    resid = response(data) - data.rows.X @ beta
    return beta, information, float(resid @ linalg.solve(v, resid, assume_a="pos")), v


def deviance(data: Data, theta: np.ndarray, reml: bool = True) -> float:
    """Profiled −2 log (restricted) likelihood at a θ."""
    _, information, r2, v = solve(data, theta)
    n = data.rows.n - (data.rows.X.shape[1] if reml else 0)
    logdet = np.linalg.slogdet(v)[1] + (np.linalg.slogdet(information)[1] if reml else 0.0)
    return float(logdet + n * (1 + np.log(2 * np.pi * r2 / n)))


@dataclass(frozen=True)
class Dense(Second):
    """F2 and T2 as they are (see `henderson.engine.moments.Second`)."""

    f2: np.ndarray
    t2: np.ndarray

    def forms(self, B: np.ndarray) -> np.ndarray:
        return B.T @ self.f2 @ B

    def trace_forms(self, B: np.ndarray) -> np.ndarray:
        return np.einsum("ijss->ij", self.forms(B))

    def traces(self) -> np.ndarray:
        return self.t2


def moments(data: Data, g: np.ndarray) -> Moments:
    """All moments at the G parameters, from their definitions."""
    c = np.column_stack([data.rows.X, response(data)])
    inverse = np.linalg.inv(marginal(data, g))
    v = derivatives(data)
    vc, vv = inverse @ c, inverse @ v
    f1 = np.einsum("na,inm,mb->iab", vc, v, vc, optimize=True)
    vvc = v @ vc
    f2 = np.einsum("ina,nm,jmb->ijab", vvc, inverse, vvc, optimize=True)
    t1 = np.einsum("inn->i", vv)
    t2 = np.einsum("inm,jmn->ij", vv, vv, optimize=True)
    f0, log_det = c.T @ vc, np.linalg.slogdet(marginal(data, g))[1]
    r2 = 1 / np.linalg.inv(f0)[-1, -1]
    n, p = data.rows.X.shape
    return Moments(n, p, np.asarray(g, float), f0, f1, t1, float(log_det), float(r2), Dense(f2, t2))


class AtFit(NamedTuple):
    """n × n matrices at a fit: V, P = V⁻¹ − V⁻¹XΦX'V⁻¹, X(X'V⁻¹X)⁻¹X'V⁻¹, and Φ."""

    V: np.ndarray
    P: np.ndarray
    hat: np.ndarray
    phi: np.ndarray


def at_fit(fit: Fit) -> AtFit:
    """The matrices of a fit's own variances, over the columns of X kept."""
    v, x = marginal(fit, g_of(fit, fit.theta)), fit.rows.X[:, fit.kept]
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    return AtFit(v, inverse - inverse @ x @ phi @ x.T @ inverse, x @ phi @ x.T @ inverse, phi)


def modes(data: Data, theta: np.ndarray, reml: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
    """Conditional modes (J, q) and, given β and θ, conditional covariances (J, q, q) of each term."""
    beta, _, r2, v = solve(data, theta)
    sigma2 = r2 / (data.rows.n - (data.rows.X.shape[1] if reml else 0))
    solved = linalg.solve(v, response(data) - data.rows.X @ beta, assume_a="pos")
    out = []
    for term, own, lam in zip(data.design.terms, data.rows.terms, relative_factors(data, theta)):
        z, cov = blocks(term, own), lam @ lam.T
        gz = np.einsum("rs,snj->jrn", cov, z)
        vz = np.linalg.solve(v, gz.reshape(-1, len(v)).T).T.reshape(gz.shape)
        out.append((gz @ solved, sigma2 * (cov - np.einsum("jrn,jsn->jrs", gz, vz))))
    return out


EXAMPLE_THETA = np.array([0.8, 0.3, 0.5, 0.6, 0.4, 0.7])


def example() -> Data:
    """Weights, two crossed factors with slopes, and a term on whose effects a row loads several times."""
    rng = np.random.default_rng(1)
    n = 24
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    g, h = np.arange(n) % 6, np.arange(n) // 6
    loadings = sparse.csr_array(rng.normal(size=(n, 3)))
    terms = (
        RandomTerm("g", pd.Index(range(6)), ("(Intercept)", "x")),
        RandomTerm("h", pd.Index(range(4)), ("(Intercept)", "x"), "diagonal"),
        RandomTerm("m", pd.Index(range(3)), ("m",), "diagonal", loaded=True),
    )
    loads = (TermRows(g, x), TermRows(h, x), TermRows(None, np.zeros((n, 0)), loadings))
    design = Design(terms, ("Intercept", "x"), "y", n, weighted=True)
    return Data(design, Rows(rng.normal(size=n), x, loads, rng.uniform(1, 2, n)))
