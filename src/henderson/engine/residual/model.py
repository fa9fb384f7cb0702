"""The model of independent blocks of correlated rows: its units and their data, coordinates, V and its derivatives.

Var(y)/s² is V (s the unit of y in the working basis), block-diagonal, V_i = R(ψ) + ΣZ_kG_kZ_k' of each unit (`units`).
All variance parameters are ψ = (G, residual's), those of a search φ = (θ, the structure's working coordinates). The
likelihood as a function of them is `point`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg import block_diag

from henderson.contract.design import Design
from henderson.contract.rows import Rows, present
from henderson.covariance.layout import Layout, consecutive, layouts_of
from henderson.covariance.residual.residual import Residual
from henderson.engine.residual.coordinates import Coordinates
from henderson.engine.residual.data import BlockData, summed_or_stacked
from henderson.engine.residual.units import Batch, batches_of, sizes_of_blocks
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


@dataclass(frozen=True)
class Part:
    """Units of one size with their data.

    Attributes
    ----------
    batch : Batch
        The columns of its terms in the working basis.
    data : BlockData
    """

    batch: Batch
    data: BlockData

    def some(self, units: slice) -> Part:
        """Of some of the units."""
        return self if units == slice(0, self.batch.n_units) else Part(self.batch[units], self.data.some(units))


class BlockModel:
    """The likelihood of one design: what does not change with the parameters.

    Parameters
    ----------
    design : Design
    basis : Basis
    roots : tuple of (q, q) arrays
        T of each random term, G = T G̃ T'.
    residual : Residual
        The structure of the residuals.
    reml : bool
    n : int
    log_weights : float
        Σ log w.

    Attributes
    ----------
    layouts : tuple of Layout
        Of the random terms; G̃ of each is (q, q), in the working basis and relative to s².
    """

    def __init__(
        self,
        design: Design,
        basis: Basis,
        roots: tuple[FloatArray, ...],
        residual: Residual,
        reml: bool,
        n: int,
        log_weights: float,
    ) -> None:
        self.design, self.basis, self.roots, self.residual, self.reml = design, basis, roots, residual, reml
        self.n, self.log_weights = n, log_weights
        self._rows: Rows | None = None
        self._parts: list[Part] | None = None
        self._sizes: np.ndarray | None = None
        self.layouts: tuple[Layout, ...] = layouts_of(design.terms)
        self.g_of = consecutive([one.n_g for one in self.layouts])
        self.evaluations = 0

    @classmethod
    def of(cls, design: Design, rows: Rows, *, reml: bool = True) -> BlockModel:
        """From a design and all its rows."""
        assert design.residual is not None
        assert rows.residual is not None
        residual = Residual.of_rows(design.residual, rows.residual)
        blocks = Blocks.of(design.terms, [rows])
        basis = Basis.of(design, [rows], blocks)
        roots: list[FloatArray] = [np.zeros((0, 0))] * len(design.terms)
        for block, T in zip(blocks.blocks, basis.roots):
            for i, place in zip(block.terms, block.layout.terms):
                roots[i] = T[place, place]
        if design.constraints is not None:  # terms with one covariance have it in one basis
            roots = [roots[design.constraints.first_of(k)] for k in range(len(roots))]
        model = cls(design, basis, tuple(roots), residual, reml, rows.n, rows.log_weights)
        model._rows = rows
        return model

    @property
    def parts(self) -> list[Part]:
        """The units and their data; made from the rows when they are first asked for."""
        if self._parts is None:
            rows = present(self._rows, "this likelihood")
            self._parts = self.parts_of(rows, batches_of(self.design, rows))
        return self._parts

    def sizes_of_blocks(self, rows: Rows) -> np.ndarray:
        """Rows of each independent block, (B,); `rows` are the model's."""
        if self._sizes is None:
            self._sizes = sizes_of_blocks(self.design, rows)
        return self._sizes

    def parts_of(self, rows: Rows, batches: tuple[Batch, ...]) -> list[Part]:
        """Data and columns of the batches' rows in the working basis."""
        c = np.empty((rows.n, self.basis.p + 1))
        self.basis.rows(rows, c)
        parts = []
        for batch in batches:
            batch = batch.in_basis(self.roots)
            for units, data in summed_or_stacked(c[batch.rows], batch.counts):
                parts.append(Part(batch if len(units) == batch.n_units else batch[units], data))
        return parts

    @property
    def p(self) -> int:
        """Columns of X kept."""
        return self.basis.p

    @property
    def n_theta(self) -> int:
        """Coordinates of the random terms, before constraints."""
        return sum(one.n_theta for one in self.layouts)

    @property
    def n_g(self) -> int:
        """Parameters of the random terms."""
        return self.g_of[-1].stop if self.g_of else 0

    @property
    def k(self) -> int:
        """All variance parameters."""
        return self.n_g + int(self.residual.n_parameters)

    @property
    def nu(self) -> int:
        """n − p for REML, n for ML."""
        return self.n - self.p if self.reml else self.n

    @property
    def constant(self) -> float:
        """What ν log 2π, the units of X and y, and the weights add to the deviance."""
        shift = self.nu * (np.log(2 * np.pi) + 2 * np.log(self.basis.y_scale)) - self.log_weights
        return float(shift + (2.0 * self.basis.log_volume if self.reml else 0.0))

    @property
    def largest(self) -> int:
        """Rows of the largest unit."""
        return max((part.batch.n for part in self.parts), default=1)

    @lazy
    def to_user_g(self) -> FloatArray:
        """M with g = M g̃, both relative to s²: G = T G̃ T', (n_g, n_g)."""
        turned = [T @ layout.basis() @ T.T for layout, T in zip(self.layouts, self.roots)]
        parts = [layout.g(one.transpose(1, 2, 0)) for layout, one in zip(self.layouts, turned)]
        return block_diag(*parts) if parts else np.zeros((0, 0))

    def basis_of(self, blocks: Blocks) -> Basis:
        """The basis with the terms' own T in some blocks: terms with one covariance have it in one basis."""
        own = (block_diag(*(self.roots[i] for i in block.terms)) for block in blocks.blocks)
        return replace(self.basis, roots=tuple(own))

    def without_rows(self, design: Design) -> BlockModel:
        """The same for a design without rows."""
        found = self.without_sums(design)
        found._parts = self._parts
        return found

    def without_sums(self, design: Design | None = None) -> BlockModel:
        """The same without anything that is made of the rows: coordinates, the basis and its units."""
        own = design or self.design
        return BlockModel(own, self.basis, self.roots, self.residual, self.reml, self.n, self.log_weights)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    def to_state(self) -> dict[str, Any]:
        """What a file without code holds: what the structure is made of in its place, and nothing of the rows."""
        names = ("design", "basis", "roots", "reml", "n", "log_weights")
        return {**{name: getattr(self, name) for name in names}, "largest": self.residual.structure.largest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "largest" not in state:
            self.__dict__.update(state)
            return
        largest = state.pop("largest")
        self.__init__(residual=Residual.of(state["design"].residual, largest), **state)  # type: ignore[misc]

    def from_user(self, user: FloatArray) -> FloatArray:
        """φ of (G, ψ) in the user's units."""
        return self.working(np.linalg.solve(to_user_units(self), user))

    # ---- coordinates

    @lazy
    def coordinates(self) -> Coordinates:
        """φ and ψ, with what is held or equal."""
        return Coordinates.of(
            self.layouts, self.residual, self.design.constraints, self.roots, float(self.basis.y_scale)
        )

    def natural(self, phi: FloatArray) -> FloatArray:
        """ψ = (G, residual's) of φ = (θ, working coordinates), (k,)."""
        return self.coordinates.natural(phi)

    def regular(self, phi: FloatArray) -> FloatArray:
        """ψ of φ; NaN where R is singular but for rounding."""
        psi = self.natural(phi)
        known = np.isfinite(psi).all() and not self.residual.is_beyond(psi[self.n_g :])
        return psi if known else np.full_like(psi, np.nan)

    def jacobian(self, phi: FloatArray) -> FloatArray:
        """∂ψ/∂φ, (k, f)."""
        return self.coordinates.jacobian(phi)

    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """Σ_i slope_i ∂²ψ_i/∂φ∂φ, (f, f)."""
        return self.coordinates.curvature(phi, slope)

    def working(self, psi: FloatArray) -> FloatArray:
        """φ of ψ."""
        return self.coordinates.working(psi)

    # ---- the covariance of a batch's units

    def terms_of(self, batch: Batch) -> Iterator[tuple[Layout, slice, Any]]:
        """Layout of each random term, where its G parameters are, and a batch's places in it."""
        yield from zip(self.layouts, self.g_of, batch.terms)

    def cov(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """V of each unit, (U, n, n)."""
        V = self.residual_cov(psi, batch)
        for layout, to, term in self.terms_of(batch):
            V = V + term.kernel_of(layout.covariance(psi[to]))
        return V

    def residual_cov(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """The residuals' part of V, times √w on both sides, (U, n, n)."""
        return self._by_series(self.residual.cov, psi, batch)

    def first(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """V_a of each unit, (k, U, n, n)."""
        own = self._by_series(self.residual.first, psi, batch)
        if not batch.terms:
            return own
        out = np.empty((self.k, *own.shape[1:]))
        out[self.n_g :] = own
        for layout, to, term in self.terms_of(batch):
            for a, E in zip(range(to.start, to.stop), layout.basis()):
                out[a] = term.kernel_of(E)
        return out

    def second(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """V_ab of the residuals' parameters (the others have none), (r, r, U, n, n)."""
        return self._by_series(self.residual.second, psi, batch)

    def _by_series(self, function: Any, psi: FloatArray, batch: Batch) -> FloatArray:
        """A function of the structure at the batch's places; zero between rows of different series."""
        own = psi[self.n_g :]
        if batch.same is None:
            return function(own, batch.where, batch.strata, batch.covariates)
        if batch.strata is None:
            return np.where(batch.same, function(own, batch.where, None, batch.covariates), 0.0)
        total: Any = 0.0  # a structure takes one stratum for all rows of a unit
        for stratum in np.unique(batch.strata):
            of_one = batch.same & (batch.strata == stratum)[:, :, None]
            everywhere = np.full_like(batch.strata, stratum)
            total = total + np.where(of_one, function(own, batch.where, everywhere, batch.covariates), 0.0)
        return total


#: φ in the coordinates of a model, of variance parameters that are known: by roots, which lose no digits
Near: TypeAlias = "Callable[[BlockModel], FloatArray]"


def working_variances(
    model: BlockModel, sigma: float, lam: Sequence[FloatArray], cov: Sequence[FloatArray], psi: FloatArray
) -> FloatArray:
    """(G̃, ψ̃) of the working basis from what a fit says in the user's units, (k,).

    G̃ = LL' with L = T⁻¹λσ/s: of a slope on a covariate far from zero, λ has the digits that G has lost.

    Parameters
    ----------
    model : BlockModel
    sigma : float
        To whose square λ and G are relative.
    lam : sequence of (q, q) arrays
        NaN where a variance is negative.
    cov : sequence of (q, q) arrays
        G, for those.
    psi : (r,) array
    """
    relative, square = sigma / model.basis.y_scale, model.basis.y_scale**2
    g = []
    for layout, T, root, G in zip(model.layouts, model.roots, lam, cov):
        if np.isnan(root).any():
            g.append(layout.g(relative**2 * np.linalg.solve(T, np.linalg.solve(T, G).T)))
        else:
            own = relative * np.linalg.solve(T, root)
            g.append(layout.g(own @ own.T))
    return np.concatenate([*g, psi / square ** np.asarray(model.residual.degree, float)])


def to_user_units(model: BlockModel) -> FloatArray:
    """M with (G, ψ) = M (G̃, ψ̃) in the user's units: G = s² T G̃ T', variances of the residual times s²; (k, k)."""
    square = model.basis.y_scale**2
    residual = np.diag(square ** np.asarray(model.residual.degree, float))
    return block_diag(square * model.to_user_g, residual)
