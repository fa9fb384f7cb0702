"""Standard errors, intervals and tests of `MixedLMResults`: all follow the results' `Inference`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .constraints import Constraints, parse_constraints
from .contrasts import ContrastResults, WaldTestResults, joint_test, t_tests
from .errors import ValueWarning

if TYPE_CHECKING:
    from .inference import Inference
    from .joint import Joint

FloatArray = np.ndarray


class ResultsInference:
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

    def _label(self, values: FloatArray, names: list[str]) -> Any:
        raise NotImplementedError

    @cached_property
    def inference(self) -> Inference:
        """The covariance of the fixed effects, their degrees of freedom, and the tests that follow."""
        from .inference import infer

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
        from .inference.core import t_pvalue

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
            For the method; and `parameters`, the names of those wanted (see `henderson.intervals.interval_table`).

        Returns
        -------
        DataFrame or array
            Behind statsmodels' door Wald intervals of `params`. Otherwise of all parameters as they are shown
            (standard deviations, correlations, sigma, fixed effects), with columns lower and upper.
        """
        alpha = alpha if level is None else 1 - level
        if method != "wald" or self.door.name == "lme4" or options:
            from .intervals import interval_table

            return interval_table(self, method, 1 - alpha, **options)
        from .inference.core import t_quantile

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

        See Also
        --------
        henderson.inference.profile.profile_fit
        """
        from .inference.profile import profile_fit

        return profile_fit(self.engine, which, **options)

    def bootstrap(self, n: int = 1000, **options: Any) -> Any:
        """Refit to simulated or resampled responses.

        See Also
        --------
        henderson.inference.bootstrap.bootstrap_fit
        """
        from .inference.bootstrap import bootstrap_fit

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
        from .inference.boot.draws import simulate

        return simulate(self.engine, n, seed)

    # tests

    def _constraints(self, given: Any) -> Constraints:
        """Constraints over all parameters; a matrix may be over the fixed effects only."""
        names = self.model.data.param_names
        rest = len(names) - self.k_fe
        matrix = given[0] if isinstance(given, tuple) and len(given) == 2 and not isinstance(given[0], str) else given
        is_array = not isinstance(matrix, str | dict | Constraints) and not _is_text(matrix)
        if is_array and np.atleast_2d(np.asarray(matrix, float)).shape[1] == self.k_fe != len(names):
            rows = parse_constraints(given, names[: self.k_fe])
            return rows._replace(R=np.hstack([rows.R, np.zeros((len(rows.R), rest))]))
        return parse_constraints(given, names)

    def t_test(self, r_matrix: Any, use_t: bool | None = None, cov_p: Any = None) -> ContrastResults:
        """A test of each of some linear constraints on the fixed effects.

        Parameters
        ----------
        r_matrix : str, array_like, tuple or mapping
            ``"x1 = x2, x3 = 0"``, an (m, k_fe) matrix, (R, q), or named contrasts; see `parse_constraints`.
        use_t : bool, optional
            t instead of z; by default as the results' degrees of freedom say.
        cov_p : (k, k) array_like, optional
            Covariance in place of the results' own.
        """
        matrix = r_matrix[0] if isinstance(r_matrix, tuple) else r_matrix
        if not isinstance(matrix, str | dict) and not _is_text(matrix):
            width = np.atleast_2d(np.asarray(matrix, float)).shape[1]
            if width != self.k_fe:
                raise ValueError(f"r_matrix for t-test should have {self.k_fe:d} columns")
        rows = self._constraints(r_matrix)
        df = self.inference.df(rows.R[:, : self.k_fe])
        if use_t is not None and use_t != self.use_t:
            df = np.full(len(df), float(self.df_resid) if use_t else np.inf)
        tests = t_tests(rows, np.asarray(self.params), self._cov if cov_p is None else np.asarray(cov_p), df)
        if dropped := self._dropped_in(rows.R[np.isnan(np.atleast_1d(tests.pvalue))]):
            warnings.warn(
                f"no t test: not estimable, since {dropped} was dropped as redundant", ValueWarning, stacklevel=2
            )
        return tests

    def _dropped_in(self, rows: FloatArray) -> str:
        """Names of the dropped coefficients that constraints (m, k) use."""
        used = rows[:, : self.k_fe].any(0) & ~self.engine.kept
        return ", ".join(np.asarray(self.model.data.param_names)[: self.k_fe][used])

    def wald_test(
        self,
        r_matrix: Any,
        cov_p: Any = None,
        invcov: Any = None,
        use_f: bool | None = None,
        df_constraints: float | None = None,
        scalar: bool = True,
    ) -> ContrastResults:
        """One test of several linear constraints on the parameters.

        Parameters
        ----------
        r_matrix : str, array_like, tuple or mapping
            Over all parameters, or a matrix over the fixed effects; see `parse_constraints`.
        cov_p, invcov : array_like, optional
            Covariance of params, or inverse covariance of the constrained functions, in place of the own.
        use_f : bool, optional
            F instead of χ²; by default as the results' degrees of freedom say.
        df_constraints : float, optional
            In place of the number of independent constraints.
        scalar : bool
        """
        rows = self._constraints(r_matrix)
        use_f = self.use_t if use_f is None else use_f
        own = cov_p is None and invcov is None and df_constraints is None
        if use_f and self.use_t and own and not rows.R[:, self.k_fe :].any():
            test = self.inference.f_test(rows.R[:, : self.k_fe], rows.q)
            return ContrastResults("F", test.F, df_denom=test.den_df, df_num=test.num_df)
        if cov_p is None and invcov is None and (dropped := self._dropped_in(rows.R)):
            raise ValueError(f"no joint test: not estimable, since {dropped} was dropped as redundant")
        return joint_test(
            rows,
            np.asarray(self.params),
            self._cov if cov_p is None else np.asarray(cov_p, float),
            invcov=invcov,
            df_denom=float(self.df_resid) if use_f else None,
            df_constraints=df_constraints,
            scalar=scalar,
        )

    def f_test(self, r_matrix: Any, cov_p: Any = None, invcov: Any = None) -> ContrastResults:
        """`wald_test` with F."""
        return self.wald_test(r_matrix, cov_p=cov_p, invcov=invcov, use_f=True)

    def wald_test_terms(
        self,
        skip_single: bool = False,
        extra_constraints: Sequence[tuple[str, Any]] | None = None,
        combine_terms: Sequence[str] | None = None,
        scalar: bool = True,
    ) -> WaldTestResults:
        """A joint test for every term of the fixed part (for array input: every column).

        Parameters
        ----------
        skip_single : bool
            Leave out terms of one column.
        extra_constraints : sequence of (name, constraints), optional
        combine_terms : sequence of str, optional
            For each, one more test of all terms whose name holds it.
        """
        spec = self.model.data.model_spec
        if spec is None:
            terms = {name: slice(i, i + 1) for i, name in enumerate(self.model.exog_names)}
        else:
            terms = {":".join(term) or "Intercept": place for term, place in zip(spec.terms, spec.slices)}
        identity = np.eye(self.k_fe)
        asked = [(name, identity[at]) for name, at in terms.items() if not (skip_single and len(identity[at]) == 1)]
        for part in combine_terms or ():
            asked.append((part, np.vstack([identity[at] for name, at in terms.items() if part in name])))
        asked += list(extra_constraints or ())
        return WaldTestResults([(name, self.wald_test(rows, scalar=scalar)) for name, rows in asked])


def _root(variances: FloatArray) -> FloatArray:
    """Square roots, NaN for the negative "variances" that a Hessian at the boundary can give."""
    return np.sqrt(np.where(variances >= 0, variances, np.nan))


def _is_text(given: Any) -> bool:
    return isinstance(given, list | tuple) and len(given) > 0 and all(isinstance(item, str) for item in given)
