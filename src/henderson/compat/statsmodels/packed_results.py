"""Packed parameters: what statsmodels' results hold in place of fixed effects alone.

params = (β̂, lower triangle of cov_re / scale, vcomp / scale); their covariance is `packed_uncertainty`'s
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from henderson.compat.statsmodels.model_groups import GroupedArrays
from henderson.compat.statsmodels.outcome import Outcome
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.engine.fit import Fit
from henderson.inference.names import InferenceRequest
from henderson.results.base import by_label
from henderson.results.fitted import MixedModelResults
from henderson.typing import Penalty

FloatArray = np.ndarray

#: statsmodels' standard errors and tests
STATSMODELS = InferenceRequest("asymptotic", "hessian")


class PackedResults(MixedModelResults):
    """Native results with `Outcome` and packed parameters."""

    _lasting = frozenset(("inference", "model"))
    model: GroupedArrays  # type: ignore[assignment]  # statsmodels' model in place of the native names

    def __init__(self, model: GroupedArrays, outcome: Outcome, request: InferenceRequest = STATSMODELS):
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
    def hist(self) -> list[dict[str, object]] | None:
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
    def cov_pen(self) -> Penalty | None:
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
    def params(self) -> pd.Series | FloatArray:  # type: ignore[override]  # arrays where the data came without labels
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
    def cov_re(self) -> pd.DataFrame | FloatArray:
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
    def cov_re_unscaled(self) -> pd.DataFrame | FloatArray:
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
