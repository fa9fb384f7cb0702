"""χ̄² (chi-bar-square) p-values: likelihood-ratio tests of variances, whose null value is on the boundary.

The statistic's null distribution is a mixture of χ² (Self and Liang 1987; Stram and Lee 1994). Only mixtures whose
weights do not depend on the data are used:

- one variance: ½χ²_0 + ½χ²_1;
- one more effect, correlated with the r that a term has: ½χ²_r + ½χ²_{r+1}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from henderson.contract.design import RandomTerm
from henderson.covariance.structures import structure_called

FloatArray = np.ndarray


@dataclass(frozen=True)
class ChiBar:
    """A mixture of χ² distributions.

    Attributes
    ----------
    df : tuple of int
    weights : tuple of float
    """

    df: tuple[int, ...]
    weights: tuple[float, ...]

    def pvalue(self, statistic: float) -> float:
        """Upper tail; χ²_0 is a point at zero.

        Examples
        --------
        >>> round(ChiBar((0, 1), (0.5, 0.5)).pvalue(2.7055), 4)
        0.05
        """
        from scipy.special import chdtrc

        if statistic <= 0:
            return 1.0
        return float(sum(w * (chdtrc(k, statistic) if k else 0.0) for k, w in zip(self.df, self.weights)))

    def __str__(self) -> str:
        return " + ".join(f"{w:g} χ²({k})" for k, w in zip(self.df, self.weights))


def mixture(small: Sequence[RandomTerm], large: Sequence[RandomTerm]) -> ChiBar | None:
    """The null distribution when `large` has one more random effect than `small`; None when it is not known."""
    less, more = _without_common(small, large)
    if len(more) != 1 or len(less) > 1 or (less and less[0].group != more[0].group):
        return None
    (added,) = more
    if not less:
        found = structure_called(added.structure).mixture(None, 0, added.n_columns)
        return None if found is None else ChiBar(*found)
    (had,) = less
    if not set(had.names) < set(added.names):
        return None
    found = structure_called(added.structure).mixture(structure_called(had.structure), had.n_columns, added.n_columns)
    return None if found is None else ChiBar(*found)


def _without_common(
    small: Sequence[RandomTerm], large: Sequence[RandomTerm]
) -> tuple[list[RandomTerm], list[RandomTerm]]:
    """The terms of each that the other does not have."""

    def key(term: RandomTerm) -> tuple[object, ...]:
        structure = "any" if term.n_columns == 1 else term.structure
        return (
            frozenset(term.group.split(":")),
            tuple(sorted(term.names)),
            structure,
            term.label if term.loaded else "",
        )

    small_keys, large_keys = [key(term) for term in small], [key(term) for term in large]
    return (
        [term for term, k in zip(small, small_keys) if k not in large_keys],
        [term for term, k in zip(large, large_keys) if k not in small_keys],
    )
