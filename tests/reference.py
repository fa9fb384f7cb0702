"""The model in dense n × n algebra, straight from its definition: what the engine is tested against.

V = W⁻¹ + Σ_i G_i V_i with Var(y) = σ² V. Slow and obvious; knows `design` and `covariance` only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import linalg, sparse

from henderson.contract.design import Design, RandomTerm
from henderson.covariance.layout import Layout, layouts_of
from henderson.engine.moments import Moments


def blocks(term: RandomTerm) -> np.ndarray:
    """Z of a term, one matrix a column: (q, n, J)."""
    if term.loadings is not None:
        return term.loadings.toarray()[None]
    indicator = term.codes[:, None] == np.arange(term.n_levels)
    return np.stack([indicator * column[:, None] for column in term.columns.T])


def layouts(design: Design) -> tuple[Layout, ...]:
    """Where θ goes in the λ of each term."""
    return layouts_of(design.terms)


def split(design: Design, theta: np.ndarray) -> list[np.ndarray]:
    """θ term by term."""
    return np.split(np.asarray(theta, float), np.cumsum([layout.n_theta for layout in layouts(design)])[:-1])


def relative_factors(design: Design, theta: np.ndarray) -> list[np.ndarray]:
    """λ of each term, (q, q)."""
    return [layout.lam(part) for layout, part in zip(layouts(design), split(design, theta))]


def g_of(design: Design, theta: np.ndarray) -> np.ndarray:
    """The G parameters of a θ."""
    return np.concatenate(
        [layout.g(lam @ lam.T) for layout, lam in zip(layouts(design), relative_factors(design, theta))]
    )


def derivatives(design: Design) -> np.ndarray:
    """V_i = ∂V/∂G_i for every G parameter, (k, n, n)."""
    out = []
    for term, layout in zip(design.terms, layouts(design)):
        z = blocks(term)
        out.append(np.einsum("irs,rmj,snj->imn", layout.basis(), z, z, optimize=True))
    return np.concatenate(out)


def marginal(design: Design, g: np.ndarray) -> np.ndarray:
    """V at the G parameters, (n, n)."""
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    return np.diag(1 / weights) + np.tensordot(g, derivatives(design), 1)


def response(design: Design) -> np.ndarray:
    """y without the offset."""
    return design.y if design.offset is None else design.y - design.offset


def solve(design: Design, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """β̂, X'V⁻¹X, r² and V at a θ."""
    v = marginal(design, g_of(design, theta))
    vx = linalg.solve(v, design.X, assume_a="pos")
    information = design.X.T @ vx
    beta = linalg.solve(information, vx.T @ response(design)) if design.X.shape[1] else np.zeros(0)
    resid = response(design) - design.X @ beta
    return beta, information, float(resid @ linalg.solve(v, resid, assume_a="pos")), v


def deviance(design: Design, theta: np.ndarray, reml: bool = True) -> float:
    """Profiled −2 log (restricted) likelihood at a θ."""
    _, information, r2, v = solve(design, theta)
    n = len(design.y) - (design.X.shape[1] if reml else 0)
    logdet = np.linalg.slogdet(v)[1] + (np.linalg.slogdet(information)[1] if reml else 0.0)
    return float(logdet + n * (1 + np.log(2 * np.pi * r2 / n)))


def moments(design: Design, g: np.ndarray) -> Moments:
    """All moments at the G parameters, from their definitions."""
    c = np.column_stack([design.X, response(design)])
    inverse = np.linalg.inv(marginal(design, g))
    v = derivatives(design)
    vc, vv = inverse @ c, inverse @ v
    f1 = np.einsum("na,inm,mb->iab", vc, v, vc, optimize=True)
    vvc = v @ vc
    f2 = np.einsum("ina,nm,jmb->ijab", vvc, inverse, vvc, optimize=True)
    t1 = np.einsum("inn->i", vv)
    t2 = np.einsum("inm,jmn->ij", vv, vv, optimize=True)
    f0, log_det = c.T @ vc, np.linalg.slogdet(marginal(design, g))[1]
    r2 = 1 / np.linalg.inv(f0)[-1, -1]
    return Moments(len(c), design.X.shape[1], np.asarray(g, float), f0, f1, f2, t1, t2, float(log_det), float(r2))


def modes(design: Design, theta: np.ndarray, reml: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
    """Conditional modes (J, q) and, given β and θ, conditional covariances (J, q, q) of each term."""
    beta, _, r2, v = solve(design, theta)
    sigma2 = r2 / (len(design.y) - (design.X.shape[1] if reml else 0))
    solved = linalg.solve(v, response(design) - design.X @ beta, assume_a="pos")
    out = []
    for term, lam in zip(design.terms, relative_factors(design, theta)):
        z, cov = blocks(term), lam @ lam.T
        gz = np.einsum("rs,snj->jrn", cov, z)
        vz = np.linalg.solve(v, gz.reshape(-1, len(v)).T).T.reshape(gz.shape)
        out.append((gz @ solved, sigma2 * (cov - np.einsum("jrn,jsn->jrs", gz, vz))))
    return out


EXAMPLE_THETA = np.array([0.8, 0.3, 0.5, 0.6, 0.4, 0.7])


def example() -> Design:
    """Weights, two crossed factors with slopes, and a term on whose effects a row loads several times."""
    rng = np.random.default_rng(1)
    n = 24
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    g, h = np.arange(n) % 6, np.arange(n) // 6
    loadings = sparse.csr_array(rng.normal(size=(n, 3)))
    terms = (
        RandomTerm("g", g, pd.Index(range(6)), x, ("(Intercept)", "x")),
        RandomTerm("h", h, pd.Index(range(4)), x, ("(Intercept)", "x"), "diagonal"),
        RandomTerm("m", None, pd.Index(range(3)), np.zeros((n, 0)), ("m",), "diagonal", loadings),
    )
    return Design(rng.normal(size=n), x, terms, "y", ("Intercept", "x"), weights=rng.uniform(1, 2, n))
