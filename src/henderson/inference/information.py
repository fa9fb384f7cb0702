"""Observed and expected information of the variance parameters, and of β with them, from the moments.

With Σ = σ² V, V = Σ_i g_i V_i linear in g (the residual last), P = V⁻¹ − V⁻¹XΦX'V⁻¹ and d = −2 log (restricted)
likelihood,

    ∂d/∂g_i      =  tr PV_i − y'PV_iPy / σ²
    ∂²d/∂g_i∂g_j = −tr PV_iPV_j + 2 y'PV_iPV_jPy / σ²        (β profiled out)

with V⁻¹ for P in the traces under ML. The traces and forms are

    tr PV_i = t1_i + tr ΦP_i        tr PV_iPV_j = T2_ij − 2 tr ΦQ_ij + tr ΦP_iΦP_j        Py = V⁻¹(y − Xβ̂).

In (θ, ρ), g = (ρ G(θ), ρ): J'HJ + Σ_i (∂d/∂g_i) ∂²g_i, the second term alive only at the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from henderson.contract.constraints import Constraints
from henderson.contract.design import Design
from henderson.covariance.layout import Layout, consecutive, layouts_of
from henderson.engine.likelihood import first_derivatives, information, second_derivatives
from henderson.inference.fit_moments import FitMoments
from henderson.numerics.linalg import symmetric

FloatArray = np.ndarray

#: singular value of ∂g/∂θ, beside the largest, of a direction in which g does not move
SPANNED = 1e-10


@dataclass(frozen=True)
class Curvature:
    """Derivatives of d with respect to g (k + 1 parameters, the residual's last, all relative to σ²).

    Attributes
    ----------
    gradient : (k + 1,) array
    observed : (k + 1, k + 1) array
        Hessian of d, β profiled out.
    joint : (k + 1, k + 1) array
        Hessian of d at β fixed: the block of the joint Hessian in (β, g).
    expected : (k + 1, k + 1) array
        tr PV_iPV_j, twice the expected information.
    cross : (k + 1, p) array
        X'V⁻¹V_iV⁻¹e / σ²: half of ∂²d/∂β∂g_i.
    """

    gradient: FloatArray
    observed: FloatArray
    joint: FloatArray
    expected: FloatArray
    cross: FloatArray


def curvature(fitted: FitMoments) -> Curvature:
    """Gradient, Hessian and information at the fit, ML or REML as fitted."""
    return fitted.once("curvature", lambda: _curvature(fitted))


def _curvature(fitted: FitMoments) -> Curvature:
    moments, phi, scale, v = fitted.moments, fitted.phi, fitted.scale, fitted.residual_direction
    restricted = phi if fitted.fit.reml else None
    expected = information(moments, phi)
    first = first_derivatives(moments, v, restricted)
    second = second_derivatives(moments, v, restricted, None if restricted is None else expected)
    cross = first.cross / scale
    joint = second.logdet + second.r2 / scale
    return Curvature(
        gradient=first.logdet + first.r2 / scale,
        observed=symmetric(joint - 2 * scale * cross @ phi @ cross.T),
        joint=symmetric(joint),
        expected=expected,
        cross=cross,
    )


@dataclass(frozen=True)
class Coordinates:
    """The map from (θ, ρ) to g = (ρ G(θ), ρ), at ρ = 1.

    Attributes
    ----------
    jacobian : (k + 1, n_theta + 1) array
        ∂g_i/∂(θ, ρ)_a; k = n_g.
    second : (k + 1, n_theta + 1, n_theta + 1) array
        ∂²g_i/∂(θ, ρ)_a∂(θ, ρ)_b, first axis i.
    """

    jacobian: FloatArray
    second: FloatArray


def still_of(fitted: FitMoments) -> Constraints | None:
    """What does not move: variances that are held or equal, and a residual variance of zero."""
    fit = fitted.fit
    if fit.has_no_residual:
        return Constraints(residual=fit.residual_variance)
    return fitted.design.constraints


def coordinates_of(fitted: FitMoments) -> Coordinates:
    """The coordinates of a fit: (θ, ρ); where the residual has a structure (θ, ψ), λ relative to the fit's scale."""
    design = fitted.design
    own = coordinates(design, fitted.lam)
    if design.residual is None:
        return own
    n, k = own.jacobian.shape[1] - 1, len(own.jacobian) - 1
    f = n + len(fitted.moments.g) - k
    jacobian, second = np.zeros((len(fitted.moments.g), f)), np.zeros((len(fitted.moments.g), f, f))
    jacobian[:k, :n], jacobian[k:, n:] = own.jacobian[:k, :n], np.eye(f - n)
    second[:k, :n, :n] = own.second[:k, :n, :n]
    if (constraints := still_of(fitted)) is None:
        return Coordinates(jacobian, second)
    sizes = [min(one.n_theta, one.n_g) for one in layouts_of(design.terms)]
    P = constraints.selection(sizes, f - n)
    return Coordinates(jacobian @ P, P.T @ second @ P)


def coordinates(design: Design, lam: tuple[FloatArray, ...]) -> Coordinates:
    """Derivatives of G(θ) = λλ' at the places that the structures leave free, and of the scale.

    A term with more θ than G has entries (many factors) has these for coordinates.
    """
    layouts = layouts_of(design.terms)
    sizes = [min(one.n_theta, one.n_g) for one in layouts]
    thetas, gs = consecutive(sizes), consecutive([one.n_g for one in layouts])
    n, k = sum(sizes), sum(one.n_g for one in layouts)
    jacobian, second = np.zeros((k + 1, n + 1)), np.zeros((k + 1, n + 1, n + 1))
    for term, (layout, one, own, to) in enumerate(zip(layouts, lam, thetas, gs)):
        jacobian[to, n] = layout.g(one @ one.T)
        if layout.n_theta > layout.n_g or _is_signed(design, term):
            jacobian[to, own] = np.eye(layout.n_g)
            continue
        theta = layout.theta(one)
        jacobian[to, own] = layout.g(layout.directions(theta).transpose(1, 2, 0))
        second[to, own, own] = layout.g(layout.second_directions(theta).transpose(2, 3, 0, 1))
    jacobian[k, n] = 1.0
    second[:k, :n, n] = second[:k, n, :n] = jacobian[:k, :n]
    return Coordinates(jacobian, second)


def tangent(fitted: FitMoments) -> FloatArray | None:
    """Directions in which g can move, (k + 1, m); None where it can in all.

    A structure whose λ is not linear in θ has covariances on a surface within the span of its basis: there the columns
    are ∂g/∂θ. Of the other terms, and of the residual, they are the G parameters themselves.
    """
    layouts, lam = layouts_of(fitted.design.terms), fitted.lam
    constraints = still_of(fitted)
    if all(layout.linear for layout in layouts) and constraints is None:
        return None
    of_residual = len(fitted.moments.g) - sum(layout.n_g for layout in layouts)
    own = [np.eye(layout.n_g) if layout.linear else _surface(layout, one) for layout, one in zip(layouts, lam)]
    along = np.asarray(block_diag(*own, np.eye(of_residual)))
    return along if constraints is None else along @ constraints.selection([one.shape[1] for one in own], of_residual)


def surface_hessian(fitted: FitMoments, gradient: FloatArray) -> FloatArray:
    """Σ_a ∂d/∂g_a ∂²g_a over the columns of `tangent`, (m, m): what the observed Hessian there has besides."""
    layouts, constraints = layouts_of(fitted.design.terms), still_of(fitted)
    of_residual = len(fitted.moments.g) - sum(layout.n_g for layout in layouts)
    blocks, sizes = [], []
    for layout, lam, to in zip(layouts, fitted.lam, consecutive([one.n_g for one in layouts])):
        size = layout.n_g if layout.linear else _surface(layout, lam).shape[1]
        sizes.append(size)
        if layout.linear or any(one.redundant for one in layout.structures):
            blocks.append(np.zeros((size, size)))
        else:
            second = layout.g(layout.second_directions(layout.theta(lam)).transpose(2, 3, 0, 1))
            blocks.append(np.tensordot(gradient[to], second, 1))
    whole = np.asarray(block_diag(*blocks, np.zeros((of_residual, of_residual))))
    if constraints is None:
        return whole
    P = constraints.selection(sizes, of_residual)
    return np.asarray(P.T @ whole @ P)


def surface_bend(fitted: FitMoments, w: FloatArray) -> FloatArray:
    """Σ_ij W_ij ∂²g/∂ψ_i∂ψ_j, (k + 1,), of random effects whose covariance is not linear in SAS's parameters ψ.

    `w` is the covariance of g (k + 1, k + 1), on the surface of such covariances: W = (∂g/∂ψ)⁺ w (∂g/∂ψ)⁺'.
    """
    layouts = layouts_of(fitted.design.terms)
    out = np.zeros(len(fitted.moments.g))
    for layout, lam, to in zip(layouts, fitted.lam, consecutive([one.n_g for one in layouts])):
        if layout.linear or layout.n_theta >= layout.n_g:
            continue
        found = layout.structures[0].natural(layout.theta(lam), layout.q)
        if found is None:
            continue
        first, second = layout.g(found[0].transpose(1, 2, 0)), layout.g(found[1].transpose(2, 3, 0, 1))
        back = np.linalg.pinv(first)
        out[to] = np.tensordot(second, back @ w[to, to] @ back.T, 2)
    return out


def _is_signed(design: Design, term: int) -> bool:
    """Whether a term's variance is its own coordinate, as it may be negative."""
    return design.constraints is not None and term in design.constraints.unbounded


def _surface(layout: Layout, lam: FloatArray) -> FloatArray:
    """∂g/∂θ, (n_g, n_theta); where several θ may move g alike (common factors), a basis of what they span."""
    along = layout.g(layout.directions(layout.theta(lam)).transpose(1, 2, 0))
    if not any(one.redundant for one in layout.structures):
        return along
    vectors, values, _ = np.linalg.svd(along, full_matrices=False)
    return vectors[:, values > SPANNED * values[0]]


def hessian_theta(fitted: FitMoments, at: Curvature, to: Coordinates) -> FloatArray:
    """Hessian of d in (θ, ρ), (n_theta + 1, n_theta + 1)."""
    return to.jacobian.T @ at.observed @ to.jacobian + np.tensordot(at.gradient, to.second, 1)
