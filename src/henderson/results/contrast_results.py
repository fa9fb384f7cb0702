"""What `t_test`, `wald_test` and `f_test` return: statsmodels' ContrastResults.

t = (R b − q) / sqrt(R cov R')      χ² = (R b − q)' (R cov R')⁻¹ (R b − q)      F = χ² / rank
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from henderson.arguments import number, probability
from henderson.errors import ValueWarning
from henderson.inference.constraints import Constraints
from henderson.tables.aligned import Summary
from henderson.tables.digits import at_least, p_three
from henderson.tables.exports import TableExports
from henderson.tables.table import Table

if TYPE_CHECKING:
    from scipy.stats import rv_continuous


class TestSummary(Summary):
    """A table of tests: its title is centred, and nothing follows it."""

    def as_text(self) -> str:
        """As text."""
        title, *lines = super().as_text().rstrip("\n").split("\n")
        return "\n".join([title.strip().center(len(lines[0])), *lines])


class ContrastResults(TableExports):
    """Tests of linear constraints: one row each (t, normal), or all together (F, chi2).

    Attributes
    ----------
    distribution : {"t", "norm", "F", "chi2"}
    statistic : (m,) array, or float
        Also `tvalue` (t, norm, chi2) or `fvalue` (F).
    pvalue : (m,) array, or scalar
    effect, sd : (m,) arrays, or None
        R b and its standard errors; None for F and chi2.
    df_denom, df_num : float or (m,) array
        Degrees of freedom; for chi2 `df_denom` is the number of constraints.
    c_names : list of str

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> fit.t_test("Days = 10").summary_frame().round(3)
                 coef  std err      t  P>|t|  Conf. Int. Low  Conf. Int. Upp.
    Days = 10  10.467    1.546  0.302  0.766           7.206           13.729
    """

    def __init__(
        self,
        distribution: str,
        statistic: np.ndarray | float,
        *,
        effect: np.ndarray | None = None,
        sd: np.ndarray | None = None,
        df_denom: np.ndarray | float = np.inf,
        df_num: float | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        from scipy import special

        self.distribution = distribution
        self.statistic = statistic
        self.effect, self.sd = effect, sd
        self.df_denom, self.df_num = df_denom, df_num
        self.c_names = list(names) or None
        if distribution == "F":
            self.fvalue = statistic
            self.dist_args: tuple[Any, ...] = (df_num, df_denom)
            self.pvalue = np.squeeze(special.fdtrc(df_num, df_denom, statistic))
        elif distribution == "chi2":
            self.tvalue = statistic
            self.dist_args = (df_denom,)
            self.pvalue = np.squeeze(special.chdtrc(df_denom, statistic))
        else:
            from henderson.numerics.distributions import t_pvalue

            self.tvalue = statistic
            self.dist_args = (df_denom,) if distribution == "t" else ()
            self.pvalue = np.squeeze(t_pvalue(statistic, df_denom))

    @property
    def dist(self) -> rv_continuous:
        """The scipy.stats distribution; `dist_args` are its parameters."""
        from scipy import stats

        return {"F": stats.f, "chi2": stats.chi2, "t": stats.t, "norm": stats.norm}[self.distribution]

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Intervals of R b, (m, 2); for t and normal tests."""
        from henderson.numerics.distributions import t_quantile

        if self.effect is None or self.sd is None:
            raise NotImplementedError("there is no interval for a joint test of several constraints")
        half = t_quantile(1 - probability(alpha, "alpha") / 2, self.df_denom) * self.sd
        return np.column_stack([self.effect - half, self.effect + half])

    def summary_frame(self, xname: list[str] | None = None, alpha: float = 0.05) -> pd.DataFrame:
        """The tests as a table: coef, std err, t or z, p, limits; for t and normal tests."""
        letter = "t" if self.distribution == "t" else "z"
        lower, upper = self.conf_int(alpha).T
        columns = {
            "coef": self.effect,
            "std err": self.sd,
            letter: self.statistic,
            f"P>|{letter}|": np.atleast_1d(self.pvalue),
            "Conf. Int. Low": lower,
            "Conf. Int. Upp.": upper,
        }
        return pd.DataFrame(columns, index=pd.Index(xname or self.c_names or range(len(lower))))

    def summary(
        self, xname: list[str] | None = None, alpha: float = 0.05, title: str | None = None
    ) -> TestSummary | str:
        """The tests as a printable table; text for F and chi2."""
        if self.effect is None:
            return self._line()
        frame = self.summary_frame(xname, alpha)
        limits = [f"[{alpha / 2:.4g}", f"{1 - alpha / 2:.4g}]"]
        text = np.array([written(row, 4) for row in frame.to_numpy(float)]).T
        widths = [10, 10, 10, 10, 11, 11]
        names = [*frame.columns[:4], *limits]
        table = pd.DataFrame(
            {name.rjust(width): column for name, column, width in zip(names, text, widths)},
            index=[str(label).ljust(10) for label in frame.index],
        )
        summary = TestSummary(title="Test for Constraints" if title is None else title)
        summary.add_df(table)
        return summary

    def as_table(self) -> Table:
        """The tests as a table with the names that all tables have."""
        if self.effect is None:
            return Table(_tested([self], None), "Test for Constraints")
        frame = self.summary_frame().set_axis(["estimate", "se", "statistic", "p", "lower", "upper"], axis=1)
        frame.insert(2, "df", self.df_denom)
        return Table(frame.rename_axis("contrast"), "Test for Constraints")

    def _line(self) -> str:
        df = f"df_denom={self.df_denom:.3g}"
        if self.distribution == "F":
            return f"<F test: F={self.fvalue!r}, p={self.pvalue}, {df}, df_num={self.df_num:.3g}>"
        return f"<Wald test (chi2): statistic={self.statistic}, p-value={self.pvalue}, {df}>"

    def __str__(self) -> str:
        return str(self.summary())

    def __repr__(self) -> str:
        return f"{type(self)}\n{self}"


