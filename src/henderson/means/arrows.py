"""Comparison arrows: those of two means overlap where their difference is not significant, and only there.

With means m_i ≤ m_j, r_i the length of the arrow to the right of i and l_j of that to the left of j, the two overlap
when r_i + l_j > m_j − m_i. With c_ij the smallest difference of the two that would be significant (half the length of
the adjusted interval of their difference; where an adjustment's p-value says otherwise, p decides on which side of the
difference c_ij lies) wanted is, for all pairs,

    r_i + l_j = c_ij

which halves solve where all differences have one standard error. Else

1. lengths by least squares, the pairs that are nearest to significance counting most; where these leave a choice, each
   length is near to half of the mean of its c_ij;
2. where some pair is then shown wrongly: lengths that are wrong by as little as possible, and as near as possible to
   r_i + l_j = c_ij, in absolute value: a linear program. If that has a solution without wrong pairs it is found; else
   it is solved again with less weight on the pairs that are wrong, so that they become few, and they are told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray

#: weight of what decides where pairs do not, relative to that of a pair
WEAK = 1e-3
#: what is left between the ends of two arrows in step 2, relative to the largest c_ij
ROOM = 1e-2
#: weight of a pair that is shown wrongly, relative to that of a distance from c_ij
WRONG = 1e4
#: times that step 2 is solved, at most
ROUNDS = 6


@dataclass(frozen=True)
class Arrows:
    """Lengths of arrows.

    Attributes
    ----------
    left, right : (k,) arrays
        NaN where there is none: no other mean lies on that side.
    wrong : tuple of pairs of int
        Pairs that the arrows do not show as they are tested.
    """

    left: FloatArray
    right: FloatArray
    wrong: tuple[tuple[int, int], ...]


def comparison_arrows(
    mean: FloatArray, first: np.ndarray, second: np.ndarray, half: FloatArray, significant: np.ndarray
) -> Arrows:
    """Lengths of arrows that show pairwise comparisons of k means.

    Parameters
    ----------
    mean : (k,) array
    first, second : (c,) int arrays
        Which two means each comparison is of.
    half : (c,) array
        Half the length of the interval of each difference. Comparisons where it is NaN are left out.
    significant : (c,) bool array

    Examples
    --------
    >>> mean, first, second = np.array([1.0, 2.0, 5.0]), np.array([0, 0, 1]), np.array([1, 2, 2])
    >>> found = comparison_arrows(mean, first, second, np.full(3, 1.5), np.array([False, True, True]))
    >>> found.right.round(3).tolist(), found.left.round(3).tolist(), found.wrong
    ([0.75, 0.75, nan], [nan, 0.75, 0.75], ())
    """
    k, there = len(mean), np.isfinite(half)
    first, second, half, significant = first[there], second[there], half[there], significant[there]
    low = np.where(mean[first] <= mean[second], first, second)
    high = first + second - low
    gap = mean[high] - mean[low]
    wanted = np.where(significant, np.minimum(half, gap * (1 - ROOM)), np.maximum(half, gap * (1 + ROOM)))
    uses = np.zeros((len(gap), 2 * k))  # r of the lower mean, l of the higher one
    uses[np.arange(len(gap)), low] = 1.0
    uses[np.arange(len(gap)), k + high] = 1.0
    lengths = _least_squares(uses, wanted, gap, k)
    if not _right(uses @ lengths, gap, significant).all():
        lengths = _program(uses, wanted, gap, significant)
    wrong = np.flatnonzero(~_right(uses @ lengths, gap, significant))
    lengths = np.where(uses.any(axis=0), lengths, np.nan)
    pairs = tuple((int(low[i]), int(high[i])) for i in wrong)
    return Arrows(lengths[k:], lengths[:k], pairs)


def _right(reach: FloatArray, gap: FloatArray, significant: np.ndarray) -> np.ndarray:
    """Which pairs are shown as they are tested, (c,)."""
    return (reach > gap) != significant


def _least_squares(uses: FloatArray, wanted: FloatArray, gap: FloatArray, k: int) -> FloatArray:
    """Step 1: min Σ w (r_i + l_j − c_ij)², lengths not negative; (2k,), those to the right first."""
    from scipy.optimize import nnls

    largest = float(wanted.max(initial=0.0))
    if not largest > 0:
        return np.zeros(2 * k)
    weight = 1.0 / (0.1 + np.abs(gap - wanted) / largest)
    count = uses.sum(axis=0)
    half = uses.T @ wanted / np.maximum(count, 1) / 2
    system = np.vstack([uses * weight[:, None], WEAK * np.eye(2 * k)])
    found, _ = nnls(system, np.concatenate([wanted * weight, WEAK * half]) / largest)
    return largest * found


def _program(uses: FloatArray, wanted: FloatArray, gap: FloatArray, significant: np.ndarray) -> FloatArray:
    """Step 2, (2k,): min Σ |r_i + l_j − c_ij| + Σ w_ij s_ij, s_ij ≥ 0 how far a pair is on the wrong side."""
    from scipy.optimize import linprog
    from scipy.sparse import block_array, csr_array, eye_array

    c, n_lengths = uses.shape
    largest = float(wanted.max())
    room = np.where(significant, np.minimum(ROOM * largest, gap / 2), ROOM * largest)
    sign = np.where(significant, 1.0, -1.0)
    sums, one = csr_array(uses), eye_array(c)
    # sign (r + l − gap) + room ≤ s;   ±(r + l − c) ≤ d
    left = block_array([[csr_array(sign[:, None] * uses), -one, None], [sums, None, -one], [-sums, None, -one]])
    right = np.concatenate([sign * gap - room, wanted, -wanted]) / largest
    weight, best, fewest = np.full(c, WRONG), np.zeros(n_lengths), c + 1
    for _ in range(ROUNDS):
        cost = np.concatenate([np.zeros(n_lengths), weight, np.ones(c)])
        found = linprog(cost, A_ub=left.tocsc(), b_ub=right, bounds=(0, None)).x
        lengths = largest * found[:n_lengths]
        wrong = int((~_right(uses @ lengths, gap, significant)).sum())
        if wrong < fewest:
            best, fewest = lengths, wrong
        if not wrong:
            break
        weight = WRONG * ROOM / (ROOM + found[n_lengths : n_lengths + c])
    return best
