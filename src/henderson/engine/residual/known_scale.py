"""Deviance where the parameters of the residuals' covariance hold the scale: ν log 2π + r² where else σ̂² = r²/ν is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.factor.signed.factor import SignedFactor
from henderson.engine.factor.system import Factor
from henderson.engine.residual.model import BlockModel
from henderson.engine.sums.blocks import Blocks
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


class KnownScale(Evaluation):
    """The criterion where σ² is one: other parameters, of the residuals' covariance, hold the scale.

    Parameters
    ----------
    criterion : Criterion
    lam : list of (q, q) arrays
    theta : array
    signs : list of (q,) arrays, optional
        J of every block's G = λJλ', where a variance may be negative.
    """

    def __init__(
        self, criterion: Criterion, lam: list[FloatArray], theta: FloatArray, signs: list[FloatArray] | None = None
    ) -> None:
        self.signs = signs if signs is not None and any((J < 0).any() for J in signs) else None
        super().__init__(criterion, lam, theta)

    @lazy
    def factor(self) -> Factor:
        """The factored equations."""
        system = self.criterion.system
        return system.factor(self.lam) if self.signs is None else SignedFactor(system, self.lam, self.signs)

    @property
    def covariances(self) -> list[FloatArray]:
        """G of every block, (q, q)."""
        if self.signs is None:
            return super().covariances
        return [lam * J @ lam.T for lam, J in zip(self.lam, self.signs)]

    @property
    def _misfit(self) -> float:
        """ν log 2π + r²."""
        return self.criterion.nu * math.log(2 * math.pi) + self.r2

    @property
    def _precision(self) -> float:
        """One."""
        return 1.0

    def _profiled(self, quadratic: FloatArray, linear: FloatArray) -> FloatArray:
        """w'Pw."""
        return quadratic


def modes_of(inner: Evaluation, blocks: Blocks, model: BlockModel) -> tuple[FloatArray, ...]:
    """b̂ of each term in the user's units, (J, q), at a point of the working basis."""
    unit = model.basis.y_scale
    return _by_term([b.T for b in inner.modes()], blocks, model, lambda b, T: unit * b @ T.T)


def covariances_of(inner: Evaluation, blocks: Blocks, model: BlockModel, scale: float = 1.0) -> tuple[FloatArray, ...]:
    """Var(b_j | y), given β and the variances, in the user's units, (J, q, q) a term; σ² is `scale`."""
    square = scale * model.basis.y_scale**2
    found = [own.transpose(2, 0, 1) for own in inner.factor.conditional_covariances()]
    return _by_term(found, blocks, model, lambda K, T: square * (T @ K @ T.T))


def _by_term(
    by_block: Sequence[FloatArray],
    blocks: Blocks,
    model: BlockModel,
    turn: Callable[[FloatArray, FloatArray], FloatArray],
) -> tuple[FloatArray, ...]:
    """Arrays of every block (J, q, …) cut into its terms' and turned by their T, levels in the design's order."""
    out = [np.zeros(0)] * len(model.roots)
    for block, own in zip(blocks.blocks, by_block):
        for i, place in zip(block.terms, block.layout.terms):
            some = own[:, place] if own.ndim == 2 else own[:, place, place]
            out[i] = turn(block.unranked(some), model.roots[i])
    return tuple(out)
