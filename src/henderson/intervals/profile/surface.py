"""The deviance over standard deviations, correlations, σ and β, for a batch of profiles at once.

With S the root of Var(b_j) = SS' (absolute, not relative to σ²) and τ = log σ²,

    f(S, τ, β_j) = log|V| [+ log|S_X|] + ντ + r² e^{−τ},   G = SS' e^{−τ},

β_j, when it is fixed, enters r². Every member of the batch has its own coordinates, so chosen that the parameter it
profiles *is* one of them, and S is linear in all others:

- a standard deviation: the rows of its term are permuted so that it comes first; it is S_11.
- a correlation: its two effects come first, and their rows are s_1 (1, 0) and s_2 (sin ω, cos ω); it is sin ω.
- σ is τ, and a fixed effect has a coordinate of its own, last.

The root is triangular in the permuted rows, its other elements are free. Units: σ̂ for S and y, the
standard error for β_j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from henderson.covariance.layout import Layout
from henderson.covariance.roots import factor_of
from henderson.covariance.structure import Structure
from henderson.design.variance_parameters import VarianceParameter
from henderson.engine.many.coordinates import chain
from henderson.engine.many.pieces import Constraint, Pieces
from henderson.intervals.profile.source import Likelihood

FloatArray = np.ndarray


@dataclass(frozen=True)
class Target:
    """What one member of the batch profiles.

    Attributes
    ----------
    name, alias : str
    kind : {"sd", "cor", "sigma", "beta"}
    term, row, column : int
        For standard deviations and correlations; `row` is the column of X for a fixed effect.
    """

    name: str
    alias: str
    kind: str
    term: int = -1
    row: int = 0
    column: int = 0

    @classmethod
    def of(cls, p: VarianceParameter) -> Target:
        """From a parameter of the covariance."""
        return cls(p.name, p.alias, p.kind, p.term, p.row, p.column)


@dataclass(frozen=True)
class Surface:
    """One response, and the coordinates of B members; see the module.

    Attributes
    ----------
    likelihood : Likelihood
        Of the response divided by σ̂.
    reml : bool
    targets : tuple of B Target
    layout : Layout
    directions : (k, Q, Q, B) array
        ∂S/∂(coordinates), except for the pair s_2, ω of a correlation.
    path : (B,) int array
        Which coordinate is profiled: of k roots, then τ, then β_j.
    frozen : (k + 2, B) bool array
        Coordinates that do not move: the profiled one, and β_j where it is not profiled.
    nonnegative : (k + 2, B) bool array
    second, corner : (B,), (2, B) int arrays
        For a correlation: the coordinate s_2 (else −1), and the row and column of S where s_2 sin ω goes.
    h : (p, B) array
        Fixed effect: h'(coefficients of the orthonormal columns) is its difference from the estimate of least
        squares, in standard errors; 0 for the others.
    """

    likelihood: Likelihood
    reml: bool
    targets: tuple[Target, ...]
    directions: FloatArray
    path: np.ndarray
    frozen: np.ndarray
    nonnegative: np.ndarray
    second: np.ndarray
    corner: np.ndarray
    h: FloatArray

    @property
    def layout(self) -> Layout:
        """All terms of the design."""
        return self.likelihood.layout

    @property
    def nu(self) -> int:
        """ν."""
        return self.likelihood.n - (self.likelihood.p if self.reml else 0)

    def root(self, x: FloatArray, members: np.ndarray) -> tuple[FloatArray, FloatArray]:
        """S (Q, Q, B) and ∂S/∂(its coordinates) (k, Q, Q, B) at x (k + 2, B)."""
        k = self.layout.n_theta
        directions = self.directions[..., members].copy()
        pairs = np.flatnonzero(self.second[members] >= 0)
        if len(pairs):
            who = members[pairs]
            omega, two = self.path[who], self.second[who]
            row, first = self.corner[:, who]
            sin, cos = np.sin(x[omega, pairs]), np.cos(x[omega, pairs])
            cos = np.where(np.abs(cos) < 1e-12, 0.0, cos)
            size = x[two, pairs]
            directions[two, row, first, pairs], directions[two, row, first + 1, pairs] = sin, cos
            # first + 1 is the column of the second effect: terms are square blocks
        root = np.einsum("irsb,ib->rsb", directions, x[:k])
        if len(pairs):
            directions[omega, row, first, pairs] = size * cos
            directions[omega, row, first + 1, pairs] = -size * sin
        return root, directions

    def pieces(self, x: FloatArray, members: np.ndarray) -> tuple[Pieces, FloatArray, FloatArray, Constraint]:
        """The parts of the likelihood, the root, its directions, and the constraint on β."""
        k = self.layout.n_theta
        root, directions = self.root(x, members)
        constraint = Constraint(self.h[:, members], x[k + 1])
        p = self.likelihood.pieces(
            root * np.exp(-x[k] / 2),
            reml=self.reml,
            constraint=constraint if self.h.any() else None,
        )
        return p, root, directions, constraint

    def evaluate(self, x: FloatArray, members: np.ndarray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """f (B,), its gradient (k + 2, B) and Hessian (k + 2, k + 2, B)."""
        k, nu = self.layout.n_theta, self.nu
        p, root, directions, constraint = self.pieces(x, members)
        shrink = np.exp(-x[k])
        c = shrink
        value = p.logdet + nu * x[k] + p.r2 * c
        # in (g, τ)
        f_g = p.d_logdet + c * p.d_r2
        f_gg = p.dd_logdet + c * p.dd_r2
        g = self.layout.g(np.einsum("rub,sub->rsb", root, root)) * shrink
        gg_g = np.einsum("ijb,jb->ib", f_gg, g)
        f_gt = -c * p.d_r2
        # in (ψ, τ), ψ = g e^τ
        f_t = nu - p.r2 * c - np.einsum("ib,ib->b", g, f_g)
        f_pt = shrink * (f_gt - f_g - gg_g)
        f_tt = p.r2 * c + np.einsum("ib,ib->b", g, f_g + gg_g - 2 * f_gt)
        gradient, hessian = np.zeros((k + 2, len(members))), np.zeros((k + 2, k + 2, len(members)))
        gradient[:k], hessian[:k, :k], jacobian = chain(self.layout, root, directions, shrink * f_g, shrink**2 * f_gg)
        gradient[k] = f_t
        hessian[k, :k] = hessian[:k, k] = np.einsum("gib,gb->ib", jacobian, f_pt)
        hessian[k, k] = f_tt
        self._bend(x, members, gradient, hessian)
        if self.h.any():
            self._fixed_effect(p, constraint, c, jacobian * shrink, g, gradient, hessian)
        return value, gradient, hessian

    def _bend(self, x: FloatArray, members: np.ndarray, gradient: FloatArray, hessian: FloatArray) -> None:
        """The row s_2 (sin ω, cos ω) is not linear in both: ∂²S/∂s_2∂ω = ∂S/∂ω / s_2, ∂²S/∂ω² = −s_2 ∂S/∂s_2."""
        pairs = np.flatnonzero(self.second[members] >= 0)
        omega, two = self.path[members[pairs]], self.second[members[pairs]]
        size = x[two, pairs]
        mixed = gradient[omega, pairs] / np.where(np.abs(size) > 1e-12, size, np.inf)
        hessian[two, omega, pairs] += mixed
        hessian[omega, two, pairs] += mixed
        hessian[omega, omega, pairs] -= size * gradient[two, pairs]

    def _fixed_effect(
        self,
        p: Pieces,
        constraint: Constraint,
        c: FloatArray,
        jacobian: FloatArray,
        g: FloatArray,
        gradient: FloatArray,
        hessian: FloatArray,
    ) -> None:
        """Derivatives in v = h'β: r²_v = 2 (v − h'β̂)/h'S⁻¹h; r²_iv = 2 f_i'S⁻¹h/h'S⁻¹h, β moving along S⁻¹h."""
        k = self.layout.n_theta
        sh = np.einsum("xyb,yb->xb", p.s_inverse, constraint.h)
        size = np.einsum("xb,xb->b", sh, constraint.h)
        on = size > 0
        along = np.where(on, sh / np.where(on, size, 1.0), 0.0)
        multiplier = np.where(on, -p.miss / np.where(on, size, 1.0), 0.0)
        v = k + 1
        r2_gv = 2 * np.einsum("ixb,xb->ib", p.f, along)
        gradient[v] = c * 2 * multiplier
        hessian[v, v] = np.where(on, 2 * c / np.where(on, size, 1.0), 1.0)
        hessian[v, :k] = hessian[:k, v] = c * np.einsum("gib,gb->ib", jacobian, r2_gv)
        hessian[v, k] = hessian[k, v] = -c * 2 * multiplier - c * np.einsum("gb,gb->b", g, r2_gv)


