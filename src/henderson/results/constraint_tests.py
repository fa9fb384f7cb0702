"""Tests of linear constraints on the parameters of results: t, Wald, F, and term by term."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from henderson.arguments import names as listed
from henderson.arguments import shown
from henderson.errors import ValueWarning
from henderson.inference.constraints import Constraints, parse_constraints
from henderson.results.coefficients import CoefficientMethods, root
from henderson.results.contrast_results import ContrastResults, WaldTestResults, joint_wald_test, t_tests
from henderson.typing import ConstraintsLike

FloatArray = np.ndarray


class ConstraintTests(CoefficientMethods):
    """Tests of what the results estimate, with their covariance and degrees of freedom."""

    @property
    def _k_fe(self) -> int:
        return len(self.engine.beta)

    def _constraints(self, given: Any) -> Constraints:
        """Constraints over all parameters; a matrix may be over the fixed effects only."""
        names, k_fe = self._names, self._k_fe
        rest = len(names) - k_fe
        matrix = given[0] if isinstance(given, tuple) and len(given) == 2 and not isinstance(given[0], str) else given
        is_array = not isinstance(matrix, str | dict | Constraints) and not _is_text(matrix)
        if is_array and _width(matrix) == k_fe != len(names):
            rows = parse_constraints(given, names[:k_fe])
            return rows._replace(R=np.hstack([rows.R, np.zeros((len(rows.R), rest))]))
        return parse_constraints(given, names)

    def t_test(
        self, r_matrix: ConstraintsLike, use_t: bool | None = None, cov_p: ArrayLike | None = None
    ) -> ContrastResults:
        """A test of each of some linear constraints on the fixed effects.

        Parameters
        ----------
        r_matrix : str, array_like, tuple or mapping
            ``"x1 = x2, x3 = 0"``, an (m, k_fe) matrix, (R, q), or named contrasts; see `parse_constraints`.
        use_t : bool, optional
            t instead of z; by default as the results' degrees of freedom say.
        cov_p : (k, k) array_like, optional
            Covariance in place of the results' own.

        Returns
        -------
        ContrastResults
            With `effect`, `sd`, `statistic`, `pvalue`, `df_denom` (m,), `conf_int()` and `summary_frame()`.

        Examples
        --------
        >>> import henderson
        >>> sleepstudy = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.t_test("Days = 10").summary_frame().iloc[:, :4].round(3)
                     coef  std err      t  P>|t|
        Days = 10  10.467    1.546  0.302  0.766
        """
        matrix = r_matrix[0] if isinstance(r_matrix, tuple) and r_matrix else r_matrix
        if not isinstance(matrix, str | dict) and not _is_text(matrix) and _width(matrix) != self._k_fe:
            raise ValueError(f"r_matrix for t-test should have {self._k_fe:d} columns")
        rows = self._constraints(r_matrix)
        fixed = rows.R[:, : self._k_fe]
        testable = self.inference.testable(fixed)
        df = self.inference.df(fixed)
        if use_t is not None and use_t != self.use_t:
            df = np.where(testable, float(self.df_resid) if use_t else np.inf, np.nan)
        if self._is_own(rows, cov_p):
            own = self.inference.t_test(fixed, rows.q)
            effect, sd = own["estimate"].to_numpy(), own["se"].to_numpy()
        else:
            effect, cov = self._linear(rows, cov_p)
            effect, sd = np.where(testable, effect, np.nan), root(np.where(testable, np.diag(cov), np.nan))
        tests = t_tests(rows, effect, sd, df)
        if dropped := self._dropped_in(rows.R[~testable]):
            warnings.warn(
                f"no t test: not estimable, since {dropped} was dropped as redundant", ValueWarning, stacklevel=2
            )
        return tests

    def _is_own(self, rows: Constraints, cov_p: ArrayLike | None) -> bool:
        """Whether constraints are of the fixed effects alone, with the results' own covariance."""
        return cov_p is None and not rows.R[:, self._k_fe :].any()

    def _linear(self, rows: Constraints, cov_p: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
        """R b, (m,), and its covariance, (m, m). Dropped coefficients are left out: an estimable function is the same
        whatever their values."""
        if self._is_own(rows, cov_p):
            return self.inference.linear(rows.R[:, : self._k_fe])
        keep = np.asarray(rows.R.any(axis=0))
        keep[: self._k_fe] &= self.engine.kept
        R, cov = rows.R[:, keep], self._cov if cov_p is None else _covariance(cov_p, self._names)
        return R @ np.asarray(self.params, float)[keep], R @ cov[np.ix_(keep, keep)] @ R.T

    def _dropped_in(self, rows: FloatArray) -> str:
        """Names of the dropped coefficients that constraints (m, k) use."""
        used = rows[:, : self._k_fe].any(0) & ~self.engine.kept
        return ", ".join(np.asarray(self._names)[: self._k_fe][used])

    def wald_test(
        self,
        r_matrix: ConstraintsLike,
        cov_p: ArrayLike | None = None,
        invcov: ArrayLike | None = None,
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
            Whether the statistic is a number rather than a (1, 1) array.

        Returns
        -------
        ContrastResults
            With `statistic`, `pvalue`, `df_denom`, `df_num`.

        Examples
        --------
        >>> import henderson
        >>> cake = henderson.datasets.load("cake")
        >>> fit = henderson.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", cake)
        >>> test = fit.wald_test("recipe[T.B] = 0, recipe[T.C] = 0")
        >>> print(f"F = {test.fvalue:.3f} on {test.df_num:.0f} and {test.df_denom:.0f} df, p = {test.pvalue:.3f}")
        F = 0.249 on 2 and 42 df, p = 0.781
        """
        rows = self._constraints(r_matrix)
        use_f = self.use_t if use_f is None else use_f
        own = cov_p is None and invcov is None and df_constraints is None
        if use_f and self.use_t and own and not rows.R[:, self._k_fe :].any():
            test = self.inference.f_test(rows.R[:, : self._k_fe], rows.q)
            return ContrastResults("F", test.F, df_denom=test.den_df, df_num=test.num_df)
        testable = self.inference.testable(rows.R[:, : self._k_fe])
        if cov_p is None and invcov is None and not testable.all():
            dropped = self._dropped_in(rows.R[~testable])
            raise ValueError(f"no joint test: not estimable, since {dropped} was dropped as redundant")
        effect, cov = self._linear(rows, cov_p)
        return joint_wald_test(
            effect - rows.q,
            cov,
            invcov=None if invcov is None else np.asarray(invcov, float),
            df_denom=float(self.df_resid) if use_f else None,
            df_constraints=df_constraints,
            scalar=scalar,
        )

    def f_test(
        self, r_matrix: ConstraintsLike, cov_p: ArrayLike | None = None, invcov: ArrayLike | None = None
    ) -> ContrastResults:
        """`wald_test` with F.

        Parameters and returns are those of `wald_test`; F has `df_resid` denominator degrees of freedom where the
        results' own tests are χ² tests.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> found = fit.f_test("Days = 10")
        >>> round(float(found.fvalue), 4), round(float(found.pvalue), 4)
        (0.0914, 0.7661)
        """
        return self.wald_test(r_matrix, cov_p=cov_p, invcov=invcov, use_f=True)

    def wald_test_terms(
        self,
        skip_single: bool = False,
        extra_constraints: Sequence[tuple[str, ConstraintsLike]] | None = None,
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
        scalar : bool
            Whether statistics are numbers rather than (1, 1) arrays.

        Returns
        -------
        WaldTestResults
            With `table`, one row a term. Of a term of which columns were dropped as redundant, what is left is tested;
            NaN when nothing is.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
        >>> fit.wald_test_terms()
        <class 'henderson.results.contrast_results.WaldTestResults'>
                             F           P>F  df constraint    df denom
        (Intercept)   0.162482  6.872205e-01              1  254.015758
        recipe        0.095678  9.087894e-01              2  254.015758
        temp         29.696131  1.339033e-07              1  222.000000
        recipe:temp   0.041692  9.591722e-01              2  222.000000
        """
        spec = getattr(self.design.specs, "fixed", None)
        if spec is None:
            terms = {name: slice(i, i + 1) for i, name in enumerate(self.design.x_names)}
        else:
            names = self.design.x_names
            terms = {":".join(term) or names[at.start]: at for term, at in zip(spec.terms, spec.slices)}
        identity, kept = np.eye(self._k_fe), np.asarray(self.engine.kept)
        sizes = {name: at.stop - at.start for name, at in terms.items()}
        own = {name: identity[at][kept[at]] for name, at in terms.items()}
        asked = [(name, rows) for name, rows in own.items() if not (skip_single and sizes[name] == 1)]
        for part in () if combine_terms is None else listed(combine_terms, "combine_terms"):
            if not any(part in name for name in own):
                raise ValueError(f"combine_terms: no term has {part!r} in its name; there are {', '.join(own)}")
            asked.append((part, np.vstack([rows for name, rows in own.items() if part in name])))
        asked += list(extra_constraints or ())
        none = ContrastResults("F", np.nan, df_denom=np.nan, df_num=0.0)
        if not self.use_t:
            none = ContrastResults("chi2", np.nan, df_denom=0.0)
        return WaldTestResults(
            [(name, self.wald_test(rows, scalar=scalar) if len(rows) else none) for name, rows in asked]
        )


def _width(matrix: Any) -> int:
    """Columns of a constraint matrix; a single number has one."""
    shape = np.shape(matrix)
    return int(shape[-1]) if shape else 1


def _covariance(given: Any, names: Sequence[str]) -> FloatArray:
    """A covariance of the parameters that a user gives, by their names where it has them."""
    if isinstance(given, pd.DataFrame) and set(given.index) == set(given.columns) == set(names):
        given = given.loc[list(names), list(names)]
    k = len(names)
    try:
        found = np.asarray(given, float)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (k, k):
        raise ValueError(f"cov_p is the ({k}, {k}) covariance of {', '.join(names)}, not {shown(given)}")
    return found


def _is_text(given: Any) -> bool:
    return isinstance(given, list | tuple) and len(given) > 0 and all(isinstance(item, str) for item in given)
