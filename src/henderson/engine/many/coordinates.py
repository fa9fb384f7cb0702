"""From derivatives in the covariance G to derivatives in coordinates of a root of it.

G = RR' with R linear in the coordinates x: R = R_0 + Σ x_i R_i. Then, Γ being the matrix with df = tr Γ dG,

    G_i = R_iR' + RR_i'      f_i = Σ_g f_g G_i[g]      f_ij = Σ_gh f_gh G_i[g] G_j[h] + 2 tr Γ R_iR_j'

The boundary of the covariances (G singular) is no boundary in x, which is why a minimisation runs in x. But there
f_i = 0 says nothing about Γ, and `descent_off_boundary` looks at it.
"""

from __future__ import annotations

import numpy as np

from henderson.covariance.structures import Layout

FloatArray = np.ndarray


def triangular_directions(layout: Layout) -> FloatArray:
    """The R_i of a lower triangular root that the layout's θ fills, (k, Q, Q, 1)."""
    out = np.zeros((layout.n_theta, layout.q, layout.q, 1))
    out[layout.parameter, layout.entries[:, 0], layout.entries[:, 1]] = 1.0
    return out


def parameters_of(layout: Layout, cov: FloatArray) -> FloatArray:
    """g of a batch of covariances: (Q, Q, B) → (k, B)."""
    g = np.zeros((layout.n_theta, cov.shape[2]))
    g[layout.parameter] = cov[layout.entries[:, 0], layout.entries[:, 1]]
    return g


def gradient_matrix(layout: Layout, d_g: FloatArray) -> FloatArray:
    """Γ with df = tr Γ dG: (k, B) → (Q, Q, B)."""
    rows, columns = layout.entries.T
    share = np.bincount(layout.parameter)[layout.parameter] * np.where(rows == columns, 1.0, 2.0)
    out = np.zeros((layout.q, layout.q, d_g.shape[1]))
    out[rows, columns] = d_g[layout.parameter] / share[:, None]
    out[columns, rows] = out[rows, columns]
    return out


def chain(
    layout: Layout, root: FloatArray, directions: FloatArray, d_g: FloatArray, dd_g: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Derivatives in the coordinates.

    Parameters
    ----------
    layout : Layout
    root : (Q, Q, B) array
    directions : (m, Q, Q, B or 1) array
        The R_i.
    d_g, dd_g : (k, B), (k, k, B) arrays
        Derivatives in g.

    Returns
    -------
    gradient : (m, B) array
    hessian : (m, m, B) array
    jacobian : (k, m, B) array
        ∂g/∂x.
    """
    half = np.einsum("irub,sub->irsb", directions, root)
    turned = half + half.transpose(0, 2, 1, 3)
    jacobian = np.zeros((layout.n_theta, len(directions), root.shape[2]))
    jacobian[layout.parameter] = turned[:, layout.entries[:, 0], layout.entries[:, 1]].transpose(1, 0, 2)
    gradient = np.einsum("gib,gb->ib", jacobian, d_g)
    gamma_r = np.einsum("rsb,isub->irub", gradient_matrix(layout, d_g), directions)
    hessian = 2 * np.einsum("irub,jrub->ijb", gamma_r, directions)
    hessian += np.einsum("gib,gjb->ijb", jacobian, np.einsum("ghb,hjb->gjb", dd_g, jacobian))
    return gradient, hessian, jacobian


def descent_off_boundary(
    layout: Layout, d_g: FloatArray, dd_g: FloatArray, tol: float
) -> tuple[np.ndarray, FloatArray]:
    """Members whose function falls when the covariance gains a rank, and what to add to it.

    For each unstructured term, v is the eigenvector of the lowest eigenvalue of its part of Γ. Along G + tvv' the
    function begins with slope v'Γv and curvature h; it can fall by (v'Γv)²/2h.

    Returns
    -------
    members : int array
    step : (Q, Q, len(members)) array
        tvv', the Newton step along it, summed over the terms.
    """
    batch = d_g.shape[1]
    gamma = gradient_matrix(layout, d_g)
    step, gain = np.zeros_like(gamma), np.zeros(batch)
    for term, structure in zip(layout.terms, layout.structures):
        block = gamma[term, term]
        if structure == "unstructured":
            values, vectors = np.linalg.eigh(np.ascontiguousarray(block.transpose(2, 0, 1)))
            slope, v = values[:, 0], vectors[:, :, 0].T
            along = np.einsum("rb,sb->rsb", v, v)
        else:
            diagonal = np.einsum("rrb->rb", block)
            slope = diagonal.min(0) if structure == "diagonal" else diagonal.sum(0)
            lowest = np.eye(len(diagonal))[:, diagonal.argmin(0)] if structure == "diagonal" else np.ones_like(diagonal)
            along = np.einsum("rb,rs->rsb", lowest, np.eye(len(diagonal)))
        whole = np.zeros_like(gamma)
        whole[term, term] = along
        g = parameters_of(layout, whole)
        curvature = np.maximum(np.einsum("gb,ghb,hb->b", g, dd_g, g), np.abs(slope))
        falls = slope < 0
        gain += np.where(falls, slope**2 / (2 * np.maximum(curvature, 1e-300)), 0.0)
        step += np.where(falls, -slope / np.maximum(curvature, 1e-300), 0.0) * whole
    members = np.flatnonzero(gain > tol)
    return members, step[:, :, members]
