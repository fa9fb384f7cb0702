"""Moments at an evaluated point of the criterion, in the working basis: X̃; G̃, G = T G̃ T'; y − Xβ₀ in the unit of y.

With G_j = Z_j'V⁻¹c (the point's scores) and E_i = ∂G/∂g_i,

    F1_i = Σ_j G_j'E_iG_j      F2_ij = h_i'(Z'V⁻¹Z)h_j, h_i = E_iG      t1_i = tr E_i Σ_j (Z'V⁻¹Z)_jj

and T2 from sums of squares of Z'V⁻¹Z (`squares`). The point's factor serves all of it, and is made again where the
point let it go.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from henderson.covariance.roots import semidefinite_root
from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.factor.iterative.squares import squares_by_probes
from henderson.engine.factor.sparse.squares import second_traces
from henderson.engine.factor.squares import squares
from henderson.engine.moments import Moments, Second
from henderson.errors import DataError
from henderson.numerics import small
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: right-hand sides of one pass
AT_ONCE = 256
#: condition of the user's columns in the working basis, each in its own unit, from which moments in their units have
#: not six digits; of X, which is not squared in them
FAR, FAR_FIXED = 1e4, 1e5
#: rounding of covariances, beside their size in the working basis, from which they are other ones
LOST = 1e-6


@dataclass(frozen=True)
class SecondAt(Second):
    """F2 and T2 at a point, see `moments.Second`; what was asked before is remembered.

    Attributes
    ----------
    point : Evaluation
    unit : (p + 1,) array
        Of the columns.
    """

    point: Evaluation
    unit: FloatArray
    _known: dict[bytes, FloatArray] = field(default_factory=dict, repr=False)

    def forms(self, B: FloatArray) -> FloatArray:
        """B'F2_ijB, (k, k, s, s)."""
        blocks, scaled = self.point.criterion.blocks, self.unit[:, None] * B
        k, s = blocks.n_g, B.shape[1]
        parts, places = [], []
        with blas_threads(self.point.criterion.order):
            for block, score in zip(blocks.blocks, self.point.scores):
                G = scaled.T @ score  # (q, s, J), and h_i = E_iG of every i side by side
                h = block.layout.basis().transpose(1, 0, 2).reshape(-1, block.q) @ G.reshape(block.q, -1)
                parts.append(block.of_levels(h.reshape(block.q, -1, block.n_levels)))
                places.append((block.g_parameters[:, None] * s + np.arange(s)).ravel())
            gram = self.point.factor.bilinear(*blocks.join(parts, places, k * s))
        return gram.reshape(k, s, k, s).transpose(0, 2, 1, 3)

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """tr B'F2_ijB, (k, k)."""
        key = B.tobytes()
        system = self.point.criterion.system
        if key not in self._known and not (system.is_sparse or system.has_rest) and len(system.blocks.blocks) == 1:
            self._known[key] = self._traces_of_front(B)
        if key not in self._known:
            k = self.point.criterion.blocks.n_g
            step = max(1, AT_ONCE // max(k, 1))
            pieces = [B[:, start : start + step] for start in range(0, B.shape[1], step)]
            self._known[key] = sum((np.einsum("ijss->ij", self.forms(one)) for one in pieces), np.zeros((k, k)))
        return self._known[key]

    def _traces_of_front(self, B: FloatArray) -> FloatArray:
        """`trace_forms` where the front is all: with M_j = (Z'V⁻¹Z)_jj and Γ_j = G_jBB'G_j' of the levels,
        Σ_j tr E_iM_jE_kΓ_j, for all i and k one sum of products of the entries of M_j and Γ_j."""
        (block,), (score,) = self.point.criterion.blocks.blocks, self.point.scores
        D, ZZ, q = self.point.factor.D, self.point.criterion.system.cross.zz, block.q
        E, scaled = block.layout.basis(), (self.unit[:, None] * B).T
        products = np.zeros((q, q, q, q))
        with blas_threads(self.point.criterion.order):
            for part in small.slices(block.n_levels, q * (len(self.unit) + 2 * len(scaled) + 4 * q)):
                G = np.matmul(scaled, score[:, :, part])
                M = small.multiply(D[:, :, part], ZZ[:, :, part])
                squared = small.multiply(G, G.transpose(1, 0, 2))
                products += (M.reshape(q * q, -1) @ squared.reshape(q * q, -1).T).reshape(products.shape)
        own = np.einsum("iab,kcd,bcda->ik", E, E, products, optimize=True)
        out = np.empty_like(own)
        out[np.ix_(block.g_parameters, block.g_parameters)] = own
        return out

    def traces(self) -> FloatArray:
        """T2, (k, k)."""
        blocks = self.point.criterion.blocks
        if self.point.criterion.system.is_sparse:
            with blas_threads(self.point.criterion.order):
                return second_traces(self.point.factor)
        out = np.zeros((blocks.n_g, blocks.n_g))
        with blas_threads(self.point.criterion.order):
            own_squares = squares_by_probes if self.point.criterion.system.rest == "iterative" else squares
            for (a, b), K in own_squares(self.point.factor).items():
                one, other = blocks.blocks[a], blocks.blocks[b]
                E, F = (block.layout.basis().reshape(-1, block.q**2) for block in (one, other))
                out[np.ix_(one.g_parameters, other.g_parameters)] = E @ K.reshape(one.q**2, -1) @ F.T
        return out


def moments_at(point: Evaluation) -> Moments:
    """Moments at a point."""
    criterion = point.criterion
    blocks, cross = criterion.blocks, criterion.system.cross
    unit = np.append(np.ones(cross.p), criterion.basis.y_scale)
    k, m = blocks.n_g, len(unit)
    f1, t1 = np.zeros((k, m, m)), np.zeros(k)
    with blas_threads(criterion.order):
        for block, score, trace in zip(blocks.blocks, point.scores, point.factor.traces[1]):
            E = block.layout.basis()
            f1[block.g_parameters] = np.tensordot(E, _products(score), 2) * np.outer(unit, unit)
            t1[block.g_parameters] = np.einsum("iab,ab->i", E, trace)
        log_det = point.factor.log_det - cross.log_weights
        f0 = point.factor.inner * np.outer(unit, unit)
    g = blocks.g(point.covariances)
    r2 = criterion.basis.y_scale**2 * point.r2
    return Moments(cross.n, cross.p, g, f0, f1, t1, log_det, r2, SecondAt(point, unit))


def _products(G: FloatArray) -> FloatArray:
    """Σ_j G_j[a] G_j[b]' for G (q, m, J): (q, q, m, m)."""
    return np.array([[one @ other.T for other in G] for one in G])


def working_moments(criterion: Criterion, theta: FloatArray) -> Moments:
    """Moments in the working basis at a user's θ."""
    with blas_threads(criterion.order):
        return moments_at(criterion.at_lam(criterion.lam_of(theta), theta))


def moments_of(criterion: Criterion, g: FloatArray) -> Moments:
    """Moments at the user's G parameters (relative to σ²), in the user's units.

    Raises
    ------
    DataError
        Where columns of X, or a term's, are so nearly combinations of each other that there are no digits in them.
    """
    refuse_far(criterion)
    g = np.asarray(g, float)
    with blas_threads(criterion.order):
        lam = [semidefinite_root(block.layout.covariance(g[block.g_parameters])) for block in criterion.blocks.blocks]
        point = criterion.at_lam([np.linalg.solve(T, one) for T, one in zip(criterion.basis.roots, lam)], g)
        return replace(in_user_units(criterion, moments_at(point)), g=g)


def refuse_far(criterion: Criterion, limit: float = FAR) -> None:
    """Raise where moments in the user's units have not six digits left, having lost squares of conditions.

    Parameters
    ----------
    criterion : Criterion
    limit : float
        Condition of a term's columns in the working basis.
    """
    basis = criterion.basis
    turns = [(basis.from_beta, FAR_FIXED), *((np.linalg.inv(T), limit) for T in basis.roots)]
    if any(one.size and np.linalg.cond(one / np.linalg.norm(one, axis=0)) > most for one, most in turns):
        raise DataError(
            "a covariate is so far from zero, as years and time stamps are, that covariances in its units do not hold "
            "what the likelihood needs: take its mean from it"
        )


def refuse_lost(criterion: Criterion, g: FloatArray) -> None:
    """Raise where the user's G parameters, in double precision, do not hold G̃ = T⁻¹GT⁻¹' to six digits.

    G̃'s variances are beside those of the residuals; rounding of G is eps |T⁻¹| |G| |T⁻¹|' in them.
    """
    for block, T in zip(criterion.blocks.blocks, criterion.basis.roots):
        G, back = block.layout.covariance(np.asarray(g, float)[block.g_parameters]), np.linalg.inv(T)
        own, size = (np.einsum("ab,bc,ac->a", turn, of, turn) for turn, of in ((back, G), (abs(back), abs(G))))
        if (np.finfo(float).eps * size > LOST * (1 + np.abs(own))).any():
            raise DataError(
                "a covariate is so far from zero, as years and time stamps are, that covariances in its units do not "
                "hold those of its effects: take its mean from it"
            )


def in_user_units(criterion: Criterion, moments: Moments) -> Moments:
    """Moments of the working basis in the user's units and columns."""
    return in_user_columns(criterion, moments, criterion.to_user_g)


def in_user_columns(criterion: Criterion, moments: Moments, parameters: FloatArray | None = None) -> Moments:
    """Moments of the working basis in the user's columns; the G parameters stay the basis' (or times a matrix)."""
    columns = criterion.basis.to_user()
    columns[-1, -1] = 1.0  # y is in its own unit already
    return moments.turned(columns, np.eye(len(moments.g)) if parameters is None else parameters)
