"""Residuals scaled by the Cholesky factor of Var(y), without that matrix: each row given the rows before it.

With Var(y) = LL', the i-th entry of L⁻¹r is (r_i − E[r_i | r_1 … r_{i−1}]) / √Var(r_i | r_1 … r_{i−1}). Only the
spherical effects u of a row's own component, b = λu, connect rows, so with z_i'λ for z_i and with their mean m and
covariance K (relative to σ²) given the former,

    1. d = r_i − z_i'm,   f = z_i'Kz_i + 1/w_i        L⁻¹r_i = d / (σ√f)
    2. k = Kz_i/f,        m ← m + kd,   K ← K − k k'f

starting from m = 0, K = I. Components go side by side, their t-th rows together. (Of a slope on a covariate far from
zero G has lost its digits, and λ has not.)
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from henderson.engine.fit import Fit
from henderson.engine.many.components import component_of_rows, effects_of_components
from henderson.errors import DataError

FloatArray = np.ndarray

#: effects of a component above which its covariance, updated row by row, is refused
LARGEST = 1500


def scaled(fit: Fit, r: FloatArray) -> FloatArray:
    """L⁻¹r for marginal residuals r (n,), in the order of the rows.

    Raises
    ------
    DataError
        When crossed factors connect more effects than can be conditioned on row by row.
    """
    rows, terms = fit.rows, fit.design.terms
    sizes = effects_of_components(fit.design, rows)
    if sizes.max() > LARGEST:
        raise DataError(
            f"scaled residuals condition each row on those before it, with up to {LARGEST} connected random effects; "
            f"this model connects {sizes.max()}. kind='pearson' and kind='quantile' have no such limit"
        )
    component = component_of_rows(fit.design, rows)
    working = zip(rows.terms, fit.roots, fit.working_terms, terms)
    spherical = [own.turned(T).turned(lam).matrix(term.n_levels) for own, T, lam, term in working]
    z = sparse.csr_array(sparse.hstack(spherical, "csr"))
    owner = _owners(z, component)
    out = np.empty(fit.n)
    for size in np.unique(sizes):
        _together(out, np.flatnonzero(sizes == size), int(size), component, z, owner, r, rows.unit_weights)
    return out / fit.sigma


def _owners(z: sparse.csr_array, component: np.ndarray) -> np.ndarray:
    """Component of each effect, (R,); −1 for one without rows."""
    entries = z.tocoo()
    owner = np.full(z.shape[1], -1)
    owner[entries.coords[1]] = component[entries.coords[0]]
    return owner


def _together(
    out: FloatArray,
    which: np.ndarray,
    size: int,
    component: np.ndarray,
    z: sparse.csr_array,
    owner: np.ndarray,
    r: FloatArray,
    weights: FloatArray,
) -> None:
    """Components of one size: steps 1 and 2 for their t-th rows, t = 1, 2, …"""
    number = np.full(int(component.max()) + 1, -1)
    number[which] = np.arange(len(which))
    effects = np.flatnonzero(np.isin(owner, which))
    effects = effects[np.argsort(number[owner[effects]], kind="stable")]
    count = np.bincount(number[owner[effects]], minlength=len(which))
    slot = np.zeros(z.shape[1], int)  # place of an effect within its component
    slot[effects] = np.arange(len(effects)) - np.repeat(np.cumsum(count) - count, count)
    mine = np.flatnonzero(number[component] >= 0)
    loads = np.zeros((len(mine), size))
    entries = z[mine].tocoo()
    loads[entries.coords[0], slot[entries.coords[1]]] = entries.data
    K = np.tile(np.eye(size), (len(which), 1, 1))
    m = np.zeros((len(which), size))
    owners = number[component[mine]]
    order = np.argsort(owners, kind="stable")
    turn = np.empty(len(mine), int)
    lengths = np.bincount(owners, minlength=len(which))
    turn[order] = np.arange(len(mine)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    steps = np.argsort(turn, kind="stable")
    edges = np.cumsum([0, *np.bincount(turn)])
    for t in range(len(edges) - 1):
        now = steps[edges[t] : edges[t + 1]]
        c, zi = owners[now], loads[now]
        kz = np.einsum("cab,cb->ca", K[c], zi)
        d = r[mine[now]] - np.einsum("ca,ca->c", zi, m[c])
        f = np.einsum("ca,ca->c", zi, kz) + 1 / weights[mine[now]]
        out[mine[now]] = d / np.sqrt(f)
        m[c] += kz * (d / f)[:, None]
        K[c] -= kz[:, :, None] * kz[:, None, :] / f[:, None, None]
