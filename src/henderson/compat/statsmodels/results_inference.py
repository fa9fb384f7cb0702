"""Standard errors, intervals and tests of `MixedLMResults`: all follow the results' `Inference`."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from henderson.compat.statsmodels.results_tests import ResultsTests

if TYPE_CHECKING:
    from henderson.inference import Inference
    from henderson.inference.covariances.joint import Joint

FloatArray = np.ndarray


class ResultsInference(ResultsTests):
    """Methods of `MixedLMResults` about the uncertainty of parameters."""

    model: Any
    engine: Any
    door: Any
    params_object: Any
    scale: float
    df_resid: int
    k_fe: int
    k_re2: int
    k_vc: int
    params: Any
    fe_params: Any
    _outcome: Any
    _request: dict[str, Any]

    if TYPE_CHECKING:

        @property
        def _joint(self) -> Joint: ...

        @property
        def _joint_covariance(self) -> FloatArray: ...

        @property
        def moments(self) -> Any: ...

        def _label(self, values: FloatArray, names: list[str]) -> Any: ...

    @cached_property
    def inference(self) -> Inference:
        """The covariance of the fixed effects, their degrees of freedom, and the tests that follow."""
        from henderson.inference import infer

        if self._outcome.optimal:
            return infer(self.engine, **self._request)
        plain = infer(self.engine, ddf="asymptotic", cov="model")
        block = self._joint_covariance[: self.k_fe, : self.k_fe]
        return replace(plain, cov=block, cov_type="hessian", kept=~np.isnan(np.diag(block)))

    @property
    def use_t(self) -> bool:
        """Whether tests are t and F rather than z and χ²."""
        return self.inference.ddf != "asymptotic"

    @cached_property
    def _cov(self) -> FloatArray:
        """Covariance of params, (k, k)."""
        if self._outcome.optimal and self.inference.cov_type != "hessian":
            out = np.zeros_like(self._joint_covariance)
            out[self.k_fe :, self.k_fe :] = self._joint_covariance[self.k_fe :, self.k_fe :]
            out[: self.k_fe, : self.k_fe] = self.inference.cov
            return out
        return self._joint_covariance

    @property
    def normalized_cov_params(self) -> Any:
        """cov_params relative to `scale`."""
        return self._label(self._cov / self.scale, self.model.data.param_names)

    def cov_params(
        self,
        r_matrix: Any = None,
        column: Any = None,
        scale: float | None = None,
        cov_p: Any = None,
        other: Any = None,
    ) -> Any:
        """Covariance of the parameters, or of linear functions of them.

        Parameters
        ----------
        r_matrix : (m, k) array_like, optional
            Covariance of r_matrix @ params; with `other`, between the two.
        column : int or sequence of int, optional
            Variance of one parameter, or the covariance of some.
        scale : float, optional
            In place of the residual variance.
        cov_p : (k, k) array_like, optional
            In place of the covariance.
        other : (l, k) array_like, optional
            See `r_matrix`.

        Returns
        -------
        DataFrame or array
            (k, k); (m, m) or (m, l) with `r_matrix`; a number, or (c, c), with `column`.
        """
        cov = self._cov if cov_p is None else np.asarray(cov_p, float)
        if scale is not None:
            cov = cov * scale / self.scale
        if column is not None:
            column = np.asarray(column)
            return cov[column, column] if column.ndim == 0 else cov[np.ix_(column, column)]
        if r_matrix is not None:
            left = np.asarray(r_matrix, float)
            return left @ cov @ np.transpose(left if other is None else np.asarray(other, float))
        return self._label(cov, self.model.data.param_names)

    @cached_property
    def bse(self) -> Any:
        """Standard errors of params."""
        return self._label(_root(np.diag(self._cov)), self.model.data.param_names)

    @cached_property
    def bse_fe(self) -> Any:
        """Standard errors of the fixed effects."""
        return self._label(_root(np.diag(self._cov)[: self.k_fe]), self.model.data.xnames)

    @cached_property
    def bse_re(self) -> Any:
        """statsmodels' standard errors of the variance parameters, √scale times those of params.

        They are neither on the scale of `cov_re` nor on that of `params`; see `bse_cov_re`.
        """
        names = self.model.data.param_names[self.k_fe :]
        return self._label(_root(self.scale * np.diag(self._cov)[self.k_fe :]), names)

    @cached_property
    def bse_cov_re(self) -> pd.Series:
        """Standard errors of the entries of cov_re, of vcomp and of scale, as they are shown (delta method).

        See `joint.Joint.shown`.
        """
        var, var_scale = self._joint.shown(self.scale)
        names = [*self.model.data.param_names[self.k_fe :], "scale"]
        return pd.Series(_root(np.append(var[self.model._packing.index], var_scale)), index=pd.Index(names))

    @cached_property
    def tvalues(self) -> Any:
        """params / bse."""
        values = np.asarray(self.params) / np.where(np.asarray(self.bse) > 0, np.asarray(self.bse), np.nan)
        return self._label(values, self.model.data.param_names)

    @cached_property
    def df_inference(self) -> FloatArray:
        """Degrees of freedom of each parameter, (k,); infinite for z."""
        df = np.full(len(self._cov), np.inf)
        df[: self.k_fe] = self.inference.df(np.eye(self.k_fe))
        return df

    @cached_property
    def pvalues(self) -> Any:
        """Two-sided p-values of params."""
        from henderson.numerics.distributions import t_pvalue

        return self._label(t_pvalue(np.asarray(self.tvalues), self.df_inference), self.model.data.param_names)

    def conf_int(
        self, alpha: float = 0.05, cols: Any = None, *, method: str = "wald", level: float | None = None, **options: Any
    ) -> Any:
        """Intervals.

        Parameters
        ----------
        alpha : float
            One less the level.
        cols : sequence of int, optional
            Which parameters, in statsmodels' table.
        method : {"wald", "profile", "boot"}
            See `henderson.intervals.METHODS`.
        level : float, optional
            In place of `alpha`.
        **options
            For the method; and `parameters`, the names of those wanted (see
            `henderson.intervals.table.interval_table`).

        Returns
        -------
        DataFrame or array
            Behind statsmodels' door Wald intervals of `params`. Otherwise of all parameters as they are shown
            (standard deviations, correlations, sigma, fixed effects), with columns lower and upper.
        """
        alpha = alpha if level is None else 1 - level
        if method != "wald" or self.door.name == "lme4" or options:
            from henderson.intervals.table import interval_table

            return interval_table(self, method, 1 - alpha, **options)
        from henderson.numerics.distributions import t_quantile

        half = t_quantile(1 - alpha / 2, self.df_inference) * np.asarray(self.bse)
        limits = np.column_stack([np.asarray(self.params) - half, np.asarray(self.params) + half])
        names = list(self.model.data.param_names)
        if cols is not None:
            limits, names = limits[np.asarray(cols)], [names[int(c)] for c in cols]
        if self.model.data.row_labels is None:
            return limits
        return pd.DataFrame(limits, index=pd.Index(names))

    def profile(self, which: Any = None, **options: Any) -> Any:
        """Likelihood profiles of the parameters.

        Parameters
        ----------
        which : optional
            Names of parameters; all by default.
        **options
            For `profile_fit`.

        Returns
        -------
        Profile
            See `henderson.inference.profile.Profile`.

        See Also
        --------
        henderson.inference.profile.profile_fit
        """
        from henderson.intervals.profile import profile_fit

        return profile_fit(self.engine, which, **options)

    def bootstrap(self, n: int = 1000, **options: Any) -> Any:
        """Refit to simulated or resampled responses.

        Parameters
        ----------
        n : int
            Replicates.
        **options
            For `bootstrap_fit`.

        Returns
        -------
        Bootstrap
            See `henderson.inference.bootstrap.Bootstrap`.

        See Also
        --------
        henderson.inference.bootstrap.bootstrap_fit
        """
        from henderson.intervals.bootstrap.bootstrap import bootstrap_fit

        return bootstrap_fit(self.engine, n, **options)

    def simulate(self, n: int = 1, seed: Any = None) -> FloatArray:
        """Responses drawn from the fitted model.

        Parameters
        ----------
        n : int
            How many.
        seed : int, SeedSequence or Generator, optional

        Returns
        -------
        (rows, n) array

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> fit.simulate(3, seed=1).shape
        (30, 3)
        """
        from henderson.engine.many.draws import simulate

        return simulate(self.engine, n, seed)


def _root(variances: FloatArray) -> FloatArray:
    """Square roots, NaN for the negative "variances" that a Hessian at the boundary can give."""
    return np.sqrt(np.where(variances >= 0, variances, np.nan))
