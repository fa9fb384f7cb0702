"""Other minima in the range of residuals that correlate by distance.

At a short range only the nearest rows correlate, at a long one all of them, and products of a few residuals decide of
each: the deviance has several minima in the range, and one without correlation, where it is flat. What the products of
all pairs say (`starts`) need not be near the lowest. So after an optimum

1. the deviance is looked at along the range, the other parameters held, all variances together at their best
2. at ranges near to a distance that two rows have, STEP apart in their logarithm: between these it hardly changes
3. descents begin where it is low

Where that is dear, it is left out if the optimum is far below the deviance without correlation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows
from henderson.covariance.residual.distance import ByDistance
from henderson.covariance.residual.starts import by_distance
from henderson.engine.residual.ends import End
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.starts import at_best_scale, lows

FloatArray = np.ndarray

#: distance of ranges in their logarithm; steps from a distance to ranges at which it makes a difference
STEP, STEPS = 0.2, (-10, 15)
#: cubes of the blocks' rows beyond which a look is dear; deviance that noise hardly gains by correlating; the range,
#: the least of some distances one, at which rows hardly correlate
WORK, NOISE, UNCORRELATED = 2e6, 25.0, 0.1
#: deviance above the optimum's at which a descent may still begin, and most descents
ABOVE, DESCENTS = 0.3, 3


def other_ranges(model: BlockModel, rows: Rows, point: End, evaluate: Callable[[FloatArray], End]) -> list[FloatArray]:
    """φ from which a lower minimum may be found, the lowest first.

    Parameters
    ----------
    model : BlockModel
    rows : Rows
    point : End
        The optimum so far.
    evaluate : callable
        The deviance at φ.
    """
    structure, m = model.residual.structure, model.n_g
    assert rows.residual is not None
    if not isinstance(structure, ByDistance):
        return []
    some, _ = by_distance(np.zeros(rows.n), rows.residual.codes, rows.residual.where)
    if not len(some):
        return []

    def at(here: slice, shape: FloatArray) -> tuple[float, FloatArray]:
        """Deviance and φ."""
        psi = point.psi.copy()
        psi[m:][here][1:] = shape
        return at_best_scale(model, evaluate(model.working(psi)))

    strata = model.residual.slices[0]
    if len(strata) * (model.sizes_of_blocks(rows).astype(float) ** 3).sum() > WORK:
        uncorrelated, _ = at(strata[0], structure.of_range(UNCORRELATED * some.min()))
        if point.deviance < uncorrelated - NOISE:
            return []
    ranges, found = ranges_of(rows.residual, some), []
    for here in strata:
        own = point.psi[m:][here][1:]
        for like in structure.variants(own):
            shapes = [structure.at_range(like, r) for r in ranges]
            line = [at(here, shape) for shape in shapes]
            for i in lows(np.array([deviance for deviance, _ in line])):
                apart = np.abs(structure.shape_working(shapes[i]) - structure.shape_working(own)).max()
                if apart > STEP and line[i][0] < point.deviance + ABOVE:
                    found.append(line[i])
    return [phi for _, phi in sorted(found, key=lambda one: one[0])[:DESCENTS]]


def ranges_of(rows: ResidualRows, some: FloatArray) -> FloatArray:
    """Ranges near to a distance between two rows of a series, `some` or of neighbours, none to all correlated, (m,)."""
    from scipy.spatial import cKDTree

    far = 1.0 + np.ptp(rows.where, axis=0).sum()
    apart = np.column_stack([rows.where, 2 * far * rows.codes])  # series far from each other
    nearest = cKDTree(apart).query(apart, k=2)[0][:, 1]
    distance = np.concatenate([nearest[(nearest > 0) & (nearest < far)], some])
    steps = np.unique(np.round(np.log(distance) / STEP))
    return np.exp(STEP * np.unique(steps[:, None] + np.arange(STEPS[0], STEPS[1] + 1)))
