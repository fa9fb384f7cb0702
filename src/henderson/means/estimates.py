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
from typing import Any, Self

import numpy as np
import pandas as pd

from henderson.inference.inference import FTest, Inference
from henderson.means.estimability import reasons
from henderson.means.joint_test import joint_test
from henderson.means.multiplicity import adjust as multiplicity
from henderson.tables.table import Table

SIDES = {
    0: ("two-sided", "both", "!=", "=", "equivalence", "0", "2"),
    -1: ("less", "left", "<", "-", "nonsuperiority", "-1"),
    1: ("greater", "right", ">", "+", "noninferiority", "1"),
}


def side_of(side: Any) -> int:
    """0 (two-sided), −1 (less) or 1 (greater), from any of their names."""
    for value, names in SIDES.items():
        if str(side).lower() in names:
            return value
    raise ValueError(f"unknown side {side!r}; there are {', '.join(names[0] for names in SIDES.values())}")


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
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
    pairs_of : int or None
        In each family, the number of means of which it has all pairs.
    adjust : str
    level : float
    side : {0, -1, 1}
    delta, null : float
    about : tuple of str
        Notes on what the rows are.
    """

    keys: pd.DataFrame
    rows: np.ndarray
    inference: Inference
    offset: Any = 0.0
    by: tuple[str, ...] = ()
    pairs_of: int | None = None
    adjust: str = "none"
    level: float = 0.95
    side: int = 0
    delta: float = 0.0
    null: float = 0.0
    about: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """The labels, then estimate, se, df, lower, upper, statistic, p. The notes are in
        ``attrs["notes"]``."""
        frame = self._computed[0].copy()
        frame.attrs["notes"] = self.notes
        return frame

    @property
    def notes(self) -> tuple[str, ...]:
        """What was averaged, how degrees of freedom, limits and p-values were made, and why numbers are
        missing."""
        return self._computed[1]

    @property
    def table(self) -> Table:
        """The printed form and its exports."""
        return Table(self._computed[0], notes=self.notes, by=self.by)

    @cached_property
    def cov(self) -> np.ndarray:
        """Covariance of the estimates, (r, r)."""
        return self.inference.covariance(self.rows)

    def __str__(self) -> str:
        return str(self.table)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table.to_html()

    def to_html(self) -> str:
        """The table as HTML."""
        return self.table.to_html()

    def to_latex(self) -> str:
        """The table as LaTeX."""
        return self.table.to_latex()

    def to_markdown(self) -> str:
        """The table as Markdown."""
        return self.table.to_markdown()

    def summary(
        self,
        *,
        adjust: str | None = None,
        level: float | None = None,
        side: Any = None,
        delta: float | None = None,
        null: float | None = None,
        by: str | Iterable[str] | None = None,
    ) -> Self:
        """The same estimates, tested otherwise; what is None stays as it is.

        Parameters
        ----------
        adjust : str
            ``"tukey"``, ``"sidak"``, ``"bonferroni"``, ``"holm"``, ``"hochberg"``, ``"fdr"``, ``"dunnett"``,
            ``"mvt"``, ``"scheffe"``, ``"none"``.
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
        """
        changes: dict[str, Any] = {}
        if adjust is not None:
            changes["adjust"] = multiplicity.adjustment_name(adjust)
        if level is not None:
            changes["level"] = check_level(level)
        if side is not None:
            changes["side"] = side_of(side)
        if delta is not None:
            changes["delta"] = check_delta(delta)
        if null is not None:
            changes["null"] = float(null)
        if by is not None:
            changes["by"] = columns_of(by, self.keys)
            if set(changes["by"]) != set(self.by):
                changes["pairs_of"] = None
        return replace(self, **changes)

    def joint(self, *, den_df: str = "smallest") -> FTest | pd.DataFrame:
        """F test that all estimates of a family are zero (a frame with one row for each family when there is
        `by`).

        Parameters
        ----------
        den_df : {"smallest", "joint"}
            The smallest df of orthonormal rows, as emmeans has it, or that of the F test itself (Fai and
            Cornelius's, or Kenward and Roger's with its scaled F).
        """
        if not self.by:
            return joint_test(self.inference, self.rows, den_df=den_df)[0]
        tests = [joint_test(self.inference, self.rows[rows], den_df=den_df)[0] for rows in self._families]
        heads = self.keys.iloc[[rows[0] for rows in self._families]][list(self.by)].reset_index(drop=True)
        return pd.concat(
            [heads, pd.DataFrame([test._asdict() for test in tests])[["num_df", "den_df", "F", "p"]]], axis=1
        )

    @cached_property
    def _families(self) -> list[np.ndarray]:
        """Rows of each family."""
        if not self.by or not len(self):
            return [np.arange(len(self))]
        family = self.keys.groupby(list(self.by), sort=False, observed=True, dropna=False).ngroup().to_numpy()
        order = np.argsort(family, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(family[order])) + 1)

    @cached_property
    def _computed(self) -> tuple[pd.DataFrame, tuple[str, ...]]:
        inference = self.inference
        estimate = inference.estimate(self.rows) + self.offset
        se, df = inference.se(self.rows), inference.df(self.rows)
        gap = estimate - self.null
        if self.delta:
            gap = np.abs(gap) - self.delta if self.side == 0 else gap + self.side * self.delta
        statistic = np.divide(gap, se, out=np.full(len(gap), np.nan), where=se > 0)
        test_side = -1 if self.delta and self.side == 0 else self.side
        p, critical = np.full(len(gap), np.nan), np.full(len(gap), np.nan)
        said: dict[str, None] = {}
        for rows in self._families:
            if not len(rows):
                continue
            tests = self._family(rows, statistic, df, test_side)
            name, note = multiplicity.suitable(self.adjust, tests)
            p[rows] = multiplicity.adjusted_p(name, tests)
            limits = replace(tests, side=self.side)
            other, again = multiplicity.suitable(self.adjust, limits)
            critical[rows] = multiplicity.critical_values(other, limits, self.level)
            said |= dict.fromkeys(n for n in (note, again) if n)
            said |= dict.fromkeys(_method_notes(name, multiplicity.limits_name(other), tests))
        lower = estimate - critical * se if self.side >= 0 else np.full(len(gap), -np.inf)
        upper = estimate + critical * se if self.side <= 0 else np.full(len(gap), np.inf)
        frame = self.keys.reset_index(drop=True).assign(
            estimate=estimate, se=se, df=df, lower=lower, upper=upper, statistic=statistic, p=p
        )
        missing: tuple[str, ...] = ()
        if np.isnan(estimate).any():
            missing = reasons(inference, self.rows, [_label(row) for row in self.keys.itertuples(index=False)])
        notes = (
            *self.about,
            f"Degrees of freedom: {inference.ddf}",
            f"Confidence level: {self.level:g}",
            *said,
            *self._side_notes(),
        )
        return frame, tuple(dict.fromkeys((*notes, *missing, *inference.notes)))

    def _family(self, rows: np.ndarray, statistic: np.ndarray, df: np.ndarray, side: int) -> multiplicity.Family:
        cov, rank = np.empty((0, 0)), 0
        if self.adjust == "mvt":
            cov = self.inference.covariance(self.rows[rows])
        elif self.adjust == "scheffe":
            rank = int(np.linalg.matrix_rank(np.nan_to_num(self.rows[rows])))
        return multiplicity.Family(statistic[rows], df[rows], cov, rank, self.pairs_of, side)

    def _side_notes(self) -> Sequence[str]:
        notes = []
        if self.null:
            notes.append(f"Tests are of the value {self.null:g}")
        if self.delta:
            kind = {0: "equivalence", -1: "non-superiority", 1: "non-inferiority"}[self.side]
            notes.append(f"Statistics are tests of {kind} with a threshold of {self.delta:g}")
        elif self.side:
            notes.append(f"P values are {'left' if self.side < 0 else 'right'}-tailed")
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


def check_level(level: float) -> float:
    """A confidence level in (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level!r}")
    return float(level)


def check_delta(delta: float) -> float:
    """A margin of equivalence, not negative."""
    if not delta >= 0:
        raise ValueError(f"delta must not be negative: {delta!r}")
    return float(delta)


def columns_of(by: str | Iterable[str], keys: pd.DataFrame) -> tuple[str, ...]:
    """Names of columns, each checked."""
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in keys.columns:
            raise ValueError(f"by: there is no column {name!r}; there are {', '.join(map(str, keys.columns))}")
    return tuple(names)
