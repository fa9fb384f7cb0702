"""What estimating log|C| from N probes does to the estimates: their Monte-Carlo error.

Each probe i alone would give the gradient g_i; with H the Hessian of the deviance at the optimum

    Cov(θ̂ | data) = H⁻¹ Cov(g_i) H⁻¹ / N         beside the sampling covariance 2H⁻¹

and by the first derivatives of σ²G, σ² and Φσ² the same of every variance and of the standard error of each β. The
covariance of few probes is not known well either, and forms in signs have heavier tails than a normal variable (where
few levels have most of the rows the gradients' fourth moment is ten): errors are multiplied by t/2, with t the quantile
of Student's t with N − 1 df that holds 98 %, so that twice what is told is more than 95 % of the errors made are. What
the search's last step leaves, H⁻¹ times the gradient, can be as large as errors of 1e-5 standard errors: it is added.

The deviance has two errors more, which do not average out: what recurrences that end leave (`Krylov.truncation`), and
½(θ̂ − θ*)'H(θ̂ − θ*), by which the lowest point of a noisy function lies below that of the function (and the function at
that point above its own lowest): no more than t²/2 tr H⁻¹Cov(g_i)/N, of which half is told. Told is the root of the sum
of squares. Where log|C| has a level of its own (`level`), what the probes vary by is their way from its θ, and
its error is told beside theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.criterion import Evaluation
from henderson.engine.factor.iterative.rest import IterativeRest
from henderson.numerics.distributions import t_quantile
from henderson.numerics.lapack import eigen
from henderson.numerics.matrices import inner_products

FloatArray = np.ndarray

#: probability below the quantile of t that stands for twice the error
BELOW = 0.99


@dataclass(frozen=True)
class MonteCarlo:
    """Monte-Carlo standard errors of a fit by probes, in the user's units.

    Attributes
    ----------
    probes : int
        N.
    steps : int
        Most steps of a recurrence.
    slow : int
        Slow directions that were taken out exactly.
    deviance : float
        Of −2 log-likelihood.
    share : float
        Largest Monte-Carlo error of a combination of the variance parameters, relative to its standard error.
    covariances : tuple of (q, q) arrays
        Of the variances and covariances σ²G, a matrix each term.
    scale : float
        Of σ².
    se : (p,) array
        Of the standard error of each fixed effect kept.
    level : int
        Probes of the log-determinant's level; 0: it has none of its own.
    """

    probes: int
    steps: int
    slow: int
    deviance: float
    share: float
    covariances: tuple[FloatArray, ...]
    scale: float
    se: FloatArray
    level: int = 0


@dataclass(frozen=True)
class Spread:
    """The spread over probes at one point, in the working basis.

    Attributes
    ----------
    point : Evaluation
    covariance : (k, k) array
        Cov(g_i) / N of the gradient.
    hessian : (k, k) array
    deviance : float
        Standard error of the deviance.
    """

    point: Evaluation
    covariance: FloatArray
    hessian: FloatArray
    deviance: float

    @classmethod
    def of(cls, point: Evaluation, hessian: FloatArray) -> Spread:
        """Of an evaluated point."""
        rest = _rest(point)
        gradients, count = _gradients(point, rest), rest.probes.count
        centred = gradients - gradients.mean(axis=0)
        known = float(t_quantile(BELOW, count - 1)) / 2.0
        covariance = known**2 * centred.T @ centred / (count * (count - 1))
        by_chance = float(rest.log_dets.std(ddof=1)) * known / np.sqrt(count)
        lower = 2.0 * float(_of_sampling(covariance, hessian).sum())
        level = rest.probes.level
        if level is None:
            error = float(np.hypot(by_chance, rest.probed.truncation.mean() + lower))
        else:
            error = float(np.hypot(np.hypot(by_chance, lower), level.error))
        return cls(point, covariance, hessian, error)

    @property
    def share(self) -> float:
        """Largest Monte-Carlo error relative to the sampling error, over all combinations of parameters."""
        return float(np.sqrt(max(_of_sampling(self.covariance, self.hessian).max(initial=0.0), 0.0)))

    @property
    def theta(self) -> FloatArray:
        """Monte-Carlo covariance of θ̂, (k, k), and the square of what the search left."""
        inverse = np.linalg.pinv(self.hessian, rcond=1e-10, hermitian=True)
        left = self.point.gradient
        return np.asarray(inverse @ (self.covariance + np.outer(left, left)) @ inverse)


def _of_sampling(covariance: FloatArray, hessian: FloatArray) -> FloatArray:
    """Monte-Carlo variances of parameters' combinations over their sampling variances; their sum is ½ tr H⁻¹C."""
    values, vectors = eigen(hessian)
    good = values > 1e-8 * max(float(values.max(initial=0.0)), 1.0)
    root = vectors[:, good] / np.sqrt(2.0 * values[good])
    return np.asarray(eigen(root.T @ covariance @ root)[0])


