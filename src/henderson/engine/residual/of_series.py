"""What R makes of the columns of a model, T = [Z c], by the matrices of its series: M, M_a, M_ab, N_ab of `crossed`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.units import Batch
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


class OfSeries:
    """What R makes of T at one ψ, by the matrices of the series; see `neighbours.OfNeighbours`.

    Parameters
    ----------
    model : BlockModel
    batches : tuple of Batch
        The series.
    weighed : callable
        T'AT of A that is given for the units of each batch.
    psi : (k,) array

    Attributes
    ----------
    M : (Q + p + 1, Q + p + 1) array
    log_r : float
    """

    def __init__(
        self,
        model: BlockModel,
        batches: tuple[Batch, ...],
        weighed: Callable[[list[FloatArray]], FloatArray],
        psi: FloatArray,
    ) -> None:
        self.model, self.batches, self.weighed, self.psi = model, batches, weighed, psi
        low = [np.linalg.cholesky(model.residual_cov(psi, batch)) for batch in batches]
        halves = [np.linalg.inv(one) for one in low]
        self.S = [half.transpose(0, 2, 1) @ half for half in halves]
        self.M = weighed(self.S)
        logs = [np.log(np.einsum("uii->ui", one)).sum(axis=1) for one in low]
        self.log_r = 2.0 * sum(float(batch.counts @ one) for batch, one in zip(batches, logs))

    @lazy
    def SR(self) -> list[FloatArray]:
        """R⁻¹R_a, (r, U, n, n) of each batch."""
        return [one @ self.model.first(self.psi, batch) for one, batch in zip(self.S, self.batches)]

    @lazy
    def SR2(self) -> list[FloatArray]:
        """R⁻¹R_ab, (r, r, U, n, n) of each batch."""
        return [one @ self.model.second(self.psi, batch) for one, batch in zip(self.S, self.batches)]

    @lazy
    def first(self) -> list[FloatArray]:
        """M_a."""
        r = len(self.SR[0])
        return [self.weighed([sr[a] @ one for sr, one in zip(self.SR, self.S)]) for a in range(r)]

    def between(self, a: int, b: int) -> FloatArray:
        """M_ab."""
        return self.weighed([sr[a] @ sr[b] @ one for sr, one in zip(self.SR, self.S)])

    def curved(self, a: int, b: int) -> FloatArray:
        """N_ab."""
        return self.weighed([two[a, b] @ one for two, one in zip(self.SR2, self.S)])

    @lazy
    def traces(self) -> tuple[FloatArray, FloatArray]:
        """tr R⁻¹R_a (r,) and tr R⁻¹R_aR⁻¹R_b (r, r)."""
        both = list(zip((batch.counts for batch in self.batches), self.SR))
        return (
            np.asarray(sum(np.einsum("u,aunn->a", n, one) for n, one in both)),
            np.asarray(sum(np.einsum("u,aunm,bumn->ab", n, one, one, optimize=True) for n, one in both)),
        )

    @lazy
    def curved_traces(self) -> FloatArray:
        """tr R⁻¹R_ab, (r, r)."""
        both = zip((batch.counts for batch in self.batches), self.SR2)
        return np.asarray(sum(np.einsum("u,abunn->ab", n, one) for n, one in both))
