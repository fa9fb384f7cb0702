"""What the inference methods need of a fit, each part computed when it is first asked for.

Units are the fit's own: Var(y) = σ² V, V = Σ_i g_i V_i over the G parameters and, last, the residual (g = 1). In them

    Φ = (X'V⁻¹X)⁻¹     P_i = −X'V⁻¹V_iV⁻¹X     Q_ij = X'V⁻¹V_iV⁻¹V_jV⁻¹X

are free of the scale of y, and cov(β̂) = σ² Φ.

The same in the working basis (`FitMoments.working`), β = β₀ + B̃β̃ and g = Mg̃, loses no digits where the user's units
do: a covariate in calendar years. Degrees of freedom and covariances are computed there, and their results turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from henderson.contract.design import Design
from henderson.covariance.roots import triangular
from henderson.engine.fit import Fit
from henderson.engine.moments import Moments
from henderson.inference.contrast_rows import ESTIMABLE
from henderson.numerics.linalg import scaled_inverse

FloatArray = np.ndarray
T = TypeVar("T")

#: distance from zero, in spreads of a covariate, up to which sums with vectors of the null space are told as ever
NEAR = 1e3
#: share of its terms that is rounding of a sum
ROUNDING = 1e-13


def fit_of(fit: Any) -> Fit:
    """The `Fit` of a fit or of results."""
    return fit if isinstance(fit, Fit) else fit.engine


@dataclass(frozen=True)
class FitMoments:
    """A fit, and lazily its moments with the residual as last parameter (k + 1 parameters in all).

    Attributes
    ----------
    fit : Fit
    in_working_basis : bool
        Whether moments, and what is made of them, are of the working basis' columns and parameters.
    """

    fit: Fit
    in_working_basis: bool = False

    @classmethod
    def of(cls, fit: Any) -> FitMoments:
        """From a fit or from results."""
        return fit if isinstance(fit, cls) else cls(fit_of(fit))

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """What was computed under a name before, or is now: a fit's curvature serves covariances and df alike."""
        if name not in self.__dict__:
            self.__dict__[name] = compute()
        return self.__dict__[name]

    @cached_property
    def working(self) -> FitMoments:
        """The same fit in the working basis."""
        return self if self.in_working_basis else FitMoments(self.fit, True)

    @cached_property
    def to_beta(self) -> FloatArray:
        """B̃ with β = β₀ + B̃β̃, (p, p); the identity in the user's units."""
        if not self.in_working_basis:
            return np.eye(int(self.kept.sum()))
        return self.fit.basis.to_beta

    @cached_property
    def to_g(self) -> FloatArray:
        """M with g = Mg̃, the residual's last, (k + 1, k + 1); the identity in the user's units."""
        out = np.eye(len(self.moments.g))
        if self.in_working_basis:
            turned = self.fit.to_user_g
            out[: len(turned), : len(turned)] = turned
        return out

    @cached_property
    def roots(self) -> tuple[FloatArray, ...]:
        """T of each term, G = T G̃ T' in the user's units; the identity in those."""
        return self.fit.roots if self.in_working_basis else tuple(np.eye(len(one)) for one in self.fit.lam)

    @cached_property
    def lam(self) -> tuple[FloatArray, ...]:
        """λ of each term, lower triangular, relative to the fit's scale."""
        relative = self.fit.sigma / np.sqrt(self.fit.scale)
        lam = self.fit.lam if relative == 1.0 else tuple(relative * one for one in self.fit.lam)
        if not self.in_working_basis:
            return lam
        return tuple(triangular(np.linalg.solve(T, one)) for T, one in zip(self.roots, lam))

    @property
    def design(self) -> Design:
        return self.fit.design

    @property
    def kept(self) -> FloatArray:
        """(p,) bool."""
        return np.asarray(self.fit.kept, bool)

    @property
    def beta(self) -> FloatArray:
        """(p,), NaN where dropped."""
        return self.fit.beta

    @property
    def scale(self) -> float:
        """σ²; for residuals with a structure the unit of y, squared."""
        return self.fit.scale

    @cached_property
    def relative(self) -> Moments:
        """Moments at the fit, without the residual."""
        found = self.fit.moments
        return found if self.in_working_basis else self.fit.moments_in_user_units

    @cached_property
    def moments(self) -> Moments:
        """Moments at the fit with the residual as last parameter."""
        return self.relative.with_residual

    @cached_property
    def phi(self) -> FloatArray:
        """Φ = (X'V⁻¹X)⁻¹, (p, p) over the columns kept."""
        p = self.moments.p
        return scaled_inverse(self.moments.f0[:p, :p])

    @cached_property
    def P(self) -> FloatArray:
        """P_i, (k + 1, p, p)."""
        p = self.moments.p
        return -self.moments.f1[:, :p, :p]

    @cached_property
    def Q(self) -> FloatArray:
        """Q_ij, (k + 1, k + 1, p, p)."""
        p = self.moments.p
        return self.moments.f2[:, :, :p, :p]

    @cached_property
    def residual_direction(self) -> FloatArray:
        """(−β̂, 1), for the basis' β: c times it is y − Xβ̂, (p + 1,)."""
        p = self.moments.p
        return np.append(-self.phi @ self.moments.f0[:p, p], 1.0)

    @cached_property
    def told(self) -> float:
        """Share of its terms from which the sum of a contrast's row times a vector of `null_space` is not zero: smaller
        where a covariate is far from zero, which of two values of it leaves the sum a small share of its terms."""
        basis = self.fit.basis
        if basis.redundant is None or not basis.redundant.size or not basis.shift.any():
            return ESTIMABLE
        spread = np.linalg.norm(np.asarray(self.fit.working_triangle @ basis.mixed, float), axis=0)
        far = np.abs(basis.shift) * np.sqrt(self.fit.n) / np.where(spread > 0, spread, np.inf)
        return max(ESTIMABLE * min(1.0, NEAR / float(far.max())), ROUNDING)

    @cached_property
    def null_space(self) -> FloatArray:
        """Basis of {a : X a = 0} from the columns dropped, (p, d)."""
        kept = self.kept
        basis = np.zeros((len(kept), int((~kept).sum())))
        if basis.size:
            x = self.fit.digest.x_triangle
            size = np.sqrt(np.einsum("ij,ij->j", x, x))
            size = np.where(size > 0, size, 1.0)
            if (redundant := self.fit.basis.redundant) is None:
                scaled = x / size
                weights, *_ = np.linalg.lstsq(scaled[:, kept], scaled[:, ~kept], rcond=None)
            else:
                weights = redundant * size[kept, None] / size[~kept]
            weights[np.abs(weights) < 1e-9] = 0.0
            basis[kept] = weights
            basis[np.flatnonzero(~kept), np.arange(basis.shape[1])] = -1.0
            basis /= size[:, None]
        return basis
