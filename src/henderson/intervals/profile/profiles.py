"""`Profile`: the likelihood profiles of a fit, as a table, as curves, as intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from henderson.design.variance_parameters import find
from henderson.intervals.profile.curve import Curve
from henderson.intervals.profile.path import Trace, bounds, settle
from henderson.intervals.profile.surface import Surface, Target
from henderson.tables.result_frame import ResultFrame

FloatArray = np.ndarray


@dataclass(frozen=True)
class Profile:
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
    _surface: Surface = field(repr=False)
    _minimum: float = field(repr=False)

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
        chosen = np.arange(len(names)) if parameters is None else np.array(find(parameters, names, "parameter"))
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
        low, high = bounds(self._surface)
        reach, start = [], []
        for i, b in enumerate(chosen):
            t = self.curves[b].trace
            end, edge = (t.s[0], low[b]) if z < 0 else (t.s[-1], high[b])
            far = t.zeta[0] <= z if z < 0 else t.zeta[-1] >= z
            if far:
                reach.append(i)
                start.append(float(self.curves[b].coordinate_at(np.array(z))))
            elif np.isfinite(edge) and abs(end - edge) < 1e-6:
                out[i] = self.curves[b].scale.value(np.array(edge))
        if reach:
            members = chosen[np.array(reach)]
            s = self._refine(z, members, np.array(start))
            out[reach] = [float(self.curves[b].scale.value(v)) for b, v in zip(members, s)]
        return out

    def _refine(self, z: float, members: np.ndarray, s: FloatArray) -> FloatArray:
        """Newton's method for ζ(s) = z, between the neighbouring points of the profiles."""
        traces = [self.curves[b].trace for b in members]
        right = np.array([np.clip(np.searchsorted(t.s, v), 1, len(t.s) - 1) for t, v in zip(traces, s)])
        left_s = np.array([t.s[j - 1] for t, j in zip(traces, right)])
        right_s = np.array([t.s[j] for t, j in zip(traces, right)])
        x = np.column_stack([_between(t, j, v) for t, j, v in zip(traces, right, s)])
        path, everyone = self._surface.path[members], np.arange(len(members))
        for _ in range(4):
            point = settle(self._surface, x, members, tol=1e-7)
            zeta = np.sign(z) * np.sqrt(np.maximum(point.value - self._minimum, 0.0))
            with np.errstate(divide="ignore", invalid="ignore"):
                step = (z - zeta) * 2 * zeta / point.slope
            step = np.where(np.isfinite(step), step, 0.0)
            s = np.clip(point.x[path, everyone] + step, left_s, right_s)
            if np.abs(zeta - z).max() < 1e-6:
                break
            x = point.x + point.tangent * (s - point.x[path, everyone])
            x = np.where(self._surface.nonnegative[:, members], np.maximum(x, 0.0), x)
            x[path, everyone] = s
        return s

    def plot(self, parameters: Sequence[str] | str | None = None, absolute: bool = False) -> Any:
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
        chosen = range(len(names)) if parameters is None else find(parameters, names, "parameter")
        return [(names[i][0], self.curves[i]) for i in chosen]

    def __repr__(self) -> str:
        kind = "REML" if self._surface.reml else "maximum likelihood"
        return f"Profile of {len(self.targets)} parameters ({kind}), |ζ| to {self.cutoff:.2f}"


def _between(t: Trace, right: int, s: float) -> FloatArray:
    """x at s between two points of a profile, by the cubic with the tangents there, (k + 2,)."""
    h = t.s[right] - t.s[right - 1]
    u = (s - t.s[right - 1]) / h
    return (
        t.x[:, right - 1] * (1 + 2 * u) * (1 - u) ** 2
        + h * t.tangent[:, right - 1] * u * (1 - u) ** 2
        + t.x[:, right] * u**2 * (3 - 2 * u)
        + h * t.tangent[:, right] * u**2 * (u - 1)
    )
