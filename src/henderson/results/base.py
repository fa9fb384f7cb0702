"""What every method of results may read: the fit, and the inference that was asked for.

The methods by topic (`coefficients`, `constraint_tests`, `interval_methods`, …) inherit from `FittedModel` and own what
they add; nothing else is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.elsewhere import RESULTS, NamesElsewhere
from henderson.engine.fit import Fit
from henderson.inference.names import InferenceRequest
from henderson.typing import ColumnLike, Cov, Ddf

if TYPE_CHECKING:
    from typing import Self

    from henderson.inference.inference import Inference

FloatArray = np.ndarray


class FittedModel(NamesElsewhere):
    """A fit and a request.

    Attributes
    ----------
    engine : Fit
        The fit as numbers.
    """

    _elsewhere = RESULTS

    engine: Fit
    _request: InferenceRequest

    def __init__(self, fit: Fit, request: InferenceRequest):
        self.engine = fit
        self._request = request

    @property
    def design(self) -> Design:
        """Terms, names and levels of the model.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.design.x_names, [term.group for term in fit.design.terms]
        (('(Intercept)', 'Days'), ['Subject'])
        """
        return self.engine.design

    @property
    def nobs(self) -> int:
        """Number of rows used.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.nobs
        180
        """
        return self.design.n

    @property
    def df_resid(self) -> int:
        """Rows less independent fixed effects.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.df_resid
        178
        """
        return self.nobs - int(self.engine.kept.sum())

    @cached_property
    def inference(self) -> Inference:
        """The covariance of the fixed effects, their degrees of freedom, and the tests that follow.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.inference.ddf, fit.inference.cov_type
        ('satterthwaite', 'model')
        """
        from henderson.inference.choose import infer

        return infer(self.engine, ddf=self._request.ddf, cov=self._request.cov, cluster=self._request.cluster)

    @property
    def use_t(self) -> bool:
        """Whether tests are t and F rather than z and χ².

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.use_t, fit.with_inference(ddf="asymptotic").use_t
        (True, False)
        """
        return self.inference.ddf != "asymptotic"

    def with_inference(
        self, *, ddf: Ddf | None = None, cov: Cov | None = None, cluster: ColumnLike | None = None
    ) -> Self:
        """The same fit with another covariance of the fixed effects, or other degrees of freedom.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "kenward-roger-2009", "kenward-roger-observed", "containment", \
"between-within", "residual", "asymptotic"}, optional
            Degrees of freedom, in any case; "KR" is understood.
        cov : {"model", "hessian", "kenward-roger", "kenward-roger-observed", "CR0" to "CR3", "CR2-mmrm"}, optional
            Covariance of the fixed effects.
        cluster : (n,) array_like or str, optional
            Clusters of a cluster-robust `cov`.

        Returns
        -------
        results
            A new object; nothing is fitted again.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> robust = fit.with_inference(cov="CR2")
        >>> robust.coef_table[["estimate", "se", "df"]].round(3)
                     estimate     se    df
        coefficient
        (Intercept)   251.405  6.825  17.0
        Days           10.467  1.546  17.0
        """
        return self._again(InferenceRequest.of(ddf, cov, cluster))

    def _again(self, request: InferenceRequest) -> Self:
        """The same fit with another request."""
        return type(self)(self.engine, request)

    def _inference_with(self, ddf: str | None) -> Inference:
        """The results' own inference, or another for one table."""
        from henderson.inference.names import ddf_name

        own = self.inference
        name = ddf_name(ddf)
        return own if name is None or name == own.ddf else self.with_inference(ddf=name).inference

    @property
    def _names(self) -> list[str]:
        """Names of `params`."""
        return list(self.design.x_names)

    def _labelled(self, values: FloatArray, names: Sequence[str]) -> Any:
        """(k,) numbers as a Series, (k, k) as a DataFrame."""
        index = pd.Index(list(names))
        return pd.DataFrame(values, index=index, columns=index) if values.ndim == 2 else pd.Series(values, index=index)

    def _by_row(self, values: FloatArray, names: Sequence[str] | None = None) -> Any:
        """One number a row, or columns (n, k) of these names, with the rows' labels; of the make of the data."""
        rows = self.engine.observed
        if rows.make == "pyarrow":
            import pyarrow as pa

            return pa.array(values) if names is None else pa.table({n: values[:, k] for k, n in enumerate(names)})
        if rows.make == "polars":
            import polars as pl

            return pl.Series(values) if names is None else pl.DataFrame({n: values[:, k] for k, n in enumerate(names)})
        return by_label(values, rows.index, names)


def by_label(values: FloatArray, index: pd.Index, names: Sequence[str] | None = None) -> Any:
    """(n,) numbers as a Series, (n, k) as a DataFrame with columns `names`."""
    if names is None:
        return pd.Series(values, index=index)
    return pd.DataFrame(values, index=index, columns=pd.Index(list(names)))
