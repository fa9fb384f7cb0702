"""Profiles of a model whose residuals have a covariance structure, one parameter after the other.

The deviance is minimised where the parameter has a value: over φ where s(φ) = c (`quantity`, `numerics.constrained`),
for a fixed effect over φ and the other fixed effects (`engine.residual.held`). From a point of the profile, where the
multiplier is df/dc and d²f/dc² is known exactly,

    1. the next c is where f + f'Δ + ½ f''Δ² reaches (ζ + δ)², and no further than the end of the range
    2. x + x'Δ + ½ (x' − x'_before) Δ²/Δ_before begins Newton's method there; where that fails the step is halved

ζ = ± √(f − f̂). Near an end where a covariance of random effects is singular (a standard deviation of zero, a
correlation of ±1) f is even about the end, and its value NEAR it is its value there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from henderson.design.variance_parameters import VarianceParameter, shown, variance_parameters
from henderson.engine.fit import refit
from henderson.engine.residual.ends import Point
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.held import HeldPoint
from henderson.engine.residual.model import BlockModel, to_user_units
from henderson.engine.residual.search import way
from henderson.errors import NotAvailable
from henderson.intervals.profile.curve import Curve, Scale
from henderson.intervals.profile.level import capped
from henderson.intervals.profile.path import Trace
from henderson.intervals.profile.quantity import quantity
from henderson.intervals.profile.surface import Target
from henderson.numerics.constrained import Constrained, Equation, Objective, minimize_on

FloatArray = np.ndarray

#: step of ζ
STEP = 0.7
#: most points on one side of a profile, and halvings of a step that leads nowhere
MOST, HALVINGS = 40, 8
#: what of an end of the range of a random effect's parameter is as good as the end
NEAR = 3e-4
#: a change of f below which a profile without an end is level
LEVEL = 1e-6
#: ζ² that is zero
ZERO = 1e-6


@dataclass(frozen=True)
class Course:
    """What one profile follows.

    Attributes
    ----------
    objective, equation
        See `numerics.constrained`.
    scale : Scale
        How the parameter is made of the coordinate.
    x : (k,) array
        Where it begins.
    low, high : float
        Ends of the coordinate.
    """

    objective: Objective
    equation: Equation
    scale: Scale
    x: FloatArray
    low: float = -np.inf
    high: float = np.inf

    def at(self, c: float, x: FloatArray) -> Constrained | None:
        """The minimum where the coordinate is c; at an end, near it."""
        return minimize_on(self.objective, self.equation, float(np.clip(c, self.low + NEAR, self.high - NEAR)), x)


@dataclass(frozen=True)
class OfCourses:
    """The likelihood of some profiles; see `profiles.Likelihood`.

    Attributes
    ----------
    reml : bool
    courses : tuple of Course
    minimum : float
        At the fit.
    lowest : float
        Of all points of the profiles.
    """

    reml: bool
    courses: tuple[Course, ...]
    minimum: float
    lowest: float = np.inf

    def refined(self, z: float, members: np.ndarray, curves: Sequence[Curve], s: FloatArray) -> FloatArray:
        """Newton's method for ζ(s) = z, between the neighbouring points."""
        return np.array([
            _refined(self.courses[b], curve.trace, self.minimum, z, float(start))
            for b, curve, start in zip(members, curves, s)
        ])  # fmt: skip


def _refined(course: Course, t: Trace, minimum: float, z: float, s: float) -> float:
    right = int(np.clip(np.searchsorted(t.s, s), 1, len(t.s) - 1))
    near = right if abs(t.s[right] - s) < abs(t.s[right - 1] - s) else right - 1
    x = t.x[:, near] + t.tangent[:, near] * (s - t.s[near])
    for _ in range(5):
        found = course.at(s, x)
        if found is None:
            return s
        zeta = np.sign(z) * np.sqrt(max(found.value - minimum, 0.0))
        if abs(zeta - z) < 1e-7 or not found.slope:
            return s
        step = (z - zeta) * 2 * zeta / found.slope
        there = float(np.clip(s + step, t.s[right - 1], t.s[right]))
        x, s = found.x + found.tangent * (there - s), there
    return s


