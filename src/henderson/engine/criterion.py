"""ML and REML deviance at θ, with gradient and model Hessian.

With ν = n − p (REML) or n (ML), S_X = X'V⁻¹X, r² the Schur complement of S_X in c'V⁻¹c, e = V⁻¹(y − Xβ̂):

    d(θ) = log|C| + [log|S_X|] + ν (1 + log(2π r²/ν)) − Σ log w

    N_k = ∂d/∂G_k = Σ_j (Z_j'V⁻¹Z_j − Z_j'V⁻¹c Q c'V⁻¹Z_j),  Q = [S_X⁻¹] ⊕ 0 + (ν/r²) v v',  v = (−β̂, 1)
    ∂d/∂λ_k = 2 N_k λ_k

    Hessian in θ ≈ average information + Σ N_k ∂²G_k:  ν (q_ij/r² − q_i q_j/r⁴) + 2 N_k[r, r'] (entries of one column),
    q_ij = w_i'Pw_j,  q_i = e'∂_iV e,  w_i = ∂_iV e

(Gilmour, Thompson and Cullis 1995 for the average information.) The second term is what makes the model right at a
singular optimum, where ∂G/∂θ vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.engine.factor import by_slices
from henderson.engine.factor.iterative.choice import system_of
from henderson.engine.factor.iterative.system import IterativeSystem
from henderson.engine.factor.system import Factor, System
from henderson.engine.factor.unsummed import Unsummed
from henderson.engine.search.cones import Cone, cones
from henderson.engine.search.moment_estimate import MomentEquations
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import Counts, CrossProducts
from henderson.engine.sums.response import AtOnce, Columns, InParts, with_response
from henderson.numerics import lapack, small
from henderson.numerics.lazy import lazy
from henderson.numerics.matrices import inner_products, turning

#: of what a criterion knows, that which no response changes
OF_DESIGN = ("moment_equations", "cones", "nu", "to_user_g")
ONE = np.ones(1)
#: rounding of a difference of sums, by their size; with the luck of the search, which is drawn to where it is lower
LOST = 16 * float(np.finfo(float).eps)


@dataclass
class Criterion:
    """The deviance of one design as a function of the working θ (the basis' λ).

    Attributes
    ----------
    system : System
    basis : Basis
    reml : bool
    evaluations : int
        Calls so far.
    """

    system: System
    basis: Basis
    reml: bool
    evaluations: int = field(default=0)

    @classmethod
    def of(cls, design: Design, rows: Rows | Iterable[Rows], *, reml: bool = True, rest: str = "auto") -> Criterion:
        """Sum a design's rows, one chunk or several, and set up its equations; `rest` as `system_of` has it."""
        chunks = [rows] if isinstance(rows, Rows) else rows
        blocks = Blocks.of(design.terms, chunks)
        basis = Basis.of(design, chunks, blocks)
        return cls(system_of(CrossProducts.of(design, chunks, blocks, basis), blocks, rest), basis, reml)

    def with_response(self, rows: Rows, columns: Columns | None = None) -> Criterion:
        """The same for rows that differ in their response alone: only the products with y are summed again, from
        `columns` where there are some."""
        other = InParts([rows], self.blocks) if columns is None else AtOnce(rows, columns)
        cross, basis = with_response(self.system.cross, self.blocks, self.basis, other)
        again = Criterion(self.system.with_response(cross), basis, self.reml)
        again.__dict__.update({name: self.__dict__[name] for name in OF_DESIGN if name in self.__dict__})
        return again

    @lazy
    def moment_equations(self) -> MomentEquations | None:
        """For a guess at the variances."""
        return MomentEquations.of(self.blocks, self.system.cross, reml=self.reml)

    @lazy
    def cones(self) -> list[Cone]:
        """The model's covariances, for an average level."""
        return cones(self.blocks)

    @property
    def has_sums(self) -> bool:
        """Whether the cross-products are there."""
        return not isinstance(self.system, Unsummed)

    def without_sums(self) -> Criterion:
        """The same units and bases, without the cross-products."""
        return Criterion(Unsummed(self.system.cross.counts, self.blocks), self.basis, self.reml)

    def __getstate__(self) -> dict[str, Any]:
        state = {"cross": self.system.cross, "blocks": self.blocks, "basis": self.basis, "reml": self.reml}
        return {**state, "rest": self.system.rest, "probes": getattr(self.system, "probes", None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        cross, blocks = state["cross"], state["blocks"]
        rest = state.get("rest", "exact")
        system = Unsummed(cross, blocks) if isinstance(cross, Counts) else system_of(cross, blocks, rest)
        if (probes := state.get("probes")) is not None and isinstance(system, IterativeSystem):
            system = system.with_probes(probes)
        self.__dict__.update(system=system, basis=state["basis"], reml=state["reml"], evaluations=0)

    @property
    def blocks(self) -> Blocks:
        """The blocks of effects."""
        return self.system.blocks

    @property
    def order(self) -> int:
        """Rows of the largest dense matrix that an evaluation works on."""
        return max(self.blocks.n_rest, self.system.cross.p)

    @lazy
    def nu(self) -> int:
        """n − p for REML, n for ML."""
        cross = self.system.cross
        return cross.n - cross.p if self.reml else cross.n

    @lazy
    def constant(self) -> float:
        """What the units of X and y and the weights add to the deviance."""
        shift = 2.0 * self.nu * np.log(self.basis.y_scale) - self.system.cross.log_weights
        return float(shift + (2.0 * self.basis.log_volume if self.reml else 0.0))

    def at(self, theta: np.ndarray) -> Evaluation:
        """Factor the equations at a working θ."""
        return self.at_lam(self.blocks.lam(theta), theta)

    def at_lam(self, lam: list[np.ndarray], theta: np.ndarray) -> Evaluation:
        """Factor the equations at working λ, which need not be triangular."""
        self.evaluations += 1
        return Evaluation(self, lam, theta)

    def elsewhere(self) -> Criterion:
        """The same for points that are not near the optimum of a search."""
        return Criterion(self.system.elsewhere(), self.basis, self.reml)

    def at_known(self, point: Evaluation) -> Evaluation:
        """The criterion where one of the same design, with another y or the other likelihood, was factored."""
        self.evaluations += 1
        return Evaluation(self, point.lam, point.theta, Factor(self.system, point.lam, point.factor))

    # ---- in the user's units: θ of the terms' own columns

    def lam_of(self, theta: np.ndarray) -> list[np.ndarray]:
        """Working λ = T⁻¹λ of a user's θ, for every block."""
        return [lapack.solve(T, lam) for T, lam in zip(self.basis.roots, self.blocks.lam(np.asarray(theta, float)))]

    def deviance(self, theta: np.ndarray) -> float:
        """−2 log-likelihood (REML: restricted) at a user's θ."""
        return self.at_lam(self.lam_of(theta), theta).deviance

    @lazy
    def to_user_g(self) -> np.ndarray:
        """M with g = M g̃: the G parameters of G = T G̃ T', (k, k)."""
        out = np.zeros((self.blocks.n_g, self.blocks.n_g))
        for block, T in zip(self.blocks.blocks, self.basis.roots):
            turned = T @ block.layout.basis() @ T.T
            out[np.ix_(block.g_parameters, block.g_parameters)] = block.layout.g(turned.transpose(1, 2, 0))
        return out


class Evaluation:
    """The criterion at one working θ; pieces are computed when asked for.

    Attributes
    ----------
    deviance : float
        In the user's units; infinite where the equations are not positive definite to rounding.
    beta : (p,) array
        Of the working columns.
    r2 : float
        Penalized residual sum of squares, working units.
    """

    def __init__(
        self, criterion: Criterion, lam: list[np.ndarray], theta: np.ndarray, factor: Factor | None = None
    ) -> None:
        self.criterion, self.lam, self.theta = criterion, lam, theta
        if factor is not None:
            self.__dict__["factor"] = factor
        p = criterion.system.cross.p
        try:
            low = lapack.cholesky(self.factor.inner)
        except np.linalg.LinAlgError:
            self.deviance = np.inf
            return
        self.low_x, own = low[:p, :p], low[p, :p]
        self.beta = own @ self._inverse_x
        square = self.factor.response_square()
        self.r2 = float(low[p, p] ** 2 if square is None else square - np.vdot(own, own.astype(np.longdouble)))
        log_x = 2.0 * float(np.log(self.low_x.diagonal()).sum()) if criterion.reml else 0.0
        deviance = self.factor.log_det + log_x + self._misfit + criterion.constant
        self.deviance = deviance if math.isfinite(deviance) else math.inf

    # ---- σ² at its best; `residual.known_scale` has σ² = 1

    @property
    def _misfit(self) -> float:
        """What r² adds to the deviance: ν (1 + log(2π r²/ν))."""
        nu = self.criterion.nu
        return nu * (1 + math.log(2 * math.pi * self.r2 / nu)) if self.r2 > 0 else math.inf

    @property
    def _precision(self) -> float:
        """1/σ̂² = ν/r²."""
        return self.criterion.nu / self.r2

    def _profiled(self, quadratic: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """Information on the parameters from w'Pw and e'∂Ve, σ² not known: ν (w'Pw/r² − e'∂Ve e'∂Ve/r⁴)."""
        along = linear / self.r2
        return self.criterion.nu * (quadratic / self.r2 - along[:, None] * along)

    @lazy
    def rounding(self) -> float:
        """Deviance by which this one may be wrong.

        c'V⁻¹c is a difference of sums as large as c'c: log|X'V⁻¹X| loses ε Σ x'x (X'V⁻¹X)⁻¹ of its digits, ν log r²
        loses ε ν y'y/r². Where large effects explain columns of X in every row but a few that is not little. Infinite
        where the deviance is.
        """
        if not math.isfinite(self.deviance):
            return math.inf
        square = self.criterion.system.cross.xy.diagonal()
        lost = self.criterion.nu * square[-1] / self.r2
        if self.criterion.reml:
            lost += float(square[:-1] @ (self._inverse_x**2).sum(axis=0))
        return LOST * float(lost)

    @lazy
    def factor(self) -> Factor:
        """The factored equations."""
        return self.criterion.system.factor(self.lam)

    def lighten(self) -> None:
        """Let go of what takes memory; it is computed again should anybody ask."""
        if self.criterion.system.is_heavy:
            for name in ("factor", "scores", "ze"):
                self.__dict__.pop(name, None)

    @lazy
    def _inverse_x(self) -> np.ndarray:
        return lapack.inverse_lower(self.low_x)

    @lazy
    def phi(self) -> np.ndarray:
        """(X'V⁻¹X)⁻¹ of the working columns."""
        return self._inverse_x.T @ self._inverse_x

    @lazy
    def _v(self) -> np.ndarray:
        """(−β̂, 1)."""
        return np.concatenate([-self.beta, ONE])

    @property
    def _weights(self) -> np.ndarray:
        """Q, (p + 1, p + 1)."""
        p, v = len(self.beta), self._v
        Q = (self._precision * v)[:, None] * v
        if self.criterion.reml:
            Q[:p, :p] += self.phi
        return Q

    @lazy
    def scores(self) -> list[np.ndarray]:
        """Z_j'V⁻¹[X y] of every block, (q, p + 1, J); of levels that are not independent F'Z'V⁻¹[X y], b = Fw."""
        blocks = self.criterion.blocks
        return [block.independent(own) for block, own in zip(blocks.blocks, blocks.split(*self.factor.zvc))]

    @lazy
    def ze(self) -> list[np.ndarray]:
        """Z_j'e of every block, (q, J)."""
        if self.criterion.system.has_one_factor:
            return [by_slices.along(self.factor.D, self.criterion.system.cross.zx, self._v)]
        return [self._v @ score for score in self.scores]

    @lazy
    def _levels(self) -> by_slices.Second | None:
        """Of a model of one factor all that derivatives need, summed over levels; None of others."""
        system = self.criterion.system
        if not system.has_one_factor:
            return None
        return by_slices.second(self.factor.D, system.cross.zz, system.cross.zx, self._v, self._weights)

    @property
    def score_squares(self) -> list[np.ndarray]:
        """Σ_j (Z_j'e)(Z_j'e)' of every block, (q, q)."""
        return [ze @ ze.T for ze in self.ze] if self._levels is None else [self._levels.ee]

    @property
    def totals(self) -> list[np.ndarray]:
        """Σ_j Z_j'V⁻¹Z_j of every block, (q, q)."""
        return self.factor.traces[1] if self._levels is None else [self._levels.b]

    @lazy
    def _derivatives(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """N_kλ_k and N_k of every block."""
        if self._levels is not None:
            own = self._levels.certificate
            return [own @ self.lam[0]], [own]
        Q = self._weights
        squares = [small.outer_sum(np.matmul(Q, G), G) for G in self.scores]
        products, N = [], []
        for first, second, lam, M in zip(*self.factor.traces, self.lam, squares):
            products.append(first - M @ lam)
            N.append(second - M)
        return products, N

    @property
    def products(self) -> list[np.ndarray]:
        """N_kλ_k of every block: half of ∂d/∂λ_k."""
        return self._derivatives[0]

    @lazy
    def gradient(self) -> np.ndarray:
        """∂d/∂θ, (n_theta,)."""
        blocks = self.criterion.blocks
        out = np.zeros(blocks.n_theta)
        for block, product, N in zip(blocks.blocks, *self._derivatives):
            out[block.parameters] = 2.0 * block.layout.pull_back(self.theta[block.parameters], product, N)
        return out

    @lazy
    def singular(self) -> list[bool]:
        """Which blocks have a term that is on its boundary, or nearly."""
        return self.criterion.blocks.singular(self.lam)

    @property
    def certificate(self) -> list[np.ndarray]:
        """N_k = ∂d/∂G_k of every block, valid at singular λ too."""
        return self._derivatives[1]

    def information(self, directions: list[np.ndarray], *, expected: bool = False, in_g: bool = False) -> np.ndarray:
        """Average information of d along ∂G_k, (n_theta, n_theta) or (n_g, n_g).

        Parameters
        ----------
        directions : list of (k_k, q, q) arrays
            One for every parameter of a block.
        expected : bool
            Rescale the scores Z_j'e of each block so that their sum of squares is what the model expects, tr Z'PZ. Far
            from the optimum this is close to the expected information (equal to it in balanced one-way data), at the
            optimum nothing changes.
        in_g : bool
            The directions belong to the G parameters; else to θ.
        """
        blocks, c = self.criterion.blocks, self._precision
        places = [block.g_parameters if in_g else block.parameters for block in blocks.blocks]
        linear, turned = np.zeros(blocks.n_g if in_g else blocks.n_theta), []
        for place, along, square, N in zip(places, directions, self.score_squares, self.certificate):
            if expected:
                turn = turning(c * square, N + c * square)
                along, square = along @ turn, turn @ square
            linear[place] = inner_products(along, square)
            turned.append(along)
        quadratic, wx = self._forms(turned, places, len(linear))
        return self._profiled(quadratic - wx @ self.phi @ wx.T, linear)

    def _forms(
        self, directions: list[np.ndarray], places: list[np.ndarray], width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """h'Z'V⁻¹Zh (k, k) and h'Z'V⁻¹X (k, p) for h = directions times the scores Z_j'e."""
        if self._levels is not None:
            return self._levels.forms(directions[0])
        blocks = self.criterion.blocks.blocks
        parts = [  # (q, k_k, J) each
            block.of_levels(np.matmul(along.transpose(1, 0, 2), ze))
            for block, along, ze in zip(blocks, directions, self.ze)
        ]
        front, rest = self.criterion.blocks.join(parts, places, width)
        return self.factor.bilinear(front, rest), self.factor.linear(front, rest)

    @lazy
    def hessian_model(self) -> np.ndarray:
        """Average information in θ plus the curvature of G = λλ', (n_theta, n_theta)."""
        blocks = self.criterion.blocks
        theta = [self.theta[block.parameters] for block in blocks.blocks]
        H = self.information([block.layout.directions(own) for block, own in zip(blocks.blocks, theta)])
        for block, own, N in zip(blocks.blocks, theta, self.certificate):
            H[block.pairs] += block.layout.bend(own, N)
        return H

    @property
    def covariances(self) -> list[np.ndarray]:
        """G of every block, (q, q)."""
        return [lam @ lam.T for lam in self.lam]

    def modes(self) -> list[np.ndarray]:
        """Conditional modes b_j = G Z_j'e of every block in the working basis, (q, J)."""
        parts = zip(self.criterion.blocks.blocks, self.covariances, self.ze)
        return [block.of_levels(small.left(G, ze[:, None]))[:, 0] for block, G, ze in parts]
