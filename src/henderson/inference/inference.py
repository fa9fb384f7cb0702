"""`Inference`: one covariance of β̂ and one rule for degrees of freedom, and the t and F tests that follow.

Every table of fixed effects (coefficients, ANOVA, marginal means, intervals) asks this object and nothing else.
`infer` makes one from a fit and two names, looked up in the registries `DDF` and `COV`.

    t = (L β̂ − q) / sqrt(L cov L')      F = (R β̂ − q)' (R cov R')⁻¹ (R β̂ − q) / rank(R)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from henderson.errors import ValueWarning

FloatArray = np.ndarray


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

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray) -> tuple[float, float]:
        """F and its denominator df; `rows` (r, p), perhaps dependent; `values` = R β̂ − q; `cov` (p, p)."""


@dataclass(frozen=True)
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
    method : DdfMethod
    null_space : (p, d) array
        Basis of {a : X a = 0}; d columns were dropped.
    notes : tuple of str
        What a table made from this should say below itself.
    """

    names: tuple[str, ...]
    beta: FloatArray
    kept: FloatArray
    cov: FloatArray
    ddf: str
    cov_type: str
    method: DdfMethod
    null_space: FloatArray
    notes: tuple[str, ...] = ()

    def rows(self, L: Any) -> FloatArray:
        """`L` as rows over all columns, (r, p)."""
        rows = np.atleast_2d(np.asarray(L, float))
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise ValueError(f"a contrast has one number per fixed effect, {len(self.names)}, not {rows.shape[-1]}")
        return rows

    def estimable(self, L: Any) -> FloatArray:
        """Whether each row is estimable: orthogonal to the null space of X, (r,) bool."""
        rows = self.rows(L)
        if not self.null_space.size:
            return np.ones(len(rows), bool)
        size = np.abs(rows) @ np.abs(self.null_space) + 1e-300
        return np.all(np.abs(rows @ self.null_space) <= 1e-8 * size, axis=1)

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
        blank = np.where(self.estimable(rows), 0.0, np.nan)
        return kept @ self._cov_kept @ kept.T + blank[:, None] + blank

    def se(self, L: Any) -> FloatArray:
        """Standard error of each row of L β̂, (r,)."""
        return self._masked(self._se(self.rows(L)), self.rows(L))

    def df(self, L: Any) -> FloatArray:
        """Degrees of freedom of each testable row, (r,); infinite for a z test."""
        return np.where(self.testable(L), self._df(self.rows(L)), np.nan)

    def _estimate(self, rows: FloatArray) -> FloatArray:
        return rows[:, self.kept] @ self._beta_kept

    def _se(self, rows: FloatArray) -> FloatArray:
        kept = rows[:, self.kept]
        return np.sqrt(np.maximum(((kept @ self._cov_kept) * kept).sum(1), 0.0))

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
            index=pd.Index(names if names is not None else [_row_name(row, self.names) for row in rows]),
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
            why = self._unknown(testable, [_row_name(row, self.names) for row in rows])
            warnings.warn(f"no F test: {why[0]}", ValueWarning, stacklevel=2)
            return FTest(np.nan, np.nan, np.nan, np.nan)
        kept = rows[:, self.kept]
        values = kept @ self._beta_kept - values
        num_df = float(len(independent_rows(kept, values)[0]))
        if not num_df:
            return FTest(np.nan, 0.0, np.nan, np.nan)
        statistic, den_df = self.method.f_test(kept, values, self._cov_kept)
        return FTest(float(statistic), num_df, float(den_df), float(f_pvalue(statistic, num_df, den_df)))

    def _unknown(self, good: FloatArray, labels: Iterable[Any]) -> tuple[str, ...]:
        bad = [str(label) for label, known in zip(labels, good) if not known]
        if not bad:
            return ()
        dropped = ", ".join(name for name, kept in zip(self.names, self.kept) if not kept)
        return (f"not estimable, since {dropped} was dropped as redundant: {', '.join(bad)}",)


def _row_name(row: FloatArray, names: Sequence[str]) -> str:
    """``"a - 2*b"`` for a row of numbers."""
    text = ""
    for value, name in zip(row, names):
        if value:
            size = "" if abs(value) == 1 else f"{abs(value):.4g}*"
            sign = "-" if value < 0 else "+"
            text += (f" {sign} " if text else sign.replace("+", "")) + size + name
    return text or "0"


