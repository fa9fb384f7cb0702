"""The joint covariance of (β, G): the inverse of their observed information, statsmodels' standard errors.

It is computed in the working basis where the fit allows, and turned: cov(β, g) = T C T', T = B̃ ⊕ M. In the user's units
the parameters of a term with a covariate far from zero are all but collinear.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from henderson.engine import likelihood
from henderson.engine.fit import Fit
from henderson.errors import SingularMatrixWarning
from henderson.inference.fit_moments import FitMoments
from henderson.inference.information import curvature, surface_hessian, tangent
from henderson.numerics.linalg import pseudo_inverse, scaled_inverse, sizes

FloatArray = np.ndarray

#: an eigenvalue below minus this is negative, where the diagonal is one
_ROUNDING = 1e-10


@dataclass(frozen=True)
class Joint:
    """The joint covariance, and the point that it belongs to.

    Attributes
    ----------
    point : likelihood.Point
        Moments in the working basis; in the user's units for a fit with masks.
    beta : (p,) array
        Of the same basis.
    cov : (p + k, p + k) array
        Of β over the columns kept and G in the order of θ, in the same basis; zero for what was held fixed.
    to_user : (p + k, p + k) array
        T: the user's covariance is T cov T'.
    is_definite : bool
        Whether the information is positive definite. On the boundary of the parameter space it need not be, and then
        what the inverse says of variances means nothing.
    """

    point: likelihood.Point
    beta: FloatArray
    cov: FloatArray
    to_user: FloatArray
    is_definite: bool = True

    @property
    def in_user_units(self) -> FloatArray:
        """T cov T', (p + k, p + k)."""
        return self.to_user @ self.cov @ self.to_user.T

    def shown(self, scale: float) -> tuple[FloatArray, float]:
        """Variances of the entries of σ²G, (k,), and of σ² (delta method).

        With C = cov, σ² = q(β, g)/N and J = ∂σ²/∂(β, g): Var σ² = 2σ⁴/N + J C J', and
        Cov σ²g = σ⁴ C_gg + σ² (g (CJ)_g' + (CJ)_g g') + g g' Var σ².
        """
        d_beta, d_g, n = likelihood.d_scale(self.point, self.beta)
        jacobian = np.concatenate([d_beta, d_g])
        p, g = len(d_beta), self.point.moments.g
        with_scale = self.cov @ jacobian
        var_scale = 2 * scale**2 / n + float(jacobian @ with_scale)
        mixed = scale * np.outer(g, with_scale[p:])
        cov = scale**2 * self.cov[p:, p:] + mixed + mixed.T + var_scale * np.outer(g, g)
        M = self.to_user[p:, p:]
        return np.einsum("ia,ab,ib->i", M, cov, M), var_scale


def joint_of(
    point: likelihood.Point, beta: FloatArray, *, free: FloatArray | None = None, to_user: FloatArray | None = None
) -> Joint:
    """The joint covariance at a point: the inverse of −∂²ℓ/∂(β, G)².

    Parameters
    ----------
    point : likelihood.Point
    beta : (p,) array
        In the units of the point's columns.
    free : (p + k,) bool array, optional
        Which of (β, G) were estimated; by default all.
    to_user : (p + k, p + k) array, optional
        T; by default the point is in the user's units.
    """
    size = len(beta) + len(point.moments.g)
    free = np.ones(size, bool) if free is None else free
    information = -likelihood.hessian(point, beta, stationary=True)
    cov = np.zeros((size, size))
    of_free = information[np.ix_(free, free)]
    cov[np.ix_(free, free)] = _inverse(of_free)
    return Joint(point, beta, cov, np.eye(size) if to_user is None else to_user, _is_definite(of_free))


def joint_of_fit(fit: Fit, beta: FloatArray | None = None) -> Joint:
    """The joint covariance at a fit, by way of the working basis.

    Parameters
    ----------
    fit : Fit
    beta : (p,) array, optional
        Over the columns kept, in the user's units; by default the fit's.
    """
    working, basis = FitMoments(fit).working, fit.criterion.basis
    beta = fit.beta[fit.kept] if beta is None else beta
    p, k = len(beta), len(working.relative.g)
    to_user = np.zeros((p + k, p + k))
    to_user[:p, :p], to_user[p:, p:] = working.to_beta, working.to_g[:k, :k]
    point = likelihood.Point(working.relative, fit.reml)
    return joint_of(point, basis.from_beta @ (beta - basis.beta0), to_user=to_user)


def fixed_of_surface(fit: Fit) -> tuple[FloatArray, bool]:
    """Covariance of β̂ (p, p), in the working basis, from the joint observed information of β and all variance
    parameters that are free, the residual's among them, and whether that is positive definite: of models whose G
    parameters are not all that, and those whose residuals have a structure.

    With d = −2ℓ, Σ = σ²V, A the directions in which g moves (`information.tangent`) and F = A'X'V⁻¹V_iV⁻¹e/σ², −∂²ℓ is
    [X'Σ⁻¹X, F'; F, ½ ∂²d], ∂²d at β fixed along A.
    """
    working = FitMoments(fit).working
    at, along, p = curvature(working), tangent(working), working.moments.p
    joint, cross = at.joint, at.cross
    if along is not None:
        joint, cross = along.T @ joint @ along + surface_hessian(working, at.gradient), along.T @ cross
    information = np.empty((p + len(joint),) * 2)
    information[:p, :p] = working.moments.f0[:p, :p] / working.scale
    information[p:, :p], information[:p, p:], information[p:, p:] = cross, cross.T, joint / 2
    return _inverse(information)[:p, :p], _is_definite(information)


def _is_definite(information: FloatArray) -> bool:
    """Whether all eigenvalues are positive, each parameter in its own unit; a few roundings are forgiven."""
    size = sizes(information)
    return bool(np.linalg.eigvalsh(information / np.outer(size, size)).min(initial=0.0) >= -_ROUNDING)


def _inverse(information: FloatArray) -> FloatArray:
    """Inverse in any units; a pseudo-inverse, with a warning, when there is none."""
    try:
        return scaled_inverse(information)
    except np.linalg.LinAlgError:
        warnings.warn("The information matrix is singular.", SingularMatrixWarning, stacklevel=5)
        return pseudo_inverse(information)
