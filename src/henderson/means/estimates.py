"""Linear functions of β̂ as tables: estimates, intervals and tests, in families, adjusted for multiplicity.

`Estimates` is what marginal means, trends and contrasts share: rows L over the fixed effects with their
labels. The frame is computed when it is first asked for, and all methods return new objects.

    t = (Lβ̂ − null) / se;   with an equivalence margin δ: (|Lβ̂ − null| − δ) / se, left-tailed (two one-sided
    tests); non-superiority: (Lβ̂ − null − δ) / se, left-tailed;   non-inferiority: (Lβ̂ − null + δ) / se,
    right-tailed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from henderson import arguments
from henderson.elsewhere import MEANS, NamesElsewhere
from henderson.inference.inference import FTest, Inference
from henderson.means.estimability import reasons
from henderson.means.joint_test import joint_test
from henderson.means.labels import free_name
from henderson.means.multiplicity import adjust as multiplicity
from henderson.means.options import PLAIN, TestOptions
from henderson.means.response import WayBack, as_ratios
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table
from henderson.typing import Adjust, Side


@dataclass(frozen=True, eq=False, repr=False)
class Estimates(NamesElsewhere, TableExports):
    """Linear functions Lβ̂ + offset, with labels.

    Attributes
    ----------
    keys : DataFrame with r rows
        Labels: the factor columns, or ``contrast``, and the columns of `by`.
    rows : (r, p) array
        L, over all fixed effects.
    inference : Inference
    offset : (r,) array or float
    by : tuple of str
        Columns of `keys` whose combinations are the families.
    test : TestOptions
    pairs_of : tuple of int, or None
        For each family, the number of means of which it has all pairs.
    about : tuple of str
        Notes on what the rows are.
    quantity : str
        What the numbers are: the response, or a slope. The label of an axis.
    way : WayBack, or None
        To the response before it was transformed.
    """

    _elsewhere = MEANS

    keys: pd.DataFrame
    rows: np.ndarray
    inference: Inference
    offset: np.ndarray | float = 0.0
    by: tuple[str, ...] = ()
    test: TestOptions = PLAIN
    pairs_of: tuple[int, ...] | None = None
    about: tuple[str, ...] = ()
    quantity: str = ""
    way: WayBack | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """The labels, then estimate, se, df, lower, upper, statistic, p (with a number behind a name that a factor
        has: ``p1``). The notes are in ``attrs["notes"]``.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").frame[["Machine", "estimate", "se", "df"]].round(3)
          Machine  estimate     se     df
        0       A    52.356  2.229  5.833
        1       B    60.322  2.229  5.833
        2       C    66.272  2.229  5.833
        """
        frame = self._computed[0].copy()
        frame.attrs["notes"] = self.notes
        return frame

    @property
    def notes(self) -> tuple[str, ...]:
        """What was averaged, how degrees of freedom, limits and p-values were made, and why numbers are
        missing.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").notes
        ('Degrees of freedom: satterthwaite', 'Confidence level: 0.95')
        """
        return self._computed[1]

    @property
    def table(self) -> Table:
        """The printed form and its exports."""
        return Table(self._computed[0], notes=self.notes, by=self.by, keys=self.keys.shape[1])

    def as_table(self) -> Table:
        """`table`, by the name that all objects have."""
        return self.table

    @cached_property
    def cov(self) -> np.ndarray:
        """Covariance of the estimates, (r, r).

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").cov.round(2)
        array([[4.97, 4.41, 4.41],
               [4.41, 4.97, 4.41],
               [4.41, 4.41, 4.97]])
        """
        return self.inference.covariance(self.rows)

    def __str__(self) -> str:
        return str(self.table)

    __repr__ = __str__

    def to_html(self) -> str:
        """The table as HTML.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").to_html().startswith("<table")
        True
        """
        return self.table.to_html()

    def to_latex(self) -> str:
        """The table as LaTeX.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> "tabular" in fit.emmeans("Machine").to_latex()
        True
        """
        return self.table.to_latex()

    def to_markdown(self) -> str:
        """The table as Markdown.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> print(fit.emmeans("Machine").to_markdown().splitlines()[0])
        | Machine | estimate | se | df | lower | upper | statistic | p |
        """
        return self.table.to_markdown()

    def summary(
        self,
        *,
        adjust: Adjust | None = None,
        level: float | None = None,
        side: Side | None = None,
        delta: float | None = None,
        null: float | None = None,
        by: str | Iterable[str] | None = None,
        type: Literal["link", "response"] | None = None,
        bias_adjust: bool | None = None,
        sigma: float | None = None,
    ) -> Self:
        """The same estimates, tested otherwise; what is None stays as it is.

        Parameters
        ----------
        adjust : str
            ``"tukey"``, ``"sidak"``, ``"bonferroni"``, ``"holm"``, ``"hochberg"``, ``"hommel"``, ``"fdr"``,
            ``"by"``, ``"dunnett"``, ``"mvt"``, ``"scheffe"``, ``"none"``.
        level : float
            Confidence level.
        side : {"two-sided", "less", "greater"}
            Alternative; with `delta` also "equivalence", "nonsuperiority", "noninferiority".
        delta : float
            Margin of equivalence.
        null : float
            Value under the null hypothesis.
        by : str or sequence of str
            Columns that make the families.
        type : {"link", "response"}
            With a transformed response, ``log(y)``: on that scale, or back on that of y; differences of logarithms go
            back as ratios.
        bias_adjust : bool
            With ``type="response"``: means of y and not medians, to second order.
        sigma : float
            Standard deviation for that; by default of all that varies in the model.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> pairs = fit.emmeans("Machine").pairs()
        >>> pairs.summary(adjust="none", level=0.99).frame[["contrast", "lower", "upper"]].round(2)
          contrast  lower  upper
        0    A - B -10.80  -5.13
        1    A - C -16.75 -11.08
        2    B - C  -8.78  -3.12
        """
        changes = {"adjust": adjust, "level": level, "side": side, "delta": delta, "null": null}
        test = self.test.but(**changes, type=type, bias_adjust=bias_adjust, sigma=sigma)
        if by is None:
            return replace(self, test=test)
        families = columns_of(by, self.keys)
        same = set(families) == set(self.by)
        return replace(self, test=test, by=families, pairs_of=self.pairs_of if same else None)

    def joint(self, *, den_df: Literal["smallest", "joint"] = "smallest") -> FTest | pd.DataFrame:
        """F test that all estimates of a family are zero (a frame with one row for each family when there is
        `by`).

        Parameters
        ----------
        den_df : {"smallest", "joint"}
            The smallest df of orthonormal rows, as emmeans has it, or that of the F test itself (Fai and
            Cornelius's, or Kenward and Roger's with its scaled F).

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> test = fit.emmeans("Machine").pairs().joint()
        >>> round(test.F, 3), test.num_df, round(test.den_df, 1)
        (87.798, 2.0, 46.0)
        """
        if not self.by:
            return joint_test(self.inference, self.rows, den_df=den_df)[0]
        tests = [joint_test(self.inference, self.rows[rows], den_df=den_df)[0] for rows in self._families]
        heads = self.keys.iloc[[rows[0] for rows in self._families]][list(self.by)].reset_index(drop=True)
        numbers = pd.DataFrame([test._asdict() for test in tests])[["num_df", "den_df", "F", "p"]]
        frame = pd.concat([heads, numbers.rename(columns=lambda name: free_name(name, self.by))], axis=1)
        return ResultFrame.of(frame, "Joint tests", self.about, keys=len(self.by))

    @cached_property
    def _families(self) -> list[np.ndarray]:
        """Rows of each family."""
        if not self.by or not len(self):
            return [np.arange(len(self))]
        family = np.zeros(len(self), np.intp)
        for name in self.by:  # numbered as they come; a groupby takes ten times as long
            own, levels = pd.factorize(self.keys[name], use_na_sentinel=False)
            family = pd.factorize(family * len(levels) + own)[0]
        order = np.argsort(family, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(family[order])) + 1)

    @cached_property
    def _computed(self) -> tuple[pd.DataFrame, tuple[str, ...]]:
        inference, test = self.inference, self.test
        estimate = inference.estimate(self.rows) + self.offset
        se, df = inference.se(self.rows), np.where(np.isnan(estimate), np.nan, inference.df(self.rows))
        gap = estimate - test.null
        if test.delta:
            gap = np.abs(gap) - test.delta if test.side == 0 else gap + test.side * test.delta
        statistic = np.divide(gap, se, out=np.full(len(gap), np.nan), where=se > 0)
        test_side = -1 if test.delta and test.side == 0 else test.side
        p, critical = np.full(len(gap), np.nan), np.full(len(gap), np.nan)
        said: dict[str, None] = {}
        for k, rows in enumerate(self._families):
            if not len(rows):
                continue
            family = self._family(k, statistic, df, test_side)
            name, note = multiplicity.suitable(test.adjust, family)
            p[rows] = multiplicity.adjusted_p(name, family)
            limits = replace(family, side=test.side)
            other, again = multiplicity.suitable(test.adjust, limits)
            critical[rows] = multiplicity.critical_values(other, limits, test.level)
            said |= dict.fromkeys(n for n in (note, again) if n)
            said |= dict.fromkeys(_method_notes(name, multiplicity.limits_name(other), family))
        half = np.where(se == 0, 0.0, critical * se)
        lower = estimate - half if test.side >= 0 else np.full(len(gap), -np.inf)
        upper = estimate + half if test.side <= 0 else np.full(len(gap), np.inf)
        scale = None if self.way is None else self.way.in_use(test)
        keys = self.keys
        if scale is not None and self.way is not None:
            se, estimate = se * np.abs(scale.slope(estimate)), scale.back(estimate)
            lower, upper = scale.back(lower), scale.back(upper)
            keys = as_ratios(keys, self.by) if self.way.is_ratio else keys
        numbers = {
            "estimate": estimate, "se": se, "df": df, "lower": lower, "upper": upper, "statistic": statistic, "p": p,
        }  # fmt: skip
        of_numbers = pd.DataFrame({free_name(name, self.keys.columns): column for name, column in numbers.items()})
        frame = pd.concat([keys.reset_index(drop=True), of_numbers], axis=1)
        missing: tuple[str, ...] = ()
        if np.isnan(estimate).any():
            missing = reasons(inference, self.rows, [_label(row) for row in self.keys.itertuples(index=False)])
        notes = (
            *self.about,
            *(() if self.way is None else self.way.notes(test)),
            f"Degrees of freedom: {inference.ddf}",
            f"Confidence level: {test.level:g}",
            *said,
            *self._side_notes(),
        )
        return frame, tuple(dict.fromkeys((*notes, *missing, *inference.notes)))

    def _family(self, k: int, statistic: np.ndarray, df: np.ndarray, side: int) -> multiplicity.Family:
        rows, cov, rank = self._families[k], np.empty((0, 0)), 0
        if self.test.adjust == "mvt":
            cov = self.inference.covariance(self.rows[rows])
        elif self.test.adjust == "scheffe":
            rank = int(np.linalg.matrix_rank(np.nan_to_num(self.rows[rows])))
        n_means = None if self.pairs_of is None else self.pairs_of[k]
        return multiplicity.Family(statistic[rows], df[rows], cov, rank, n_means, side)

    def _side_notes(self) -> Sequence[str]:
        notes, test = [], self.test
        if test.null:
            notes.append(f"Tests are of the value {test.null:g}")
        if test.delta:
            kind = {0: "equivalence", -1: "non-superiority", 1: "non-inferiority"}[test.side]
            notes.append(f"Statistics are tests of {kind} with a threshold of {test.delta:g}")
        elif test.side:
            notes.append(f"P values are {'left' if test.side < 0 else 'right'}-tailed")
        return notes


def _method_notes(p_method: str, limits_method: str, family: multiplicity.Family) -> list[str]:
    notes = []
    if limits_method != "none":
        notes.append(f"Conf-level adjustment: {limits_method} method {_describe(limits_method, family, 'estimates')}")
    if p_method != "none":
        notes.append(f"P value adjustment: {p_method} method {_describe(p_method, family, 'tests')}")
    return notes


def _describe(method: str, family: multiplicity.Family, what: str) -> str:
    return multiplicity.ADJUSTMENTS[method].describes(family, what)


def _label(row: tuple[Any, ...]) -> str:
    return ", ".join(str(value) for value in row)


def columns_of(by: str | Iterable[str], keys: pd.DataFrame) -> tuple[str, ...]:
    """Names of columns, each checked."""
    names = arguments.names(by, "by")
    for name in names:
        if name not in keys.columns:
            raise ValueError(f"by: there is no column {name!r}; there are {', '.join(map(str, keys.columns))}")
    return tuple(names)
