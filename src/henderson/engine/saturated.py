"""Models whose effects can explain every row, whatever the response: rank [X Z] = n.

Let all standard deviations be t times as large. With r = rank Z the deviance is, far out,

    ML:    2 (r − n) log t + constant        r² falls as t⁻², log|C| rises as 2r log t
    REML:  a constant                        rank [X Z] − r = n − r eigenvalues of S_X stay, the others fall as t⁻²

So the likelihood has no maximum where r < n: X explains the rows that Z does not, and variances beside it grow for
ever. It has none either where some of the effects do that alone. The restricted likelihood is bounded, but may be
highest where nothing is left to the residual: then θ = ∞ is the end, and where a descent stops is no estimate.

All this shows in the deviance at t = 10³ and 10⁴, where r² is far above its rounding, and slopes are integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from henderson.engine.criterion import Criterion, Evaluation
from henderson.errors import DataError

EPS = float(np.finfo(float).eps)
#: relative error of r², by rounding, from which it is no number to be shown
LOST = 1e-4
#: two sizes of all effects that are far out, and what r² at the second is of that at the first, at the most, where
#: effects explain every row: 0.01 if they do, 1 if they do not
NEAR, FAR, FALLS = 1e3, 1e4, 0.1
#: slope of the deviance in log t that is a fall: integers, and even ones but for what is not yet far
FALL = -0.5
#: effects up to which it is asked of each part of them; the most parts
SMALL, PARTS = 500, 64
#: standard deviations of the residual (y has unit variance) that are none, in a model whose effects explain every row,
#: and from which on it is not asked whether they go there
NONE, LITTLE = 1e-3, 3e-2
#: times that θ is made larger to see whether there is an end, and the rise of the deviance that makes one
LARGER, RISE = 3.0, 1e-6


def is_saturated(criterion: Criterion) -> bool:
    """Whether the effects, fixed and random, explain every row at any response."""
    cross, blocks = criterion.system.cross, criterion.blocks
    if cross.p + blocks.n_effects < cross.n or criterion.system.rest == "iterative":
        return False
    lam = blocks.lam(blocks.theta([np.eye(block.q) for block in blocks.blocks]))
    return _falls(*(_at(criterion, lam, t) for t in (NEAR, FAR)))


def check_bounded(criterion: Criterion, y_name: str) -> None:
    """Refuse a likelihood that has no maximum, whatever the response.

    Parameters
    ----------
    criterion : Criterion
    y_name : str
        For the error.

    Raises
    ------
    DataError
    """
    if criterion.reml or not is_saturated(criterion):
        return
    for theta in _parts(criterion):
        near, far = (_at(criterion, criterion.blocks.lam(theta), t) for t in (NEAR, FAR))
        if _falls(near, far) and far.deviance - near.deviance < FALL * np.log(FAR / NEAR):
            raise DataError(
                f"the likelihood has no maximum: the fixed and random effects together explain any {y_name} of these "
                f"{criterion.system.cross.n} rows, and it grows for ever as the residual variance falls. It takes "
                "fewer effects, or REML, which is bounded"
            )


def check_residual(criterion: Criterion, point: Evaluation, y_name: str) -> None:
    """Refuse an end with nothing left to the residual.

    r² is a difference of sums as large as y'y: little of it but their rounding may be left. Where the effects explain
    every row at any response, the likelihood may rise without end; its shape is asked, and not where a descent stopped.
    (Not of effects that are correlated by distance, one to a row: without a residual they are a model of their own.)

    Raises
    ------
    DataError
    """
    linear = all(block.layout.linear for block in criterion.blocks.blocks)
    if linear and is_saturated(criterion) and _has_no_end(criterion, point):
        raise DataError(
            f"the fixed and random effects explain {y_name} all but exactly: together they explain any response of "
            f"these {criterion.system.cross.n} rows, and the likelihood is highest with no residual variance. It takes "
            "fewer effects"
        )
    rounding = _rounding(criterion)
    if point.r2 * LOST < rounding:
        raise DataError(
            f"the fixed and random effects explain {y_name} all but exactly: the residual variance is "
            "lost in rounding, and the likelihood has no maximum that could be told"
        )


def far_starts(criterion: Criterion, point: Evaluation) -> list[np.ndarray]:
    """θ from which a descent of a small saturated model goes to where nothing is left to the residual, if that is
    lower than an end that was found."""
    blocks = criterion.blocks
    if blocks.n_effects > SMALL or not is_saturated(criterion):
        return []
    size = np.sqrt(NEAR)
    return [size * point.theta, blocks.theta([size * np.eye(block.q) for block in blocks.blocks])]


def _has_no_end(criterion: Criterion, point: Evaluation) -> bool:
    """Whether the deviance does not rise from an end to where all effects are larger."""
    if not NONE**2 * criterion.nu < point.r2 < LITTLE**2 * criterion.nu:
        return bool(point.r2 < LITTLE**2 * criterion.nu)
    return bool(_at(criterion, point.lam, LARGER).deviance <= point.deviance + RISE)


def _at(criterion: Criterion, lam: list[np.ndarray], size: float) -> Evaluation:
    """An evaluation, not one of the search's, where all effects are so many times as large."""
    return Evaluation(criterion, [size * one for one in lam], np.zeros(0))


def _rounding(criterion: Criterion) -> float:
    return float(EPS * criterion.system.cross.xy[-1, -1])


def _falls(near: Evaluation, far: Evaluation) -> bool:
    """Whether r² goes to nothing, and is not rounding yet."""
    if not (np.isfinite(near.deviance) and np.isfinite(far.deviance)):
        return False
    return bool(far.r2 * LOST > _rounding(far.criterion) and far.r2 < FALLS * near.r2)


def _parts(criterion: Criterion) -> Iterator[np.ndarray]:
    """θ of all effects; of small models also of each part of them that a λ can leave, and of combinations of correlated
    effects in the place of all."""
    blocks = criterion.blocks
    yield blocks.theta([np.eye(block.q) for block in blocks.blocks])
    if blocks.n_effects > SMALL or not all(block.layout.linear for block in blocks.blocks):
        return
    width = sum(block.q for block in blocks.blocks)
    ends = np.cumsum([block.q for block in blocks.blocks])[:-1]
    mixed = [np.tril(np.cos(np.arange(1.0, block.q**2 + 1)).reshape(block.q, block.q)) for block in blocks.blocks]
    plain = [np.eye(block.q) for block in blocks.blocks]
    for kept in sorted(product((1.0, 0.0), repeat=width), key=sum, reverse=True)[1:PARTS]:
        own = np.split(np.array(kept), ends)
        for roots in (plain, mixed):
            yield blocks.theta([root * columns for root, columns in zip(roots, own)])
