"""The joint covariance of (β, G): the inverse of their observed information, statsmodels' standard errors.

It is computed in the working basis where the fit allows, and turned: cov(β, g) = T C T', T = B̃ ⊕ M. In the user's units
the parameters of a term with a covariate far from zero are all but collinear.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from henderson.engine import likelihood
from henderson.errors import SingularMatrixWarning

if TYPE_CHECKING:
    from henderson.compat.statsmodels.results import MixedLMResults

FloatArray = np.ndarray


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
    """

    point: likelihood.Point
    beta: FloatArray
    cov: FloatArray
    to_user: FloatArray

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


def joint_covariance(results: MixedLMResults) -> Joint:
    """The joint covariance at results, ML or REML."""
    from henderson.inference.fit_moments import Setting

    kept = results.engine.kept
    beta = results.params_object.fe_params[kept]
    p, k = len(beta), len(results.model._packing.index)
    free = _free(results)
    if results._outcome.same_design and free.all():
        setting = Setting.of(results.engine).working
        basis = results.engine.criterion.basis
        point = likelihood.Point(setting.relative, results.reml)
        beta = basis.to_user()[:-1, :-1] @ (beta - basis.beta0)
        to_user = np.zeros((p + k, p + k))
        to_user[:p, :p], to_user[p:, p:] = setting.to_beta, setting.to_g[:k, :k]
    else:
        point, to_user = likelihood.Point(results.moments, results.reml), np.eye(p + k)
    information = -likelihood.hessian(point, beta, stationary=True)
    cov = np.zeros((p + k, p + k))
    cov[np.ix_(free, free)] = inverse(information[np.ix_(free, free)])
    return Joint(point, beta, cov, to_user)


def _free(results: MixedLMResults) -> FloatArray:
    """Which of (β, G) were estimated, (p + k,) bool."""
    packing, kept = results.model._packing, results.engine.kept
    beta, g = np.ones(len(kept), bool), np.ones(len(packing.index), bool)
    if results.freepat is not None:
        entries = np.asarray(results.freepat.cov_re)[tuple(packing.entries.T)]
        beta = np.asarray(results.freepat.fe_params, bool)
        g[packing.index] = np.concatenate([entries, results.freepat.vcomp]).astype(bool)
    if results._outcome.zero is not None:
        beta = beta & ~results._outcome.zero
    return np.concatenate([beta[kept], g])


def inverse(information: FloatArray) -> FloatArray:
    """Inverse of a symmetric matrix in any units; a pseudo-inverse, with a warning, when there is none."""
    size = np.sqrt(np.abs(np.diag(information)))
    size = np.where(size > 0, size, 1.0)
    scaled = information / size[:, None] / size
    try:
        found = np.linalg.inv(scaled)
    except np.linalg.LinAlgError:
        warnings.warn("The information matrix is singular.", SingularMatrixWarning, stacklevel=5)
        found = np.linalg.pinv(scaled, hermitian=True)
    return (found + found.T) / 2 / size[:, None] / size
