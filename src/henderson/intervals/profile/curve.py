"""One profile as a function: ζ of a value, the value at a ζ.

Between the points of a profile ζ is a cubic with the right derivatives (they are known exactly) in the coordinate s in
which the profile was followed. A standard deviation is a multiple of s, a correlation sin s, σ exp(s/2) times its
estimate, a fixed effect a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from henderson.intervals.profile.path import Trace

FloatArray = np.ndarray


#: kind -> function of s, and its inverse
MAPS: dict[str, tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray], FloatArray]]] = {
    "sd": (lambda s: s, lambda v: v),
    "beta": (lambda s: s, lambda v: v),
    "plain": (lambda s: s, lambda v: v),
    "cor": (np.sin, lambda v: np.arcsin(np.clip(v, -1, 1))),
    "sigma": (lambda s: np.exp(s / 2), lambda v: 2 * np.log(v)),
    "log": (np.exp, np.log),
    "logit": (lambda s: 1 / (1 + np.exp(-s)), lambda v: np.log(v / (1 - v))),
}


@dataclass(frozen=True)
class Scale:
    """How a value is made of the coordinate s: origin + unit × a function of s.

    Attributes
    ----------
    kind : str
        One of `MAPS`: a standard deviation and a fixed effect are linear in s, a correlation is sin s, σ exp(s/2); of
        the residuals' parameters "log" are those above zero, "logit" those between two numbers.
    unit, origin, power : float
        What the user reads is a power of it: of a correlation in time, that at another distance.
    """

    kind: str
    unit: float = 1.0
    origin: float = 0.0
    power: float = 1.0

    def value(self, s: FloatArray) -> FloatArray:
        """The parameter at s."""
        found = self.origin + self.unit * MAPS[self.kind][0](np.asarray(s, float))
        return found if self.power == 1 else found**self.power

    def coordinate(self, value: FloatArray) -> FloatArray:
        """s at a parameter."""
        value = np.asarray(value, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            own = value if self.power == 1 else value ** (1 / self.power)
            return MAPS[self.kind][1]((own - self.origin) / self.unit)

    def slope(self, value: float) -> float:
        """∂value/∂s of a parameter of the residuals."""
        share = (value - self.origin) / self.unit
        return {"log": value, "logit": self.unit * share * (1 - share)}.get(self.kind, self.unit)


def scale_of_range(low: float, high: float) -> Scale:
    """The scale on which a range has no ends."""
    if np.isfinite(high):
        return Scale("logit", high - low, low)
    return Scale("log") if np.isfinite(low) else Scale("plain")


@dataclass(frozen=True, eq=False)
class Curve:
    """The profile of one parameter.

    Attributes
    ----------
    scale : Scale
    trace : Trace
    ends : (lower, upper)
        The ends of the parameter's range where the profile goes that far, NaN where it does not.
    """

    scale: Scale
    trace: Trace
    ends: tuple[float, float] = (np.nan, np.nan)

    @property
    def values(self) -> FloatArray:
        """The parameter at the points, (m,)."""
        return self.scale.value(self.trace.s)

    @property
    def monotone(self) -> bool:
        """Whether ζ increases all along."""
        return bool(np.all(np.diff(self.trace.zeta) > 0))

    def zeta(self, value: FloatArray | float) -> FloatArray:
        """ζ at values of the parameter; NaN outside the profile."""
        t = self.trace
        return _hermite(t.s, t.zeta, t.d_zeta, self.scale.coordinate(np.asarray(value, float)))

    def value(self, zeta: FloatArray | float) -> FloatArray:
        """The parameter at values of ζ; NaN outside the profile."""
        return self.scale.value(self.coordinate_at(np.asarray(zeta, float)))

    def coordinate_at(self, zeta: FloatArray) -> FloatArray:
        """s at values of ζ."""
        t = self.trace
        with np.errstate(divide="ignore"):
            slope = 1 / t.d_zeta
        if self.monotone and np.all(np.isfinite(slope)) and np.all(slope > 0):
            return _hermite(t.zeta, t.s, slope, zeta)
        rising = np.flatnonzero(t.zeta >= np.maximum.accumulate(t.zeta))
        rising = rising[np.diff(t.zeta[rising], prepend=-np.inf) > 0]
        return np.interp(zeta, t.zeta[rising], t.s[rising], left=np.nan, right=np.nan)

    __call__ = zeta


def _hermite(x: FloatArray, y: FloatArray, slope: FloatArray, at: FloatArray) -> FloatArray:
    """The cubic through the points with these slopes, NaN outside."""
    if len(x) == 1:
        return np.where(at == x[0], y[0], np.nan)
    i = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)
    h = x[i + 1] - x[i]
    t = (at - x[i]) / h
    left = y[i] * (1 + 2 * t) + h * slope[i] * t
    right = y[i + 1] * (3 - 2 * t) + h * slope[i + 1] * (t - 1)
    slack = 1e-9 * (x[-1] - x[0])
    inside = (at >= x[0] - slack) & (at <= x[-1] + slack)
    return np.where(inside, left * (1 - t) ** 2 + right * t**2, np.nan)
