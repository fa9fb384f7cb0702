"""Follow many profiles at once, from the optimum outwards.

On the profile of a coordinate s all other coordinates φ minimise f, and ζ(s) = ± √(f − f̂). From a point of it

    1. φ' = −H_φφ⁻¹ H_φs,  f' = f_s + f_φφ',  f'' = H_ss + H_sφ φ'       (the envelope theorem: f_φ is all but zero)
    2. the next s is where f + f'Δ + ½ f''Δ² reaches (ζ + δ)², and no further than the boundary
    3. φ + φ'Δ + ½ (φ' − φ'_before) Δ²/Δ_before begins Newton's method for the next point

so that a point costs two or three evaluations, for all profiles and both directions together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.intervals.profile.surface import Surface
from henderson.numerics.newton import minimize_batch, newton_step

FloatArray = np.ndarray

#: steps of ζ to the end of a profile
STEPS = 8
#: most points on one side of a profile
MOST = 60


@dataclass(frozen=True)
class Points:
    """Points on B profiles.

    Attributes
    ----------
    x : (k + 2, B) array
    value : (B,) array
        f.
    slope, curvature : (B,) arrays
        f', f'' along the profile.
    tangent : (k + 2, B) array
        ∂x/∂s: φ', and 1 for s.
    good : (B,) bool array
        The minimisation converged.
    """

    x: FloatArray
    value: FloatArray
    slope: FloatArray
    curvature: FloatArray
    tangent: FloatArray
    good: np.ndarray

    def __getitem__(self, index: np.ndarray) -> Points:
        return Points(
            self.x[:, index],
            self.value[index],
            self.slope[index],
            self.curvature[index],
            self.tangent[:, index],
            self.good[index],
        )


def settle(
    surface: Surface,
    x: FloatArray,
    members: np.ndarray,
    *,
    tol: float = 1e-5,
    at_optimum: bool = False,
    held_too: np.ndarray | None = None,
) -> Points:
    """Minimise over φ from x (k + 2, B), B members; at the optimum only the derivatives are wanted.

    `tol` is what a last Newton step promises, so what is left is of the order of its square; `held_too` are more
    coordinates that stay.
    """
    frozen, bounded = surface.frozen[:, members], surface.nonnegative[:, members]
    if held_too is not None:
        frozen = frozen | held_too

    def evaluate(z: FloatArray, who: np.ndarray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return surface.evaluate(z, members[who])

    if at_optimum:
        value, gradient, hessian = evaluate(x, np.arange(len(members)))
        good = np.ones(len(members), bool)
    else:
        found = minimize_batch(evaluate, x, frozen=frozen, nonnegative=bounded, tol=tol)
        x, value, gradient, hessian, good = found.x, found.value, found.gradient, found.hessian, found.converged
    # 1.
    everyone = np.arange(len(members))
    path = surface.path[members]
    held = frozen | (bounded & (x <= 0) & (gradient > 0))
    across = hessian[:, path, everyone]
    tangent, _ = newton_step(across, hessian, held)
    tangent[path, everyone] = 1.0
    curvature = np.einsum("kb,kb->b", across, tangent)
    slope = np.einsum("kb,kb->b", np.where(held, 0.0, gradient), tangent) + gradient[path, everyone]
    return Points(x, value, slope, curvature, tangent, good)


def bounds(surface: Surface) -> tuple[FloatArray, FloatArray]:
    """Least and largest s of every member."""
    kinds = np.array([t.kind for t in surface.targets])
    lower = np.select([kinds == "sd", kinds == "cor"], [0.0, -np.pi / 2], -np.inf)
    return lower, np.where(kinds == "cor", np.pi / 2, np.inf)


@dataclass(frozen=True)
class Trace:
    """The points of one profile, in increasing order of s.

    Attributes
    ----------
    s, zeta, d_zeta : (m,) arrays
        The coordinate, the signed root, and its derivative.
    x, tangent : (k + 2, m) arrays
    good : (m,) bool array
    """

    s: FloatArray
    zeta: FloatArray
    d_zeta: FloatArray
    x: FloatArray
    tangent: FloatArray
    good: np.ndarray


def trace(surface: Surface, x: FloatArray, cutoff: float) -> list[Trace]:
    """Profiles of all targets from the optimum x (k + 2, B), to |ζ| ≥ cutoff or the boundary."""
    batch = len(surface.targets)
    low, high = bounds(surface)
    origin = settle(surface, x, np.arange(batch), at_optimum=True)
    s_hat = x[surface.path, np.arange(batch)]
    # members 0 … B−1 go down, B … 2B−1 up
    target = np.tile(np.arange(batch), 2)
    sign = np.repeat([-1.0, 1.0], batch)
    end = np.where(sign < 0, low[target], high[target])
    edge = 1e-9 * (1 + np.abs(np.where(np.isfinite(end), end, 0.0)))
    points: list[list[tuple[Points, float]]] = [[] for _ in target]
    now, zeta, before, last_tangent = origin[target], np.zeros(2 * batch), np.full(2 * batch, np.nan), None
    active = np.flatnonzero(np.abs(end - s_hat[target]) > edge)
    now, last_tangent = now[active], np.zeros((len(x), len(active)))
    for _ in range(MOST):
        if not len(active):
            break
        # 2.
        goal = zeta[active] + cutoff / STEPS
        step = _step(now, zeta[active], goal, sign[active], before[active])
        s = now.x[surface.path[target[active]], np.arange(len(active))]
        room = np.abs(end[active] - s)
        step = np.where(step > 0.98 * room, room, step) * sign[active]
        # 3.
        bend = np.where(np.isnan(before[active]), 0.0, step**2 / (2 * before[active]))
        guess = now.x + now.tangent * step + (now.tangent - last_tangent) * bend
        bounded = surface.nonnegative[:, target[active]]
        guess = np.where(bounded, np.maximum(guess, 0.0), guess)
        there = np.where(np.abs(step) >= room, end[active], s + step)
        guess[surface.path[target[active]], np.arange(len(active))] = there
        last_tangent, now = now.tangent, settle(surface, guess, target[active])
        before[active] = step
        real = np.isfinite(now.value)
        active, there, now, last_tangent = active[real], there[real], now[real], last_tangent[:, real]
        rise = now.value - origin.value[target[active]]
        zeta[active] = np.sqrt(np.maximum(rise, 0.0))
        for i, member in enumerate(active):
            points[member].append((now[np.array([i])], sign[member] * zeta[member]))
        more = (zeta[active] < cutoff) & (np.abs(there - end[active]) > edge[active])
        active, now, last_tangent = active[more], now[more], last_tangent[:, more]
    _halve_last_step(surface, points, target, sign, origin, end)
    return [_joined(surface, b, origin[np.array([b])], points[b][::-1], points[batch + b]) for b in range(batch)]


def _halve_last_step(
    surface: Surface,
    points: list[list[tuple[Points, float]]],
    target: np.ndarray,
    sign: FloatArray,
    origin: Points,
    end: FloatArray,
) -> None:
    """One more point before a boundary: there a profile may bend, as other parameters come to theirs."""
    who = np.array(
        [
            m
            for m, p in enumerate(points)
            if len(p) > 1 and np.isfinite(end[m]) and _is_at(surface, p, target[m], end[m])
        ],
        int,
    )
    if not len(who):
        return
    members = target[who]
    before, after = (np.column_stack([points[m][i][0].x[:, 0] for m in who]) for i in (-2, -1))
    found = settle(surface, (before + after) / 2, members)
    for i, m in enumerate(who):
        zeta = sign[m] * np.sqrt(max(found.value[i] - origin.value[members[i]], 0.0))
        points[m].insert(-1, (found[np.array([i])], float(zeta)))


def _is_at(surface: Surface, points: list[tuple[Points, float]], target: int, end: float) -> bool:
    return bool(abs(points[-1][0].x[surface.path[target], 0] - end) < 1e-8)


def _step(now: Points, zeta: FloatArray, goal: FloatArray, sign: FloatArray, before: FloatArray) -> FloatArray:
    """|Δ| at which the quadratic at a point reaches goal²."""
    rise, slope = goal**2 - zeta**2, np.maximum(now.slope * sign, 0.0)
    root = slope**2 + 2 * now.curvature * rise
    down = slope + np.sqrt(np.maximum(root, 0.0))
    length = np.abs(before)
    most = np.where(np.isnan(before), 1.0, 3 * np.where(np.isnan(before), 1.0, length))
    return np.minimum(np.where(down > 0, 2 * rise / np.where(down > 0, down, 1.0), most), most)


def _joined(
    surface: Surface, b: int, origin: Points, down: list[tuple[Points, float]], up: list[tuple[Points, float]]
) -> Trace:
    parts = [*down, (origin, 0.0), *up]
    zeta = np.array([z for _, z in parts])
    slope = np.array([p.slope[0] for p, _ in parts])
    curvature = np.array([p.curvature[0] for p, _ in parts])
    middle = np.abs(zeta) < 1e-6
    d_zeta = np.where(middle, np.sqrt(np.maximum(curvature, 0.0) / 2), slope / (2 * np.where(middle, 1.0, zeta)))
    x = np.column_stack([p.x[:, 0] for p, _ in parts])
    s = x[surface.path[b]]
    if surface.targets[b].kind == "sd" and s[0] == 0.0 and len(s) > 2 and not middle[0]:
        # correlations mean nothing at 0, so which one-sided slope the profile has there is not known: a parabola
        d_zeta[0] = max(2 * (zeta[1] - zeta[0]) / s[1] - d_zeta[1], 0.0)
    return Trace(
        s,
        zeta,
        d_zeta,
        x,
        np.column_stack([p.tangent[:, 0] for p, _ in parts]),
        np.array([p.good[0] for p, _ in parts]),
    )
