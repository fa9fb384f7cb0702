"""One descent, to an optimum with a certificate.

1. The deviance is minimised from a point (`minimize`), the trust radius being a length in the metric of the cones.
2. A variance that ended at a rounding error is set to zero, when the deviance agrees.
3. At the boundary the gradient in λ vanishes by symmetry, so there the derivative in G decides: N_k must be positive
   semidefinite. A negative direction that promises a lower deviance is followed, and the descent begins again.

A certificate speaks of a neighbourhood; whether there is a lower minimum elsewhere is for `search`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.search.cones import frames
from henderson.engine.search.monte_carlo import MonteCarlo
from henderson.engine.search.optimize import TOLERANCE, Optimum, minimize

#: a standard deviation (relative to the residual's, working basis) that may be an exact zero
ROUNDING = 1e-3
#: deviance that a negative direction must promise before it is followed
WORTHWHILE = 1e-7
#: slope along it, for each level (whose effects have an information of about one), that is rounding
NOISE = 1000 * float(np.finfo(float).eps)
#: predicted decrease, for each row, at which a descent takes its last step: what is left then is below rounding
PER_ROW = 3e-13
#: predicted decrease that leaves nine digits of a variance, and rows times effects up to which that is seen to
FINE, CHEAP = 1e-17, 300_000
#: times that a descent steps off the boundary
ATTEMPTS = 5


@dataclass(frozen=True)
class Certified:
    """An optimum, and what the derivative in G says of it.

    Attributes
    ----------
    optimum : Optimum
    gain : float
        Deviance that stepping off the boundary would gain.
    smallest : float
        Smallest eigenvalue of N over the singular blocks (0 where it is positive, or nothing is singular).
    off : (n_theta,) array
        Where that step would lead.
    history : tuple of (deviance, predicted decrease)
    starts : int
        Descents that were tried.
    surveyed : int
        Points that a survey or a glance looked at.
    monte_carlo : MonteCarlo, or None
        Of a search by probes.
    """

    optimum: Optimum[Evaluation]
    gain: float
    smallest: float
    off: np.ndarray
    history: tuple[tuple[float, float], ...]
    starts: int = 1
    surveyed: int = 0
    monte_carlo: MonteCarlo | None = None

    @property
    def converged(self) -> bool:
        """The certificate: neither inside nor off the boundary is there anything to gain."""
        return self.optimum.converged and self.gain <= WORTHWHILE

    def is_below(self, other: Certified) -> bool:
        """Whether the deviance is lower than another's, by more than rounding."""
        return self.at_most < other.at_most - WORTHWHILE

    @property
    def at_most(self) -> float:
        """The deviance, and what it may be wrong by."""
        return self.optimum.point.deviance + self.optimum.point.rounding

    @property
    def message(self) -> str:
        """One line for a person."""
        if self.gain > WORTHWHILE:
            return f"stepping off the boundary promises a deviance lower by {self.gain:.2g}"
        return self.optimum.message


def descend(
    criterion: Criterion,
    evaluate: Callable[[np.ndarray], Evaluation],
    first: Evaluation,
    beat: float = -np.inf,
    tolerance: float = TOLERANCE,
) -> Certified:
    """Minimise, set rounding errors to zero, step off the boundary while that pays.

    Parameters
    ----------
    criterion : Criterion
    evaluate : callable
        The criterion at a θ.
    first : Evaluation
        Where the descent begins.
    beat : float
        Deviance of an end that is known: a descent that ends above is of no use.
    tolerance : float
        Predicted decrease at which the last step is taken.
    """
    cross, n_effects = criterion.system.cross, criterion.blocks.n_effects
    least = max(TOLERANCE, PER_ROW * cross.n)
    fine = FINE if cross.n * n_effects <= CHEAP and tolerance <= least else np.inf
    left = least if tolerance > least else 0.0  # a search that begins near its end has few gradients to spare

    def frame(theta: np.ndarray) -> np.ndarray:
        return frames(criterion.cones, theta[None])[0]

    best = minimize(evaluate, first, beat=beat, tolerance=tolerance, fine=fine, frame=frame, doubt=_doubt, left=left)
    history = best.history
    if np.isfinite(beat) and best.point.deviance >= beat:  # no use to anybody: not worth a certificate
        return Certified(best, 0.0, 0.0, best.point.theta, history)
    for attempt in range(ATTEMPTS + 1):
        best = _snap(criterion, best)
        ended = _certify(criterion, best, history)
        if ended.gain <= WORTHWHILE or attempt == ATTEMPTS:
            break
        off = evaluate(ended.off)
        if not np.isfinite(off.deviance):
            break
        again = minimize(evaluate, off, radius=0.1, tolerance=least, frame=frame, doubt=_doubt)
        history += again.history
        if again.point.deviance > best.point.deviance - WORTHWHILE / 10:
            break
        best = again
    return ended


def _doubt(point: Evaluation) -> float:
    return point.rounding


def _snap(criterion: Criterion, best: Optimum[Evaluation]) -> Optimum[Evaluation]:
    """Set standard deviations that are rounding errors to zero, if the deviance does not rise."""
    found = [
        block.layout.without_rounding(one, ROUNDING**2) for block, one in zip(criterion.blocks.blocks, best.point.lam)
    ]
    if not any(changed for _, changed in found):
        return best
    point = criterion.at(criterion.blocks.theta([lam for lam, _ in found]))
    if point.deviance > best.point.deviance + 1e-9:
        return best
    return replace(best, point=point)


def _certify(criterion: Criterion, optimum: Optimum[Evaluation], history: tuple[tuple[float, float], ...]) -> Certified:
    """Half the squared most negative eigenvalue of N over the information along its vector: what a step would gain."""
    blocks, point = criterion.blocks, optimum.point
    nothing = Certified(optimum, 0.0, 0.0, point.theta, history)
    singular = point.singular
    if not any(singular):
        return nothing
    worst = (0.0, 0, np.zeros((0, 0)))
    for k, (block, N) in enumerate(zip(blocks.blocks, point.certificate)):
        if singular[k]:
            for slope, direction in block.layout.off_boundary((N + N.T) / 2, point.lam[k]):
                if slope < min(worst[0], -NOISE * block.n_levels):
                    worst = (float(slope), k, direction)
    value, k, along = worst
    if value == 0.0:
        return nothing
    directions = [np.zeros((b.layout.n_theta, b.q, b.q)) for b in blocks.blocks]
    directions[k][0] = along
    curvature = float(point.information(directions).max(initial=0.0))
    if curvature <= 0.0:
        return replace(nothing, smallest=value)
    lam = list(point.lam)
    lam[k] = blocks.blocks[k].layout.nearest(lam[k] @ lam[k].T - value / curvature * along)
    return Certified(optimum, 0.5 * value**2 / curvature, value, blocks.theta(lam), history)
