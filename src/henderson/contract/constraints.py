"""`Constraints`: variance parameters that are held at a value, equal to one another, or not bounded by zero.

The coordinates of all terms x = (x_1, …, x_K, those of the residual) are x = Px̃ + c of fewer free ones: a fixed term
has zeros in P, terms with one covariance have the same rows. What is estimated, counted and uncertain is x̃.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray


@dataclass(frozen=True, eq=False)
class Constraints:
    """What a model's covariance parameters must be.

    Attributes
    ----------
    terms : tuple of int
        Terms whose covariance is fixed.
    covariances : tuple of (q, q) arrays
        Their σ²G, in the user's units.
    residual : float or None
        The residual variance, where it is fixed.
    equal : tuple of tuple of int
        Sets of terms that have one covariance.
    unbounded : tuple of int
        Terms of one effect whose variance may be negative, as long as Var(y) is positive definite.
    """

    terms: tuple[int, ...] = ()
    covariances: tuple[FloatArray, ...] = ()
    residual: float | None = None
    equal: tuple[tuple[int, ...], ...] = ()
    unbounded: tuple[int, ...] = ()

    @property
    def fixed(self) -> dict[int, FloatArray]:
        """Term → σ²G."""
        return dict(zip(self.terms, self.covariances))

    def first_of(self, term: int) -> int:
        """The first of the terms that share a term's covariance."""
        return min((min(own) for own in self.equal if term in own), default=term)

    def free_terms(self, n_terms: int) -> list[int]:
        """Terms whose covariance is estimated, one of each set."""
        return [k for k in range(n_terms) if k not in self.terms and self.first_of(k) == k]

    def selection(self, sizes: Sequence[int], n_residual: int) -> FloatArray:
        """P, of zeros and ones.

        Parameters
        ----------
        sizes : sequence of int
            Coordinates of each term.
        n_residual : int
            Coordinates of the residual.
        """
        free = self.free_terms(len(sizes))
        starts = dict(zip(free, np.cumsum([0, *(sizes[k] for k in free)]).tolist()))
        own = 0 if self.residual is not None else n_residual
        width = sum(sizes[k] for k in free)
        out = np.zeros((sum(sizes) + n_residual, width + own))
        at = 0
        for k, size in enumerate(sizes):
            if k not in self.terms:
                start = starts[self.first_of(k)]
                out[at : at + size, start : start + size] = np.eye(size)
            at += size
        out[at : at + own, width:] = np.eye(own)
        return out


def is_fixed(constraints: Constraints | None, term: int) -> bool:
    """Whether a term's covariance is not estimated."""
    return constraints is not None and term in constraints.terms