def profile_structured(
    fit: StructuredFit, targets: Sequence[Target], *, reml: bool, cutoff: float
) -> tuple[FloatArray, tuple[Curve, ...], OfCourses]:
    """Estimates, curves, and the likelihood that they are of.

    Parameters
    ----------
    fit : StructuredFit
    targets : sequence of Target
    reml : bool
    cutoff : float
        |ζ| to which the profiles go.

    Raises
    ------
    NotAvailable
        Where variances follow the fitted values: what is settled there is no maximum of one likelihood.
    """
    residual = fit.design.residual
    assert residual is not None
    if any(own.of_fitted for own in residual.variance):
        raise NotAvailable(
            "profile(): the variances follow the fitted values, so that there is no one likelihood to profile; "
            "there are method='wald' and method='boot'"
        )
    rows = fit.observed_for("profile()")
    own = fit if fit.reml == reml else refit(fit, reml=reml)
    assert isinstance(own, StructuredFit)
    model = own.blocks
    at = way(model, rows)
    phi = model.working(own.psi_working)
    optimum = at(phi)
    by_name = {p.name: p for p in variance_parameters(fit.design)}
    courses, traces, lowest = [], [], float(optimum.deviance)
    for target in targets:
        if target.kind == "beta":
            course = _of_fixed(own, model, at, phi, optimum, target.row)
        else:
            course = _of_variance(own, model, at, phi, by_name[target.name])
        courses.append(course)
        found, ends, low = _traced(course, optimum.deviance, cutoff)
        traces.append((found, ends))
        lowest = min(lowest, low)
    likelihood = OfCourses(reml, tuple(courses), float(optimum.deviance), lowest)
    curves = tuple(
        _levelled(own, target, curve, likelihood.minimum, partial(_of_variance, own, model, at, phi), cutoff)
        for target, curve in zip(targets, (Curve(c.scale, t, e) for c, (t, e) in zip(courses, traces)))
    )
    covariances, psi = [one[None] for one in own.covariances], own.shown_psi[None]
    values = shown(list(by_name.values()), covariances, np.array([own.sigma]), psi)
    variances = dict(zip(by_name, values[0]))
    estimate = [own.beta[one.row] if one.kind == "beta" else variances[one.name] for one in targets]
    return np.array(estimate), curves, likelihood


def _objective(at: Callable[[FloatArray], Point]) -> Objective:
    def objective(phi: FloatArray) -> tuple[float, Callable[[], tuple[FloatArray, FloatArray]]]:
        point = at(phi)
        return point.deviance, lambda: (point.gradient, point.hessian_model)

    return objective


