"""`StructuredFit`: a fit whose residuals have a covariance structure, the numbers in the user's units.

Var(y) = W^{-1/2} R(ψ) W^{-1/2} + ΣZ_kG_kZ_k', all of ψ and G in the units of y². What other fits say relative to σ²
is here relative to ψ₀, the structure's first variance (the common one, or the first visit's): σ² = ψ₀, G_k = σ²λ_kλ_k'.
How it is found is in `fitting`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows
from henderson.covariance.residual.residual import Residual
from henderson.covariance.residual.structure import ByVisit
from henderson.engine.fitted import Fit, Penalty
from henderson.engine.moments import Moments
from henderson.engine.residual.by_levels import ByLevels, moments_by_levels
from henderson.engine.residual.crossed import CrossedModel, CrossedPoint, moments_of_crossed
from henderson.engine.residual.ends import End, RowPoint
from henderson.engine.residual.markov import MarkovPoint, moments_of_markov
from henderson.engine.residual.model import BlockModel, working_variances
from henderson.engine.residual.moments import moments_of_blocks
from henderson.engine.residual.plain import PlainPoint, moments_of_plain
from henderson.engine.residual.point import BlockPoint, block_at_psi
from henderson.engine.residual.related import RelatedModel, RelatedPoint
from henderson.engine.residual.related_moments import moments_of_related
from henderson.engine.residual.rows import (
    conditional_covariances,
    own_variances,
)
from henderson.engine.residual.summed import SummedPoint
from henderson.engine.residual.units import LARGEST
from henderson.engine.sums.basis import Basis
from henderson.numerics.threads import blas_threads
from henderson.sources.factors import shown_label

FloatArray = np.ndarray

#: parameters that are named one by one
MOST_NAMES = 4
#: variance of a combination of visits, each of variance one, that is next to none; weight of a visit in it that counts
NEXT_TO_NONE, HEAVY = 1e-4, 0.1


@dataclass(frozen=True, eq=False)
class StructuredFit(Fit):
    """A fit whose residuals have a covariance structure; see `Fit`.

    Attributes
    ----------
    psi : (r,) array
        The structure's natural parameters, in the user's units but for that of time (`ResidualTerm.unit`).
    ends : str
        The structure's parameters that are at an end of their range, if any.
    n_blocks : int
        Independent blocks of rows: series, or what random effects tie together.
    signed : tuple of float or None
        Variance, relative to σ², of each term whose variance may be negative; its λ is NaN where it is.
    """

    psi: np.ndarray = field(default_factory=lambda: np.zeros(0))
    ends: str = ""
    n_blocks: int = 0
    signed: tuple[float | None, ...] = ()
    _blocks: BlockModel | None = field(default=None, repr=False, compare=False)
    _block_point: End | None = field(default=None, repr=False, compare=False)

    @property
    def at_end(self) -> bool:
        """Whether a parameter of the structure is at the end of its range."""
        return bool(self.ends)

    @property
    def has_no_residual(self) -> bool:
        """Whether residuals are independent and their variance is zero, where correlated effects explain every row."""
        plain = self.design.residual is not None and self.design.residual.is_plain
        return plain and self.design.constraints is None and self.at_end

    @property
    def n_variances(self) -> int:
        """Variance parameters: the random effects' and the structure's."""
        constraints = self.design.constraints
        of_residual = 0 if constraints is not None and constraints.residual is not None else len(self.psi)
        return self.n_covariances + of_residual

    @property
    def covariances(self) -> tuple[FloatArray, ...]:
        """G of each term, (q, q), relative to σ²; where a variance may be negative, it may be here."""
        return tuple(
            one @ one.T if own is None else np.array([[own]]) * np.eye(len(one))
            for one, own in zip(self.lam, self._signed())
        )

    def mean_variances(self, which: Sequence[np.ndarray] = ()) -> FloatArray:
        """See `Fit`; negative where a variance is."""
        lam = [one if own is None else np.eye(len(one)) for one, own in zip(self.lam, self._signed())]
        signs = np.array([1.0 if own is None else own for own in self._signed()])
        return signs * self.digest.sizes_of(lam, which) / self.n

    def _signed(self) -> tuple[float | None, ...]:
        return self.signed or (None,) * len(self.lam)

    @property
    def penalty(self) -> Penalty:
        """As SAS and mmrm count: under REML the variance parameters only, n − p observations; independent blocks of
        rows, mostly the series, as BIC's observations."""
        if self.design.residual is not None and self.design.residual.is_plain:
            return super().penalty
        p = int(self.kept.sum())
        return Penalty(self.n_variances + (0 if self.reml else p), self.n_blocks, self.n - (p if self.reml else 0))

    @cached_property
    def blocks(self) -> BlockModel:
        """The likelihood; made again from the rows after unpickling."""
        return self._blocks or BlockModel.of(self.design, self.observed_for("this likelihood"), reml=self.reml)

    @cached_property
    def block_point(self) -> BlockPoint:
        """The likelihood at the optimum, by blocks."""
        if isinstance(self._block_point, BlockPoint):
            return self._block_point
        return block_at_psi(self.blocks, self.psi_working)

    @cached_property
    def row_point(self) -> RowPoint:
        """The likelihood at the optimum as far as it tells of single rows: by blocks, or of related levels by their
        sparse factor."""
        return by_relatives(self) if self.design.is_related else self.block_point

    @property
    def residual_variance(self) -> float:
        """Variance of the residual of a row of weight one, on average over the rows."""
        if "residual_variance" in self._kept:
            return float(self._kept["residual_variance"])
        return float(self.own_variances.mean())

    @cached_property
    def has_blocks(self) -> bool:
        """Whether the rows that depend on each other are few enough for matrices of them."""
        return self.blocks.sizes_of_blocks(self.observed_for("the rows that depend on each other")).max() <= LARGEST

    @property
    def tells_of_rows(self) -> bool:
        """Whether there is what depends on single rows, and whitened residuals."""
        return self.design.is_related or self.has_blocks

    @cached_property
    def own_variances(self) -> FloatArray:
        """Variance of each row's residual for weight one, (n,)."""
        places = self.observed_for("variances of the residuals").residual
        assert places is not None
        return own_variances(self.structure, self.psi, places)

    @property
    def structure(self) -> Residual:
        """The structure of the residuals."""
        return self.blocks.residual

    @property
    def shown_psi(self) -> FloatArray:
        """ψ as a user reads it, in the user's unit of time, (r,)."""
        return self.structure.shown(self.psi)

    @property
    def variances(self) -> FloatArray:
        """(G, ψ), (k,)."""
        return np.concatenate([self.g * self.sigma**2, self.psi])

    @property
    def psi_working(self) -> FloatArray:
        """(G, ψ) of the working basis, (k,)."""
        return working_variances(self.blocks, self.sigma, self.lam, self.covariances, self.psi)

    def phi_of(self, model: BlockModel) -> FloatArray:
        """φ of the estimates in the coordinates of another model of the design."""
        return model.working(working_variances(model, self.sigma, self.lam, self.covariances, self.psi))

    @property
    def turned_vcov(self) -> FloatArray:
        """`vcov` between the coefficients of the working basis, where no digits are lost, (p_kept, p_kept)."""
        return self.scale * (self._block_point or self.row_point).phi

    @property
    def moments_in_user_units(self) -> Moments:
        """The same in the user's columns and of G there; still relative to `scale`."""
        columns = self.basis.to_user()
        columns[-1, -1] = 1.0  # y is in its own unit already
        parameters = np.eye(self.blocks.k)
        parameters[: self.blocks.n_g, : self.blocks.n_g] = self.to_user_g
        return self.moments.turned(columns, parameters)

    @property
    def to_user_g(self) -> FloatArray:
        """M with g = M g̃, both relative to `scale`."""
        return self.blocks.to_user_g

    @property
    def scale(self) -> float:
        """The variance to which `moments` are relative: the working basis' unit of y, squared."""
        return float(self.blocks.basis.y_scale) ** 2

    @property
    def basis(self) -> Basis:
        """The working basis."""
        return self.blocks.basis

    @property
    def roots(self) -> tuple[FloatArray, ...]:
        """T of each term."""
        return self.blocks.roots

    @property
    def working_terms(self) -> list[FloatArray]:
        """λ of every term in the working basis, relative to `scale`."""
        relative = self.sigma / np.sqrt(self.scale)
        return [relative * np.linalg.solve(T, lam) for T, lam in zip(self.roots, self.lam)]

    @property
    def g(self) -> FloatArray:
        """The G parameters relative to σ², (n_g,)."""
        layouts = self.blocks.layouts
        return np.concatenate([np.zeros(0), *(layout.g(one) for layout, one in zip(layouts, self.covariances))])

    @cached_property
    def moments(self) -> Moments:
        """What inference needs of the data at this fit, in the working basis; kept while the fit lives."""
        if "moments" in self._kept:
            return self._kept["moments"]
        if isinstance(self._block_point, MarkovPoint):
            return moments_of_markov(self._block_point)
        if isinstance(self._block_point, PlainPoint):
            return moments_of_plain(self._block_point)
        if self.design.is_related:
            return moments_of_related(by_relatives(self))
        with blas_threads(1):  # products are many and small
            point = self._block_point.exact if isinstance(self._block_point, SummedPoint) else self._block_point
            if isinstance(point, CrossedPoint):
                return moments_of_crossed(point)
            if isinstance(point, ByLevels):
                return moments_by_levels(point)
        with blas_threads(self.blocks.largest):
            return moments_of_blocks(self.block_point)

    @cached_property
    def residual_quantiles(self) -> FloatArray:
        """Minimum, quartiles and maximum of the residuals over their own standard deviations, (5,)."""
        if "residual_quantiles" in self._kept:
            return self._kept["residual_quantiles"]
        rows = self.observed_for("residuals")
        left = rows.y - rows.mean(self.beta, self.kept) - rows.random_part(self.b)
        return np.quantile(left * np.sqrt(rows.unit_weights / self.own_variances), [0, 0.25, 0.5, 0.75, 1])

    def b_cov(self) -> tuple[FloatArray, ...]:
        """Conditional covariances Var(b_j | y), given β and the variances, (J, q, q) a term."""
        if "b_cov" in self._kept:
            return self._kept["b_cov"]
        if isinstance(self._block_point, CrossedPoint | SummedPoint | PlainPoint | RelatedPoint):
            return self._block_point.conditional_covariances()
        if self.design.is_related:
            return by_relatives(self).conditional_covariances()
        rows = self.observed_for("conditional covariances")
        return conditional_covariances(self.blocks, self.block_point, rows)

    def without_rows(self, remember: Any = None) -> StructuredFit:
        """The same fit, light."""
        if not self.has_rows:
            return self
        kept = {
            "digest": self.digest.complete(),
            "residual_quantiles": self.residual_quantiles,
            "working_triangle": self.working_triangle,
            "b_cov": self.b_cov(),
            "residual_variance": self.residual_variance,
            **({} if isinstance(self._block_point, BlockPoint) else {"moments": self.moments.complete()}),
            **(remember or {}),
        }
        blocks = self.blocks.without_rows(self.design.without_rows())
        return replace(
            self, design=self.design.without_rows(), _rows=None, _blocks=blocks, _block_point=None, _kept=kept
        )

    def without_sums(self) -> StructuredFit:
        """A light fit with moments in place of what they are computed from."""
        if self.has_rows:
            return self
        kept = {**self._kept, "moments": self.moments.complete()}
        return replace(self, _blocks=self.blocks.without_sums(), _block_point=None, _kept=kept)

    def __getstate__(self) -> dict[str, Any]:
        fields = {name: self.__dict__[name] for name in self.__dataclass_fields__}
        blocks = self._blocks if self._rows is None else None
        others = CrossedPoint | MarkovPoint | SummedPoint | PlainPoint | RelatedPoint
        if isinstance(self._block_point, others):  # not to be had by blocks, as these may be large
            fields["_kept"] = {**self._kept, "moments": self.moments, "b_cov": self.b_cov()}
        return {**fields, "_blocks": blocks, "_block_point": None}


