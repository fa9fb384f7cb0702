"""Simulated quantile residuals, as DHARMa has them, and the tests that go with them.

    u_i = share of the simulated y*_i below y_i (a tie counts half)

If the model is right u is uniform on (0, 1). Simulated responses have new random effects (marginal), or the conditional
modes (conditional). Of n draws: shares are shrunk to (n u + ½)/(n + 1), so that none is 0 or 1.

    uniformity  Kolmogorov–Smirnov distance of u from the uniform distribution
    dispersion  standard deviation of y − mean of the draws, over that of the draws: two-sided by the draws' own
    outliers    rows beyond all draws, against the binomial with probability 2/(n + 1)

Rows of a group are alike in marginal residuals, so that there the first is an approximation. Conditional modes have
been fitted to the data, which lie nearer to them than draws do: there a dispersion somewhat below one is expected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from henderson.diagnostics.residuals import check_level
from henderson.engine.fit import Fit
from henderson.engine.many.draws import at_the_modes, block_size, blocks, entropy_of, parametric
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table

FloatArray = np.ndarray


@dataclass(frozen=True, repr=False, eq=False)
class QuantileResiduals(TableExports):
    """Quantile residuals with their tests.

    Attributes
    ----------
    residuals : Series
        Between 0 and 1, with the labels of the rows.
    level : {"marginal", "conditional"}
    n : int
        Draws.
    seed : int
        From which they can be drawn again.
    tests : DataFrame
        Index: uniformity, dispersion, outliers; columns statistic, expected, p.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> found = fit.quantile_residuals(seed=1)
    >>> len(found.residuals)
    180
    """

    residuals: pd.Series
    level: str
    n: int
    seed: int
    tests: ResultFrame = field(compare=False)

    def __repr__(self) -> str:
        return repr(self.tests)

    def as_table(self) -> Table:
        """The table of `tests`."""
        return self.tests.as_table()


def quantile_residuals(fit: Fit, level: str = "marginal", n: int = 1000, seed: Any = None) -> QuantileResiduals:
    """Simulate, and see where each observation is among its draws.

    Parameters
    ----------
    fit : Fit
    level : {"marginal", "conditional"}
        Draw new random effects, or keep them at their modes.
    n : int
        Draws.
    seed : int, SeedSequence or Generator, optional

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> found = quantile_residuals(fit.engine, "marginal", 500, seed=1)
    >>> bool(found.residuals.between(0, 1).all())
    True
    """
    check_level(level)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 20:
        raise ValueError(f"n must be a number of draws, 20 or more, not {n!r}")
    rows, entropy = fit.observed_for("residuals(kind='quantile')"), entropy_of(seed)
    draw = parametric(fit) if level == "marginal" else at_the_modes(fit)
    size = block_size(fit.n)
    below, beyond = np.zeros(fit.n), np.zeros((2, fit.n))
    squares = np.empty(n)
    mean = rows.mean(fit.beta, fit.kept)
    mean = mean if level == "marginal" else mean + rows.random_part(fit.b)
    root = np.sqrt(rows.unit_weights)
    for here, y in blocks(draw, int(n), entropy, size, size):
        below += (y < rows.y[:, None]).sum(axis=1) + 0.5 * (y == rows.y[:, None]).sum(axis=1)
        beyond[0] += (y < rows.y[:, None]).sum(axis=1)
        beyond[1] += (y > rows.y[:, None]).sum(axis=1)
        squares[here] = np.square(root[:, None] * (y - mean[:, None])).mean(axis=0)
    u = (below + 0.5) / (n + 1)
    observed = float(np.square(root * (rows.y - mean)).mean())
    outside = int(((beyond[0] == n) | (beyond[1] == n)).sum())
    tests = _tests(u, np.sqrt(squares), np.sqrt(observed), outside, int(n), level)
    return QuantileResiduals(pd.Series(u, index=rows.index), level, int(n), entropy, tests)


def _tests(u: FloatArray, spread: FloatArray, observed: float, outside: int, n: int, level: str) -> ResultFrame:
    from scipy import stats

    ks = stats.kstest(u, "uniform")
    above, under = (spread >= observed).sum(), (spread <= observed).sum()
    dispersion = min(1.0, 2 * (min(above, under) + 1) / (n + 1))
    outliers = stats.binomtest(outside, len(u), 2 / (n + 1)).pvalue
    table = pd.DataFrame(
        {
            "statistic": [float(ks.statistic), observed / float(spread.mean()), float(outside)],
            "expected": [np.nan, 1.0, 2 * len(u) / (n + 1)],
            "p": [float(ks.pvalue), float(dispersion), float(outliers)],
        },
        index=pd.Index(["uniformity", "dispersion", "outliers"], name="test"),
    )
    notes = (
        "uniformity: Kolmogorov–Smirnov distance; dispersion: spread of the data over that of the draws; "
        "outliers: rows beyond all draws",
        *(["the modes are fitted to the data: a dispersion below one is expected"] if level == "conditional" else []),
    )
    return ResultFrame.of(table, f"Quantile residuals ({level}, {n} draws)", notes)
