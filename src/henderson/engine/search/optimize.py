"""From a start to an optimum: trust-region Newton on a structured model of the Hessian, with secant corrections.

The function gives value, gradient and a model of its Hessian H(θ) that lacks a part that changes slowly. That part, C,
is learned from the gradients by symmetric rank-one updates, so that (H + C) s = y on the last step (a structured
quasi-Newton method, Dennis, Gay and Welsch 1981). At each iterate:

1. eigenvalues of B = H + C; the step minimises g's + s'Bs/2 within the radius (Moré and Sorensen 1983), whose length
   is that of a metric where one is given
2. the value decides whether the step stands, and the radius, less what the new value may be wrong by if it has lost
   more digits; where its rounding hides the change, the gradient decides
3. the iterate is the optimum when the decrease that B still predicts is below the tolerance; one last step is taken
   all the same, without asking for its gradient: convergence is superlinear, so it squares what is left. Where more
   digits are asked for, one further iteration goes before it, if a step as good as the one before leaves too few
4. within a radius that failed steps have cut short next to nothing is promised, which is no certificate: it takes a
   whole step that promises nothing either
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

from henderson.numerics.lapack import eigen


class Point(Protocol):
    """The function at one θ; a value that is not finite says that there is none, and no derivatives are asked for."""

    theta: np.ndarray
    deviance: float

    @property
    def gradient(self) -> np.ndarray:
        """(k,)."""

    @property
    def hessian_model(self) -> np.ndarray:
        """(k, k)."""

    def lighten(self) -> None:
        """Let go of what takes memory, once value, gradient and Hessian are known."""


P = TypeVar("P", bound=Point)


@dataclass(frozen=True)
class Optimum(Generic[P]):
    """Where a search ended.

    Attributes
    ----------
    point : Point
    evaluations : int
    predicted_decrease : float
        What the model of the function promised at the last gradient: half the Newton decrement.
    gradient_norm : float
        Largest element of the last gradient.
    converged : bool
    message : str
    history : tuple of (deviance, predicted decrease)
    full : Point, or None
        The last point whose gradient was asked for.
    """

    point: P
    evaluations: int
    predicted_decrease: float
    gradient_norm: float
    converged: bool
    message: str
    history: tuple[tuple[float, float], ...] = field(default=())
    full: P | None = None


#: predicted decrease at which a search is over, and below which not even the last step is taken
TOLERANCE, EXACT = 3e-10, 1e-18
#: predicted decrease of a step of relative length one below which there is a plateau, and no last step is taken
PLATEAU = 1e-11
#: promise up to which a tolerance is believed whatever the steps before; a larger one where the step was not cut short
#: (its share of the radius) and promises fall from step to step
BELIEVED, WITHIN, FALLING = 1e-5, 0.99, 0.3
#: decrease below which a search that cannot improve has still converged
ACCEPTABLE = 1e-8
#: decrease from which a gradient may be spared, what is left being less by far, and the share of it by which the value
#: may then differ from what was predicted; share of the decrease before that is next to nothing
SPARED, KEPT, GOOD = 1e-5, 0.05, 1e-2
#: length of a whole step, and the decrease up to which what it promises is nothing
WHOLE, NOTHING = 1.0, 1e-6
MAX_ITERATIONS = 500
#: share of the predicted decrease that a step near the end leaves: as a rule, and at the best
USUAL, BEST = 1e-4, 1e-7
#: rise of a step that failed, relative to the decrease that was promised, from which nothing is learned
FAR = 1e3
#: times that corrections are forgotten before a search believes them; the least curvature that then counts
RESETS, FLAT = 5, 1e-4


def minimize(
    evaluate: Callable[[np.ndarray], P],
    start: P,
    *,
    radius: float = 1.0,
    beat: float = -np.inf,
    tolerance: float = TOLERANCE,
    fine: float = np.inf,
    frame: Callable[[np.ndarray], np.ndarray] | None = None,
    give_up: Callable[[P], bool] | None = None,
    doubt: Callable[[P], float] | None = None,
    dear: bool = False,
    left: float = 0.0,
) -> Optimum[P]:
    """Minimise a deviance from `start`.

    Parameters
    ----------
    evaluate : callable
    start : Point
        Where the function is finite.
    radius : float
        First radius of the trust region.
    beat : float
        A deviance known from elsewhere. The search ends, not converged, when it is clear that it will not get below.
    tolerance : float
        Predicted decrease at which the search takes its last step.
    fine : float
        Predicted decrease that the last step may leave; one further iteration is made where it would leave more.
    frame : callable, optional
        ∂θ/∂s at a θ, (k, k): the radius is a length in s, in which the function is alike everywhere.
    give_up : callable, optional
        Asked at every iterate: whether the search is to end there, not converged.
    doubt : callable, optional
        Deviance by which a point's may be wrong, where that is more than the last digits of a sum.
    dear : bool
        Whether a gradient is worth sparing, and the model of the Hessian good. The last step is taken, too, where a
        decrease below SPARED is predicted and one that does as well as the step before leaves less than a third of the
        tolerance; it stands if the value falls as predicted. And where the model alone predicts next to nothing of what
        it did before, corrections are forgotten, which then hold what changes from place to place.
    left : float
        Predicted decrease that counts as nothing: a gradient is spared in the same way where the last step leaves less.
    """
    k = len(start.theta)
    point, evaluations, C = start, 1, np.zeros((k, k))
    history: list[tuple[float, float]] = []
    stalled = resets = 0
    further = False
    for _ in range(MAX_ITERATIONS):
        g, H = point.gradient, point.hessian_model
        point.lighten()
        if dear and C.any() and _without_corrections(H, g) < GOOD * history[-1][1]:
            C = np.zeros_like(C)
        step, predicted, length = _step(g, H + C, radius, None if frame is None else frame(point.theta))
        history.append((point.deviance, predicted))
        rounding = 1e-15 * len(g) + 4e-15 * max(abs(point.deviance), 1.0)
        beaten = np.isfinite(beat) and _beaten(point.deviance - beat, predicted)
        if beaten or (give_up is not None and give_up(point)):
            return Optimum(
                point,
                evaluations,
                predicted,
                float(np.abs(g).max(initial=0.0)),
                False,
                "ends no lower than another" if beaten else "given up",
                tuple(history),
            )
        converging = length < WITHIN * radius and (len(history) < 2 or predicted < FALLING * history[-2][1])
        near = predicted <= (tolerance if converging else min(tolerance, BELIEVED))
        little = SPARED if len(history) > 1 else ACCEPTABLE
        spared = converging and predicted <= little and _left(history) < max(left, tolerance / 3 if dear else 0.0)
        near |= spared
        if near and not spared and C.any() and _without_corrections(H, g) > 10 * tolerance and resets < RESETS:
            C, resets = np.zeros_like(C), resets + 1  # a correction may have learnt rounding: ask the model alone
            continue
        if near and not further and stalled < 3 and _left(history) > fine:
            further = True
        elif near or stalled >= 3:
            good, full = spared or predicted <= max(ACCEPTABLE, tolerance), point
            if length >= WITHIN * radius and radius < WHOLE:
                # without C, which may have learnt rounding
                whole, promised, _ = _step(g, H, WHOLE, None if frame is None else frame(point.theta))
                other = evaluate(point.theta + whole) if promised > NOTHING and resets < RESETS else point
                evaluations += other is not point
                if other.deviance < point.deviance - NOTHING - (0.0 if doubt is None else doubt(other)):
                    point, C, radius, stalled, resets = other, np.zeros_like(C), WHOLE, 0, resets + 1
                    continue
                good &= promised <= NOTHING + (0.0 if doubt is None else doubt(point))
            relative = _length(step) / max(_length(point.theta), 1.0)
            if good and predicted > max(EXACT, PLATEAU * relative**2):
                last = evaluate(point.theta + step)
                evaluations += 1
                gained = point.deviance - last.deviance
                if spared and not abs(gained - predicted) < KEPT * predicted + 50 * rounding:
                    dear = False
                    continue
                point = last if last.deviance <= point.deviance + 50 * rounding else point
            return Optimum(
                point,
                evaluations,
                predicted,
                float(np.abs(g).max(initial=0.0)),
                good,
                "converged" if good else "no further decrease",
                tuple(history),
                full,
            )
        new = evaluate(point.theta + step)
        evaluations += 1
        if not (np.isfinite(new.deviance) and np.isfinite(new.gradient).all()):
            radius = length / 4
            stalled += radius < 1e-12
            continue
        actual = point.deviance - new.deviance
        if doubt is not None:
            actual -= max(doubt(new) - doubt(point), 0.0)
        hidden = predicted < 50 * rounding
        if hidden:
            accept = _length(new.gradient) < _length(g) and actual > -50 * rounding
            stalled = 0 if accept else stalled + 1
            if not accept:
                radius = length / 4
        else:
            ratio = actual / predicted
            accept = ratio > 1e-4
            if ratio < 0.25:
                radius = length / 4
            elif ratio > 0.75 and length > 0.8 * radius:
                radius = 2.0 * radius
            stalled = 0 if accept else stalled + (radius < 1e-12)
        # where the function is another, its gradient tells nothing of here; a step that rounding hides stands across
        # what the model lacks as often as along it, and their quotient can be larger than the Hessian itself
        if not hidden and (accept or -actual < FAR * predicted):
            C = _learn(C, new.hessian_model if accept else H, step, new.gradient - g)
        if accept:
            point = new
    return Optimum(
        point, evaluations, predicted, float(np.abs(g).max(initial=0.0)), False, "iteration limit", tuple(history)
    )


def _left(history: list[tuple[float, float]]) -> float:
    """Predicted decrease that one more step leaves, if it does as well as the one before."""
    predicted = history[-1][1]
    if len(history) == 1 or not history[-2][1] > 0:
        return predicted * USUAL
    return predicted * max(predicted / history[-2][1], BEST)


def _without_corrections(H: np.ndarray, g: np.ndarray) -> float:
    """Decrease that the model of the Hessian alone predicts; flat directions count as FLAT."""
    values, vectors = eigen(H)
    return float(0.5 * ((g @ vectors) ** 2 / np.maximum(np.abs(values), FLAT)).sum())


def _beaten(gap: float, predicted: float) -> bool:
    """Whether a search `gap` above another's end arrives there too, or stays above."""
    return predicted < 1e-3 and predicted < (2 * gap if gap < 1e-3 else gap / 10)