def ends_of(residual: Residual, psi: FloatArray, rows: ResidualRows, at_limit: np.ndarray) -> str:
    """Names of the parameters that are at an end of their range, of the structure where they are many; else empty."""
    ends = residual.at_boundary(psi) | residual.are_degenerate(psi, rows) | at_limit
    names = [name for name, end in zip(residual.names, ends) if end]
    return ", ".join(names) if len(names) <= MOST_NAMES else f"the covariance {residual.term.label}"


def singular_visits(residual: Residual, psi: FloatArray) -> str:
    """Labels of visits of which some combination has next to no variance; empty where there are none."""
    term, structure = residual.term, residual.structure
    if not isinstance(structure, ByVisit) or term.visits is None:
        return ""
    found, k = [], structure.n_parameters
    for stratum in range(term.n_strata):
        cov = structure.matrix(psi[stratum * k : (stratum + 1) * k])
        sd = np.sqrt(np.diag(cov))
        values, vectors = np.linalg.eigh(cov / np.outer(sd, sd))
        if values[0] < NEXT_TO_NONE:
            among = f" with {term.stratum} {shown_label(term.strata[stratum])}" if len(term.strata) else ""
            heavy = np.flatnonzero(np.abs(vectors[:, 0]) > HEAVY)
            found.append(", ".join(shown_label(term.visits[t]) for t in heavy.tolist()) + among)
    return "; ".join(found)


def has_negative(fit: StructuredFit) -> bool:
    """Whether a variance of random effects is negative."""
    return any(own is not None and own < 0 for own in fit.signed)


def row_points(model: BlockModel, rows: Rows) -> Callable[[FloatArray], RowPoint]:
    """The likelihood as far as it tells of single rows, at ψ of the working basis."""
    if not model.design.is_related:
        return partial(block_at_psi, model)
    related = RelatedModel(model, rows)
    return lambda psi: related.at(model.working(psi))


def by_relatives(fit: StructuredFit) -> RelatedPoint:
    """The likelihood at the optimum by the sparse factor of related levels, however it was found."""
    if isinstance(fit._block_point, RelatedPoint):
        return fit._block_point
    rows = fit.observed_for("errors of effects of related levels")
    found = row_points(fit.blocks, rows)(fit.psi_working)
    assert isinstance(found, RelatedPoint)
    return found


def by_effects(fit: StructuredFit) -> CrossedPoint:
    """The likelihood at the optimum by effects, however it was found."""
    if isinstance(fit._block_point, CrossedPoint):
        return fit._block_point
    rows = fit.observed_for("covariances of all effects of a term")
    return CrossedModel(fit.blocks, rows).at(fit.blocks.working(fit.psi_working))
