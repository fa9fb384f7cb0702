"""Errors of predictions at a fit: their variance, its derivatives, and what estimated variance parameters add.

Everything is relative to σ² and in the parameters g̃ of the working basis, of which the residual variance is the last
(1 in these units). A prediction does not change when all variances do by one factor, and its error's variance v is
homogeneous in them, so from the covariance Ω (k + 1, k + 1) that a method of degrees of freedom goes by (`rules`)

    ω = TΩT', T = [I, −g̃], is the covariance of the relative parameters      ∂v/∂g_0 = v − Σ g̃_i ∂v/∂g̃_i
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from henderson.design.replay import NewTerm
from henderson.engine.fit import Fit
from henderson.errors import NotAvailable
from henderson.numerics.threads import blas_threads
from henderson.prediction.combinations import combinations_of
from henderson.prediction.iterated_errors import IteratedErrors, error_kernels, warn_of_probes
from henderson.prediction.loads import loads_of
from henderson.prediction.new_level_limits import Differences, Known
from henderson.prediction.row_errors import ErrorKernels
from henderson.prediction.rules import Rule, RuleAtFit
from henderson.prediction.sparse_errors import SparseErrorKernels

FloatArray = np.ndarray

#: rows whose errors are computed together: their arrays stay in the cache
CHUNK = 1 << 15


@dataclass(frozen=True)
class RowVariances:
    """Errors of m rows, in the units of the response squared.

    Attributes
    ----------
    variance : (m,) array
        With known variance parameters.
    added : (m,) array
        What their estimation adds.
    df : (m,) array
    differences : Differences, or None
        What limits of rows with effects of new levels go by; None: there are none, or df do not depend on the variance.
    """

    variance: FloatArray
    added: FloatArray
    df: FloatArray
    differences: Differences | None = None

    def limits_df(self, variance: FloatArray, level: float) -> FloatArray:
        """Degrees of freedom of limits at a level, (m,), for standard errors of the given squares."""
        if self.differences is None:
            return self.df
        return self.differences.equivalent_df(variance, self.df, variance - self.variance, level)


class JointErrors:
    """The joint covariance of (β̂, b̂ − b) at a fit, by what rows ask of it.

    Parameters
    ----------
    fit : Fit
    rule : Rule, or None
        None: the variance parameters are taken as known.
    """

    def __init__(self, fit: Fit, rule: Rule | None) -> None:
        self.fit, self.rule, self._at = fit, rule, RuleAtFit(fit, rule)

    @cached_property
    def _kernels(self) -> ErrorKernels | IteratedErrors | SparseErrorKernels:
        point, relative, omega = self.fit.at_optimum(), None, self._at.added_by
        if omega is not None:
            away = np.column_stack([np.eye(len(self._g)), -self._g])
            relative = away @ omega @ away.T
        with blas_threads(self.fit.criterion.order):
            if self.fit.criterion.system.is_sparse:
                return SparseErrorKernels(point, relative)
            return error_kernels(point.factor, point.phi, relative, point.ze)

    @cached_property
    def _known(self) -> Known:
        return Known.of(self._at.fitted)

    @cached_property
    def _scale(self) -> float:
        """σ² in the unit of the working response."""
        return (self.fit.sigma / self.fit.criterion.basis.y_scale) ** 2

    @cached_property
    def _g(self) -> FloatArray:
        """g̃, (k,)."""
        return self._at.fitted.relative.g

    def __call__(
        self, X: FloatArray, terms: Sequence[NewTerm | None], own: FloatArray, *, observed: bool = False
    ) -> RowVariances:
        """Errors of m rows.

        Parameters
        ----------
        X : (m, p) array
        terms : sequence of NewTerm or None
            What each term of the design says of the rows; None: it has no part.
        own : (m,) array
            What the rows' own errors add to the variance, over σ²; 1/w for a new observation, 0 for its mean.
        observed : bool
            Take a prediction's derivatives along the parameters at these data, and not their mean square.
        """
        criterion = self.fit.criterion
        if not criterion.has_sums:
            raise NotAvailable(
                "standard errors of predictions with random effects need the cross-products of the data, which were "
                "left out of the file: save with crossproducts=True (henderson fit --crossproducts) to keep them"
            )
        k = self._kernels.n_g
        fresh = self.rule is not None and self.rule.df is None and any(t is not None and t.has_new for t in terms)
        many = combinations_of(X, terms)
        forms = partial(self._forms, observed=observed, fresh=fresh)
        found = forms(X, terms) if many is None else many.quadratic(forms)
        if isinstance(self._kernels, IteratedErrors):
            warn_of_probes(self._kernels)
        variance = found[:, 0] + own
        scale = self.fit.sigma**2
        times = 0.0 if self.rule is None else self.rule.times
        added = np.maximum(found[:, k + 1], 0.0)
        slope = np.column_stack([found[:, 1 : k + 1], variance - found[:, 1 : k + 1] @ self._g if k else variance])
        differences = None
        if fresh:
            differences = Differences.of(self._known, variance, slope, found[:, k + 2 :], self._g).times(scale)
        return RowVariances(scale * variance, scale * times * added, self._at.df(variance, slope), differences)

    def _forms(self, X: FloatArray, terms: Sequence[NewTerm | None], observed: bool, fresh: bool) -> FloatArray:
        """Variance, its gradient and what is added, all quadratic in what the rows load on, (m, k + 2); with `fresh`
        what effects of new levels have of the gradient, too, (m, 2k + 2)."""
        loads, new = loads_of(self.fit.criterion, self.fit.at_optimum().lam, X, terms)
        kernels = self._kernels
        out = np.empty((len(X), kernels.n_g + 2))
        order = np.argsort(loads.level, kind="stable")  # what rows of one level of the front share is made once
        for start in range(0, len(X), CHUNK):
            here = order[start : start + CHUNK]
            found = kernels(loads[here])
            added = found.added
            if observed and kernels.omega is not None:
                added = ((found.moved @ kernels.omega) * found.moved).sum(1) / self._scale
            out[here] = np.column_stack([found.variance, found.gradient, added])
        out[:, 0] += new.variance
        out[:, 1:-1] += new.gradient[:, : kernels.n_g]
        return np.column_stack([out, new.gradient]) if fresh else out
