"""Correlated residuals with crossed random effects, from sums that are made once: the search's likelihood.

R⁻¹(ψ) = Σ_e f_e(ψ) M_e with fixed M_e, one for each class of its entries (`cliques`), hence T'R⁻¹T = Σ f_e S_e
(`clique_sums`), T = [Z c], and with those in place of the cross-products all is as with independent residuals
(`KnownScale`), plus log|R|. With K the inverse of the mixed-model coefficient matrix of [Z X],
κ = K_ZZ ⊕ 0 + BQB', B = [−K_ZZ T'R⁻¹c; I], Q = [Φ] ⊕ 0 + vv', u = Bv, x_a = Σ ∂_a f_e S_e u and a, b parameters of
the residuals, g of G:

    ∂_a d   = ∂_a log|R| + Σ_e ∂_a f_e <κ, S_e>
    ∂_ab d ≈ ∂_ab log|R| + Σ_e ∂_ab f_e <κ, S_e> − 2 x_a'K x_b − t_ab              t_ab near tr K S_a K S_b
    ∂_ag d ≈ y'P ∂_aV P ∂_gV P y = −(x_a − T'R⁻¹[Z X] K x_a)_Z' E_g Z'Py        (average information)

Of t no more is computed than K and S within levels, o_ab, and what the scale of R tells, d with R⁻¹(sd) = R⁻¹/s: as
S_d = −(K⁻¹ − G⁻¹) and X = I − KG⁻¹, tr K S_d K S_b = −tr XKS_b, which is near −k tr KS_b, k = tr X²/tr X. So

    t = co + (l d' + d l')/d'd,   c d'od = −k tr KS_d,   l_b = −k tr KS_b − c(od)_b

The front is the factor with most effects of those in whose levels the series lie: its part stays block-diagonal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from henderson.contract.rows import Rows, TermRows
from henderson.engine.criterion import Criterion
from henderson.engine.residual.by_levels import ByLevels
from henderson.engine.residual.clique_sums import CliqueSums, Parts, RowSums, Shape, Vectors
from henderson.engine.residual.cliques import Precision
from henderson.engine.residual.crossed import CrossedModel, CrossedPoint
from henderson.engine.residual.known_scale import KnownScale, covariances_of, modes_of
from henderson.engine.residual.markov import MarkovModel
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.point import BlockPoint, block_at
from henderson.engine.residual.summed_inverse import Inverse
from henderson.engine.residual.units import LARGEST
from henderson.engine.residual.weighed import Weighed, WeighedFactor
from henderson.engine.sums.blocks import NO_FRONT, Blocks
from henderson.numerics import small, triangles
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: classes of entries of the precision, and doubles of their sums, up to which rows are summed once
MOST_CLASSES, MOST_DOUBLES = 400, 1 << 25
#: parameters of the residuals up to which rows are summed at each ψ, for each pair of these
FEW_PARAMETERS = 8
#: cubes of the sizes of differing blocks, to a row and in all, beyond which sums cost less; and of how many blocks
DEAR, DEAR_IN_ALL, MANY = 400, 1 << 19, 10


class SummedModel:
    """The search's view of a `BlockModel` by sums over cliques.

    Parameters
    ----------
    model : BlockModel
        Units and data are not needed of it.
    rows : Rows
        Of which no term has loadings.

    Attributes
    ----------
    blocks : Blocks
    precision : Precision
    """

    def __init__(self, model: BlockModel, rows: Rows) -> None:
        self.model, self.rows = model, rows
        self.blocks = Blocks.of(model.design.terms, [rows], front=_front(model, rows))
        self.precision, self.at_each = Precision(model.residual, replace(rows, terms=())), False

    @classmethod
    def where_it_suits(cls, model: BlockModel, rows: Rows) -> SummedModel | None:
        """The model where many rows are tied, or by series of a short memory that are all different, and the sums are
        few; else None."""
        tied = CrossedModel.suits(model, rows)
        if not (tied or has_large_blocks(model, rows)) or any(own.codes is None for own in rows.terms):
            return None
        held = model.design.constraints
        if held is not None and (held.unbounded or held.equal):  # λ of each block is its own, and real
            return None
        found = cls(model, rows)
        classes, size = found.precision.alike.n_classes, Shape.of(found.blocks, model.p + 1).size
        found.at_each = classes > MOST_CLASSES or classes * size > MOST_DOUBLES
        if found.at_each:
            if model.residual.n_parameters > FEW_PARAMETERS or not found.precision.is_of_neighbours:
                return None
            found.precision.part(rows.n)
            return found
        return found if tied or have_their_own_matrices(model, rows) else None

    @lazy
    def sums(self) -> CliqueSums | RowSums:
        """The rows, summed; or to be summed at each ψ."""
        kind = RowSums if self.at_each else CliqueSums
        return kind.of(self.precision.alike, self.rows, self.blocks, self.model.basis)

    def at(self, phi: FloatArray) -> SummedPoint:
        """The deviance at φ."""
        self.model.evaluations += 1
        return SummedPoint(self, phi, self.model.regular(phi))


def has_large_blocks(model: BlockModel, rows: Rows) -> bool:
    """Whether blocks are large beside what the neighbours that their residuals depend on say of them."""
    effects = sum(term.n_levels * term.n_columns for term in model.design.terms)
    if model.design.is_related or MarkovModel.suits(model) or 2 * effects > rows.n:
        return False
    if model.residual.structure.memory not in (0, 1):
        return False
    sizes = model.sizes_of_blocks(rows).astype(float)
    return len(sizes) >= MANY and sizes.max() <= LARGEST and bool((sizes**3).sum() >= _dear(rows))


def have_their_own_matrices(model: BlockModel, rows: Rows) -> bool:
    """Whether most blocks have a matrix of their own, as of long series with rows missing."""
    return sum(part.batch.n_units * float(part.batch.n) ** 3 for part in model.parts) > _dear(rows)


def _dear(rows: Rows) -> float:
    return max(DEAR * rows.n, DEAR_IN_ALL)


def _front(model: BlockModel, rows: Rows) -> int:
    """The block with most effects of those in whose levels every series lies, or `NO_FRONT`."""
    assert rows.residual is not None
    series = TermRows(rows.residual.codes, np.empty((rows.n, 0)))
    n_series, blocks = int(rows.residual.codes.max()) + 1, Blocks.of(model.design.terms, [rows]).blocks
    holding = [
        k
        for k, block in enumerate(blocks)
        if (codes := rows.terms[block.terms[0]].codes) is not None and series.owners(codes, n_series) is not None
    ]
    return max(holding, key=lambda k: blocks[k].size, default=NO_FRONT)


class SummedPoint:
    """The likelihood at one point; see `search.optimize.Point`.

    Attributes
    ----------
    theta, psi, deviance
        φ, (G, ψ), and the deviance there; infinite where V is not positive definite.
    """

    def __init__(self, summed: SummedModel, phi: FloatArray, psi: FloatArray) -> None:
        self.summed, self.theta, self.psi, self.deviance = summed, phi, psi, np.inf
        self.x = summed.model.coordinates.whole(phi)
        if not np.isfinite(psi).all():
            return
        try:
            self._known = summed.precision.values(psi[summed.model.n_g :])
            deviance = self.inner.deviance + self._known[1]
        except np.linalg.LinAlgError:
            return
        self.deviance = deviance if np.isfinite(deviance) else np.inf

    @lazy
    def flat(self) -> FloatArray:
        """T'R⁻¹T, one after the other of its parts."""
        return self.summed.sums.at(self._known[0])

    @property
    def parts(self) -> Parts:
        """The same, its parts."""
        return self.summed.sums.shape.parts(self.flat)

    @lazy
    def inner(self) -> KnownScale:
        """All but log|R|: the mixed-model equations with the parts in them."""
        model, blocks, theta = self.summed.model, self.summed.blocks, self.x[: self.summed.model.n_theta]
        system = Weighed(self.parts, blocks, model.n, model.log_weights)
        return KnownScale(Criterion(system, model.basis, model.reml), blocks.lam(theta), theta)

    # ---- what a fit says

    @property
    def beta(self) -> FloatArray:
        """β̂ of the working columns."""
        return self.inner.beta

    @property
    def phi(self) -> FloatArray:
        """(X'V⁻¹X)⁻¹."""
        return self.inner.phi

    @property
    def r2(self) -> float:
        """y'Py."""
        return self.inner.r2

    @lazy
    def exact(self) -> CrossedPoint | BlockPoint | ByLevels:
        """The same point with exact second derivatives: by levels, by effects, or by blocks that are no larger."""
        model, rows, blocks = self.summed.model, self.summed.rows, self.summed.blocks
        if ByLevels.suits(blocks, self.summed.precision):
            return ByLevels(model, rows, blocks, self.theta, self.psi)
        if CrossedModel.suits(model, rows):
            return CrossedModel(model, rows).at(self.theta)
        return block_at(model, self.theta)

    def lighten(self) -> None:
        """What takes memory is let go once derivatives are known, and made again should anybody ask: the next point
        takes its place."""
        if "_by_residual" in self.__dict__:
            for name in ("_inverse", "inner", "flat"):
                self.__dict__.pop(name, None)

    def modes(self) -> tuple[FloatArray, ...]:
        """b̂ of each term in the user's units, (J, q)."""
        return modes_of(self.inner, self.summed.blocks, self.summed.model)

    def conditional_covariances(self) -> tuple[FloatArray, ...]:
        """Var(b_j | y), given β and the variances, in the user's units, (J, q, q) a term."""
        return covariances_of(self.inner, self.summed.blocks, self.summed.model)

    # ---- derivatives

    @lazy
    def _inverse(self) -> Inverse:
        """K."""
        inner, blocks, m = self.inner, self.summed.blocks, self.summed.sums.shape.m
        factor = inner.factor
        assert isinstance(factor, WeighedFactor)
        roots = [lam @ lam.T for lam in inner.lam]
        solved = [small.left(G, score) for G, score in zip(roots, inner.scores)]  # GZ'V⁻¹c
        solved_front, solved_rest = blocks.join(solved, [np.arange(m)] * len(solved), m)
        a, (q, _, J) = self.parts.zr, self.parts.zz.shape
        G, D, reach_w, within = np.zeros((q, q)), np.zeros((q, q, J)), a, np.zeros((q, q, J))
        if blocks.front is not None:
            G, D = roots[blocks.front], factor.D
            within = small.left(G, D)
            if blocks.n_rest:
                reach_w = factor.reach_w
                within = within + small.symmetric(G, factor.borrowed)
        return Inverse(
            D,
            G,
            a,
            reach_w,
            within,
            factor.W,
            solved_front,
            solved_rest,
            inner.phi,
        )

    @lazy
    def _v(self) -> FloatArray:
        """(−β̂, 1)."""
        return np.append(-self.inner.beta, 1.0)

    @lazy
    def _by_residual(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """∂d/∂ψ (r,) of the residuals' parameters, ∂²d/∂ψ∂ψ (r, r), and ∂²d/∂θ∂ψ (n_theta, r)."""
        summed, K, v = self.summed, self._inverse, self._v
        f = summed.precision.coefficients(self.psi[summed.model.n_g :], self._known)
        sums, f = summed.sums.along(f)
        B = K.completed(np.eye(len(v)))
        SB = sums.times(B)
        forms, of_v = B.blocks(SB), np.outer(v, v)
        traces = K.inner(sums.parts) + (forms * (self.inner._weights - of_v)).sum(axis=(1, 2))
        h = traces + (forms * of_v).sum(axis=(1, 2))
        x = SB.combined(np.kron(f.first.T, v[:, None]))
        Kx = K.solve(x)
        squares = self._traces(sums.parts, f.first, f.first @ traces)
        second = f.log_second + f.second @ h - 2 * x.inner(Kx) - squares
        return f.log_first + f.first @ h, second, self._with_theta(x, Kx)

    def _traces(self, parts: Parts, first: FloatArray, each: FloatArray) -> FloatArray:
        """tr K S_a K S_b, nearly, from tr K S_a, (r, r)."""
        model, factor, own = self.summed.model, self.inner.factor, self._own_traces(parts, first)
        assert isinstance(factor, WeighedFactor)
        d = model.residual.degree * self.psi[model.n_g :]
        told, squares = factor.shares
        p = model.p if model.reml else 0
        if not told + p > 0 or not d @ own @ d > 0:
            return own
        along = -(squares + p) / (told + p) * each
        own *= along @ d / (d @ own @ d)
        lacking = np.outer(along - own @ d, d) / (d @ d)
        return own + lacking + lacking.T

    def _own_traces(self, parts: Parts, first: FloatArray) -> FloatArray:
        """tr K S_a K S_b with K and S of one level of the front, and of one effect of the rest, at a time, (r, r)."""
        K = self._inverse
        along = (first @ parts.zz.reshape(len(parts.zz), -1)).reshape(len(first), *parts.zz.shape[1:])
        front = np.einsum("pqj,aqsj->apsj", K.within, along)
        rest = first @ parts.rr[:, triangles.diagonal(len(K.rest))] * np.diag(K.rest)
        return np.einsum("apsj,bspj->ab", front, front) + rest @ rest.T

    def _with_theta(self, x: Vectors, Kx: Vectors) -> FloatArray:
        """y'P ∂_θV P ∂_aV P y, (n_theta, r)."""
        blocks, back = self.summed.blocks, self.summed.sums.shape.parts(self.flat[None]).times(Kx)
        theta = [self.x[block.parameters] for block in blocks.blocks]
        parts = [
            np.matmul(block.layout.directions(own).transpose(1, 0, 2), ze)
            for block, own, ze in zip(blocks.blocks, theta, self.inner.ze)
        ]
        front, rest = blocks.join(parts, [block.parameters for block in blocks.blocks], blocks.n_theta)
        return small.gram(front, back.front - x.front) + rest.T @ (back.rest - x.rest)

    @lazy
    def _jacobian(self) -> FloatArray:
        """∂ψ/∂φ of the residuals' parameters, (r, r)."""
        return self.summed.model.residual.jacobian(self.x[self.summed.model.n_theta :])

    @property
    def gradient_psi(self) -> FloatArray:
        """∂d/∂ψ of the residuals' parameters, (r,)."""
        return self._by_residual[0]

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (f,)."""
        P = self.summed.model.coordinates.selection
        found = np.concatenate([self.inner.gradient, self._jacobian.T @ self._by_residual[0]])
        return found if P is None else P.T @ found

    @lazy
    def hessian_model(self) -> FloatArray:
        """∂²d/∂φ∂φ as the head of the file has it, (f, f)."""
        model, n = self.summed.model, self.summed.model.n_theta
        slope, own, mixed = self._by_residual
        jacobian, P = self._jacobian, model.coordinates.selection
        out = np.empty((len(self.x),) * 2)
        out[:n, :n] = self.inner.hessian_model
        out[n:, n:] = jacobian.T @ own @ jacobian + model.residual.curvature(self.x[n:], slope)
        out[:n, n:] = mixed @ jacobian
        out[n:, :n] = out[:n, n:].T
        return out if P is None else P.T @ out @ P