def _learn(C: np.ndarray, H: np.ndarray, step: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Symmetric rank-one update of C so that (H + C) step = y."""
    residual = y - (H + C) @ step
    scale = float(residual @ step)
    if abs(scale) < 1e-8 * _length(residual) * _length(step) or scale == 0.0:
        return C
    return C + residual[:, None] * (residual / scale)


def _length(v: np.ndarray) -> float:
    return math.sqrt(float(v @ v))


def _step(g: np.ndarray, B: np.ndarray, radius: float, frame: np.ndarray | None) -> tuple[np.ndarray, float, float]:
    """A step within a radius, the decrease that it predicts, and its length, both in the frame."""
    if frame is None:
        step, predicted = _trust_step(*eigen(B), g, radius)
        return step, predicted, _length(step)
    step, predicted = _trust_step(*eigen(frame.T @ B @ frame), g @ frame, radius)
    return frame @ step, predicted, _length(step)


def _trust_step(values: np.ndarray, vectors: np.ndarray, g: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Minimiser of g's + s'Bs/2 over |s| ≤ radius, and the decrease that it predicts, from B's eigenvalues."""
    a = g @ vectors
    floor = 1e-12 * max(abs(float(values[0])), abs(float(values[-1])), 1e-300)
    shift = 0.0
    if values[0] > floor:
        s = -a / values
        if _length(s) <= radius:
            return vectors @ s, -0.5 * float(a @ s)
    low = max(0.0, floor - float(values[0]))
    high = low + _length(a) / radius + floor
    for _ in range(60):  # |s(shift)| falls with the shift; 1/|s| is nearly linear in it
        shift = max(low, 1e-300) if shift == 0.0 else shift
        shift = (low + high) / 2
        norm = _length(a / (values + shift))
        if abs(norm - radius) < 1e-3 * radius:
            break
        low, high = (shift, high) if norm > radius else (low, shift)
    s = -a / (values + shift)
    short = radius**2 - float(s @ s)
    if values[0] < -floor and short > 0.01 * radius**2:  # the hard case: along the negative direction
        s[0] += np.copysign(np.sqrt(short), -a[0] if a[0] else 1.0)
    predicted = -float(a @ s + 0.5 * (s * values) @ s)
    return vectors @ s, predicted
