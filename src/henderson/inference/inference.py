"""`Inference`: one covariance of β̂ and one rule for degrees of freedom, and the t and F tests that follow.

Every table of fixed effects (coefficients, ANOVA, marginal means, intervals) asks this object and nothing else.
`choose.infer` makes one from a fit and two names, looked up in the registries `DDF` and `COV`.

    t = (L β̂ − q) / sqrt(L cov L')      F = (R β̂ − q)' (R cov R')⁻¹ (R β̂ − q) / rank(R)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from henderson.errors import ValueWarning
from henderson.inference.contrast_rows import Turned as Turned
from henderson.inference.contrast_rows import errors_of, independent_rows, needs_dropped, row_name, units_of
from henderson.inference.identified import Unidentified
from henderson.numerics.distributions import f_pvalue, t_pvalue, t_quantile
from henderson.numerics.lapack import eigen

FloatArray = np.ndarray

#: a variance above minus this, relative to the terms that it is the sum of, is zero but for rounding
_OF_A_SUM = 1e-11


class FTest(NamedTuple):
    """An F test: statistic, degrees of freedom, p-value (den_df may be infinite: a χ² test)."""

    F: float
    num_df: float
    den_df: float
    p: float


class DdfMethod(Protocol):
    """How a row of contrasts gets its degrees of freedom, and several rows their F test.

    `rows` have shape (r, p) over the columns kept.
    """

    def df(self, rows: FloatArray) -> FloatArray:
        """Degrees of freedom of each row, (r,)."""

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray | Turned) -> tuple[float, float]:
        """F and its denominator df; `rows` (r, p), perhaps dependent; `values` = R β̂ − q; `cov` that of β̂."""


def all_but_dependent(cov: FloatArray) -> bool:
    """Whether a covariance (p, p) has lost half of the digits of some combination: covariates are far from zero."""
    size = units_of(errors_of(cov))
    return bool(len(cov) and np.isfinite(cov).all() and eigen(cov / np.outer(size, size))[0][0] < 1e-8)


@dataclass(frozen=True, eq=False)
class Inference:
    """A covariance of β̂, a rule for degrees of freedom, and the tests that follow.

    Contrasts are rows over *all* p columns of the design. Columns that were dropped as redundant have NaN in `beta` and
    `cov`; a contrast that needs them is evaluated when it is estimable and is NaN, with a note, when it is not.

    Attributes
    ----------
    names : tuple of p str
    beta : (p,) array
    kept : (p,) bool array
    cov : (p, p) array
        Covariance of β̂.
    ddf, cov_type : str
        The methods' names.
    make : callable
        Makes the rule for degrees of freedom, `method`, when that is first asked for: standard errors do without it,
        and it may take longer than they do.
    null_space : (p, d) array
        Basis of {a : X a = 0}; d columns were dropped.
    of_cov : tuple of str
        What a reader must know of the covariance.
    unidentified : Unidentified, or None
        What the data do not tell of the covariance: NaN.
    turned : Turned, or None
        The covariance where sums of it lose no digits.
    """

    names: tuple[str, ...]
    beta: FloatArray
    kept: FloatArray
    cov: FloatArray
    ddf: str
    cov_type: str
    make: Callable[[], DdfMethod] = field(repr=False, compare=False)
    null_space: FloatArray
    of_cov: tuple[str, ...] = ()
    unidentified: Unidentified | None = None
    turned: Turned | None = None

    @cached_property
    def method(self) -> DdfMethod:
        """The rule for degrees of freedom."""
        return self.make()

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a table made from this should say below itself."""
        flat = () if self.unidentified is None else (self.unidentified.flat.note,)
        return tuple(dict.fromkeys((*self.of_cov, *getattr(self.method, "notes", ()), *flat)))

    def settled(self) -> Inference:
        """The same with its method made, and nothing held that making it takes."""
        return copy(self)

    def __getstate__(self) -> dict[str, Any]:
        kept = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "make"}
        return {**kept, "method": self.method, "notes": self.notes}

    def rows(self, L: Any) -> FloatArray:
        """`L` as rows over all columns, (r, p)."""
        rows = np.atleast_2d(np.asarray(L, float))
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise ValueError(f"a contrast has one number per fixed effect, {len(self.names)}, not {rows.shape[-1]}")
        return rows

    def estimable(self, L: Any) -> FloatArray:
        """Whether each row is estimable: orthogonal to the null space of X, (r,) bool."""
        return np.asarray(~self.needs(L).any(axis=1))

    def needs(self, L: Any) -> FloatArray:
        """Which columns that were dropped each row needs, (r, d) bool: those to whose vector of the null space it is
        not orthogonal, but for rounding errors in the sum or in what the row was computed from."""
        return needs_dropped(self.rows(L), self.null_space, self.kept, errors_of(self._cov_kept))

    def testable(self, L: Any) -> FloatArray:
        """Whether each row is estimable, or says nothing of dropped columns (the model without them), (r,) bool."""
        rows = self.rows(L)
        return self.estimable(rows) | ~rows[:, ~self.kept].any(axis=1)

    def _masked(self, values: FloatArray, rows: FloatArray) -> FloatArray:
        return np.where(self.estimable(rows), values, np.nan)

    @cached_property
    def _beta_kept(self) -> FloatArray:
        return self.beta[self.kept]

    @cached_property
    def _cov_kept(self) -> FloatArray:
        return self.cov[np.ix_(self.kept, self.kept)]

    def estimate(self, L: Any) -> FloatArray:
        """L β̂, (r,)."""
        return self._masked(self._estimate(self.rows(L)), self.rows(L))

    def covariance(self, L: Any) -> FloatArray:
        """Covariance of L β̂, (r, r)."""
        rows = self.rows(L)
        kept = rows[:, self.kept]
        blank = np.where(self.estimable(rows) & self._identified(rows), 0.0, np.nan)
        return self._between(kept) + blank[:, None] + blank

    def linear(self, R: Any) -> tuple[FloatArray, FloatArray]:
        """R β̂, (r,), and its covariance, (r, r), for Wald tests: NaN for rows that are not testable, and for variances
        that the data do not tell."""
        rows = self.rows(R)
        unknown = np.where(self.testable(rows), 0.0, np.nan)
        kept = rows[:, self.kept]
        blank = unknown + np.where(self._identified(rows), 0.0, np.nan)
        return self._estimate(rows) + unknown, self._between(kept) + blank[:, None] + blank

    def se(self, L: Any) -> FloatArray:
        """Standard error of each row of L β̂, (r,)."""
        return self._masked(self._se(self.rows(L)), self.rows(L))

    def df(self, L: Any) -> FloatArray:
        """Degrees of freedom of each testable row, (r,); infinite for a z test."""
        return np.where(self.testable(L), self._df(self.rows(L)), np.nan)

    @cached_property
    def known_cov(self) -> FloatArray:
        """`cov`, with NaN where the data do not identify a coefficient's variance, (p, p)."""
        blank = np.where(self._identified(np.eye(len(self.names))), 0.0, np.nan)
        return self.cov + blank[:, None] + blank if np.isnan(blank).any() else self.cov

    def _identified(self, rows: FloatArray) -> FloatArray:
        """Whether the data tell the variance of each row, (r,) bool."""
        if self.unidentified is None:
            return np.ones(len(rows), bool)
        return ~self.unidentified.touches(rows[:, self.kept])

    def _in_sums(self, kept: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows over the columns kept, and the covariance, in the working basis where it is known."""
        return (kept, self._cov_kept) if self.turned is None else (kept @ self.turned.to_beta, self.turned.cov)

    def _between(self, kept: FloatArray) -> FloatArray:
        turned, cov = self._in_sums(kept)
        return np.asarray(turned @ cov @ turned.T)

    def _estimate(self, rows: FloatArray) -> FloatArray:
        return rows[:, self.kept] @ self._beta_kept

    def _se(self, rows: FloatArray) -> FloatArray:
        kept = rows[:, self.kept]
        turned, cov = self._in_sums(kept)
        variance = ((turned @ cov) * turned).sum(1)
        # an observed information that is not positive definite has an "inverse" with negative variances: no SE
        rounding = _OF_A_SUM * (np.abs(turned) @ np.abs(cov) * np.abs(turned)).sum(1)
        unknown = (variance < -rounding) | ~self._identified(rows)
        return np.sqrt(np.where(unknown, np.nan, np.maximum(variance, 0.0)))

    def _df(self, rows: FloatArray) -> FloatArray:
        return np.asarray(self.method.df(rows[:, self.kept]), float)

    def t_test(self, L: Any, q: Any = 0.0, *, level: float = 0.95, names: Sequence[str] | None = None) -> pd.DataFrame:
        """t tests of L β = q, one row each.

        Returns
        -------
        DataFrame
            Columns estimate, se, df, statistic, p, lower, upper; `attrs["notes"]`.
        """
        rows = self.rows(L)
        testable = self.testable(rows)
        kept = np.where(self.kept, rows, 0.0)
        estimate, se, df = (np.where(testable, of(kept), np.nan) for of in (self._estimate, self._se, self._df))
        statistic = (estimate - np.asarray(q, float)) / np.where(se > 0, se, np.nan)
        half = t_quantile((1 + level) / 2, df) * se
        frame = pd.DataFrame(
            {
                "estimate": estimate,
                "se": se,
                "df": df,
                "statistic": statistic,
                "p": t_pvalue(statistic, df),
                "lower": estimate - half,
                "upper": estimate + half,
            },
            index=pd.Index(names if names is not None else [row_name(row, self.names) for row in rows]),
        )
        frame.attrs["notes"] = self.notes + self._unknown(testable, frame.index)
        return frame

    def f_test(self, R: Any, q: Any = 0.0) -> FTest:
        """F test of R β = q; rows that depend on the others are left out of the count.

        NaN, with a `ValueWarning` that says why, when a row is not estimable.
        """
        rows = self.rows(R)
        values = np.broadcast_to(np.asarray(q, float), (len(rows),))
        testable = self.testable(rows)
        if not testable.all():
            why = self._unknown(testable, [row_name(row, self.names) for row in rows])
            warnings.warn(f"no F test: {why[0]}", ValueWarning, stacklevel=2)
            return FTest(np.nan, np.nan, np.nan, np.nan)
        kept = rows[:, self.kept]
        values = kept @ self._beta_kept - values
        num_df = float(len(independent_rows(kept, values, errors_of(self._cov_kept))[0]))
        if not num_df:
            return FTest(np.nan, 0.0, np.nan, np.nan)
        if self.unidentified is not None and self.unidentified.touches_any(kept):
            return FTest(np.nan, num_df, np.nan, np.nan)
        statistic, den_df = self.method.f_test(kept, values, self.turned or self._cov_kept)
        return FTest(float(statistic), num_df, float(den_df), float(f_pvalue(statistic, num_df, den_df)))

    def _unknown(self, good: FloatArray, labels: Iterable[Any]) -> tuple[str, ...]:
        bad = [str(label) for label, known in zip(labels, good) if not known]
        if not bad:
            return ()
        dropped = ", ".join(name for name, kept in zip(self.names, self.kept) if not kept)
        return (f"not estimable, since {dropped} was dropped as redundant: {', '.join(bad)}",)