def independent_rows(rows: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows spanning the row space, and the values that go with them; dependent rows must agree with the others.

    Rows of full rank come back as they are.

    Raises
    ------
    ValueError
        When a dependent row contradicts the others.
    """
    from scipy.linalg import qr

    size = np.linalg.norm(rows, axis=1)
    scaled = rows / np.where(size > 0, size, 1.0)[:, None]
    triangle, order = qr(scaled.T, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    rank = int((diagonal > 1e-9 * max(diagonal.max(initial=0.0), 1e-300)).sum()) if size.any() else 0
    if rank == len(rows):
        return rows, values
    chosen = np.sort(order[:rank])
    weights, *_ = np.linalg.lstsq(rows[chosen].T, rows.T, rcond=None)
    implied = weights.T @ values[chosen]
    if np.abs(implied - values).max(initial=0.0) > 1e-6 * (np.abs(values).max(initial=0.0) + 1e-300):
        raise ValueError("the rows of the hypothesis contradict each other")
    return rows[chosen], values[chosen]


def wald_f(rows: FloatArray, values: FloatArray, cov: FloatArray) -> float:
    """values' (R cov R')⁻¹ values / rank(R)."""
    rows, values = independent_rows(rows, values)
    return float(values @ np.linalg.solve(rows @ cov @ rows.T, values) / len(rows))


def t_pvalue(statistic: Any, df: Any) -> FloatArray:
    """Two-sided p of a t statistic; df = ∞: the normal.

    Examples
    --------
    >>> t_pvalue([1.96, 1.96], [10, np.inf]).round(4)
    array([0.0784, 0.05  ])
    """
    from scipy.special import ndtr, stdtr

    size, df = -np.abs(np.asarray(statistic, float)), np.asarray(df, float)
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.where(np.isnan(df), np.nan, 2 * np.where(np.isposinf(df), ndtr(size), stdtr(finite, size)))


def t_quantile(probability: float, df: Any) -> FloatArray:
    """Quantile of t; df = ∞: the normal."""
    from scipy.special import ndtri, stdtrit

    df = np.asarray(df, float)
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.where(np.isnan(df), np.nan, np.where(np.isposinf(df), ndtri(probability), stdtrit(finite, probability)))


def f_pvalue(statistic: Any, num_df: Any, den_df: Any) -> FloatArray:
    """Upper tail of F; den_df = ∞: χ² of num_df · F.

    Examples
    --------
    >>> f_pvalue([3.0, 3.0], 2, [10, np.inf]).round(4)
    array([0.0954, 0.0498])
    """
    from scipy.special import chdtrc, fdtrc

    statistic, num_df, den_df = (np.asarray(a, float) for a in (statistic, num_df, den_df))
    finite = np.where(np.isfinite(den_df), den_df, 1.0)
    tail = np.where(np.isposinf(den_df), chdtrc(num_df, num_df * statistic), fdtrc(num_df, finite, statistic))
    return np.where(np.isnan(den_df) | np.isnan(statistic), np.nan, tail)


def infer(fit: Any, *, ddf: str | None = None, cov: str | None = None, cluster: Any = None) -> Inference:
    """Choose a covariance of β̂ and degrees of freedom for a fit.

    Parameters
    ----------
    fit : Fit or MixedLMResults
    ddf : str, optional
        A name in `DDF`; by default the one that goes with `cov`, else "satterthwaite".
    cov : str, optional
        A name in `COV`; by default the one that goes with `ddf`, else "model".
    cluster : (n,) labels, optional
        Clusters of a cluster-robust `cov`; by default the top grouping factor.

    Returns
    -------
    Inference

    Raises
    ------
    ValueError
        An unknown name, or a combination that has no meaning.

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> infer(fit, ddf="kenward-roger").df([[0.0, 1.0]]).round(6)
    array([17.])
    >>> infer(fit, cov="CR2").se([[0.0, 1.0]]).round(4)
    array([1.5458])
    """
    from henderson.inference.covariances.registry import covariance
    from henderson.inference.ddf.registry import IMPLIED, degrees_of_freedom
    from henderson.inference.fit_moments import Setting

    setting = Setting.of(fit)
    if ddf is None:
        ddf = cov if cov in IMPLIED else "satterthwaite"
    if cov is None:
        cov = IMPLIED.get(ddf, "model")
    of_beta = covariance(cov, setting, cluster)
    method = degrees_of_freedom(ddf, cov, setting, of_beta.satterthwaite)
    kept = setting.kept
    full = np.full((len(kept), len(kept)), np.nan)
    full[np.ix_(kept, kept)] = of_beta.matrix
    return Inference(
        names=tuple(setting.design.x_names),
        beta=setting.beta,
        kept=kept,
        cov=full,
        ddf=ddf,
        cov_type=cov,
        method=method,
        null_space=setting.null_space,
        notes=tuple(getattr(method, "notes", ())),
    )
