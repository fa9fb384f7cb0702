"""The fits of a `MixedLM`, plain and penalised, and the distribution at given parameters. `fitting` has the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike

from henderson.compat.statsmodels.distribution import Distribution
from henderson.compat.statsmodels.model_groups import GroupedArrays
from henderson.compat.statsmodels.model_likelihood import ModelLikelihood
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.compat.statsmodels.results import MixedLMResults
from henderson.typing import Penalty


class ModelFits(GroupedArrays, ModelLikelihood):
    """What fits a model; see `MixedLM`."""

    def get_distribution(
        self, params: ArrayLike | MixedLMParams, scale: float, exog: ArrayLike | None = None
    ) -> Distribution:
        """The distribution of endog at given parameters, to simulate from.

        Parameters
        ----------
        params : array_like
            Packed: fe_params, the lower triangle of cov_re, vcomp; variances relative to `scale`, no square roots.
        scale : float
            Residual variance.
        exog : (n, k_fe) array_like, optional
            In place of the model's.

        Returns
        -------
        Distribution
            With a method ``rvs(n, rng=None)``.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit()
        >>> drawn = model.get_distribution(fit.params, fit.scale).rvs(1)
        >>> drawn.shape
        (180,)
        """
        return Distribution.of(self.setup, params, scale, exog)

    def fit(
        self,
        start_params: ArrayLike | MixedLMParams | None = None,
        reml: bool = True,
        niter_sa: int = 0,
        do_cg: bool = True,
        fe_pen: Penalty | None = None,
        cov_pen: Penalty | None = None,
        free: MixedLMParams | None = None,
        full_output: bool = False,
        method: str | Sequence[str] | None = None,
        **fit_kwargs: Any,
    ) -> MixedLMResults:
        """Fit by REML or maximum likelihood.

        Parameters
        ----------
        start_params : array_like or MixedLMParams, optional
            Where to begin: packed parameters with or without the fixed effects.
        reml : bool
        niter_sa : int
            Ignored.
        do_cg : bool
            False: no optimisation, the results are those at the start.
        fe_pen, cov_pen : penalties, optional
            Objects with ``func`` and ``deriv``: of fe_params, of (cov_re, inverse of cov_re).
        free : MixedLMParams, optional
            Mask: 1 where a parameter is estimated, 0 where it keeps its starting value.
        full_output : bool
            Whether `hist` holds how the optimum was found.
        method : str or list of str, optional
            Optimiser of a fit with masks or penalties; the plain fit has its own.
        **fit_kwargs
            For that optimiser: `maxiter`, `gtol`, `disp`, …

        Returns
        -------
        MixedLMResults

        Warns
        -----
        ConvergenceWarning
            When the optimum is not certified, or on the boundary.

        Examples
        --------
        >>> import henderson
        >>> sleepstudy = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", sleepstudy, groups="Subject", re_formula="~Days")
        >>> print(f"{model.fit().llf:.3f} {model.fit(reml=False).llf:.3f}")
        -871.814 -875.970
        """
        from henderson.compat.statsmodels.fitting import FitRequest, fit_setup, warn_of_unused
        from henderson.results.fit_warnings import warn_at_boundary, warn_unless_certified, warn_unless_identified

        options = warn_of_unused(fit_kwargs, niter_sa)
        request = FitRequest(start_params, reml, do_cg, fe_pen, cov_pen, free, full_output, method, options)
        outcome = fit_setup(self.setup, request)
        self.reml, self.fe_pen, self.cov_pen = reml, fe_pen, cov_pen
        warn_unless_certified(outcome.fit, outcome.converged, outcome.message)
        if outcome.optimal:
            warn_unless_identified(outcome.fit)
        warn_at_boundary(outcome.fit)
        return MixedLMResults(self, outcome)

    def fit_regularized(
        self,
        start_params: ArrayLike | MixedLMParams | None = None,
        method: Literal["l1"] | Penalty = "l1",
        alpha: float | ArrayLike = 0,
        ceps: float = 1e-4,
        ptol: float = 1e-6,
        maxit: int = 200,
        **fit_kwargs: Any,
    ) -> MixedLMResults:
        """Fit with a penalty on the fixed effects; covariances stay at their unpenalised estimates for "l1".

        Parameters
        ----------
        start_params : array_like, optional
            Fixed effects to begin from.
        method : {"l1"} or penalty
        alpha : float or (k_fe,) array_like
            Weight of the penalty.
        ceps : float
            Coefficients smaller than this count as zero.
        ptol : float
            Largest change of a coefficient at convergence.
        maxit : int
        **fit_kwargs
            For `fit`.

        Returns
        -------
        MixedLMResults

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit_regularized(alpha=0.1)
        >>> fit.fe_params.shape
        (2,)
        """
        from henderson.compat.statsmodels.regularized import penalised_fixed_effects

        if isinstance(method, str) and method.lower() != "l1":
            raise ValueError(f"Invalid regularization method {method!r}; there are 'l1' and penalty objects")
        if not isinstance(method, str):
            penalty: Any = method
            penalty.alpha = alpha
            return self.fit(**(fit_kwargs | {"fe_pen": penalty}))
        plain = self.fit(**fit_kwargs)
        outcome = penalised_fixed_effects(
            plain._outcome, plain.moments, start_params, alpha, ceps=ceps, ptol=ptol, maxit=maxit
        )
        return MixedLMResults(self, outcome)
