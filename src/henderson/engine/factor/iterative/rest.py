"""The rest at one θ when it is too large to be factored (`factor.rest` has the protocol).

half(B), back(H), weigh(B)      conjugate gradients on Ã, slow directions apart: exact to their tolerance
log_det, traces                 N probes, always the same signs: the mean over probes (`probed`)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np
from scipy import sparse

from henderson.engine.factor.front import MILD, invertible
from henderson.engine.factor.iterative.by_level import LevelVariances, level_variances
from henderson.engine.factor.iterative.conjugate import solve
from henderson.engine.factor.iterative.level import Level, level_at
from henderson.engine.factor.iterative.levels import times
from henderson.engine.factor.iterative.pairs import Pairs
from henderson.engine.factor.iterative.probed import Probed, constants, orthonormal, probe, signs
from henderson.engine.factor.iterative.scaled import Deflated, Scaled
from henderson.engine.factor.places import Placement
from henderson.errors import NotAvailable
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: most slow directions
MOST_SLOW = 40
#: from a seed to the next
SEED_STEP = 1_000


@dataclass(frozen=True)
class Probes:
    """How the log-determinant is estimated; the same at every θ.

    Attributes
    ----------
    count : int
        N.
    seed : int
    tolerance : float
        See `lanczos`.
    slow : (R, s) array, or None
        Slow directions; None: constants, at each θ anew, for points that are only looked at.
    level : Level, or None
        What log|C| is at one θ, where that was estimated by itself.
    """

    count: int
    seed: int = 0
    tolerance: float = 1e-6
    slow: FloatArray | None = field(default=None, repr=False)
    level: Level | None = None


class IterativeRest:
    """Products and probes at one θ (see `Rest`).

    Parameters
    ----------
    pairs : Pairs
    M : (q_f, q_f, J) array
        λ_fC_j⁻¹λ_f' of the front.
    D : (q_f, q_f, J) array
        See `front.shrink`.
    lam : list of (q, q)
    n : int
        Rows of the data.
    probes : Probes
    """

    has_root = False

    def __init__(
        self, pairs: Pairs, M: FloatArray, D: FloatArray, lam: Sequence[FloatArray], n: int, probes: Probes
    ) -> None:
        self.pairs, self.lam, self.n, self.D, self.probes = pairs, list(lam), n, D, probes
        self.levels = [levels for _, levels in pairs.sizes]
        self.scaled = Scaled(pairs, M, lam)
        slow = orthonormal(constants(self.scaled.low)) if probes.slow is None else probes.slow
        self.operator = Deflated(self.scaled, slow)
        self.probed: Probed = probe(self.operator, signs(pairs.n_rest, probes.count, probes.seed), D, probes.tolerance)
        self.log_det = float(self.log_dets.mean())

    @property
    def log_dets(self) -> FloatArray:
        """log|C| by each probe alone, (N,); beside a level, what they all say of the way from its θ, added to it."""
        level = self.probes.level
        return self.probed.log_det if level is None else level.value + self.probed.log_det - level.beside

    def levelled(self, enough: float, below: float) -> Probes:
        """The probes with the level of log|C| here, to an error of `enough` (see `level_at`)."""
        probes = self.probes
        level = level_at(self.operator, self.probed.log_det, probes.seed, probes.tolerance, enough, below)
        return replace(probes, level=level)

    def refreshed(self) -> Probes:
        """The probes with the slow directions found here; other signs where they showed more than the constants.

        Directions that some signs showed leave less of these very signs than of others: the log-determinant would be
        biased, and the spread over probes too small.
        """
        slow = np.concatenate([constants(self.scaled.low), self.operator.U, self.probed.slow], axis=1)
        seed = self.probes.seed + SEED_STEP * bool(self.probed.slow.shape[1])
        return replace(self.probes, slow=_ritz(self.scaled, orthonormal(slow, 1e-3)), seed=seed, level=None)

    def half(self, B: FloatArray) -> list[FloatArray]:
        """C⁻¹Λ'B, and Λ'B."""
        right = times(self.scaled.lam, B, transpose=True)
        return [times(self.scaled.inverse, self.solve(times(self.scaled.inverse, right)), transpose=True), right]

    def solve(self, b: FloatArray) -> FloatArray:
        """Ã⁻¹b, (R, k)."""
        return solve(self.operator, b)

    def inner(self, H: list[FloatArray]) -> FloatArray:
        """B'WB, (k, k)."""
        found = H[0].T @ H[1]
        return (found + found.T) / 2

    def back(self, H: list[FloatArray], spherical: bool = False) -> FloatArray:
        """WB (or C⁻¹Λ'B), (R, k)."""
        return H[0] if spherical else times(self.scaled.lam, H[0])

    def multiply(self, B: FloatArray) -> FloatArray:
        """SB, (R, k)."""
        return self.scaled.schur_times(B)[0]

    def unscale(self, B: FloatArray) -> FloatArray:
        """Λ⁻ᵀB, (R, k)."""
        inverse = [np.broadcast_to(np.linalg.inv(lam)[:, :, None], (*lam.shape, n)) for lam, n in self._blocks]
        return times(inverse, B, transpose=True)

    @property
    def _blocks(self) -> list[tuple[FloatArray, int]]:
        return list(zip(self.lam, self.levels))

    def divisible(self, floor: float = MILD) -> list[bool]:
        """For each block whether formulas may divide by its λ."""
        return [invertible(lam, self.n / levels, floor) for lam, levels in self._blocks]

    def traces(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """Σ_l (SΛC⁻¹)_ll and Σ_l (Z'V⁻¹Z)_ll for every block: means over probes."""
        return self._traces(
            [one.mean(axis=2) for one in self.probed.first], [one.mean(axis=2) for one in self.probed.weighed]
        )

    def traces_of(self, i: int) -> tuple[list[FloatArray], list[FloatArray]]:
        """The same by one probe alone."""
        return self._traces([one[:, :, i] for one in self.probed.first], [one[:, :, i] for one in self.probed.weighed])

    def _traces(self, first: list[FloatArray], weighed: list[FloatArray]) -> tuple[list[FloatArray], list[FloatArray]]:
        if all(self.divisible()):
            return first, [one @ np.linalg.inv(lam) for one, lam in zip(first, self.lam)]
        return first, [own.sum(axis=2) - one for own, one in zip(self.scaled.own, weighed)]

    def borrowed_sum(self) -> FloatArray:
        """Σ_j D_j a_j W a_j' D_j', (q_f, q_f): the mean over probes."""
        return self.probed.borrowed.mean(axis=2)

    def weigh(self, B: FloatArray) -> FloatArray:
        """WB, (R, k)."""
        return self.back(self.half(B))

    @lazy
    def by_level(self) -> LevelVariances:
        """Variances of the levels, and their Monte-Carlo errors."""
        return level_variances(self.operator)

    def level_weights(self) -> list[FloatArray]:
        """The diagonal blocks of W, (q, q, levels) for every block of the rest: from probes."""
        return [own.copy() for own in self.by_level.own]

    def sandwich(self) -> FloatArray:
        """a_j W a_j' of every level of the front, (q_f, q_f, J): from probes."""
        return self.by_level.front

    def weigh_rows(self, slices: Iterable[sparse.csr_array]) -> Iterator[FloatArray]:
        """Slices of sparse rows (m, R) times W, (m, R), one after another."""
        for rows in slices:
            yield self.weigh(np.asarray(rows.toarray()).T).T

    def trace_with(self, M: FloatArray) -> float:
        """W is not at hand."""
        self._refuse()

    def weights_on(self, where: Sequence[Placement], size: int) -> FloatArray:
        """W is not at hand."""
        self._refuse()

    def weight_stacks(self) -> list[FloatArray]:
        """W is not at hand."""
        self._refuse()

    def schur_stacks(self) -> list[FloatArray]:
        """S is not at hand."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotAvailable(
            "this needs the inverse of the mixed-model equations as a matrix, which rest='iterative' never forms; "
            "fit with rest='exact' for it"
        )


def _ritz(scaled: Scaled, basis: FloatArray) -> FloatArray:
    """Of the span of a basis the directions that are slow or fast, the constants' among them; orthonormal."""
    if not basis.shape[1]:
        return basis
    image = scaled.product(scaled.images(basis))
    values, vectors = np.linalg.eigh((basis.T @ image + image.T @ basis) / 2)
    order = np.argsort(-np.abs(np.log(np.maximum(values, 1e-12))), kind="stable")[:MOST_SLOW]
    return basis @ vectors[:, order]
