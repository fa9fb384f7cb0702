"""`Residual`: the covariance of a series as a whole: structure × strata × variance functions.

    V = m m' ∘ C(ψ_stratum),   m = Π_v s_v(δ_v)

ψ = (ψ of each stratum, δ of each variance function). Prior weights are not in it: Var(ε) = W^{-1/2} V W^{-1/2}.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from henderson.contract.residual import ResidualRows, ResidualTerm
from henderson.covariance.residual.distance import ByDistance
from henderson.covariance.residual.starts import Lost, by_distance, pairs_of
from henderson.covariance.residual.structure import AT_END, RANGES, ByVisit, Kind, Pairs, ResidualStructure
from henderson.covariance.residual.structures import RESIDUAL_STRUCTURES
from henderson.covariance.residual.variance import VARIANCE_FUNCTIONS, VarianceFunction

FloatArray = np.ndarray

#: rounds in which what a series has lost to its mean is found
ROUNDS = 2


@dataclass(frozen=True)
class Residual:
    """The covariance of the residuals of a series.

    Attributes
    ----------
    term : ResidualTerm
    structure : ResidualStructure
    variance : tuple of VarianceFunction

    Examples
    --------
    >>> import pandas as pd
    >>> visits, patients = pd.Index(["a", "b", "c"]), pd.RangeIndex(2)
    >>> residual = Residual.of(ResidualTerm("ar1", "patient", patients, ("visit",), visits), largest=3)
    >>> residual.names
    ('Var', 'Corr')
    >>> residual.cov(np.array([4.0, 0.5]), np.array([0, 2])).tolist()
    [[4.0, 1.0], [1.0, 4.0]]
    """

    term: ResidualTerm
    structure: ResidualStructure
    variance: tuple[VarianceFunction, ...] = ()

    @classmethod
    def of(cls, term: ResidualTerm, largest: int) -> Residual:
        """Of a design's term; `largest` is the number of rows of the largest series."""
        structure = RESIDUAL_STRUCTURES[term.structure](term.n_visits, largest, term.unit)
        return cls(term, structure, tuple(VARIANCE_FUNCTIONS[own.kind](own) for own in term.variance))

    def with_visits(self, n_visits: int) -> Residual:
        """The same of another number of visits, for structures whose parameters do not depend on it."""
        structure = type(self.structure)(n_visits, self.structure.largest, self.structure.unit)
        assert structure.n_parameters == self.structure.n_parameters
        return replace(self, structure=structure)

    @classmethod
    def of_rows(cls, term: ResidualTerm, rows: ResidualRows) -> Residual:
        """Of a design's term and all its rows."""
        return cls.of(term, int(np.bincount(rows.codes).max(initial=1)))

    # ---- parameters

    @cached_property
    def slices(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Where the ψ of each stratum and the δ of each variance function are."""
        sizes = [self.structure.n_parameters] * self.term.n_strata + [len(own.kinds) for own in self.variance]
        ends = np.cumsum([0, *sizes]).tolist()
        allslices = tuple(slice(a, b) for a, b in pairwise(ends))
        return allslices[: self.term.n_strata], allslices[self.term.n_strata :]

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """What each parameter is, (k,)."""
        return (*self.structure.kinds * self.term.n_strata, *(kind for own in self.variance for kind in own.kinds))

    @property
    def n_parameters(self) -> int:
        """k."""
        return len(self.kinds)

    @cached_property
    def degree(self) -> np.ndarray:
        """One for variances and covariances, which scale with σ², zero for the others, (k,)."""
        return np.array([int(kind in ("variance", "covariance")) for kind in self.kinds])

    @cached_property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Open interval in which each parameter lies, whatever the others are."""
        of_variance = (RANGES[kind] for own in self.variance for kind in own.kinds)
        return (*self.structure.ranges * self.term.n_strata, *of_variance)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the parameters; those of a stratum begin with its label."""
        visits = [] if self.term.visits is None else [str(label) for label in self.term.visits]
        own = self.structure.names(visits)
        prefixes = [f"{label}: " for label in self.term.strata] or [""]
        return (
            *(prefix + name for prefix in prefixes for name in own),
            *(name for function in self.variance for name in function.names),
        )

    @cached_property
    def powers(self) -> FloatArray:
        """Powers of ψ that are the parameters in the user's unit of time, (k,)."""
        of_variance = [np.ones(len(own.kinds)) for own in self.variance]
        return np.concatenate([np.tile(self.structure.powers, self.term.n_strata), *of_variance])

    def shown(self, psi: FloatArray) -> FloatArray:
        """The parameters as a user reads them, in the user's unit of time, of ψ (..., k)."""
        return _powers(psi, self.powers)

    def slopes(self, psi: FloatArray) -> FloatArray:
        """Derivatives of what is shown in ψ, (k,)."""
        return self.powers * _powers(psi, self.powers - 1)

    def are_unseen(self, psi: FloatArray) -> np.ndarray:
        """Which parameters are at an end of their range as they are shown, and only so, (k,) bool."""
        low, high = np.array(self.ranges).T
        shown = self.shown(psi)
        return ((shown == low) | (shown == high)) & (psi != low) & (psi != high)

    def given(self, shown: FloatArray) -> FloatArray:
        """ψ of parameters in the user's unit of time, (..., k)."""
        return _powers(shown, 1 / self.powers)

    def check(self, psi: FloatArray, what: str) -> None:
        """Raise a `ValueError` that begins with `what` unless the parameters make covariances."""
        for name, value, shown, (low, high) in zip(self.names, psi, self.shown(psi), self.ranges):
            if not low < value < high:
                raise ValueError(f"{what}: {name} = {shown:g} is not between {low:g} and {high:g}")
        with np.errstate(all="ignore"):
            try:
                regular = bool(np.isfinite(self.working(psi)).all())
            except np.linalg.LinAlgError:
                regular = False
        if not regular:
            raise ValueError(f"{what}: the residuals' covariance that it says is not positive definite")

    @property
    def linear(self) -> bool:
        """Whether V is linear in ψ."""
        return self.structure.linear and not self.variance

    @property
    def is_diagonal(self) -> bool:
        """Whether V is diagonal, and so all its derivatives."""
        return self.structure.memory == 0

    # ---- covariance

    def cov(
        self,
        psi: FloatArray,
        where: np.ndarray,
        strata: np.ndarray | None = None,
        covariates: tuple[np.ndarray, ...] = (),
    ) -> FloatArray:
        """V of series of n rows.

        Parameters
        ----------
        psi : (k,) array
        where : (..., n) intp array or (..., n, d) array
        strata : (..., n) intp array, or None
            One stratum a series.
        covariates : tuple of (..., n) arrays

        Returns
        -------
        (..., n, n) array
        """
        out = self._structure_cov(psi, where, strata)
        if not self.variance:
            return out
        with np.errstate(over="ignore", invalid="ignore"):  # a step beyond a double's range, whose deviance is infinite
            return out * _outer(np.prod(self._scales(psi, covariates), axis=0))

    def first(
        self,
        psi: FloatArray,
        where: np.ndarray,
        strata: np.ndarray | None = None,
        covariates: tuple[np.ndarray, ...] = (),
    ) -> FloatArray:
        """∂V/∂ψ, (k, ..., n, n)."""
        own = self._structure_first(psi, where, strata)
        if not self.variance:
            return own
        _, m, dm = self._scaling(psi, covariates)
        return np.concatenate([own * _outer(m), self._structure_cov(psi, where, strata) * _outer(dm, m)])

    def second(
        self,
        psi: FloatArray,
        where: np.ndarray,
        strata: np.ndarray | None = None,
        covariates: tuple[np.ndarray, ...] = (),
    ) -> FloatArray:
        """∂²V/∂ψ∂ψ', (k, k, ..., n, n)."""
        cov = self._structure_cov(psi, where, strata)
        k, by_stratum = self.n_parameters, self.slices[0]
        out = np.zeros((k, k, *cov.shape))
        for here, chosen in zip(by_stratum, self._chosen(where, strata)):
            out[here, here][:, :, chosen] = self.structure.second(psi[here], where[chosen])
        if not self.variance:
            return out
        q = by_stratum[-1].stop
        scales, m, dm = self._scaling(psi, covariates)
        d2m = self._scale_second(psi, scales, covariates)
        out[:q, :q] *= _outer(m)
        out[:q, q:] = self._structure_first(psi, where, strata)[:, None] * _outer(dm, m)
        out[q:, :q] = out[:q, q:].swapaxes(0, 1)
        out[q:, q:] = cov * (_outer(d2m, m) + _outer(dm[:, None], dm[None]))
        return out

    def _chosen(self, where: np.ndarray, strata: np.ndarray | None) -> list[Any]:
        """The series of each stratum, as an index into leading axes."""
        if strata is None:
            return [...]
        return [strata[..., 0] == stratum for stratum in range(self.term.n_strata)]

    def _structure_cov(self, psi: FloatArray, where: np.ndarray, strata: np.ndarray | None) -> FloatArray:
        if strata is None:
            return self.structure.cov(psi[self.slices[0][0]], where)
        out = np.zeros((*strata.shape, strata.shape[-1]))
        for here, chosen in zip(self.slices[0], self._chosen(where, strata)):
            out[chosen] = self.structure.cov(psi[here], where[chosen])
        return out

    def _structure_first(self, psi: FloatArray, where: np.ndarray, strata: np.ndarray | None) -> FloatArray:
        if strata is None:
            return self.structure.first(psi[self.slices[0][0]], where)
        out = np.zeros((self.slices[0][-1].stop, *strata.shape, strata.shape[-1]))
        for here, chosen in zip(self.slices[0], self._chosen(where, strata)):
            out[here][:, chosen] = self.structure.first(psi[here], where[chosen])
        return out

    def _scales(self, psi: FloatArray, covariates: tuple[np.ndarray, ...]) -> list[FloatArray]:
        """s of each variance function."""
        return [own.scale(psi[here], v) for own, here, v in zip(self.variance, self.slices[1], covariates)]

    def _scaling(
        self, psi: FloatArray, covariates: tuple[np.ndarray, ...]
    ) -> tuple[list[FloatArray], FloatArray, FloatArray]:
        """s of each variance function, m, and ∂m/∂δ."""
        scales = self._scales(psi, covariates)
        return scales, np.prod(scales, axis=0), self._scale_first(psi, scales, covariates)

    def _scale_first(self, psi: FloatArray, scales: list[FloatArray], covariates: tuple[np.ndarray, ...]) -> FloatArray:
        """∂m/∂δ."""
        parts = [
            own.first(psi[here], v) * _product(scales, {i})
            for i, (own, here, v) in enumerate(zip(self.variance, self.slices[1], covariates))
        ]
        return np.concatenate(parts)

    def _scale_second(
        self, psi: FloatArray, scales: list[FloatArray], covariates: tuple[np.ndarray, ...]
    ) -> FloatArray:
        """∂²m/∂δ∂δ'."""
        every = list(zip(self.variance, self.slices[1], covariates))
        firsts = [own.first(psi[here], v) for own, here, v in every]
        rows = []
        for i, (own, here, v) in enumerate(every):
            row = [
                own.second(psi[here], v) * _product(scales, {i})
                if i == j
                else firsts[i][:, None] * firsts[j][None] * _product(scales, {i, j})
                for j in range(len(every))
            ]
            rows.append(np.concatenate(row, axis=1))
        return np.concatenate(rows)

    # ---- coordinates for a search

    def working(self, psi: FloatArray) -> FloatArray:
        """φ of ψ, (k,)."""
        of_strata, of_variance = self.slices
        parts = [self.structure.working(psi[here]) for here in of_strata]
        parts += [own.working(psi[here]) for own, here in zip(self.variance, of_variance)]
        return np.concatenate(parts)

    def natural(self, phi: FloatArray) -> FloatArray:
        """ψ of φ, (k,)."""
        of_strata, of_variance = self.slices
        parts = [self.structure.natural(phi[here]) for here in of_strata]
        parts += [own.natural(phi[here]) for own, here in zip(self.variance, of_variance)]
        return np.concatenate(parts)

    def jacobian(self, phi: FloatArray) -> FloatArray:
        """∂ψ_i/∂φ_a, (k, k)."""
        of_strata, of_variance = self.slices
        out = np.zeros((self.n_parameters, self.n_parameters))
        for here in of_strata:
            out[here, here] = self.structure.jacobian(phi[here])
        for own, here in zip(self.variance, of_variance):
            out[here, here] = np.diag(own.slopes(phi[here])[0])
        return out

    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """Σ_i slope_i ∂²ψ_i/∂φ_a∂φ_b, (k, k): with it a Hessian H in ψ is J'HJ + curvature in φ."""
        of_strata, of_variance = self.slices
        out = np.zeros((self.n_parameters, self.n_parameters))
        for here in of_strata:
            out[here, here] = self.structure.curvature(phi[here], slope[here])
        for own, here in zip(self.variance, of_variance):
            out[here, here] = np.diag(own.slopes(phi[here])[1] * slope[here])
        return out

    # ---- a start, and ends

    def starts(
        self,
        e: FloatArray,
        rows: ResidualRows,
        weights: FloatArray | None = None,
        *,
        rho: float | None = None,
        lost: Lost | None = None,
    ) -> list[FloatArray]:
        """Values of ψ to begin a search from, the best guess first, then as if rows were all but alike.

        Parameters
        ----------
        e : (n,) array
            Residuals about some mean, of least squares say.
        rows : ResidualRows
        weights : (n,) array, optional
        rho : float, optional
            As if residuals correlated as powers of this, whatever their products are.
        lost : Lost, optional
            What the residuals have lost to effects that were taken from them.
        """
        e = e if weights is None else e * np.sqrt(weights)
        delta = [own.start(e**2, v) for own, v in zip(self.variance, rows.covariates)]
        scaled = e / np.prod([own.scale(d, v) for own, d, v in zip(self.variance, delta, rows.covariates)], axis=0)
        by_stratum = []
        for stratum in range(self.term.n_strata):
            chosen = slice(None) if rows.strata is None else rows.strata == stratum
            own = rows[chosen]
            pairs = pairs_of(scaled[chosen], own.codes, own.where, self.term.n_visits)
            if lost is not None:
                n_series = max(int(np.count_nonzero(np.bincount(own.codes))), 1)
                pairs = self._regained(pairs, lost, len(own.codes) // n_series)
            by_stratum.append(pairs if rho is None else pairs.falling(rho))
        found = [np.concatenate([*(self.structure.start(pairs) for pairs in by_stratum), *delta])]
        plain = [own.none for own in self.variance]
        others = [pairs.alike if self.is_diagonal else pairs.independent for pairs in by_stratum]
        found.append(np.concatenate([*(self.structure.start(pairs) for pairs in others), *plain]))
        return found

    def _regained(self, pairs: Pairs, lost: Lost, size: int) -> Pairs:
        """Products with what series of about `size` rows have lost."""
        if not isinstance(self.structure, ByVisit):
            return pairs
        kept = 1 - lost.share
        diagonal = np.eye(len(pairs.cov), dtype=bool)
        pairs = replace(pairs, cov=pairs.cov / np.where(diagonal, kept, kept**2), variance=pairs.variance / kept)
        found = pairs
        for _ in range(ROUNDS if lost.columns else 0):
            more = lost.columns * float(self.structure.matrix(self.structure.start(found))[:size, :size].mean())
            found = replace(pairs, cov=pairs.cov + more, variance=pairs.variance + more)
        return found

    def variance_of_mean(self, psi: FloatArray, size: int) -> float:
        """Variance of the mean of a series of `size` rows, about: those of the first visits, of the first stratum."""
        if not isinstance(self.structure, ByVisit):
            return float(psi[0]) / max(size, 1)
        return float(self.structure.matrix(psi[self.slices[0][0]])[:size, :size].mean())

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """Which parameters are `within` a distance of an end of their range, (k,) bool."""
        of_strata, of_variance = self.slices
        parts = [self.structure.at_boundary(psi[here], within) for here in of_strata]
        parts += [np.zeros(here.stop - here.start, bool) for here in of_variance]
        return np.concatenate(parts)

    def are_degenerate(self, psi: FloatArray, rows: ResidualRows) -> np.ndarray:
        """Which parameters make all correlations by distance none, or one, (k,) bool."""
        out = np.zeros(self.n_parameters, bool)
        if isinstance(self.structure, ByDistance):
            distance = by_distance(np.zeros(len(rows.codes)), rows.codes, rows.where)[0]
            for here in self.slices[0]:
                out[here.start + 1 : here.stop] = self.structure.is_degenerate(psi[here], distance)
        return out

    def is_beyond(self, psi: FloatArray) -> bool:
        """Whether the covariance of a stratum is so near to a singular one that few digits of its inverse are known."""
        return any(self.structure.is_beyond(psi[here]) for here in self.slices[0])


def _powers(values: FloatArray, powers: FloatArray) -> FloatArray:
    """Powers of numbers, of those below zero with their sign: they are out of range before and after."""
    return np.copysign(np.abs(values) ** powers, values)


def _outer(a: FloatArray, b: FloatArray | None = None) -> FloatArray:
    """a a', or a b' + b a', over the last axis."""
    if b is None:
        return a[..., :, None] * a[..., None, :]
    both = a[..., :, None] * b[..., None, :]
    return both + both.swapaxes(-1, -2)


def _product(scales: list[FloatArray], without: set[int]) -> FloatArray | float:
    out: FloatArray | float = 1.0
    for i, own in enumerate(scales):
        if i not in without:
            out = out * own
    return out
