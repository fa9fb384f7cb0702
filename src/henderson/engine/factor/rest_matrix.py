"""A matrix between the rest's effects that is known component by component, as one matrix."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from scipy import sparse

from henderson.engine.factor.system import Factor

#: (R, R): dense, or block-diagonal and sparse
RestMatrix: TypeAlias = np.ndarray | sparse.csr_array


def rest_matrix(factor: Factor, stacks: list[np.ndarray]) -> RestMatrix:
    """Stacks of every place (C, m, m) as one matrix in the order of the rest's columns; padding is left out.

    Dense where the rest is in one piece, block-diagonal and sparse where it falls apart.
    """
    places, R = factor.system.places, factor.system.blocks.n_rest
    if len(places) == 1 and not places[0].is_batch:
        out = np.empty((R, R))
        out[np.ix_(places[0].columns, places[0].columns)] = stacks[0][0]
        return out
    rows, columns, values = [], [], []
    for place, stack in zip(places, stacks):
        at = (place.columns if place.is_batch else place.columns[:, None]).T  # (C, m)
        shape = stack.shape
        rows.append(np.broadcast_to(at[:, :, None], shape).ravel())
        columns.append(np.broadcast_to(at[:, None, :], shape).ravel())
        values.append(stack.ravel())
    row, column, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    real = (row < R) & (column < R)
    found = sparse.csr_array((value[real], (row[real], column[real])), shape=(R, R))
    found.sort_indices()
    return found
