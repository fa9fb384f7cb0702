"""The covariances of a small model, and the lengths at which its deviance is smooth.

A level with the information A sees a covariance G as A⁻¹ + G, so what matters of a change of G is its size relative to
I/a + G, a being the largest information on an effect: below I/a nothing is seen, above it what is seen goes by ratios
(the affine-invariant metric of positive matrices). With I/a + G = TT', steps dλ = T ds of one length are alike
everywhere, however large G is along one direction and however small along another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.search.survey import Survey

FloatArray = np.ndarray


@dataclass(frozen=True)
class Cone:
    """One unstructured covariance, or one standard deviation.

    Attributes
    ----------
    parameters : (q(q + 1)/2,) int array
        Its θ, column by column of the lower triangle.
    q : int
        Effects.
    a : float
        Largest information on one of them in a level.
    n_levels : int
    """

    parameters: np.ndarray
    q: int
    a: float
    n_levels: int

    def lam(self, theta: FloatArray) -> FloatArray:
        """λ of θ (B, k), (B, q, q)."""
        lam = np.zeros((len(theta), self.q, self.q))
        column, row = np.triu_indices(self.q)
        lam[:, row, column] = theta[:, self.parameters]
        return lam


def cones(survey: Survey) -> list[Cone]:
    """The covariances of a model, block after block."""
    out = []
    for k, block in enumerate(survey.blocks.blocks):
        largest = survey.largest(k)
        for own, rows in zip(block.layout.theta_of, block.layout.terms):
            parameters, q = block.parameters[own], rows.stop - rows.start
            full = q > 1 and len(parameters) == q * (q + 1) // 2
            for i in range(1 if full else len(parameters)):
                a = max(float(largest[rows].max() if full else largest[rows.start + i]), 1e-300)
                places = parameters if full else parameters[[i]]
                out.append(Cone(places, q if full else 1, a, block.n_levels))
    return out


def frames(of: list[Cone], theta: FloatArray) -> FloatArray:
    """∂θ/∂s of steps s whose length is that of the metric, at θ (B, k), (B, k, k)."""
    out = np.zeros((*theta.shape, theta.shape[1]))
    for one in of:
        if one.q == 1:
            (place,) = one.parameters
            out[:, place, place] = np.sqrt(1.0 / one.a + theta[:, place] ** 2)
            continue
        lam = one.lam(theta)
        T = np.linalg.cholesky(lam @ lam.transpose(0, 2, 1) + np.eye(one.q) / one.a)
        column, row = np.triu_indices(one.q)
        i, j = np.nonzero((column[:, None] == column) & (row[:, None] >= row))  # dλ[r, c] = Σ_s T[r, s] ds[s, c]
        out[:, one.parameters[i], one.parameters[j]] = T[:, row[i], row[j]]
    return out
