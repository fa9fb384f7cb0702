"""R of rows that depend on the row before, by a recursion from the last row of each series: R = L⁻¹W⁻¹L⁻ᵀ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows
from henderson.engine.residual.cliques import Precision

FloatArray = np.ndarray


@dataclass(frozen=True)
class Recursion:
    """R = L⁻¹W⁻¹L⁻ᵀ, rows of a series regressed on the row before.

    Attributes
    ----------
    left, right : (B,) int arrays
        Neighbours, those that are the last ones of their series first, then those before them, ….
    steps : list of slice
        Of which no two are in one series.
    slope : (B,) array
        r of each right one on its left one.
    weight : (n,) array
        W's diagonal.
    """

    left: np.ndarray
    right: np.ndarray
    steps: list[slice]
    slope: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, precision: Precision, psi: FloatArray, rows: Rows) -> Recursion:
        """At ψ, of all rows."""
        assert rows.residual is not None
        weight, slope, place = np.empty(rows.n), np.zeros(0), place_in_series(rows.residual)
        left = right = np.zeros(0, np.intp)
        for own in precision.cliques:
            C = precision.of("cov", psi, own.batch)[own.batch.unit_of]
            if own.batch.n == 1:
                if own.sign > 0:
                    weight[own.batch.rows[:, 0]] = 1 / C[:, 0, 0]
                continue
            left, right = own.batch.rows.T
            slope = C[:, 1, 0] / C[:, 0, 0]
            first = place[left] == 0
            weight[left[first]] = 1 / C[first, 0, 0]
            weight[right] = 1 / (C[:, 1, 1] - slope * C[:, 1, 0])
        last_first = np.argsort(-place[left], kind="stable")
        ends = np.flatnonzero(np.diff(place[left[last_first]], prepend=-1, append=-1)).tolist()
        steps = [slice(a, b) for a, b in pairwise(ends)]
        return cls(left[last_first], right[last_first], steps, slope[last_first], weight)

    def back(self, z: FloatArray) -> FloatArray:
        """L⁻ᵀz, in place of z (n, k)."""
        for step in self.steps:
            z[self.left[step]] += self.slope[step, None] * z[self.right[step]]
        return z


def place_in_series(rows: ResidualRows) -> np.ndarray:
    """How many rows of its series are before each, (n,)."""
    order = rows.order
    at = np.arange(len(order))
    starts = np.maximum.accumulate(np.where(np.diff(rows.codes[order], prepend=-1) != 0, at, 0))
    place = np.empty_like(at)
    place[order] = at - starts
    return place
