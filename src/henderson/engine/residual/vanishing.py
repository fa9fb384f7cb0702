"""Independent residuals whose variance goes to zero, since random effects that correlate explain every row.

V = ψI + ZGZ' where ZGZ' is regular: the deviance is smooth in ψ, at zero, too, and with u = log ψ

    d(u) = d(−∞) + ∂d/∂u + O(ψ²)

so that at the others' best the slope along u is what is left to the limit. In equations relative to ψ that is not seen:
r² is there what remains of sums 1/ψ as large. By blocks (`point`) V is factored itself, and

1. u goes to where SLIGHT of the slope is left, the others to their best there, until no more than LEFT is
2. a slope that is not positive says that ψ is a variance after all, and the search goes on from there
"""

from __future__ import annotations

from functools import partial

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.criterion import Evaluation
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.point import BlockPoint, block_at
from henderson.engine.search.optimize import Optimum, minimize
from henderson.errors import DataError

FloatArray = np.ndarray

#: variance of a row's effects, the residual's, from which it is asked whether that is zero
LARGE = 1e4
#: deviance above the limit that is aimed at, and that is as good as none; steps towards it
SLIGHT, LEFT, STEPS = 3e-10, 1e-8, 12
#: share of the effects' variance from which a residual variance is looked for, and of that one that may be none
SHARE, TINY = 0.05, 1e-3
#: rows of a block up to which it is factored
LARGEST = 1000
#: what is said of the end
ZERO = "the residual variance, which is zero: the random effects explain every row"
UNKNOWN = (
    "the residual variance goes to zero, and the limit is not reached: that takes rows in memory, in blocks of up to "
    "1,000 whose covariance stays regular"
)


def may_vanish(point: Evaluation) -> bool:
    """Whether next to nothing is left to the residual where correlated effects, and X, can explain every row.

    Of effects whose λ is linear in θ what is left then goes by the response alone (`saturated`).
    """
    criterion = point.criterion
    blocks, cross = criterion.blocks, criterion.system.cross
    if all(block.layout.linear for block in blocks.blocks) or cross.p + blocks.n_effects < cross.n:
        return False
    return sum(float((lam**2).sum()) for lam in point.lam) > LARGE


def is_near_limit(model: BlockModel, rows: Rows, phi: FloatArray) -> bool:
    """Whether parameters are those of a fit whose residual variance is zero."""
    if not model.residual.term.is_plain or model.design.constraints is not None:
        return False
    return bool(np.exp(phi[-1]) * LARGE < _size(model, phi)) and is_small(model, rows)


def _size(model: BlockModel, phi: FloatArray) -> float:
    """Variance of a row's effects."""
    psi = model.natural(phi)
    return sum(float(np.trace(layout.covariance(psi[to]))) for layout, to in zip(model.layouts, model.g_of))


def is_small(model: BlockModel, rows: Rows) -> bool:
    """Whether its blocks can be factored."""
    return not model.design.is_related and bool(model.sizes_of_blocks(rows).max() <= LARGEST)


def to_limit(model: BlockModel, phi: FloatArray) -> Optimum[BlockPoint] | None:
    """The optimum where ψ, the last of φ, is zero but for what changes the deviance by no more than LEFT, or where it
    is a variance; None where V is singular to rounding.

    Parameters
    ----------
    model : BlockModel
        Of independent residuals with one variance.
    phi : (f,) array
        Near the optimum, but for ψ.
    """
    at = partial(block_at, model)
    point = at(phi)
    if not np.isfinite(point.deviance):
        return None
    for _ in range(STEPS):
        slope, further = point.gradient[-1], point.theta.copy()
        if slope > SLIGHT:
            further[-1] += np.log(SLIGHT / slope)
        there = at(further)
        ended = minimize(at, there if there.deviance <= point.deviance + slope else point)
        point = ended.point
        if abs(point.gradient[-1]) <= LEFT:
            break
    return ended


def search_near_limit(model: BlockModel, phi: FloatArray) -> tuple[Optimum[BlockPoint], int]:
    """The optimum near parameters whose residual variance is next to zero, and how many descents were made: from there,
    and from where it is a share of the effects' variance, since at zero nothing leads away from it.

    Raises
    ------
    DataError
        When the deviance has no value at either.
    """
    at, raised = partial(block_at, model), phi.copy()
    raised[-1] = np.log(SHARE * _size(model, phi))
    first, ends = at(raised), [to_limit(model, phi)]
    if np.isfinite(first.deviance):
        other = minimize(at, first)
        ends.append(to_limit(model, other.point.theta) if other.point.theta[-1] < raised[-1] + np.log(TINY) else other)
    found = [end for end in ends if end is not None]
    if not found:
        raise DataError("the likelihood is nowhere finite where the residual variance is next to zero")
    return min(found, key=lambda end: end.point.deviance), len(ends)


def has_vanished(ended: Optimum[BlockPoint]) -> bool:
    """Whether an end of `to_limit` is at the limit: there the deviance has no curvature along u either."""
    point = ended.point
    return bool(0 <= point.gradient[-1] <= LEFT and point.hessian_model[-1, -1] <= 10 * LEFT)
