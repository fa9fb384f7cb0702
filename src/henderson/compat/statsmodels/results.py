"""`MixedLMResults`: what a user holds after a fit, whichever door it came through.

It holds numbers that never change (an `Outcome`) and asks other rooms: `groups` for the effects by group,
`contrasts` and `inference` for tests, `summary` and `lme4_summary` for text.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from henderson.compat.statsmodels.doors import Door
from henderson.compat.statsmodels.information import joint_covariance
from henderson.compat.statsmodels.model import MixedLM
from henderson.compat.statsmodels.outcome import Outcome
from henderson.compat.statsmodels.results_inference import ResultsInference
from henderson.contract.design import Design
from henderson.engine.moments import Moments
from henderson.inference.covariances.joint import Joint
from henderson.results.effects_methods import Lme4Results
from henderson.results.inference_methods import InferenceMethods
from henderson.results.keeping import Keeping
from henderson.results.means_methods import MarginalMeansMixin

FloatArray = np.ndarray


class MixedLMResults(  # type: ignore[override]  # `inference` is a property here, an attribute of a mixin
    ResultsInference, InferenceMethods, MarginalMeansMixin, Lme4Results, Keeping
):
    """Results of a fit.

    Attributes
    ----------
    model : MixedLM
    engine : Fit
        The fit as numbers.
    method : {"REML", "ML"}
    params : (k,) Series or array
        fe_params, then the lower triangle of cov_re and the variance components *relative to `scale`*.
    fe_params : (k_fe,) Series or array
        NaN for columns that were dropped as redundant.
    cov_re : (k_re, k_re) DataFrame or array
    cov_re_unscaled : (k_re, k_re) DataFrame or array
        Relative to `scale`.
    vcomp : (k_vc,) array
    scale : float
        Residual variance.
    converged : bool
        Whether the optimum is certified.
    hist : list, or None
    """

    def __init__(self, model: MixedLM, outcome: Outcome, door: Door, request: dict[str, Any] | None = None):
        self.model = model
        self.door = door
        self.engine = outcome.fit
        self._outcome = outcome
        self._request = request or {"ddf": door.ddf, "cov": door.cov, "cluster": None}
        self.params_object = outcome.params
        self.reml = outcome.fit.reml
        self.method = "REML" if self.reml else "ML"
        self.converged = outcome.converged
        self.message = outcome.message
        self.hist = outcome.hist
        self.freepat = outcome.freepat
        self.cov_pen = outcome.cov_pen
        self.use_sqrt = model.use_sqrt
        self.k_fe, self.k_re, self.k_re2, self.k_vc = model.k_fe, model.k_re, model.k_re2, model.k_vc
        self.scale = outcome.fit.sigma**2
        self.nobs = model.nobs
        self.df_resid = self.nobs - int(outcome.fit.kept.sum())
        self.vcomp = self.scale * outcome.params.vcomp if outcome.vcomp is None else outcome.vcomp
        self._cov_re = self.scale * outcome.params.cov_re if outcome.cov_re is None else outcome.cov_re

    @property
    def design(self) -> Design:
        """The arrays of the model."""
        return self.model.design

    def _label(self, values: FloatArray, names: list[str]) -> Any:
        """As a Series or DataFrame when the data came with labels."""
        if self.model.data.row_labels is None:
            return values
        if values.ndim == 2:
            return pd.DataFrame(values, index=pd.Index(names), columns=pd.Index(names))
        return pd.Series(values, index=pd.Index(names))

    def _needs_rows(self) -> None:
        if not len(self.design.y):
            raise ValueError("the rows were let go by remove_data()")

    def _by_row(self, values: FloatArray) -> Any:
        labels = self.model.data.row_labels
        return values if labels is None else pd.Series(values, index=labels)

    # estimates

    @cached_property
    def fe_params(self) -> Any:
        """Fixed effects, (k_fe,)."""
        return self._label(np.array(self.params_object.fe_params), self.model.data.xnames)

    @cached_property
    def params(self) -> Any:
        """All parameters, (k,); variances relative to `scale`."""
        entries = self.params_object.cov_re[tuple(self.model._packing.entries.T)]
        packed = np.concatenate([self.params_object.fe_params, entries, self.params_object.vcomp])
        return self._label(packed, self.model.data.param_names)

    @cached_property
    def cov_re(self) -> Any:
        """Covariance of the random effects, (k_re, k_re)."""
        return self._label(self._cov_re, self.model.data.exog_re_names)

    @cached_property
    def cov_re_unscaled(self) -> Any:
        """Covariance of the random effects relative to `scale`, (k_re, k_re)."""
        return self._label(np.array(self.params_object.cov_re), self.model.data.exog_re_names)

    @property
    def dropped(self) -> list[str]:
        """Fixed-effects columns that were dropped as redundant."""
        return [name for name, kept in zip(self.model.exog_names, self.engine.kept) if not kept]

    # likelihood

    @cached_property
    def llf(self) -> float:
        """Log-likelihood (restricted under REML), penalties left out."""
        return -0.5 * self.engine.deviance

    @cached_property
    def df_modelwc(self) -> int:
        """Number of parameters estimated, the residual variance left out."""
        if self.freepat is not None:
            return int(self.freepat.get_packed(use_sqrt=False, has_fe=True).sum())
        return int(self.engine.kept.sum()) + self.k_re2 + self.k_vc

    @cached_property
    def aic(self) -> float:
        """Akaike's criterion; NaN under REML behind statsmodels' door, lme4's number behind the other."""
        return -2 * self.llf + 2 * (self.df_modelwc + 1) if self._has_criteria else np.nan

    @cached_property
    def bic(self) -> float:
        """Schwarz' criterion; NaN under REML behind statsmodels' door, lme4's number behind the other."""
        return -2 * self.llf + float(np.log(self.nobs)) * (self.df_modelwc + 1) if self._has_criteria else np.nan

    @property
    def _has_criteria(self) -> bool:
        return self.door.restricted_criteria or not self.reml

    @cached_property
    def moments(self) -> Moments:
        """`Moments` of the model's design at the estimates."""
        if self._outcome.same_design:
            from henderson.inference.fit_moments import FitMoments

            return FitMoments.of(self.engine).relative
        g = self.model._packing.g(self.params_object.cov_re, self.params_object.vcomp)
        return self.model._criterion(self.reml).moments(g)

    @cached_property
    def _joint(self) -> Joint:
        return joint_covariance(self)

    @cached_property
    def _joint_covariance(self) -> FloatArray:
        """Inverse of the joint observed information of params, (k, k); zero for what was held fixed."""
        kept, index, p = self.engine.kept, self.model._packing.index, int(self.engine.kept.sum())
        places = np.concatenate([np.flatnonzero(kept), self.k_fe + np.arange(len(index))])
        order = np.concatenate([np.arange(p), p + index])
        out = np.full((self.k_fe + len(index),) * 2, np.nan)
        out[np.ix_(places, places)] = self._joint.in_user_units[np.ix_(order, order)]
        if (zero := self._outcome.zero) is not None:
            out[: self.k_fe][zero] = out[:, : self.k_fe][:, zero] = np.nan
        return out

    # predictions

    @cached_property
    def random_effects(self) -> dict[Any, pd.Series]:
        """Conditional modes of the random effects: group → Series."""
        from henderson.compat.statsmodels.groups import effects_by_group

        model, names = self.model, self.model.data.exog_re_names
        return effects_by_group(model.design, model._packing, model._groups, names, self.engine.b)

    @cached_property
    def random_effects_cov(self) -> dict[Any, pd.DataFrame]:
        """Conditional covariances of the random effects: group → DataFrame."""
        from henderson.compat.statsmodels.groups import covariances_by_group

        model, names = self.model, self.model.data.exog_re_names
        return covariances_by_group(model.design, model._packing, model._groups, names, self.engine.lam, self.scale)

    @cached_property
    def fittedvalues(self) -> Any:
        """Xβ + Zb, and the offset."""
        self._needs_rows()
        design, kept = self.design, self.engine.kept
        fitted = design.X[:, kept] @ self.params_object.fe_params[kept]
        for term, b in zip(design.terms, self.engine.b):
            if term.loadings is not None:
                fitted = fitted + term.loadings @ b[:, 0]
            else:
                fitted = fitted + np.einsum("ia,ia->i", term.columns, b[term.codes])
        return self._by_row(fitted if design.offset is None else fitted + design.offset)

    @cached_property
    def resid(self) -> Any:
        """endog less fittedvalues."""
        self._needs_rows()
        return self._by_row(self.design.y - np.asarray(self.fittedvalues))

    def predict(
        self, exog: Any = None, transform: bool = True, *, random: bool = False, new_levels: str = "raise"
    ) -> Any:
        """The mean without random effects, or with them.

        Parameters
        ----------
        exog : table or (m, k_fe) array_like, optional
            New data: for a model made by a formula a table of its variables.
        transform : bool
            False: `exog` holds the columns of the design as they are.
        random : bool
            Add the conditional modes of the rows' levels, and the offset (lme4's default; needs a formula).
        new_levels : {"raise", "zero"}
            With `random`: what to do with levels that the fit does not have.

        Returns
        -------
        (m,) Series or array
            A Series when there is an index.

        Raises
        ------
        DataError
            New data lack a variable, or have a level that the fit does not know.

        Examples
        --------
        >>> import henderson
        >>> sleepstudy = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> new = sleepstudy.iloc[[9]].assign(Days=12)
        >>> fit.predict(new).round(1).tolist(), fit.predict(new, random=True).round(1).tolist()
        ([377.0], [489.7])
        """
        from henderson.design.replay import fixed_columns

        beta = np.nan_to_num(np.asarray(self.params_object.fe_params))
        if random:
            if exog is None:
                return self.fittedvalues
            if self.design.specs is None:
                raise ValueError("predictions with random effects need a model made by a formula")
            from henderson.prediction.with_random_effects import with_random_effects

            predicted = with_random_effects(self.engine, beta, exog, new_levels)
            index = getattr(exog, "index", None)
            return pd.Series(predicted, index=index) if isinstance(index, pd.Index) else predicted
        if exog is None:
            self._needs_rows()
            return self._by_row(self.design.X @ beta)
        if self.design.specs is None or not transform or isinstance(exog, np.ndarray):
            columns = np.asarray(exog, float)
            columns = columns[None] if columns.ndim == 1 and len(columns) == self.k_fe else columns
        else:
            columns = fixed_columns(self.design, exog)
        predicted = columns @ beta
        index = getattr(exog, "index", None)
        return pd.Series(predicted, index=index) if isinstance(index, pd.Index) else predicted

    # text, and keeping

    def summary(self, *args: Any, **kwargs: Any) -> Any:
        """The results as a printable table, in the manner of the door.

        Parameters
        ----------
        *args, **kwargs
            Behind statsmodels' door `yname`, `xname_fe`, `xname_re`, `title` and `alpha`; behind lme4's `correlation`.

        Returns
        -------
        Summary or Lme4Summary
            With `tables`, `as_text`, `as_html` and `as_latex`.
        """
        if self.door.name == "lme4":
            from henderson.report.summary import Lme4Summary

            return Lme4Summary.of(self, *args, **kwargs)
        from henderson.compat.statsmodels.summary import mixedlm_summary

        return mixedlm_summary(self, *args, **kwargs)

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    def profile_re(
        self,
        re_ix: Any,
        vtype: str,
        num_low: int = 5,
        dist_low: float = 1.0,
        num_high: int = 5,
        dist_high: float = 1.0,
        **fit_kwargs: Any,
    ) -> FloatArray:
        """Likelihood profile of a variance parameter: the model fitted again with it held at each of some values.

        Parameters
        ----------
        re_ix : int or str
            Which random effect, or the name of the variance component.
        vtype : {"re", "vc"}
        num_low, num_high : int
            Points below and above the estimate.
        dist_low, dist_high : float
            How far below and above, on the scale of `cov_re`.
        **fit_kwargs
            For `MixedLM.fit`.

        Returns
        -------
        (num_low + num_high + 1, 2) array
            The variance, and the log-likelihood.

        See Also
        --------
        profile : Profiles with intervals, in fewer evaluations.
        """
        from henderson.compat.statsmodels.profile_re import profile_re

        return profile_re(self, re_ix, vtype, num_low, dist_low, num_high, dist_high, **fit_kwargs)

    def with_inference(self, *, ddf: str | None = None, cov: str | None = None, cluster: Any = None) -> Any:
        """The same fit with another covariance of the fixed effects, or other degrees of freedom.

        Parameters
        ----------
        ddf : str, optional
            A name in `henderson.inference.ddf.DDF`.
        cov : str, optional
            A name in `henderson.inference.covariances.COV`.
        cluster : (n,) array_like or str, optional
            Clusters of a cluster-robust `cov`.

        Returns
        -------
        MixedLMResults
            A new object; nothing is fitted again.
        """
        return type(self)(self.model, self._outcome, self.door, {"ddf": ddf, "cov": cov, "cluster": cluster})
