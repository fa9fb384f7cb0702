"""What `power` found: a row for each size of the study, and what the table says of the target.

Power is the share of p < α; its Monte Carlo uncertainty is Clopper and Pearson's exact interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from henderson.numerics.distributions import binomial_interval
from henderson.planning.decide import Outcome
from henderson.planning.hypothesis import Hypothesis
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = np.ndarray


@dataclass(frozen=True, repr=False, eq=False)
class Power(TableExports):
    """The power of a test, by size of the study.

    Attributes
    ----------
    frame : DataFrame
        A row for each size: the numbers of levels by factor, rows (of one data set), power, lower, upper, n (data sets
        drawn), failed (fits without a test, which count as not significant), singular (share of singular fits).
    effect : str
        What is tested.
    value : (r,) array
        R β of the parameters that data are drawn with.
    alpha, level, target : float
    ddf : str
    seed : int
        The number that all streams began from.
    factors : tuple of str
        The factors that were extended, columns of `frame`.
    pvalues : tuple of (n,) arrays
        One a size.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> found = henderson.power(fit, "Days", beta={"Days": 4.0}, sizes={"Subject": [10, 40]}, n=200, seed=1)
    >>> found.frame[["Subject", "rows", "n"]]
       Subject  rows    n
    0       10   100  200
    1       40   400  200
    """

    frame: pd.DataFrame
    effect: str
    value: FloatArray
    alpha: float
    level: float
    target: float
    ddf: str
    seed: int
    factors: tuple[str, ...]
    pvalues: tuple[FloatArray, ...] = field(repr=False)

    @property
    def smallest(self) -> dict[str, int] | None:
        """The sizes of the study with fewest rows whose power reaches the target; None when none does.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> found = henderson.power(fit, "Days", beta={"Days": 4.0}, sizes={"Subject": [10, 40]}, n=200, seed=1)
        >>> found.smallest
        {'Subject': 40}
        """
        return self._smallest("power")

    @property
    def smallest_sure(self) -> dict[str, int] | None:
        """The same for the lower limit of power: beyond what chance in the simulation could do.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> found = henderson.power(fit, "Days", beta={"Days": 4.0}, sizes={"Subject": [10, 40]}, n=200, seed=1)
        >>> found.smallest_sure
        {'Subject': 40}
        """
        return self._smallest("lower")

    def _smallest(self, column: str) -> dict[str, int] | None:
        enough = self.frame[self.frame[column] >= self.target]
        if enough.empty:
            return None
        row = int(np.argmin(enough["rows"].to_numpy()))
        return {name: int(enough[name].iloc[row]) for name in (self.factors or ("rows",))}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Power against size, with its interval; a line for each combination of the other factors' sizes.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure's by default.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> found = henderson.power(fit, "Days", beta={"Days": 4.0}, sizes={"Subject": [10, 40]}, n=200, seed=1)
        >>> found.plot().get_ylabel()
        'power'
        """
        from henderson.plots.power import draw

        return draw(pd.DataFrame(self.frame), self.factors, self.target, self.effect, ax)

    def __repr__(self) -> str:
        return repr(self.frame)

    def as_table(self) -> Table:
        """The table that is printed."""
        return ResultFrame.of(self.frame, self.frame.attrs["heading"], self.frame.attrs["notes"]).as_table()


def frame_of(runs: list[tuple[int, Outcome]], tried: list[dict[str, int]], alpha: float, level: float) -> pd.DataFrame:
    """A row for each size, from the rows of a data set and the outcomes."""
    rows = []
    for (n_rows, one), sizes in zip(runs, tried):
        found, many = int((one.p < alpha).sum()), len(one.p)
        lower, upper = binomial_interval(found, many, level)
        rows.append({
            **sizes,
            "rows": n_rows,
            "power": found / many,
            "lower": float(lower),
            "upper": float(upper),
            "n": many,
            "failed": int(np.isnan(one.p).sum()),
            "singular": float(one.singular.mean()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def heading(tested: Hypothesis, value: FloatArray, alpha: float) -> str:
    """What was to be found."""
    what = f"{tested.name} = {value[0]:.4g}" if len(value) == 1 and tested.kind == "coefficient" else tested.name
    return f"Power to find {what} (alpha = {alpha:g})"


def verdict(found: Power) -> tuple[str, ...]:
    """What the table says of the target."""
    aim = f"{found.target:.0%} power"
    if not found.factors:
        return ()
    smallest, sure = found.smallest, found.smallest_sure
    if smallest is None:
        return (f"{aim} is not reached",)
    text = f"{aim} is reached with {_sizes_text(smallest)}"
    if sure is not None and sure != smallest:
        text += f", beyond Monte Carlo error with {_sizes_text(sure)}"
    return (text,)


def _sizes_text(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {many}" for name, many in sizes.items())
