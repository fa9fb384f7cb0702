"""Packed parameters and their uncertainty: what statsmodels' results hold in place of fixed effects alone.

params = (β̂, lower triangle of cov_re / scale, vcomp / scale),  Cov = inverse of their joint observed information
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from henderson.arguments import probability
from henderson.compat.statsmodels.model_attributes import ModelAttributes
from henderson.compat.statsmodels.outcome import Outcome
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.engine import likelihood
from henderson.engine.fit import Fit
from henderson.engine.moments_at import moments_of
from henderson.inference.covariances.joint import Joint, joint_of, joint_of_fit
from henderson.inference.names import InferenceRequest
from henderson.results.base import by_label
from henderson.results.coefficients import root
from henderson.results.fitted import MixedModelResults
from henderson.results.interval_methods import BootstrapInterval, BootstrapKind, IntervalMethod

if TYPE_CHECKING:
    from henderson.engine.moments import Moments
    from henderson.inference.inference import Inference

FloatArray = np.ndarray

#: statsmodels' standard errors and tests
STATSMODELS = InferenceRequest("asymptotic", "hessian")


class PackedResults(MixedModelResults):
    """Native results with `Outcome` and packed parameters."""

    _lasting = frozenset(("inference", "model"))
    model: ModelAttributes  # type: ignore[assignment]  # statsmodels' model in place of the native names

    def __init__(self, model: ModelAttributes, outcome: Outcome, request: InferenceRequest = STATSMODELS):
        super().__init__(outcome.fit, request)
        self.model = model
        self._outcome = outcome
        self._setup = model.setup

    def _again(self, request: InferenceRequest) -> Self:
        if not self._outcome.optimal:
            raise ValueError(
                "fits with penalties or masks have the covariance of their own Hessian and z tests, no other inference"
            )
        return type(self)(self.model, self._outcome, request)

    def _of(self, fit: Fit) -> Self:
        if not (self._outcome.optimal and self._outcome.same_design):
            raise ValueError("fits with penalties or masks cannot be fitted again to another response; use MixedLM.fit")
        setup = replace(self._setup, given_rows=fit.rows)
        params = setup.params(fit.beta, setup.packing.g_of_theta(fit.theta))
        return type(self)(self.model.with_setup(setup), Outcome.of(fit, params), self._request)

    # what the outcome says

    @property
    def params_object(self) -> MixedLMParams:
        """Parameters by their parts, variances relative to `scale`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.params_object.cov_re.round(3)
        array([[0.935, 0.015],
               [0.015, 0.054]])
        """
        return self._outcome.params

    @property
    def converged(self) -> bool:
        """Whether the optimum is certified.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.converged
        True
        """
        return self._outcome.converged

    @property
    def message(self) -> str:
        """What there is to say of the optimum.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.message
        'converged'
        """
        return self._outcome.message

    @property
    def hist(self) -> list[dict[str, Any]] | None:
        """How the optimum was found, with ``full_output=True``.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.hist is None
        True
        """
        return self._outcome.hist

    @property
    def freepat(self) -> MixedLMParams | None:
        """The mask of the fit.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.freepat is None
        True
        """
        return self._outcome.freepat

    @property
    def cov_pen(self) -> Any:
        """The penalty of the fit on cov_re.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.cov_pen is None
        True
        """
        return self._outcome.cov_pen

    @property
    def use_sqrt(self) -> bool:
        """Whether packed covariance parameters are those of the lower square root.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.use_sqrt
        True
        """
        return self._setup.use_sqrt

    @property
    def k_fe(self) -> int:
        """Number of fixed effects.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.k_fe
        2
        """
        return self._setup.k_fe

    @property
    def k_re(self) -> int:
        """Rows of cov_re.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.k_re
        2
        """
        return self._setup.k_re

    @property
    def k_re2(self) -> int:
        """Free entries of cov_re.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.k_re2
        3
        """
        return self._setup.k_re2

    @property
    def k_vc(self) -> int:
        """Number of variance components.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("Pastes")
        >>> parts = {"cask": "0 + C(cask)"}
        >>> fit = henderson.mixedlm("strength ~ 1", data, groups="batch", re_formula="~1", vc_formula=parts).fit()
        >>> fit.k_vc
        1
        """
        return self._setup.k_vc

    # labels: arrays where the data came without any

    @property
    def _names(self) -> list[str]:
        return self._setup.names.param_names

    def _labelled(self, values: FloatArray, names: Sequence[str]) -> Any:
        return values if self._setup.names.row_labels is None else super()._labelled(values, names)

    def _by_row(self, values: FloatArray, names: Sequence[str] | None = None) -> Any:
        labels = self._setup.names.row_labels
        return values if labels is None else by_label(values, labels, names)

    # estimates

    @cached_property
    def params(self) -> Any:
        """All parameters, (k,); variances relative to `scale`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.params.round(3)
        Intercept             251.405
        Days                   10.467
        Subject Var             0.935
        Subject x Days Cov      0.015
        Days Var                0.054
        dtype: float64
        """
        own = self._outcome.params
        entries = own.cov_re[tuple(self._setup.packing.entries.T)]
        return self._labelled(np.concatenate([own.fe_params, entries, own.vcomp]), self._names)

    @cached_property
    def cov_re(self) -> Any:
        """Covariance of the random effects, (k_re, k_re).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.cov_re.round(2)
                 Subject   Days
        Subject   612.09   9.60
        Days        9.60  35.07
        """
        given = self._outcome.cov_re
        values = self.scale * self._outcome.params.cov_re if given is None else given
        return self._labelled(values, self._setup.names.exog_re_names)

    @cached_property
    def cov_re_unscaled(self) -> Any:
        """Covariance of the random effects relative to `scale`, (k_re, k_re).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> (fit.cov_re_unscaled * fit.scale).round(2)
                 Subject   Days
        Subject   612.09   9.60
        Days        9.60  35.07
        """
        return self._labelled(np.array(self._outcome.params.cov_re), self._setup.names.exog_re_names)

    @cached_property
    def vcomp(self) -> FloatArray:
        """Variance components, (k_vc,).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("Pastes")
        >>> parts = {"cask": "0 + C(cask)"}
        >>> fit = henderson.mixedlm("strength ~ 1", data, groups="batch", re_formula="~1", vc_formula=parts).fit()
        >>> fit.vcomp.round(3)
        array([8.434])
        """
        return self.scale * self._outcome.params.vcomp if self._outcome.vcomp is None else self._outcome.vcomp

    @property
    def df_modelwc(self) -> int:
        """Number of parameters estimated, the residual variance left out.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.df_modelwc
        5
        """
        if (free := self._outcome.freepat) is not None:
            return int(free.get_packed(use_sqrt=False, has_fe=True).sum())
        return super().df_modelwc

    @property
    def aic(self) -> float:
        """Akaike's criterion; NaN under REML, as in statsmodels.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("Dyestuff")
        >>> fit = henderson.mixedlm("Yield ~ 1", data, groups="Batch").fit(reml=False)
        >>> round(fit.aic, 2)
        333.33
        """
        return np.nan if self.reml else -2 * self.llf + 2 * (self.df_modelwc + 1)

    @property
    def bic(self) -> float:
        """Schwarz' criterion; NaN under REML, as in statsmodels.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("Dyestuff")
        >>> fit = henderson.mixedlm("Yield ~ 1", data, groups="Batch").fit(reml=False)
        >>> round(fit.bic, 2)
        337.53
        """
        return np.nan if self.reml else -2 * self.llf + float(np.log(self.nobs)) * (self.df_modelwc + 1)

    # uncertainty

    @cached_property
    def moments(self) -> Moments:
        """`Moments` of the model's design at the estimates.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.moments.f0.shape  # X and y
        (3, 3)
        """
        if self._outcome.same_design:
            from henderson.inference.fit_moments import FitMoments

            return FitMoments.of(self.engine).relative
        own = self._outcome.params
        return moments_of(self._setup.criterion(self.reml), self._setup.packing.g(own.cov_re, own.vcomp))

    @cached_property
    def _joint(self) -> Joint:
        beta = self._outcome.params.fe_params[self.engine.kept]
        free = self._outcome.free(self._setup)
        if self._outcome.same_design and free.all():
            return joint_of_fit(self.engine, beta)
        return joint_of(likelihood.Point(self.moments, self.reml), beta, free=free)

    @cached_property
    def _joint_covariance(self) -> FloatArray:
        """Inverse of the joint observed information of params, (k, k); zero for what was held fixed."""
        kept, index, p = self.engine.kept, self._setup.packing.index, int(self.engine.kept.sum())
        places = np.concatenate([np.flatnonzero(kept), self.k_fe + np.arange(len(index))])
        order = np.concatenate([np.arange(p), p + index])
        out = np.full((self.k_fe + len(index),) * 2, np.nan)
        out[np.ix_(places, places)] = self._joint.in_user_units[np.ix_(order, order)]
        if (zero := self._outcome.zero) is not None:
            out[: self.k_fe][zero] = out[:, : self.k_fe][:, zero] = np.nan
        return out

    @cached_property
    def inference(self) -> Inference:
        """The covariance of the fixed effects, their degrees of freedom, and the tests that follow.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.inference.ddf, fit.inference.cov_type
        ('asymptotic', 'hessian')
        """
        if self._outcome.optimal:
            return super().inference
        from henderson.inference.choose import infer

        plain = infer(self.engine, ddf="asymptotic", cov="model")
        block = self._joint_covariance[: self.k_fe, : self.k_fe]
        return replace(plain, cov=block, cov_type="hessian", kept=~np.isnan(np.diag(block)), unidentified=None)

    @cached_property
    def _cov(self) -> FloatArray:
        """Covariance of params, (k, k); NaN for what the data do not identify."""
        out = self._joint_covariance
        if not self._outcome.optimal:
            return out
        if self.inference.cov_type != "hessian":
            out = np.zeros_like(self._joint_covariance)
            out[self.k_fe :, self.k_fe :] = self._joint_covariance[self.k_fe :, self.k_fe :]
            out[: self.k_fe, : self.k_fe] = self.inference.known_cov
        if self.inference.unidentified is not None:
            unknown = np.append(np.isnan(np.diag(self.inference.known_cov)), self._unidentified_variances)
            out = out.copy()
            out[unknown] = out[:, unknown] = np.nan
        return out

    @cached_property
    def _unidentified_variances(self) -> np.ndarray:
        """Which variance parameters of params the data do not identify, bool."""
        index, unidentified = self._setup.packing.index, self.inference.unidentified
        if unidentified is None:
            return np.zeros(len(index), bool)
        to_user = self.engine.criterion.to_user_g
        return unidentified.flat.touches(np.column_stack([to_user, np.zeros(len(to_user))]))[index]

    @cached_property
    def bse_re(self) -> Any:
        """statsmodels' standard errors of the variance parameters, √scale times those of params.

        They are neither on the scale of `cov_re` nor on that of `params`; see `bse_cov_re`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.bse_re.round(3)
        Subject Var           11.881
        Subject x Days Cov     1.821
        Days Var               0.610
        dtype: float64
        """
        return self._labelled(root(self.scale * np.diag(self._cov)[self.k_fe :]), self._names[self.k_fe :])

    @cached_property
    def bse_cov_re(self) -> pd.Series:
        """Standard errors of the entries of cov_re, of vcomp and of scale, as they are shown (delta method).

        See `joint.Joint.shown`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.bse_cov_re.round(2)
        Subject Var           288.78
        Subject x Days Cov     46.68
        Days Var               14.78
        scale                  77.19
        dtype: float64
        """
        var, var_scale = self._joint.shown(self.scale)
        names, of_params = [*self._names[self.k_fe :], "scale"], var[self._setup.packing.index]
        if self._outcome.optimal:
            of_params = np.where(self._unidentified_variances, np.nan, of_params)
        return pd.Series(root(np.append(of_params, var_scale)), index=pd.Index(names))

    def conf_int(  # type: ignore[override]  # arrays where the data came without labels
        self,
        alpha: float = 0.05,
        cols: Sequence[int] | None = None,
        *,
        method: IntervalMethod | None = None,
        level: float | None = None,
        parameters: str | Sequence[str] | None = None,
        transform: bool | None = None,
        reml: bool | None = None,
        n: int | None = None,
        interval: BootstrapInterval | None = None,
        kind: BootstrapKind | None = None,
        statistic: Callable[..., Any] | None = None,
        seed: Any = None,
        within: bool | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame | FloatArray:
        """Intervals: Wald's of `params`; or, by another method or by name, of all parameters as they are shown.

        Parameters
        ----------
        alpha : float
            One less the level.
        cols : sequence of int, optional
            Which parameters, by position.
        method : {"wald", "profile", "boot"}, optional
            "profile" and "boot" have standard deviations, correlations, sigma and fixed effects, in columns lower
            and upper.
        level : float, optional
            In place of `alpha`.
        parameters : str or sequence of str, optional
            Which of these rows, by name; ``"theta_"`` and ``"beta_"`` are all of the covariance and all fixed effects.
        transform : bool, optional
            For "wald": as in `MixedModelResults.conf_int`.
        reml : bool, optional
            For "profile": profile the restricted likelihood.
        n, interval, kind, statistic, seed, within, progress : optional
            For "boot": replicates (1000), {"percentile", "basic", "bca"}, {"parametric", "residual", "cases"}, and
            as in `bootstrap`.

        Returns
        -------
        DataFrame or array
            (k, 2).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.conf_int().round(2)
                                 0       1
        Intercept           238.03  264.78
        Days                  7.44   13.50
        Subject Var           0.02    1.84
        Subject x Days Cov   -0.12    0.15
        Days Var              0.01    0.10
        """
        if method in (None, "wald") and parameters is None and not transform:
            limits = self._wald_limits(alpha if level is None else 1 - probability(level, "level"))
            chosen = list(range(len(limits))) if cols is None else [int(c) for c in np.atleast_1d(cols)]
            if self._setup.names.row_labels is None:
                return limits[chosen]
            return pd.DataFrame(limits[chosen], index=pd.Index([self._names[c] for c in chosen]))
        return super().conf_int(
            alpha, cols, method=method, level=level, parameters=parameters, transform=transform, reml=reml, n=n,
            interval=interval, kind=kind, statistic=statistic, seed=seed, within=within, progress=progress,
        )  # fmt: skip
