"""`Profile`: the likelihood profiles of a fit, as a table, as curves, as intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from scipy.special import ndtri

from henderson.design.variance_parameters import find
from henderson.intervals.profile.curve import Curve
from henderson.intervals.profile.surface import Target
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = np.ndarray


class Likelihood(Protocol):
    """What the profiles are of."""

    @property
    def reml(self) -> bool:
        """Whether it is the restricted likelihood."""

    def refined(self, z: float, members: np.ndarray, curves: Sequence[Curve], s: FloatArray) -> FloatArray:
        """Where ζ = z on the likelihood itself, from coordinates s that the curves say, (len(members),)."""


@dataclass(frozen=True, eq=False)
class Profile(TableExports):
    """Likelihood profiles.

    Attributes
    ----------
    targets : tuple of Target
    curves : tuple of Curve
    estimate : (B,) array
        The maximum likelihood estimates (REML's under ``reml=True``).
    level : float
        Joint level to which the profiles go.
    cutoff : float
        Its `|ζ|`.
    notes : tuple of str

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    >>> fit.profile().interval().round(2)
                            lower    upper
    parameter
    sd_(Intercept)|Batch    12.20    84.06
    sigma                   38.23    67.66
    (Intercept)           1486.45  1568.55
    """

    targets: tuple[Target, ...]
    curves: tuple[Curve, ...]
    estimate: FloatArray
    level: float
    cutoff: float
    notes: tuple[str, ...]
    _likelihood: Likelihood = field(repr=False)

    @property
    def frame(self) -> pd.DataFrame:
        """Columns parameter, value, zeta: the points of each profile.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> list(fit.profile("sigma").frame.columns)
        ['parameter', 'value', 'zeta']
        """
        return pd.concat(
            [
                pd.DataFrame({"parameter": t.name, "value": c.values, "zeta": c.trace.zeta})
                for t, c in zip(self.targets, self.curves)
            ],
            ignore_index=True,
        )

    @property
    def spline(self) -> Mapping[str, Curve]:
        """The curve of each parameter, by its name and by lme4's: ``spline[".sig01"](30.0)`` is ζ there."""
        return {name: c for t, c in zip(self.targets, self.curves) for name in (t.alias, t.name)}

    def interval(self, level: float = 0.95, parameters: Sequence[str] | str | None = None) -> pd.DataFrame:
        """Profile likelihood intervals {ψ : `|ζ(ψ)|` ≤ z}, solved for on the likelihood itself.

        Where a profile ends at a boundary before it reaches z, the boundary is the limit.

        Parameters
        ----------
        level : float
        parameters : sequence of str, optional
            Names, descriptive or lme4's.

        Returns
        -------
        DataFrame
            Columns lower, upper, indexed by parameter; ``attrs["notes"]``.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> fit.profile("sigma").interval(0.9).round(2)
                   lower  upper
        parameter
        sigma      39.73  64.07
        """
        z = float(ndtri((1 + level) / 2))
        if z > self.cutoff * (1 + 1e-9):
            raise ValueError(
                f"these profiles go to |ζ| = {self.cutoff:.2f}, an interval at level {level:g} needs {z:.2f}; "
                "give results.profile() a higher level"
            )
        names = [(t.name, t.alias) for t in self.targets]
        chosen = np.arange(len(names)) if parameters is None else np.array(find(parameters, names))
        limits = np.column_stack([self._solve(-z, chosen), self._solve(z, chosen)])
        table = pd.DataFrame(limits, columns=["lower", "upper"], index=[names[i][0] for i in chosen])
        open_ended = [
            f"{name}: no {side} limit, since the profile does not come to |ζ| = {z:.2f} on that side"
            for side in table.columns
            for name in table.index[table[side].isna()]
        ]
        heading = f"{level:.4g} intervals: profile"
        return ResultFrame.of(table.rename_axis("parameter"), heading, (*self.notes, *open_ended))

    def _solve(self, z: float, chosen: np.ndarray) -> FloatArray:
        """Values where ζ = z, (len(chosen),)."""
        out = np.full(len(chosen), np.nan)
        reach, start = [], []
        for i, b in enumerate(chosen):
            curve = self.curves[b]
            zeta = curve.trace.zeta
            if zeta[0] <= z if z < 0 else zeta[-1] >= z:
                reach.append(i)
                start.append(float(curve.coordinate_at(np.array(z))))
            else:
                out[i] = curve.ends[0 if z < 0 else 1]
        if reach:
            members = chosen[np.array(reach)]
            own = [self.curves[b] for b in members]
            s = self._likelihood.refined(z, members, own, np.array(start))
            out[reach] = [float(curve.scale.value(v)) for curve, v in zip(own, s)]
        return out

    def plot(self, parameters: Sequence[str] | str | None = None, absolute: bool = False) -> Figure:
        """ζ against each parameter, with the 50, 80, 90, 95 and 99 % intervals (needs matplotlib).

        Parameters
        ----------
        parameters : sequence of str, optional
        absolute : bool
            `|ζ|`.

        Returns
        -------
        matplotlib Figure

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> len(fit.profile().plot().axes)
        3
        """
        from henderson.plots.profile import figure

        return figure(self.named_curves(parameters), absolute)

    def named_curves(self, parameters: Sequence[str] | str | None = None) -> list[tuple[str, Curve]]:
        """Names and curves of some parameters; of all by default."""
        names = [(t.name, t.alias) for t in self.targets]
        chosen = range(len(names)) if parameters is None else find(parameters, names)
        return [(names[i][0], self.curves[i]) for i in chosen]

    def to_frame(self) -> pd.DataFrame:
        """The points of each profile."""
        return self.frame.copy()

    def as_table(self) -> Table:
        """Intervals at the level of the profiles' reach or 0.95, whichever is less."""
        return ResultFrame.of(self.interval(min(0.95, self.level)), "Profile").as_table()

    def __repr__(self) -> str:
        kind = "REML" if self._likelihood.reml else "maximum likelihood"
        return f"Profile of {len(self.targets)} parameters ({kind}), |ζ| to {self.cutoff:.2f}"
