"""Coordinates φ in which a model of correlated rows is searched, and the variance parameters ψ = (G, residual's) there.

Each term has coordinates of its own: θ of its structure, G = λ(θ)λ(θ)', or, where its variance may be negative, G
itself; the residual's structure has its working coordinates. Constraints make them of fewer, x = Pφ + c
(`contract.constraints`):

    ψ = ψ(x)        ∂ψ/∂φ = (∂ψ/∂x) P        Σ_i s_i ∂²ψ_i/∂φ∂φ = P' (Σ_i s_i ∂²ψ_i/∂x∂x) P
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from henderson.contract.constraints import Constraints
from henderson.covariance.layout import Layout, consecutive
from henderson.covariance.residual.residual import Residual
from henderson.covariance.roots import factor_of
from henderson.engine.sums.blocks import Blocks

FloatArray = np.ndarray


@dataclass(frozen=True)
class Coordinates:
    """The map from φ to ψ.

    Attributes
    ----------
    layouts : tuple of Layout
    residual : Residual
    constraints : Constraints, or None
    held : tuple of (q, q) arrays or None
        G̃ of each term that is fixed.
    residual_held : float or None
        The residual variance where it is fixed, in the working unit.
    """

    layouts: tuple[Layout, ...]
    residual: Residual
    constraints: Constraints | None
    held: tuple[FloatArray | None, ...]
    residual_held: float | None

    @classmethod
    def of(
        cls,
        layouts: tuple[Layout, ...],
        residual: Residual,
        constraints: Constraints | None,
        roots: Sequence[FloatArray],
        unit: float,
    ) -> Coordinates:
        """From constraints in the user's units, G = s² T G̃ T'; `unit` is s."""
        if constraints is None:
            return cls(layouts, residual, None, (None,) * len(layouts), None)
        held: list[FloatArray | None] = [None] * len(layouts)
        for k, cov in constraints.fixed.items():
            inverse = np.linalg.inv(roots[k]) / unit
            held[k] = inverse @ cov @ inverse.T
        own = None if constraints.residual is None else constraints.residual / unit**2
        return cls(layouts, residual, constraints, tuple(held), own)

    # ---- the coordinates x of all terms

    def is_signed(self, k: int) -> bool:
        """Whether a term's coordinate is its variance, of any sign."""
        return self.constraints is not None and k in self.constraints.unbounded

    def block_roots(self, phi: FloatArray, blocks: Blocks) -> tuple[list[FloatArray], list[FloatArray]]:
        """λ (q, q) of every block, and J of ones and minus ones (q,): G = λJλ'."""
        x, lam, signs = self.whole(phi), [], []
        for k, (layout, place) in enumerate(zip(self.layouts, self.places[0])):
            lam.append(layout.lam(np.sqrt(np.abs(x[place])) if self.is_signed(k) else x[place]))
            signs.append(np.full(layout.q, -1.0 if self.is_signed(k) and x[place][0] < 0 else 1.0))
        return (
            [block_diag(*(lam[k] for k in block.terms)) for block in blocks.blocks],
            [np.concatenate([signs[k] for k in block.terms]) for block in blocks.blocks],
        )

    @property
    def sizes(self) -> list[int]:
        """Coordinates of each term."""
        return [layout.n_theta for layout in self.layouts]

    @property
    def places(self) -> tuple[tuple[slice, ...], tuple[slice, ...], slice]:
        """Where each term's x and G parameters are, and the residual's x."""
        own, n = consecutive(self.sizes), sum(self.sizes)
        return own, consecutive([layout.n_g for layout in self.layouts]), slice(n, n + int(self.residual.n_parameters))

    @property
    def selection(self) -> FloatArray | None:
        """P; None where nothing is constrained."""
        if self.constraints is None:
            return None
        return self.constraints.selection(self.sizes, int(self.residual.n_parameters))

    def _offset(self) -> FloatArray:
        """c."""
        own, _, rest = self.places
        out = np.zeros(rest.stop)
        for layout, place, held in zip(self.layouts, own, self.held):
            if held is not None:
                out[place] = layout.theta(factor_of(held))
        if self.residual_held is not None:
            out[rest] = self.residual.working(np.array([self.residual_held]))
        return out

    def whole(self, phi: FloatArray) -> FloatArray:
        """x of φ."""
        P = self.selection
        return phi if P is None else P @ phi + self._offset()

    def free(self, x: FloatArray) -> FloatArray:
        """φ of x; the mean over terms with one covariance."""
        P = self.selection
        return x if P is None else (P.T @ (x - self._offset())) / np.maximum(P.sum(axis=0), 1.0)

    # ---- ψ

    def natural(self, phi: FloatArray) -> FloatArray:
        """ψ, (k,)."""
        x = self.whole(phi)
        own, _, rest = self.places
        g = []
        for k, (layout, place) in enumerate(zip(self.layouts, own)):
            lam = None if self.is_signed(k) else layout.lam(x[place])
            g.append(x[place] if lam is None else layout.g(lam @ lam.T))
        return np.concatenate([*g, self.residual.natural(x[rest])])

    def jacobian(self, phi: FloatArray) -> FloatArray:
        """∂ψ/∂φ, (k, f)."""
        x, P = self.whole(phi), self.selection
        own, to, rest = self.places
        m = to[-1].stop if to else 0
        out = np.zeros((m + int(self.residual.n_parameters), rest.stop))
        for k, (layout, place, g) in enumerate(zip(self.layouts, own, to)):
            signed = self.is_signed(k)
            out[g, place] = 1.0 if signed else layout.g(layout.directions(x[place]).transpose(1, 2, 0))
        out[m:, rest] = self.residual.jacobian(x[rest])
        return out if P is None else out @ P

    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """Σ_i slope_i ∂²ψ_i/∂φ∂φ, (f, f)."""
        x, P = self.whole(phi), self.selection
        own, to, rest = self.places
        m = to[-1].stop if to else 0
        out = np.zeros((rest.stop, rest.stop))
        for k, (layout, place, g) in enumerate(zip(self.layouts, own, to)):
            if not self.is_signed(k):
                out[place, place] = layout.bend(x[place], np.tensordot(slope[g], layout.dual, 1))
        out[rest, rest] = self.residual.curvature(x[rest], slope[m:])
        return out if P is None else P.T @ out @ P

    def working(self, psi: FloatArray) -> FloatArray:
        """φ of ψ."""
        _, to, _ = self.places
        m = to[-1].stop if to else 0
        theta = [
            psi[g] if self.is_signed(k) else layout.theta_of_cov(layout.covariance(psi[g]))
            for k, (layout, g) in enumerate(zip(self.layouts, to))
        ]
        return self.free(np.concatenate([*theta, self.residual.working(psi[m:])]))
