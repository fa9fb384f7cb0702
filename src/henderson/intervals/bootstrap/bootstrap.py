"""The bootstrap of a fit: draw, fit again, collect.

parametric  responses from the fitted model
residual    responses from reflated conditional modes and residuals (Carpenter, Goldstein and Rasbash 2003); where
            residuals correlate from L⁻¹(y − Xβ̂), Var(y) = LL', drawn with replacement and correlated again by L
cases       whole groups drawn with replacement
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from henderson import arguments
from henderson.design.intercept import other_spelling
from henderson.design.variance_parameters import find, shown, variance_parameters
from henderson.engine.fit import Fit, refit
from henderson.engine.many import draws
from henderson.engine.many.draws import block_size, blocks, entropy_of, stream
from henderson.engine.many.refits import Refits, Refitter, refit_all
from henderson.engine.residual.fit import StructuredFit
from henderson.intervals.bootstrap.cases import (
    GroupFitter,
    check_groups,
    check_within,
    draw_counts,
    fit_like,
    n_groups,
    of_resamples,
    repeated,
    within_groups,
)
from henderson.intervals.bootstrap.limits import LIMITS, acceleration_of
from henderson.intervals.bootstrap.replicate import Replicate, as_table, replicates
from henderson.progress import progress_bar
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table
from henderson.typing import BootstrapInterval

FloatArray = np.ndarray
Statistic = Callable[[Replicate], Any]

#: most groups left out one at a time for the acceleration of a BCa interval
MOST_GROUPS = 2000
KINDS = ("parametric", "residual", "cases")


@dataclass(frozen=True, eq=False)
class Bootstrap(TableExports):
    """Replicates of estimates.

    Attributes
    ----------
    frame : DataFrame
        Replicates × parameters: fixed effects, standard deviations, correlations, sigma; or what `statistic`
        returned. NaN where a fit failed.
    estimate : Series
        The same of the original fit.
    kind : {"parametric", "residual", "cases"}
    seed : int
        The number that all streams began from.
    deviance : (n,) array
    converged : (n,) bool array
    notes : tuple of str

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    >>> draws = fit.bootstrap(200, seed=1)
    >>> draws.frame.shape, draws.kind
    ((200, 3), 'parametric')
    """

    frame: pd.DataFrame
    estimate: pd.Series
    kind: str
    seed: int
    deviance: FloatArray
    converged: np.ndarray
    notes: tuple[str, ...]
    _fit: Fit = field(repr=False)
    _statistic: Statistic | None = field(repr=False)
    _aliases: tuple[tuple[str, ...], ...] = field(repr=False)

    @property
    def failures(self) -> np.ndarray:
        """Numbers of the replicates whose fit failed."""
        return np.flatnonzero(~self.converged)

    @property
    def bias(self) -> pd.Series:
        """Mean of the replicates less the estimate.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> draws = fit.bootstrap(200, seed=1)
        >>> list(draws.bias.index)
        ['(Intercept)', 'sd_(Intercept)|Batch', 'sigma']
        """
        return self.frame.mean() - self.estimate

    @property
    def se(self) -> pd.Series:
        """Standard deviation of the replicates.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> draws = fit.bootstrap(200, seed=1)
        >>> list(draws.se.index)
        ['(Intercept)', 'sd_(Intercept)|Batch', 'sigma']
        """
        return self.frame.std()

    def to_frame(self) -> pd.DataFrame:
        """The replicates."""
        return self.frame.copy()

    def as_table(self) -> Table:
        """The table of `summary`."""
        return self.summary().as_table()

    def summary(self) -> ResultFrame:
        """Columns estimate, bias, se, median, replicates (those not NaN).

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> draws = fit.bootstrap(200, seed=1)
        >>> list(draws.summary().columns)
        ['estimate', 'bias', 'se', 'median', 'replicates']
        """
        table = pd.DataFrame(
            {
                "estimate": self.estimate,
                "bias": self.bias,
                "se": self.se,
                "median": self.frame.median(),
                "replicates": self.frame.notna().sum(),
            }
        )
        return ResultFrame.of(table.rename_axis("parameter"), f"Bootstrap ({self.kind})", self.notes)

    def interval(
        self, kind: BootstrapInterval = "percentile", level: float = 0.95, parameters: Sequence[str] | str | None = None
    ) -> pd.DataFrame:
        """Bootstrap intervals.

        Parameters
        ----------
        kind : {"percentile", "basic", "bca"}
        level : float
        parameters : sequence of str, optional
            Columns of `frame`; lme4's names are understood.

        Returns
        -------
        DataFrame
            Columns lower, upper, indexed by parameter; ``attrs["notes"]``.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> draws = fit.bootstrap(200, seed=1)
        >>> draws.interval("percentile", parameters=["(Intercept)"]).shape
        (1, 2)
        """
        if kind not in LIMITS:
            raise ValueError(f"no interval is called {kind!r}; there are: {', '.join(LIMITS)}")
        chosen = range(self.frame.shape[1]) if parameters is None else find(parameters, self._aliases)
        notes = list(self.notes)
        acceleration = np.zeros(self.frame.shape[1])
        if kind == "bca":
            acceleration, note = self._acceleration
            notes += [note] if note else []
        rows = []
        for j in chosen:
            values = self.frame.iloc[:, j].to_numpy(float)
            values = values[np.isfinite(values)]
            estimate = float(self.estimate.iloc[j])
            usable = len(values) > 1 and np.isfinite(estimate)
            rows.append(LIMITS[kind](values, estimate, level, float(acceleration[j])) if usable else (np.nan, np.nan))
            if len(values) < len(self.frame) - len(self.failures):
                notes.append(
                    f"{self.frame.columns[j]}: undefined in {len(self.frame) - len(values)} replicates, left out"
                )
        table = pd.DataFrame(rows, columns=["lower", "upper"], index=self.frame.columns[list(chosen)])
        return ResultFrame.of(table.rename_axis("parameter"), f"{level:.4g} intervals: bootstrap, {kind}", tuple(notes))

    @cached_property
    def _acceleration(self) -> tuple[FloatArray, str]:
        """â of each column, from the fits without one group each, and what there is to say about it."""
        groups = n_groups(self._fit)
        if groups < 3 or groups > MOST_GROUPS:
            why = "fewer than three independent groups" if groups < 3 else f"more than {MOST_GROUPS} groups"
            return np.zeros(self.frame.shape[1]), f"acceleration taken as zero: {why} to leave out one at a time"
        fitter = GroupFitter(self._fit)
        counts = 1.0 - np.eye(groups)
        parts = [fitter(counts[:, at : at + fitter.batch]) for at in range(0, groups, fitter.batch)]

        def whole(b: int) -> Fit:
            return fit_like(self._fit, *repeated(self._fit, fitter.owner, counts[:, b]))

        table = _table(self._fit, Refits.joined(parts), self._statistic, whole)
        return acceleration_of(table.to_numpy(float)), ""

    def __repr__(self) -> str:
        size = f"{len(self.frame)} replicates of {self.frame.shape[1]}"
        return f"Bootstrap ({self.kind}): {size}, {len(self.failures)} failed"


def bootstrap_fit(
    fit: Fit,
    n: int = 1000,
    *,
    kind: str = "parametric",
    statistic: Statistic | None = None,
    seed: Any = None,
    batch: int | None = None,
    within: bool = False,
    progress: bool | Callable[[int, int], None] | None = None,
) -> Bootstrap:
    """Bootstrap a fit.

    Parameters
    ----------
    fit : Fit
    n : int
        Replicates.
    kind : {"parametric", "residual", "cases"}
    statistic : callable, optional
        A function of a `Replicate` that returns a number, a sequence, a dict or a Series. By default all parameters.
    seed : int, SeedSequence or Generator, optional
        The same seed gives the same replicates whatever `batch` is.
    batch : int, optional
        Replicates fitted together.
    within : bool
        For cases: draw rows within the groups, too.
    progress : bool or callable, optional
        See `progress_bar`.

    Examples
    --------
    >>> from henderson import datasets
    >>> from henderson.design.from_formula import design_from_formula
    >>> from henderson.engine.fit import fit_design
    >>> fit = fit_design(*design_from_formula("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff")))
    >>> boot = bootstrap_fit(fit, 500, seed=1)
    >>> boot.frame.shape
    (500, 3)
    >>> bool(abs(boot.bias["sigma"]) < 1.5)
    True
    """
    if kind not in KINDS:
        raise ValueError(f"no bootstrap is called {kind!r}; there are: {', '.join(KINDS)}")
    n = arguments.whole(n, "n")
    batch = None if batch is None else arguments.whole(batch, "batch")
    if statistic is not None and not callable(statistic):
        raise ValueError(f"statistic is a function of a fit, not {arguments.shown(statistic)}")
    if within and kind != "cases":
        raise ValueError("within=True is for kind='cases'")
    if within:
        check_within(fit)
    fit.observed_for("bootstrap()")
    entropy = entropy_of(seed)
    with progress_bar(f"{kind} bootstrap", n, progress) as tell:
        if kind == "cases":
            refits, whole = _cases(fit, n, entropy, batch, within, tell)
        else:
            refits, whole = _responses(fit, n, kind, entropy, batch, tell)
    frame = _table(fit, refits, statistic, whole)
    original = _table(fit, Refits.of_fits(fit, [fit]), statistic, lambda b: fit).iloc[0]
    failed = int((~refits.converged).sum())
    why = " (of rows without a level of a factor there is none)" if kind == "cases" else ""
    notes = (f"{failed} of {n} fits failed and are left out{why}",) if failed else ()
    names = [*fit.design.x_names]
    aliases: list[tuple[str, ...]] = [(str(c),) for c in frame.columns]
    if statistic is None:
        known = {p.name: p.alias for p in variance_parameters(fit.design)}
        known |= {name: other_spelling(name) for name in names}
        aliases = [(str(c), known.get(str(c), str(c))) for c in frame.columns]
    return Bootstrap(
        frame, original.rename("estimate"), kind, entropy, refits.deviance, refits.converged, notes,
        fit, statistic, tuple(aliases),
    )  # fmt: skip


def _responses(
    fit: Fit, n: int, kind: str, entropy: int, batch: int | None, tell: Callable[[int], None]
) -> tuple[Refits, Callable[[int], Fit]]:
    draw = draws.parametric(fit) if kind == "parametric" else draws.residual(fit)
    refitter = Refitter.of(fit, batch)
    size = block_size(fit.n)
    refits = refit_all(refitter, blocks(draw, n, entropy, size, refitter.batch), tell)

    def whole(b: int) -> Fit:
        return refit(fit, draw(stream(entropy, b // size), size)[:, b % size])

    return refits, whole


def _cases(
    fit: Fit, n: int, entropy: int, batch: int | None, within: bool, tell: Callable[[int], None]
) -> tuple[Refits, Callable[[int], Fit]]:
    groups = check_groups(fit)
    fitter = GroupFitter(fit)
    size = block_size(groups)
    if within:

        def whole(b: int) -> Fit:
            return fit_like(fit, *within_groups(fit, fitter.owner, stream(entropy, b)))

        fits = []
        for b in range(n):
            fits.append(whole(b))
            tell(b + 1)
        return of_resamples(fit, fits), whole
    draw = draw_counts(groups)
    parts = []
    for here, counts in blocks(draw, n, entropy, size, batch or fitter.batch):
        parts.append(fitter(counts))
        tell(here.stop)

    def again(b: int) -> Fit:
        counts = draw(stream(entropy, b // size), size)[:, b % size]
        return fit_like(fit, *repeated(fit, fitter.owner, counts))

    return Refits.joined(parts), again


def _table(fit: Fit, refits: Refits, statistic: Statistic | None, whole: Callable[[int], Fit]) -> pd.DataFrame:
    """All parameters of each fit, or the statistic of each."""
    parameters = variance_parameters(fit.design)
    psi = fit.structure.shown(refits.psi) if isinstance(fit, StructuredFit) and refits.psi is not None else None
    values = np.hstack([refits.beta, shown(parameters, refits.cov, refits.sigma, psi)])
    table = pd.DataFrame(values, columns=[*fit.design.x_names, *(p.name for p in parameters)])
    if statistic is None:
        return table
    return as_table([statistic(r) for r in replicates(fit.design, refits, table, whole)])