def _rest(point: Evaluation) -> IterativeRest:
    rest = point.factor.rest
    assert isinstance(rest, IterativeRest)
    return rest


def _gradients(point: Evaluation, rest: IterativeRest) -> FloatArray:
    """What each probe says of ∂log|C|/∂θ, (N, k), but for what all say alike."""
    blocks, out = point.criterion.blocks, np.zeros((rest.probes.count, point.criterion.blocks.n_theta))
    for i in range(rest.probes.count):
        first, second = rest.traces_of(i)
        for k, block in enumerate(blocks.blocks):
            if k == blocks.front:
                N = -rest.probed.borrowed[:, :, i]
                product = N @ point.lam[k]
            else:
                at = blocks.rest.index(k)
                product, N = first[at], second[at]
            out[i, block.parameters] = 2.0 * block.layout.pull_back(point.theta[block.parameters], product, N)
    return out


def monte_carlo(spread: Spread) -> MonteCarlo:
    """The errors in the user's units."""
    point, rest = spread.point, _rest(spread.point)
    criterion, blocks, basis = point.criterion, point.criterion.blocks, point.criterion.basis
    p, k, C = len(point.beta), blocks.n_theta, spread.theta
    sigma2 = basis.y_scale**2 * point.r2 / criterion.nu
    of_r2, of_phi = np.zeros(k), np.zeros((k, p, p))
    of_g: list[FloatArray] = []
    for block, T, ze, score in zip(blocks.blocks, basis.roots, point.ze, point.scores):
        own = block.layout.directions(point.theta[block.parameters])  # ∂G/∂θ, (k_k, q, q)
        of_r2[block.parameters] = -inner_products(own, ze @ ze.T)
        x = score[:, :p]
        outer = np.tensordot(x, x, (2, 2)).transpose(0, 2, 1, 3)  # (q, q, p, p)
        of_phi[block.parameters] = np.tensordot(own, outer, 2)
        along = np.zeros((k, block.q, block.q))
        along[block.parameters] = T @ own @ T.T
        of_g.append(along)
    of_sigma2 = sigma2 * of_r2 / point.r2
    covariances: list[FloatArray] = [np.zeros(0)] * sum(len(block.terms) for block in blocks.blocks)
    for block, T, lam, along in zip(blocks.blocks, basis.roots, point.lam, of_g):
        G = T @ lam @ lam.T @ T.T
        slopes = sigma2 * along + of_sigma2[:, None, None] * G
        errors = np.sqrt(np.maximum(np.einsum("iab,ij,jab->ab", slopes, C, slopes), 0.0))
        for i, part in zip(block.terms, block.layout.terms):
            covariances[i] = errors[part, part]
    variance = sigma2 * basis.to_beta @ point.phi @ basis.to_beta.T
    moved = basis.to_beta @ point.phi
    slopes = sigma2 * np.einsum("ab,ibc,ac->ia", moved, of_phi, moved)
    slopes += np.outer(of_sigma2 / sigma2, variance.diagonal())
    slopes /= 2.0 * np.sqrt(variance.diagonal())
    return MonteCarlo(
        rest.probes.count,
        rest.probed.steps,
        rest.operator.U.shape[1],
        spread.deviance,
        spread.share,
        tuple(covariances),
        float(np.sqrt(max(of_sigma2 @ C @ of_sigma2, 0.0))),
        np.sqrt(np.maximum(np.einsum("ia,ij,ja->a", slopes, C, slopes), 0.0)),
        0 if rest.probes.level is None else rest.probes.level.count,
    )
