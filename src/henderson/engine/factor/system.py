"""The mixed-model equations: what is constant at every θ (`System`) and their factor at one θ (`Factor`).

With c = [X y], V = W⁻¹ + ZΛΛ'Z' and the front eliminated first (index f; the rest is r):

    1. front:  C_j = λ'Z_j'Z_jλ + I for every level          (`front.eliminate`)
    2. rest:   S = Z_r'Z_r − Σ_j a_j'M_j a_j,  C_r = Λ'SΛ + I  (`product`, `rest`)
    3. border: c'V⁻¹c = c'c − Y'Y − H'H,  Y and H the half-solved columns of the front and of the rest

    log|V W| = Σ_j log|C_j| + log|C_r|
    Z_r'V⁻¹c = S_c − S Λ C_r⁻¹ Λ' S_c,   Z_j'V⁻¹c = D_j (Z_j'c − a_j ΛC_r⁻¹Λ'S_c),   S_c = Z_r'V_f⁻¹c

The front is the grouping factor with most effects: no row has two of its levels, so they are eliminated one by one. The
rest is all other effects (`blocks`). In the names of lme4's paper the factor is

    [ L_f                ]   L_f and L_r (chol C_j; chol C_r): L_ZZ, the spherical effects' block
    [  ·    L_r          ]
    [ Y'    H'    L_X    ]   Y and H: L_XZ';  L_X: chol c'V⁻¹c, which here has y in its last row

Example: `y ~ x + (1 | subject) + (1 | item)` with more subjects than items, n_j the rows of subject j, n_ji those on
item i, θ = (λ_s, λ_i). 1. C_j = λ_s²n_j + 1, a number a subject. 2. S_ii' = [i = i'] n_i − Σ_j n_ji n_ji' λ_s²/C_j, the
items' cross-products once subjects are known up to their variance, and C_r = λ_i²S + I. 3. What x and y have left of
their cross-products when both are taken out: its Cholesky factor holds |S_X|, β̂ and, in its last entry, r.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from henderson.covariance.roots import semidefinite_root
from henderson.engine.factor.by_slices import LARGE
from henderson.engine.factor.connected import components
from henderson.engine.factor.front import Front, eliminate, other_columns, per_effect, shrink
from henderson.engine.factor.product import choose
from henderson.engine.factor.rest import ExactRest, Rest, grouped
from henderson.engine.factor.split_product import SplitProduct
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.numerics import small
from henderson.numerics.lazy import lazy

#: effects in the rest, and in the front, from which a factor is not kept for long
HEAVY, MANY = 1500, 100_000
#: squares up to which a sum is taken in extended precision
EXTENDED = 20_000


class System:
    """Constant data: cross-products, and what no response changes: the pattern of S, its components, its products.

    Parameters
    ----------
    cross : CrossProducts
    blocks : Blocks

    Attributes
    ----------
    rest : str
        How the rest is solved.
    is_sparse : bool
        Whether by a factor that stays sparse, with no matrix of the rest's own order.
    """

    rest = "exact"
    is_sparse = False

    def __init__(self, cross: CrossProducts, blocks: Blocks) -> None:
        self.cross, self.blocks = cross, blocks
        sizes = [(blocks.blocks[k].q, blocks.blocks[k].n_levels) for k in blocks.rest]
        self.has_rest = blocks.n_rest > 0
        if not self.has_rest:
            return
        self.places = components(cross.zr, cross.rr, sizes)
        self.levels = [levels for _, levels in sizes]
        self.product = choose(cross.zr, cross.rr, self.places)

    def with_response(self, cross: CrossProducts) -> System:
        """The same with cross-products that differ in the products with y alone."""
        other = copy(self)
        other.cross = cross
        return other

    @lazy
    def has_one_factor(self) -> bool:
        """Whether there is one block, whose levels are eliminated one by one."""
        return not self.has_rest and len(self.blocks.blocks) == 1

    @lazy
    def is_heavy(self) -> bool:
        """Whether a point that is only compared with gives up its factor; iteration has no large matrices, and would
        begin anew."""
        return self.rest != "iterative" and (self.blocks.n_rest > HEAVY or self.blocks.n_effects > MANY)

    @lazy
    def per_effect(self) -> float:
        """See `front.per_effect`."""
        return per_effect(self.cross.zz)

    @lazy
    def unlike(self) -> float:
        """How unlike the levels of a factor are: the largest tr Z_j'Z_j by the smallest, the largest over the blocks.

        Between balanced factors there is one minimum: −2ℓ is Σ ν_i (log λ_i + s_i/λ_i) over strata, convex in the
        log λ_i, and so is the cone of the log λ_i that variances leave.
        """
        blocks, cross = self.blocks, self.cross
        out, rest = 1.0, cross.rr.diagonal() if blocks.rest else np.zeros(0)
        for k, block in enumerate(blocks.blocks):
            if k == blocks.front:
                sizes = small.diagonals(cross.zz).sum(axis=0)
                if block.q > 1 and (cross.zz.max(axis=2) - cross.zz.min(axis=2)).max() > 1e-9 * sizes.max():
                    out = max(out, 1.0 + 1e-6)
            else:
                start = blocks.offsets[k]
                sizes = rest[start : start + block.size].reshape(-1, block.q).sum(axis=1)
            out = max(out, float(sizes.max() / max(sizes.min(), 1e-300)))
        return out

    def like(self, other: System) -> System:
        """The same with the probes of another system of the same effects, where it has probes."""
        return self

    def elsewhere(self) -> System:
        """The same for a λ that is not near where a search ended."""
        return self

    def factor(self, lam: Sequence[np.ndarray]) -> Factor:
        """The factor at λ of every block."""
        return Factor(self, lam)

    def rest_at(self, factor: Factor) -> Rest:
        """The rest when the front of a factor is eliminated."""
        lam = [factor.lam[k] for k in self.blocks.rest]
        S, groups = self.product.schur(factor.front.T), self.product.groups
        return ExactRest(self.places, S, lam, self.levels, self.cross.n, groups)


class Factor:
    """The factor at one λ. Effects come as (front (q, k, J), rest (R, k)) pairs.

    Attributes
    ----------
    log_det : float
        log|C|.
    inner : (p + 1, p + 1) array
        c'V⁻¹c.
    like : Factor, or None
        A factor at the same λ of a system with another response: all that does not know y is its.
    """

    def __init__(self, system: System, lam: Sequence[np.ndarray], like: Factor | None = None) -> None:
        cross = system.cross
        self.system, self.lam, self.like = system, lam, like
        keep = system.has_rest or cross.zx.size <= EXTENDED
        self.front: Front
        if like is None or not like.front.T.size:
            self.front = self._eliminated(keep)
        else:
            self.front = other_columns(like.front, cross.zx, keep=keep)
        self.log_det, self.inner = self.front.log_det, cross.xy - self.front.yy
        if not system.has_rest:
            return
        self.S_c = cross.rx - system.product.to_rest(self.front.solved)
        self.rest: Rest
        self.rest = self._rest() if like is None else like.rest
        self.log_det += self.rest.log_det
        self.H = self.rest.half(self.S_c)
        self.inner = self.inner - self.rest.inner(self.H)

    @property
    def front_lam(self) -> np.ndarray:
        """λ of the front, (q, q)."""
        front = self.system.blocks.front
        return np.zeros((0, 0)) if front is None else self.lam[front]

    def _eliminated(self, keep: bool) -> Front:
        cross = self.system.cross
        return eliminate(cross.zz, cross.zx, self.front_lam, keep=keep)

    def _rest(self) -> Rest:
        return self.system.rest_at(self)

    def response_square(self) -> np.floating | None:
        """y'V⁻¹y in extended precision; None where that would take long.

        It is a difference of large sums, and ν log r² multiplies its rounding by ν: numerical derivatives of the
        deviance would see little else.
        """
        if self.system.cross.zx.size > EXTENDED and not self.system.has_rest:
            return None
        halves = [self.front.Y[:, -1]]
        if self.system.has_rest:
            if not self.rest.has_root:
                return None
            halves += [h[:, -1] for h in self.H]
        if sum(half.size for half in halves) > EXTENDED:
            return None
        total = np.longdouble(self.system.cross.xy[-1, -1])
        for half in halves:
            total -= np.vdot(half, half.astype(np.longdouble))
        return total

    @lazy
    def D(self) -> np.ndarray:
        """(I + A_jG)⁻¹ of the front, (q, q, J); of a large front without a rest it takes T's place."""
        if self.like is not None:
            return self.like.D
        D = shrink(self.front, self.system.cross.zz, self.system.per_effect, in_place=self.by_slices)
        if self.by_slices:
            self.front = replace(self.front, T=np.empty((*D.shape[:2], 0)))
        return D

    @lazy
    def B(self) -> np.ndarray:
        """Z_j'V_f⁻¹Z_j = D_jA_j of the front, (q, q, J)."""
        if self.like is not None:
            return self.like.B
        return small.multiply(self.D, self.system.cross.zz)

    @property
    def by_slices(self) -> bool:
        """Whether sums over the front's levels are to be made a slice at a time, see `by_slices`."""
        return not self.system.has_rest and self.system.cross.zx.size > LARGE

    @lazy
    def zvc(self) -> tuple[np.ndarray, np.ndarray]:
        """Z'V⁻¹[X y]: front (q, p + 1, J), rest (R, p + 1)."""
        return self._project(self.system.cross.zx)

    def _project(self, zx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.system.has_rest:
            return small.multiply(self.D, zx), np.zeros((0, zx.shape[1]))
        rest = self.rest
        moved = rest.back(self.H)
        if all(rest.divisible()):
            rows = rest.unscale(rest.back(self.H, spherical=True))
        else:
            rows = self.S_c - self._schur_times(moved)
        inner = zx - self.system.product.to_front(moved)
        return small.multiply(self.D, inner), rows

    def _schur_times(self, B: np.ndarray) -> np.ndarray:
        """SB, (R, k): by the front's columns, which are sparse, where S is kept by its entries."""
        if grouped(self.rest) is None:
            return self.rest.multiply(B)
        T, product = self.front.T, self.system.product
        inner = small.multiply(T, product.to_front(B))
        return self.system.cross.rr @ B - product.to_rest(small.multiply(T.transpose(1, 0, 2), inner))

    def bilinear(self, front: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """h'(Z'V⁻¹Z)h for effects h: front (q, k, J), rest (R, k)."""
        out = small.quadratic(self.D, self.system.cross.zz, front)
        if not self.system.has_rest:
            return out
        Sh = self._schur_times(rest)
        moved = self.system.product.to_rest(small.multiply(self.D.transpose(1, 0, 2), front))
        cross = rest.T @ moved
        half = self.rest.half(moved + Sh)
        return out + cross + cross.T + rest.T @ Sh - self.rest.inner(half)

    def linear(self, front: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """h'Z'V⁻¹X for effects h, (k, p)."""
        own, others = self.zvc
        out = small.gram(front, own[:, :-1])
        return out + rest.T @ others[:, :-1] if len(rest) else out

    def marginal(self, parts: list[np.ndarray]) -> list[np.ndarray]:
        """Z'V⁻¹Z times effects of every block (q, s, J).

        With h = (h_f, h_r), T = Σ_j a_j'D_j'h_f + Sh_r: the rest has T − SWT, the front B_jh_f − D_ja_j(WT − h_r).
        """
        system, blocks = self.system, self.system.blocks
        width = parts[0].shape[1]
        front, rest = blocks.join(parts, [np.arange(width)] * len(parts), width)
        out = small.multiply(self.B, front) if blocks.front is not None else front
        if not system.has_rest:
            return blocks.split(out, rest)
        total = self._schur_times(rest)
        if blocks.front is not None:
            total = total + system.product.to_rest(small.multiply(self.D.transpose(1, 0, 2), front))
        weighed = self.rest.weigh(total)
        if blocks.front is not None:
            out = out - small.multiply(self.D, system.product.to_front(weighed - rest))
        return blocks.split(out, total - self._schur_times(weighed))

    @lazy
    def traces(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """For every block Σ_j (Z'V⁻¹Z)_jj λ, and Σ_j (Z'V⁻¹Z)_jj."""
        if self.like is not None:
            return self.like.traces
        blocks = self.system.blocks
        first = [np.zeros((b.q, b.q)) for b in blocks.blocks]
        second = [np.zeros((b.q, b.q)) for b in blocks.blocks]
        if self.system.has_rest:
            for k, one, two in zip(blocks.rest, *self.rest.traces()):
                first[k], second[k] = one, two
        if blocks.front is not None:
            total = small.outer_sum(self.D, self.system.cross.zz)
            if self.system.has_rest:
                total = total - self._all_borrowed()
            second[blocks.front] = (total + total.T) / 2
            first[blocks.front] = second[blocks.front] @ self.lam[blocks.front]
        return first, second

    def _all_borrowed(self) -> np.ndarray:
        """Σ_j D_j a_j W a_j'D_j', (q, q); level by level where that costs no more, since inference asks for it."""
        product, known = self.system.product, self.rest.borrowed_sum()
        if known is not None:
            return known
        if isinstance(product, SplitProduct) and product.q == 1:
            return product.sandwich_sum(self.rest, self.D)
        return self.borrowed.sum(axis=2)

    @lazy
    def borrowed(self) -> np.ndarray:
        """D_j a_j W a_j'D_j', (q, q, J): what the rest takes from the front's Z_j'V⁻¹Z_j."""
        return small.congruence(self.D, self.system.product.sandwich(self.rest))

    def conditional_covariances(self) -> list[np.ndarray]:
        """ΛC⁻¹Λ' of every level, (q, q, J) a block: the front's is M_j + M_j a_j W a_j' M_j, the rest's is in W."""
        blocks = self.system.blocks
        out: list[np.ndarray] = [np.zeros(0)] * len(blocks.blocks)
        if blocks.front is not None:
            M = self._front_weights()
            if self.system.has_rest:
                M = M + small.congruence(M, self.system.product.sandwich(self.rest))
            out[blocks.front] = M
        if self.system.has_rest:
            for k, cov in zip(blocks.rest, self.rest.level_weights()):
                out[k] = cov
        return out

    def _front_weights(self) -> np.ndarray:
        """M_j = T_j'T_j, (q, q, J)."""
        cross, T = self.system.cross, self.front.T
        if not T.size:
            T = eliminate(cross.zz, cross.zx[:, :0], self.front_lam).T
        return small.multiply(T.transpose(1, 0, 2), T)

    def covariance(self, k: int) -> np.ndarray:
        """G of a block, (q, q)."""
        return np.asarray(self.lam[k] @ self.lam[k].T)

    def moved(self, k: int, G: np.ndarray) -> Factor:
        """The factor where a block has another G."""
        return self.system.factor([semidefinite_root(G) if i == k else lam for i, lam in enumerate(self.lam)])

    def step(self, k: int, along: np.ndarray, h: float) -> float:
        """How far G of a block may be moved for differences: h, where G ± h along are covariances."""
        return h

    def precision(self, k: int) -> np.ndarray:
        """G⁻¹ of a block whose λ may be divided by, (q, q)."""
        root = np.linalg.inv(self.lam[k])
        return root.T @ root