def surface(likelihood: Likelihood, targets: Sequence[Target], *, reml: bool, beta_rows: FloatArray) -> Surface:
    """Coordinates for each target.

    Parameters
    ----------
    likelihood, reml
        See `Surface`.
    targets : sequence of B Target
    beta_rows : (B, p) array
        h of the targets that are fixed effects.
    """
    layout, batch = likelihood.layout, len(targets)
    k = layout.n_theta
    directions = np.repeat(layout.root_directions(np.zeros(k))[..., None], batch, axis=3)
    path, second, corner = np.zeros(batch, int), np.full(batch, -1), np.zeros((2, batch), int)
    frozen, nonnegative = np.zeros((k + 2, batch), bool), np.zeros((k + 2, batch), bool)
    frozen[k + 1] = True
    for b, target in enumerate(targets):
        if target.kind == "sigma":
            path[b] = k
        elif target.kind == "beta":
            path[b] = k + 1
        else:
            path[b], second[b], corner[:, b] = _rearrange(layout, target, directions[..., b], nonnegative[:, b])
        frozen[path[b], b] = True
    return Surface(likelihood, reml, tuple(targets), directions, path, frozen, nonnegative, second, corner, beta_rows.T)


def permuted_rows(layout: Layout, target: Target) -> np.ndarray:
    """Rows of the target's term with those that it is about first."""
    term = layout.terms[target.term]
    first = [target.row] if target.kind == "sd" else [target.column, target.row]
    rest = [r for r in range(term.stop - term.start) if r not in first]
    return np.array([*first, *rest]) + term.start


