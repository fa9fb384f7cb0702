"""From derivatives in the covariance G to derivatives in coordinates of a root of it.

G = RR' with R linear in the coordinates x: R = R_0 + Σ x_i R_i. Then, Γ being the matrix with df = tr Γ dG,

    G_i = R_iR' + RR_i'      f_i = Σ_g f_g G_i[g]      f_ij = Σ_gh f_gh G_i[g] G_j[h] + 2 tr Γ R_iR_j'

The boundary of the covariances (G singular) is no boundary in x, which is why a minimisation runs in x. But there
f_i = 0 says nothing about Γ, and `descent_off_boundary` looks at it.
"""

from __future__ import annotations

import numpy as np

from henderson.covariance.layout import Layout

FloatArray = np.ndarray


def gradient_matrix(layout: Layout, d_g: FloatArray) -> FloatArray:
    """Γ with df = tr Γ dG: (n_g, B) → (Q, Q, B)."""
    return np.tensordot(layout.dual, d_g, (0, 0))


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
    jacobian = layout.g(turned.transpose(1, 2, 0, 3))
    gradient = np.einsum("gib,gb->ib", jacobian, d_g)
    gamma_r = np.einsum("rsb,isub->irub", gradient_matrix(layout, d_g), directions)
    hessian = 2 * np.einsum("irub,jrub->ijb", gamma_r, directions)
    hessian += np.einsum("gib,gjb->ijb", jacobian, np.einsum("ghb,hjb->gjb", dd_g, jacobian))
    return gradient, hessian, jacobian


def descent_off_boundary(
    layout: Layout, d_g: FloatArray, dd_g: FloatArray, tol: float
) -> tuple[np.ndarray, FloatArray]:
    """Members whose function falls when the covariance gains a rank, and what to add to it.

    For each term, E is the direction of its structure in which f falls fastest (`Structure.off_boundary`; vv' with v
    the eigenvector of Γ's lowest eigenvalue where any covariance is allowed). Along G + tE the function begins with
    slope tr ΓE and curvature h; it can fall by (tr ΓE)²/2h.

    Returns
    -------
    members : int array
    step : (Q, Q, len(members)) array
        tE, the Newton step along it, summed over the terms.
    """
    batch = d_g.shape[1]
    gamma = gradient_matrix(layout, d_g)
    step, gain = np.zeros_like(gamma), np.zeros(batch)
    for slope, direction in layout.off_boundary(np.ascontiguousarray(gamma.transpose(2, 0, 1))):
        whole = direction.transpose(1, 2, 0)
        g = layout.g(whole)
        curvature = np.maximum(np.einsum("gb,ghb,hb->b", g, dd_g, g), np.abs(slope))
        falls = slope < 0
        gain += np.where(falls, slope**2 / (2 * np.maximum(curvature, 1e-300)), 0.0)
        step += np.where(falls, -slope / np.maximum(curvature, 1e-300), 0.0) * whole
    members = np.flatnonzero(gain > tol)
    return members, step[:, :, members]