def written(row: np.ndarray, decimals: int) -> list[str]:
    """Estimate, standard error, statistic, p and limits as statsmodels writes them, with more digits where those would
    show zeros only.

    Examples
    --------
    >>> written(np.array([8.6075, 0.2387, 36.059, 0.0, 8.1397, 9.0754]), 3)
    ['8.607', '0.239', '36.059', '<.001', '8.140', '9.075']
    >>> written(np.array([8.6e-8, 2.4e-9, 36.059, 0.02, 8.1e-8, 9.1e-8]), 3)
    ['8.600e-08', '2.40e-09', '36.059', '0.020', '8.100e-08', '9.100e-08']
    """
    se, statistic, p = row[1:4]
    tests = ["" if np.isnan(statistic) else f"{statistic:.3f}", p_three(p)]
    return [*at_least(row[:1], decimals, se), *at_least(row[1:2], 3), *tests, *at_least(row[4:], 3, se)]


def t_tests(constraints: Constraints, effect: np.ndarray, sd: np.ndarray, df: np.ndarray) -> ContrastResults:
    """Each constraint by itself: normal where df is infinite, else t.

    Parameters
    ----------
    constraints : Constraints
        m of them.
    effect, sd : (m,) arrays
        R b and its standard errors; NaN where there is no test.
    df : (m,) array
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (effect - constraints.q) / sd
    name = "norm" if np.all(np.isposinf(df)) else "t"
    return ContrastResults(name, statistic, effect=effect, sd=sd, df_denom=df, names=constraints.labels)


def joint_wald_test(
    gap: np.ndarray,
    cov: np.ndarray,
    *,
    invcov: np.ndarray | None = None,
    df_denom: float | None = None,
    df_constraints: float | None = None,
    scalar: bool = True,
) -> ContrastResults:
    """All constraints together: χ² when `df_denom` is None, else F.

    Parameters
    ----------
    gap : (m,) array
        R b − q.
    cov : (m, m) array
        Covariance of R b; when it has a rank smaller than m, that rank counts, with a `ValueWarning`.
    invcov : (m, m) array, optional
        Its inverse, in place of it.
    df_denom : float, optional
    df_constraints : float, optional
        Instead of the rank.
    scalar : bool
        Whether the statistic is a float rather than a (1, 1) array.
    """
    rank: float = len(gap)
    if invcov is None:
        if np.isnan(cov).any():
            warnings.warn("no joint test: a constraint has no variance", ValueWarning, stacklevel=3)
            nothing: Any = np.nan if scalar else np.full((1, 1), np.nan)
            if df_denom is None:
                return ContrastResults("chi2", nothing, df_denom=rank)
            return ContrastResults("F", nothing, df_denom=df_denom, df_num=rank)
        size = np.sqrt(np.diag(cov))
        size[size == 0] = 1.0
        scaled = cov / size[:, None] / size
        invcov = np.linalg.pinv(scaled, hermitian=True) / size[:, None] / size
        found = int(np.linalg.matrix_rank(scaled, hermitian=True))
        if found < rank:
            warnings.warn(
                f"the covariance of the constraints has rank {found}, fewer than the {len(gap)} constraints",
                ValueWarning,
                stacklevel=3,
            )
            rank = found
    rank = rank if df_constraints is None else int(number(df_constraints, "df_constraints", at_least=1))
    statistic: Any = float(gap @ invcov @ gap)
    if df_denom is not None:
        statistic /= rank
    if not scalar:
        statistic = np.array([[statistic]])
    if df_denom is None:
        return ContrastResults("chi2", statistic, df_denom=rank)
    return ContrastResults("F", statistic, df_denom=df_denom, df_num=rank)


class WaldTestResults(TableExports):
    """Joint tests, one a row.

    Attributes
    ----------
    table : DataFrame
        ``statistic``, ``pvalue``, ``df_constraint``; for F also ``df_denom``.
    distribution : {"chi2", "F"}
    statistic, pvalues, df_constraints : (m,) arrays
        Its columns.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> fit.wald_test_terms().summary_frame().round(3)
                        F  P>F  df constraint  df denom
    (Intercept)  1357.061  0.0              1      17.0
    Days           45.853  0.0              1      17.0
    """

    def __init__(self, tests: list[tuple[str, ContrastResults]]) -> None:
        self._tests = [test for _, test in tests]
        rows: list[tuple[Any, ...]] = []
        for test in self._tests:
            if test.distribution == "F":
                rows.append((test.statistic, test.pvalue, int(np.nan_to_num(test.df_num or 0)), test.df_denom))
            else:
                rows.append((test.statistic, test.pvalue, int(test.df_denom)))
        self.distribution = tests[0][1].distribution if tests else "chi2"
        names = ["statistic", "pvalue", "df_constraint"] + ["df_denom"] * (self.distribution == "F")
        self.table = pd.DataFrame(rows, index=pd.Index([name for name, _ in tests]), columns=pd.Index(names))
        self.statistic = self.table["statistic"].to_numpy()
        self.pvalues = self.table["pvalue"].to_numpy()
        self.df_constraints = self.table["df_constraint"].to_numpy()
        if self.distribution == "F":
            self.df_denom = self.table["df_denom"].to_numpy()

    @property
    def col_names(self) -> list[str]:
        """Names of the columns of `summary_frame`."""
        names = [self.distribution, f"P>{self.distribution}", "df constraint"]
        return names + ["df denom"] * (self.distribution == "F")

    def summary_frame(self) -> pd.DataFrame:
        """The table with names for reading."""
        return self.table.set_axis(self.col_names, axis=1)

    def as_table(self) -> Table:
        """The tests as a table with the names that all tables have."""
        return Table(_tested(self._tests, self.table.index.rename("term")))

    def __str__(self) -> str:
        return self.summary_frame().to_string()

    def __repr__(self) -> str:
        return f"{type(self)}\n{self}"


def _tested(tests: Sequence[ContrastResults], index: pd.Index | None) -> pd.DataFrame:
    """Joint tests as columns F (or chi2), num_df, den_df (F's) and p."""
    is_f = any(test.distribution == "F" for test in tests)
    columns = {
        "F" if is_f else "chi2": [float(np.squeeze(test.statistic)) for test in tests],
        "num_df": [float(np.nan_to_num(test.df_num or 0) if is_f else test.df_denom) for test in tests],
        "den_df": [float(test.df_denom) for test in tests],
        "p": [float(test.pvalue) for test in tests],
    }
    return pd.DataFrame(columns, index=index).drop(columns=[] if is_f else "den_df")
