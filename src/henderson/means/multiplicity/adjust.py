"""Multiplicity: p-values and critical values for a family of t statistics, by name.

A family is what one block of a table tests together. `ADJUSTMENTS` maps a name to what makes adjusted
p-values and, for methods that have simultaneous intervals, the critical value c of the limits estimate ±
c·se. The definitions are emmeans':

    tukey       studentized range of the k means compared        P(Q_k > √2 |t|)
    dunnett     mixture of the range of m means with m(m − 1)/2 = k, weight (k − 1)/k, and of independence:
    emmeans' "dunnettx",
                an approximation to Dunnett's test; "mvt" is exact
    mvt         the largest of k t statistics with their correlations (`max_t`)
    scheffe     F with r = rank of the family                   P(F_r > t² / r)
    sidak       1 − (1 − p)^k        bonferroni   k p
    holm, hochberg, hommel, fdr, …   stepwise; their limits are Bonferroni's

Every statistic keeps its own degrees of freedom. Rows that are not estimable count as members of the family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from henderson.means.multiplicity.max_t import MaxT
from henderson.means.multiplicity.studentized_range import studentized_range_quantile, studentized_range_sf
from henderson.means.multiplicity.tail_quantile import tail_quantile
from henderson.numerics.distributions import f_pvalue, t_pvalue, t_quantile

FloatArray = np.ndarray


@dataclass(frozen=True)
class Family:
    """Statistics that are tested together.

    Attributes
    ----------
    statistic : (k,) array
        NaN where not estimable.
    df : (k,) array
    cov : (k, k) array
        Covariance of the estimates (used by "mvt").
    rank : int
        Rank of the linear functions (used by "scheffe").
    n_means : int or None
        Number of means when the family is all their pairs (used by "tukey").
    side : {0, -1, 1}
        Two-sided; alternatives less, greater.
    """

    statistic: FloatArray
    df: FloatArray
    cov: FloatArray
    rank: int
    n_means: int | None = None
    side: int = 0

    @property
    def size(self) -> int:
        """k."""
        return len(self.statistic)

    @cached_property
    def raw_p(self) -> FloatArray:
        """Unadjusted p-values."""
        two_sided = t_pvalue(self.statistic, self.df)
        if self.side == 0:
            return two_sided
        return np.where(self.side * self.statistic > 0, two_sided / 2, 1 - two_sided / 2)

    @cached_property
    def known(self) -> np.ndarray:
        """Which estimates have a variance, (k,) bool."""
        return np.asarray(~np.isnan(np.diag(self.cov)) & (np.diag(self.cov) > 0))

    @cached_property
    def largest(self) -> MaxT:
        """Distribution of the largest statistic (two-sided: of the largest size); some estimate has a variance."""
        cov = self.cov[np.ix_(self.known, self.known)]
        sd = np.sqrt(np.diag(cov))
        return MaxT.of(cov / sd[:, None] / sd, two_sided=self.side == 0)


@dataclass(frozen=True)
class Adjustment:
    """One method.

    Attributes
    ----------
    p : callable
        Family to adjusted p-values.
    critical : callable or None
        Family and level to critical values, (k,); None: Bonferroni's.
    refuses : callable
        Why the method does not suit a family; an empty string when it does.
    describes : callable
        Family to what the notes say after the method's name.
    """

    p: Callable[[Family], FloatArray]
    critical: Callable[[Family, float], FloatArray] | None = None
    refuses: Callable[[Family], str] = lambda family: ""
    describes: Callable[[Family, str], str] = lambda family, what: f"for {family.size} {what}"


def _t_critical(family: Family, tail: float) -> FloatArray:
    """The t quantile whose tail, on both sides together or on one, is `tail`."""
    return t_quantile(1 - tail / (2 if family.side == 0 else 1), family.df)


def _sidak_tail(family: Family, level: float) -> float:
    return float(-np.expm1(np.log(level) / family.size))


def _sidak(family: Family) -> FloatArray:
    return -np.expm1(family.size * np.log1p(-np.minimum(family.raw_p, 1.0)))


def _bonferroni(family: Family) -> FloatArray:
    return np.minimum(family.size * family.raw_p, 1.0)


def _tukey(family: Family) -> FloatArray:
    return studentized_range_sf(np.sqrt(2.0) * np.abs(family.statistic), family.n_means or 2, family.df)


def _tukey_critical(family: Family, level: float) -> FloatArray:
    return studentized_range_quantile(level, family.n_means or 2, family.df) / np.sqrt(2.0)


def _dunnett_sf(size: int, t: FloatArray, df: FloatArray) -> FloatArray:
    n_means = (1 + np.sqrt(1 + 8 * size)) / 2
    independent = -np.expm1(size * np.log1p(-np.minimum(t_pvalue(t, df), 1.0)))
    return ((size - 1) * studentized_range_sf(np.sqrt(2.0) * t, n_means, df) + independent) / size


def _dunnett(family: Family) -> FloatArray:
    return _dunnett_sf(family.size, np.abs(family.statistic), family.df)


def _dunnett_critical(family: Family, level: float) -> FloatArray:
    return tail_quantile(lambda t, df: _dunnett_sf(family.size, t, df), 1 - level, family.df, family.size)


def _mvt(family: Family) -> FloatArray:
    statistic = np.abs(family.statistic) if family.side == 0 else family.side * family.statistic
    return family.largest.sf(statistic, family.df) if family.known.any() else np.full(family.size, np.nan)


def _mvt_critical(family: Family, level: float) -> FloatArray:
    return family.largest.quantile(level, family.df) if family.known.any() else np.full(family.size, np.nan)


def _scheffe(family: Family) -> FloatArray:
    return f_pvalue(family.statistic**2 / family.rank, family.rank, family.df)


def _scheffe_critical(family: Family, level: float) -> FloatArray:
    from scipy.special import chdtri, fdtri

    finite = np.isfinite(family.df)
    quantile = np.where(
        finite,
        family.rank * fdtri(family.rank, np.where(finite, family.df, 1.0), level),
        chdtri(family.rank, 1 - level),
    )
    return np.where(np.isnan(family.df), np.nan, np.sqrt(quantile))


def _stepwise(p: FloatArray, factor: Callable[[FloatArray, int], FloatArray], *, down: bool) -> FloatArray:
    """Multiply the i-th smallest of k p-values by factor(i, k), and make the result monotone."""
    filled = np.where(np.isnan(p), np.inf, p)
    order = np.argsort(filled, kind="stable")
    k = len(p)
    scaled = factor(np.arange(1, k + 1), k) * filled[order]
    if down:
        scaled = np.maximum.accumulate(scaled)
    else:
        scaled = np.minimum.accumulate(scaled[::-1])[::-1]
    out = np.empty(k)
    out[order] = np.minimum(scaled, 1.0)
    return np.where(np.isnan(p), np.nan, out)


def _holm(family: Family) -> FloatArray:
    return _stepwise(family.raw_p, lambda i, k: k - i + 1.0, down=True)


def _hochberg(family: Family) -> FloatArray:
    return _stepwise(family.raw_p, lambda i, k: k - i + 1.0, down=False)


def _fdr(family: Family) -> FloatArray:
    return _stepwise(family.raw_p, lambda i, k: k / i, down=False)


def _by(family: Family) -> FloatArray:
    return _stepwise(family.raw_p, lambda i, k: np.sum(1 / i) * k / i, down=False)


def _hommel(family: Family) -> FloatArray:
    """Simes' tests of all intersections (Hommel 1988).

    The intersections of m hypotheses that bind the i-th are those with the m − 1 largest p-values besides.
    """
    p = np.where(np.isnan(family.raw_p), np.inf, family.raw_p)
    order = np.argsort(p, kind="stable")
    ascending, k = p[order], len(p)
    adjusted = ascending.copy()
    for m in range(2, k + 1):
        others = np.min(m * ascending[k - m + 1 :] / np.arange(2, m + 1))
        bound = np.minimum(m * ascending, others)
        bound[k - m :] = bound[k - m]  # these are all among the m largest
        adjusted = np.maximum(adjusted, bound)
    out = np.empty(k)
    out[order] = np.minimum(adjusted, 1.0)
    return np.where(np.isnan(family.raw_p), np.nan, out)


def _only_two_sided(family: Family) -> str:
    return "is not appropriate for one-sided inferences" if family.side else ""


def _only_pairs(family: Family) -> str:
    if family.n_means is None:
        return "is only appropriate for one set of pairwise comparisons"
    return _only_two_sided(family)


#: name -> method
ADJUSTMENTS: dict[str, Adjustment] = {
    "none": Adjustment(lambda family: family.raw_p, lambda family, level: _t_critical(family, 1 - level)),
    "tukey": Adjustment(
        _tukey,
        _tukey_critical,
        _only_pairs,
        lambda family, what: f"for comparing a family of {family.n_means} estimates",
    ),
    "sidak": Adjustment(_sidak, lambda family, level: _t_critical(family, _sidak_tail(family, level))),
    "bonferroni": Adjustment(_bonferroni, lambda family, level: _t_critical(family, (1 - level) / family.size)),
    "dunnett": Adjustment(
        _dunnett,
        _dunnett_critical,
        _only_two_sided,
        lambda family, what: f"for {family.size} {what} (emmeans' approximation dunnettx; mvt is exact)",
    ),
    "mvt": Adjustment(_mvt, _mvt_critical),
    "scheffe": Adjustment(
        _scheffe, _scheffe_critical, _only_two_sided, lambda family, what: f"with rank {family.rank}"
    ),
    "holm": Adjustment(_holm),
    "hochberg": Adjustment(_hochberg),
    "hommel": Adjustment(_hommel),
    "fdr": Adjustment(_fdr),
    "by": Adjustment(_by),
}

#: other names of methods
ALIASES = {"dunnettx": "dunnett", "bh": "fdr"}


def adjustment_name(name: str) -> str:
    """A method's name in the registry.

    Raises
    ------
    ValueError
        When there is none; the message lists those there are.
    """
    key = ALIASES.get(str(name).lower(), str(name).lower())
    if key not in ADJUSTMENTS:
        raise ValueError(f"unknown adjustment {name!r}; there are {', '.join(ADJUSTMENTS)}")
    return key


def suitable(name: str, family: Family) -> tuple[str, str]:
    """The method to use for a family, and a note when it is not the one asked for.

    Examples
    --------
    >>> family = Family(np.array([2.0, 1.0]), np.array([9.0, 9.0]), np.eye(2), 2)
    >>> suitable("tukey", family)[0]
    'sidak'
    """
    name = adjustment_name(name)
    if family.size == 1 and name != "scheffe":
        return "none", ""
    reason = ADJUSTMENTS[name].refuses(family)
    if not reason:
        return name, ""
    return "sidak", f'adjust = "{name}" was changed to "sidak", because "{name}" {reason}'


def adjusted_p(name: str, family: Family) -> FloatArray:
    """Adjusted p-values, (k,).

    Examples
    --------
    >>> family = Family(np.array([2.5, 2.0, 0.3]), np.full(3, 20.0), np.eye(3), 2, n_means=3)
    >>> adjusted_p("tukey", family).round(4)
    array([0.0531, 0.1381, 0.9517])
    >>> adjusted_p("holm", family).round(4)
    array([0.0637, 0.1185, 0.7673])
    """
    return ADJUSTMENTS[name].p(family)


def critical_values(name: str, family: Family, level: float) -> FloatArray:
    """c of the limits estimate ± c·se (one-sided: of the one limit), (k,)."""
    return (ADJUSTMENTS[name].critical or _bonferroni_critical)(family, level)


def _bonferroni_critical(family: Family, level: float) -> FloatArray:
    critical = ADJUSTMENTS["bonferroni"].critical
    assert critical is not None
    return critical(family, level)


def limits_name(name: str) -> str:
    """The method that the limits follow."""
    return name if ADJUSTMENTS[name].critical else "bonferroni"
