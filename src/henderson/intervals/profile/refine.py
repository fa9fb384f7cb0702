"""Limits solved for on the surface itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from henderson.intervals.profile.curve import Curve
from henderson.intervals.profile.path import Trace, settle
from henderson.intervals.profile.surface import Surface

FloatArray = np.ndarray


@dataclass(frozen=True)
class OfSurface:
    """A surface and its minimum; see `profiles.Likelihood`.

    Attributes
    ----------
    surface : Surface
    minimum : float
    """

    surface: Surface
    minimum: float

    @property
    def reml(self) -> bool:
        """Whether the likelihood is the restricted one."""
        return self.surface.reml

    def refined(self, z: float, members: np.ndarray, curves: Sequence[Curve], s: FloatArray) -> FloatArray:
        """Newton's method for ζ(s) = z, between the neighbouring points of the profiles."""
        traces = [curve.trace for curve in curves]
        right = np.array([np.clip(np.searchsorted(t.s, v), 1, len(t.s) - 1) for t, v in zip(traces, s)])
        left_s = np.array([t.s[j - 1] for t, j in zip(traces, right)])
        right_s = np.array([t.s[j] for t, j in zip(traces, right)])
        x = np.column_stack([between(t, j, v) for t, j, v in zip(traces, right, s)])
        path, everyone = self.surface.path[members], np.arange(len(members))
        for _ in range(4):
            point = settle(self.surface, x, members, tol=1e-7)
            zeta = np.sign(z) * np.sqrt(np.maximum(point.value - self.minimum, 0.0))
            with np.errstate(divide="ignore", invalid="ignore"):
                step = (z - zeta) * 2 * zeta / point.slope
            step = np.where(np.isfinite(step), step, 0.0)
            s = np.clip(point.x[path, everyone] + step, left_s, right_s)
            if np.abs(zeta - z).max() < 1e-6:
                break
            x = point.x + point.tangent * (s - point.x[path, everyone])
            x = np.where(self.surface.nonnegative[:, members], np.maximum(x, 0.0), x)
            x[path, everyone] = s
        return s


def between(t: Trace, right: int, s: float) -> FloatArray:
    """x at s between two points of a profile, by the cubic with the tangents there, (k + 2,)."""
    h = t.s[right] - t.s[right - 1]
    u = (s - t.s[right - 1]) / h
    return (
        t.x[:, right - 1] * (1 + 2 * u) * (1 - u) ** 2
        + h * t.tangent[:, right - 1] * u * (1 - u) ** 2
        + t.x[:, right] * u**2 * (3 - 2 * u)
        + h * t.tangent[:, right] * u**2 * (u - 1)
    )
