"""Correlations whose profile ends level.

A correlation means nothing when one of its two standard deviations is zero: f there does not depend on it. Where a path
climbs above that value the minimum is there, and the profile is level from that point to the boundary.
"""

from __future__ import annotations

import numpy as np

from henderson.intervals.profile.path import Trace, settle
from henderson.intervals.profile.surface import Surface

FloatArray = np.ndarray


def levelled(surface: Surface, x: FloatArray, minimum: float, traces: list[Trace]) -> list[Trace]:
    """The traces, those of correlations cut off at their level; x (k + 2, B) the optimum, `minimum` f there."""
    level = _levels_without_effect(surface, x, minimum, traces)
    return [t if surface.second[b] < 0 else capped(t, level[b], np.pi / 2) for b, t in enumerate(traces)]


def _levels_without_effect(surface: Surface, x: FloatArray, minimum: float, traces: list[Trace]) -> FloatArray:
    """Lowest ζ² of each correlation's profile with one of its standard deviations at zero, (B,).

    The profile of that standard deviation has it, when it is among the targets: at its 0, or, when it ends before,
    beyond where the others end.
    """
    out = np.full(len(surface.targets), np.inf)
    ends = {
        (t.term, t.row): trace.zeta[0] ** 2 if trace.s[0] < 1e-12 else np.inf
        for t, trace in zip(surface.targets, traces)
        if t.kind == "sd"
    }
    members = []
    for b in np.flatnonzero(surface.second >= 0):
        t = surface.targets[b]
        both = [(t.term, t.row), (t.term, t.column)]
        if all(one in ends for one in both):
            out[b] = min(ends[one] for one in both)
        else:
            members.append(b)
    if not members:
        return out
    return _settled_levels(surface, x, minimum, np.array(members), out)


def _settled_levels(
    surface: Surface, x: FloatArray, minimum: float, members: np.ndarray, out: FloatArray
) -> FloatArray:
    """The levels of some correlations by minimising with each standard deviation held at zero; others as in `out`."""
    everyone = np.arange(len(members))
    # s_1 is the first coordinate with this bound, s_2 the other
    first = np.argmax(surface.nonnegative[:, members], 0)
    for coordinate in (first, surface.second[members]):
        start, held = x[:, members].copy(), np.zeros((len(x), len(members)), bool)
        start[coordinate, everyone], held[coordinate, everyone] = 0.0, True
        found = settle(surface, start, members, held_too=held)
        rise = np.maximum(found.value - minimum, 0.0)
        out[members] = np.minimum(out[members], np.where(found.good, rise, np.inf))
    return out


def capped(t: Trace, level: float, edge: float) -> Trace:
    """The profile of a correlation, level where it would rise above ζ² = level."""
    top, centre = np.sqrt(level), int(np.argmin(np.abs(t.zeta)))
    above = np.flatnonzero(np.abs(t.zeta) > top * (1 - 1e-7))
    first = above[above < centre].max(initial=-1) + 1
    last = above[above > centre].min(initial=len(t.s))
    kept = slice(first, last)
    parts = [Trace(t.s[kept], t.zeta[kept], t.d_zeta[kept], t.x[:, kept], t.tangent[:, kept], t.good[kept])]
    if first > 0:
        parts.insert(0, _level_part(t, first, first - 1, -top, -edge))
    if last < len(t.s):
        parts.append(_level_part(t, last - 1, last, top, edge))
    return Trace(
        np.concatenate([p.s for p in parts]),
        np.concatenate([p.zeta for p in parts]),
        np.concatenate([p.d_zeta for p in parts]),
        np.concatenate([p.x for p in parts], 1),
        np.concatenate([p.tangent for p in parts], 1),
        np.concatenate([p.good for p in parts]),
    )


def _level_part(t: Trace, near: int, other: int, zeta: float, edge: float) -> Trace:
    """Where the cubic between two points reaches ζ, just beyond (level), and the boundary, in increasing order."""
    share, slope = _crossing(t, near, other, zeta)
    h = t.s[other] - t.s[near]
    s = np.array([t.s[near] + share * h, t.s[near] + share * h + 1e-7 * np.sign(h), edge])
    x = np.repeat((t.x[:, near] + share * (t.x[:, other] - t.x[:, near]))[:, None], 3, 1)
    order = np.argsort(s)
    flat = np.zeros(x.shape)
    return Trace(s[order], np.full(3, zeta), np.array([slope, 0.0, 0.0])[order], x, flat, np.ones(3, bool))


def _crossing(t: Trace, near: int, other: int, zeta: float) -> tuple[float, float]:
    """How far from one point to the other the cubic between them reaches ζ, by bisection; and its slope there."""
    h = t.s[other] - t.s[near]

    def cubic(u: float) -> float:
        return float(
            t.zeta[near] * (1 + 2 * u) * (1 - u) ** 2
            + h * t.d_zeta[near] * u * (1 - u) ** 2
            + t.zeta[other] * u**2 * (3 - 2 * u)
            + h * t.d_zeta[other] * u**2 * (u - 1)
        )

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if abs(cubic(middle)) < abs(zeta) else (low, middle)
    return low, (cubic(low + 1e-6) - cubic(low - 1e-6)) / (2e-6 * h)