def _rearrange(
    layout: Layout, target: Target, directions: FloatArray, nonnegative: np.ndarray
) -> tuple[int, int, tuple[int, int]]:
    """Fill in the directions (k, Q, Q) of one target's term: its path, s_2, and where s_2 sin ω goes."""
    term, place = layout.terms[target.term], layout.theta_of[target.term]
    structure = layout.structures[target.term]
    if not structure.any_order:
        own = _own_parameter(structure, term.stop - term.start, target)
        assert own is not None  # by `has_paths`
        return place.start + own, -1, (0, 0)
    rows = permuted_rows(layout, target)
    moved = directions[place, term, term].copy()
    directions[place, rows, term] = moved
    if target.kind == "sd":
        return place.start, -1, (0, 0)
    q = term.stop - term.start
    one, two, omega = place.start, place.start + 1, place.start + q
    directions[[two, omega]] = 0.0
    nonnegative[[one, two]] = True
    return omega, two, (int(rows[1]), term.start)


def _own_parameter(structure: Structure, q: int, target: Target) -> int | None:
    """Which θ of a term is the target's standard deviation alone; None where none is: its profile would bend."""
    step = structure.jacobian(np.zeros(structure.n_theta(q)), q)
    if target.kind == "sd":
        moving = np.flatnonzero(step[:, target.row].any(axis=1))
        if len(moving) == 1 and step[moving[0], target.row, target.row] == 1.0:
            return int(moving[0])
    return None


def has_paths(layout: Layout, targets: Sequence[Target]) -> bool:
    """Whether every target is a coordinate of some surface: λ is linear in θ, and a standard deviation its own θ."""
    if not layout.linear:
        return False
    return all(
        layout.structures[t.term].any_order
        or _own_parameter(layout.structures[t.term], layout.terms[t.term].stop - layout.terms[t.term].start, t)
        is not None
        for t in targets
        if t.term >= 0
    )


def coordinates(s: Surface, cov: FloatArray, log_variance: float, v: FloatArray) -> FloatArray:
    """x (k + 2, B) of one covariance (Q, Q) for every member; an undefined correlation begins at zero."""
    layout = s.layout
    k = layout.n_theta
    x = np.zeros((k + 2, len(s.targets)))
    x[k], x[k + 1] = log_variance, v
    for term, place, structure in zip(layout.terms, layout.theta_of, layout.structures):
        for b, target in enumerate(s.targets):
            rows = np.arange(term.start, term.stop)
            mine = structure.any_order and target.term >= 0 and layout.terms[target.term] == term
            if mine:
                rows = permuted_rows(layout, target)
            block = cov[np.ix_(rows, rows)]
            x[place, b] = structure.theta_of_cov(block)
            if mine and target.kind == "cor":
                low = factor_of(block)
                x[s.second[b], b] = np.hypot(low[1, 0], low[1, 1])
                x[s.path[b], b] = np.arctan2(low[1, 0], low[1, 1])
    return x