def _of_variance(
    fit: StructuredFit,
    model: BlockModel,
    at: Callable[[FloatArray], Point],
    phi: FloatArray,
    parameter: VarianceParameter,
) -> Course:
    """The course of a variance parameter."""
    own, turn = quantity(fit, parameter), to_user_units(model)

    def equation(x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            s, first, second = own.at(turn @ model.natural(x))
            J = turn @ model.jacobian(x)
            return s, J.T @ first, J.T @ second @ J + model.curvature(x, turn.T @ first)

    low, high = {"sd": (0.0, np.inf), "cor": (-np.pi / 2, np.pi / 2)}.get(own.scale.kind, (-np.inf, np.inf))
    return Course(_objective(at), equation, own.scale, _off_zero(fit, model, phi), low, high)


def _off_zero(fit: StructuredFit, model: BlockModel, phi: FloatArray) -> FloatArray:
    """φ, random effects and residuals without variance given a little: there no parameter of theirs has a derivative
    (and a logarithm leads nowhere)."""
    psi, changed, constraints = model.natural(phi), fit.has_no_residual, fit.design.constraints
    if fit.has_no_residual:
        psi[-1] = NEAR**2
    signed = () if constraints is None else constraints.unbounded
    for k, (layout, to) in enumerate(zip(model.layouts, model.g_of)):
        values, vectors = np.linalg.eigh(layout.covariance(psi[to]))
        least = (NEAR / 3) ** 2
        if layout.linear and k not in signed and values[0] < least:
            psi[to] = layout.g((vectors * np.maximum(values, least)) @ vectors.T)
            changed = True
    return model.working(psi) if changed else phi


def _of_fixed(
    fit: StructuredFit,
    model: BlockModel,
    at: Callable[[FloatArray], Point],
    phi: FloatArray,
    optimum: Point,
    column: int,
) -> Course:
    """The course of a fixed effect, in units of its standard error."""
    turn = model.basis.to_beta[int(np.cumsum(fit.kept)[column]) - 1]
    error = float(np.sqrt(turn @ optimum.phi @ turn))
    h = turn / error

    def objective(x: FloatArray) -> tuple[float, Callable[[], tuple[FloatArray, FloatArray]]]:
        point = HeldPoint(at(x[:-1]), h, float(x[-1]))
        return point.deviance, lambda: (point.gradient, point.hessian_model)

    unit = np.append(np.zeros(len(phi)), 1.0)

    def equation(x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        return float(x[-1]), unit, np.zeros((len(x), len(x)))

    scale = Scale("beta", model.basis.y_scale * error, float(model.basis.beta0[int(np.cumsum(fit.kept)[column]) - 1]))
    return Course(objective, equation, scale, np.append(phi, h @ optimum.beta))


def _traced(course: Course, minimum: float, cutoff: float) -> tuple[Trace, tuple[float, float], float]:
    """The profile from its optimum to both sides, the ends of the range that it reaches, and the lowest f on it."""
    s = float(np.clip(course.equation(course.x)[0], course.low + NEAR, course.high - NEAR))
    start = course.at(s, course.x)
    if start is None:
        return _nowhere(course), (np.nan, np.nan), np.inf
    sides, ends = [], []
    for sign, end in ((-1.0, course.low), (1.0, course.high)):
        points, reached = _followed(course, start, s, minimum, sign, end, cutoff)
        sides.append(points)
        ends.append(float(course.scale.value(np.array(end))) if reached else np.nan)
    s = next((end for end in (course.low, course.high) if abs(s - end) < 2 * NEAR), s)
    points = [*sides[0][::-1], (s, 0.0, start), *sides[1]]
    slopes = [
        np.sqrt(max(p.curvature, 0.0) / 2) if abs(z) < 1e-6 else p.slope / (2 * z) for _, z, p in points
    ]  # fmt: skip
    trace = Trace(
        np.array([c for c, _, _ in points]),
        np.array([z for _, z, _ in points]),
        np.maximum(np.array(slopes), 0.0),
        np.column_stack([p.x for _, _, p in points]),
        np.column_stack([p.tangent for _, _, p in points]),
        np.array([p.converged for _, _, p in points]),
    )
    return trace, (ends[0], ends[1]), min(p.value for _, _, p in points)


def _nowhere(course: Course) -> Trace:
    """A profile of which nothing could be computed."""
    x = course.x[:, None]
    nan = np.array([np.nan])
    return Trace(nan, nan, nan, x, np.zeros_like(x), np.zeros(1, bool))


def _followed(
    course: Course, start: Constrained, s: float, minimum: float, sign: float, end: float, cutoff: float
) -> tuple[list[tuple[float, float, Constrained]], bool]:
    """Points (c, ζ, minimum) to one side, and whether they reach the end of the range."""
    now, zeta, before, bend = start, 0.0, np.nan, np.zeros(len(start.x))
    points: list[tuple[float, float, Constrained]] = []
    for _ in range(MOST):
        room = abs(end - s)
        if zeta >= cutoff or room < 2 * NEAR:
            break
        step = _step(now, zeta, min(zeta + STEP, cutoff * 1.02), sign, before)  # 1.
        step = room if step > 0.98 * room else step
        for _ in range(HALVINGS):
            ahead = sign * step
            guess = now.x + now.tangent * ahead + bend * ahead**2  # 2.
            found = course.at(s + ahead, guess)
            if found is not None and found.converged and found.value - minimum < (zeta + 4 * STEP) ** 2 + 1:
                break
            step /= 2
        else:
            return points, False
        rise = found.value - now.value
        bend = (found.tangent - now.tangent) / (2 * ahead)
        now, s, before = found, s + ahead, step
        zeta = float(np.sqrt(max(found.value - minimum, 0.0)))
        points.append((s, sign * zeta, found))
        if np.isinf(end) and rise < LEVEL and step > 1 and len(points) > 3:
            return points, True
    return points, bool(points and np.isfinite(end) and abs(s - end) < 2 * NEAR) or (
        not points and np.isfinite(end) and abs(s - end) < 3 * NEAR
    )


def _step(now: Constrained, zeta: float, goal: float, sign: float, before: float) -> float:
    """Length at which the quadratic at a point reaches goal²."""
    rise, slope = goal**2 - zeta**2, max(now.slope * sign, 0.0)
    down = slope + np.sqrt(max(slope**2 + 2 * now.curvature * rise, 0.0))
    most = 1.0 if np.isnan(before) else 3 * before
    return float(min(2 * rise / down, most)) if down > 0 else most


def _levelled(
    fit: StructuredFit,
    target: Target,
    curve: Curve,
    minimum: float,
    course_of: Callable[[VarianceParameter], Course],
    cutoff: float,
) -> Curve:
    """The curve of a correlation no higher than where one of its standard deviations is zero (`level`)."""
    if target.kind != "cor":
        return curve
    known = [
        p
        for p in variance_parameters(fit.design)
        if p.kind == "sd" and p.term == target.term and p.row in (target.row, target.column)
    ]
    level = np.inf
    for p in known:
        trace, (lower, _), _ = _traced(course_of(p), minimum, cutoff)
        if np.isfinite(lower):
            level = min(level, float(trace.zeta[0]) ** 2)
    if np.isinf(level):
        return curve
    if level < ZERO:
        return replace(curve, trace=_flat(curve.trace), ends=(-1.0, 1.0))
    return replace(curve, trace=capped(curve.trace, level, np.pi / 2), ends=(-1.0, 1.0))


def _flat(t: Trace) -> Trace:
    """The profile of a correlation that means nothing: zero everywhere."""
    x, zero = np.repeat(t.x[:, :1], 3, axis=1), np.zeros(3)
    return Trace(np.array([-np.pi / 2, 0.0, np.pi / 2]), zero, zero, x, np.zeros_like(x), np.ones(3, bool))
