"""Where the rest's connected components stand among its columns, and how they are scaled by λ; the same at every θ.

Components are alike when they have as many levels of each block; smaller ones are padded with effects that touch
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ComponentShape:
    """Levels of each rest block in a component: (block's place in the rest, q, levels); effects in that order."""

    parts: tuple[tuple[int, int, int], ...]

    @property
    def size(self) -> int:
        """Effects of a component."""
        return sum(q * n for _, q, n in self.parts)

    def slices(self) -> list[tuple[int, int, int, slice]]:
        """(block, q, levels, effects) of each part."""
        out, start = [], 0
        for block, q, n in self.parts:
            out.append((block, q, n, slice(start, start + q * n)))
            start += q * n
        return out


@dataclass(frozen=True)
class ComponentColumns:
    """Where components stand among the R columns of the rest, at every θ.

    Attributes
    ----------
    shape : ComponentShape
    columns : (size,) int array, or (size, C)
        Columns of the one component, or of C components alike; R stands for padding.
    """

    shape: ComponentShape
    columns: np.ndarray

    @property
    def is_batch(self) -> bool:
        """Whether there are many components, worked on levels last."""
        return self.columns.ndim == 2


@dataclass(frozen=True)
class Placement:
    """Where the pattern's entries go in one component's S: entry e to `flat` (and, mirrored, to `mirror`)."""

    entries: np.ndarray
    flat: np.ndarray
    mirror: np.ndarray | None


def scale_rows(shape: ComponentShape, lam: Sequence[np.ndarray], B: np.ndarray, transpose: bool) -> np.ndarray:
    """Λ'B (transpose) or ΛB for B (size, k), a new array in B's order."""
    out = np.empty_like(B)
    for block, q, n, part in shape.slices():
        if q == 1:
            np.multiply(B[part], lam[block][0, 0], out=out[part])
        else:
            matrix = lam[block].T if transpose else lam[block]
            out[part] = np.matmul(matrix, B[part].reshape(n, q, -1)).reshape(n * q, -1)
    return out
