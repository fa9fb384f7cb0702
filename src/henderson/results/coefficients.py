"""The fixed effects with their uncertainty, by statsmodels' names: all in the same order, with the same index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from henderson.arguments import probability
from henderson.results.base import FittedModel

FloatArray = np.ndarray


class CoefficientMethods(FittedModel):
    """params, bse, tvalues, pvalues, cov_params: Series and DataFrames with one index.

    NaN where a column was dropped as redundant.
    """

    @cached_property
    def params(self) -> pd.Series:
        """Fixed effects, (p,).

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.params.round(3)
        (Intercept)    251.405
        Days            10.467
        dtype: float64
        """
        return self._labelled(np.array(self.engine.beta), self._names)

    @property
    def fe_params(self) -> pd.Series:
        """Fixed effects, (p,): statsmodels' name of them.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.fe_params.round(3).to_dict()
        {'(Intercept)': 251.405, 'Days': 10.467}
        """
        return self._labelled(np.array(self.engine.beta), list(self.design.x_names))

    @property
    def dropped(self) -> list[str]:
        """Fixed-effects columns that were dropped as redundant.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy").assign(Hours=lambda table: 24 * table["Days"])
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", henderson.ValueWarning)
        ...     fit = henderson.lmer("Reaction ~ Days + Hours + (1 | Subject)", data)
        >>> fit.dropped
        ['Hours']
        """
        return [name for name, kept in zip(self.design.x_names, self.engine.kept) if not kept]

    @cached_property
    def _cov(self) -> FloatArray:
        """Covariance of `params`, (k, k)."""
        return self.inference.known_cov

    def cov_params(
        self,
        r_matrix: ArrayLike | None = None,
        column: int | Sequence[int] | np.ndarray | None = None,
        scale: float | None = None,
        cov_p: ArrayLike | None = None,
        other: ArrayLike | None = None,
    ) -> pd.DataFrame | FloatArray:
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

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.cov_params().round(2).to_numpy()
        array([[46.57, -1.45],
               [-1.45,  2.39]])
        """
        k = len(self._names)
        cov = self._cov if cov_p is None else np.asarray(cov_p, float)
        if cov.shape != (k, k):
            raise ValueError(f"cov_p is the ({k}, {k}) covariance of {', '.join(self._names)}, not {cov.shape}")
        if scale is not None:
            cov = cov * scale / self.engine.sigma**2
        if column is not None:
            column = np.asarray(column)
            return cov[column, column] if column.ndim == 0 else cov[np.ix_(column, column)]
        if r_matrix is not None:
            for name, given in (("r_matrix", r_matrix), ("other", r_matrix if other is None else other)):
                if np.shape(given)[-1:] != (k,):
                    raise ValueError(f"{name} has a column for each of {', '.join(self._names)}, {k} in all")
            left = np.asarray(r_matrix, float)
            return left @ cov @ np.transpose(left if other is None else np.asarray(other, float))
        return self._labelled(cov, self._names)

    @property
    def normalized_cov_params(self) -> pd.DataFrame:
        """cov_params relative to the residual variance.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> (fit.normalized_cov_params * fit.scale).round(2)
                     (Intercept)  Days
        (Intercept)        46.57 -1.45
        Days               -1.45  2.39
        """
        return self._labelled(self._cov / self.engine.sigma**2, self._names)

    @cached_property
    def bse(self) -> pd.Series:
        """Standard errors of `params`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.bse.round(3).to_dict()
        {'(Intercept)': 6.825, 'Days': 1.546}
        """
        return self._labelled(root(np.diag(self._cov)), self._names)

    @cached_property
    def bse_fe(self) -> pd.Series:
        """Standard errors of the fixed effects.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.bse_fe.round(3).to_dict()
        {'(Intercept)': 6.825, 'Days': 1.546}
        """
        p = len(self.engine.beta)
        return self._labelled(root(np.diag(self._cov)[:p]), list(self.design.x_names))

    @cached_property
    def tvalues(self) -> pd.Series:
        """params / bse.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.tvalues.round(3).to_dict()
        {'(Intercept)': 36.838, 'Days': 6.771}
        """
        values = np.asarray(self.params) / np.where(np.asarray(self.bse) > 0, np.asarray(self.bse), np.nan)
        return self._labelled(values, self._names)

    @cached_property
    def df_inference(self) -> FloatArray:
        """Degrees of freedom of each parameter, (k,); infinite for z.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.df_inference.round(2)
        array([17., 17.])
        """
        df, p = np.full(len(self._names), np.inf), len(self.engine.beta)
        df[:p] = self.inference.df(np.eye(p))
        return df

    @cached_property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of `params`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> bool((fit.pvalues < 0.001).all())
        True
        """
        from henderson.numerics.distributions import t_pvalue

        return self._labelled(t_pvalue(np.asarray(self.tvalues), self.df_inference), self._names)

    def _wald_limits(self, alpha: float) -> FloatArray:
        """params ± quantile × bse, (k, 2)."""
        from henderson.numerics.distributions import t_quantile

        half = t_quantile(1 - probability(alpha, "alpha") / 2, self.df_inference) * np.asarray(self.bse)
        return np.column_stack([np.asarray(self.params) - half, np.asarray(self.params) + half])

    @property
    def coef_table(self) -> pd.DataFrame:
        """The fixed effects with their tests and 95 % limits, as the results' inference has them.

        Index: coefficient; columns estimate, se, df, statistic, p, lower, upper. Limits at another level: `conf_int`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.coef_table
        Fixed effects (model covariance, satterthwaite degrees of freedom)
        <BLANKLINE>
        coefficient  estimate    se    df  statistic        p   lower   upper
        (Intercept)    251.41  6.82  17.0     36.838  <0.0001  237.01  265.80
        Days            10.47  1.55  17.0      6.771  <0.0001    7.21   13.73
        """
        from henderson.inference.hypotheses import coef_table

        return coef_table(self.inference)


def root(variances: FloatArray) -> FloatArray:
    """Square roots, NaN for the negative "variances" that a Hessian at the boundary can give."""
    return np.sqrt(np.where(variances >= 0, variances, np.nan))
