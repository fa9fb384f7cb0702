"""log|C| at one point from more and better probes than its derivatives need: the level of the deviance.

Few probes tell how log|C| moves with θ, since what they are wrong by is much alike at neighbouring θ; how high it lies
takes many where variances are large and levels have few rows. So that is estimated once, at the end of a search, and

    log|C(θ)| = level + the mean over the search's probes of their log|C(θ)| − log|C(θ̂)|

which is one smooth function of θ with the gradient that it had. C is sparse there, and with GCG' near the identity
(`sparse_inverse`), B what is left of it when the slow directions are taken out, and E = B − I,

    level = −2 Σ log G_ii + log|M| + tr E − ½ tr E² + Σ_i z_i'(log(I + E) − E + ½E²)z_i / N

Both traces are computed exactly: what is left for probes is of third order (a control variate), and no derivative of G
is needed, since nothing is differentiated here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from henderson.engine.factor.iterative.lanczos import lanczos
from henderson.engine.factor.iterative.levels import times
from henderson.engine.factor.iterative.probed import at_once, orthonormal, signs
from henderson.engine.factor.iterative.scaled import Deflated, Projected
from henderson.engine.factor.iterative.sparse_inverse import ByInverse
from henderson.numerics.distributions import t_quantile

FloatArray = np.ndarray

#: probes with which it begins, and most of all
FIRST, MOST = 32, 1_024
#: added to a seed: other signs than those that showed the slow directions, and than those of the search
SEED_STEP = 500_009


@dataclass(frozen=True)
class Level:
    """log|C| at one θ.

    Attributes
    ----------
    value : float
    error : float
        Half of what holds the error with probability `2 below − 1`, and what the recurrences' ends leave.
    count : int
        N.
    beside : (N,) array
        log|C| there by each of the search's own probes.
    """

    value: float
    error: float
    count: int
    beside: FloatArray = field(repr=False)


def level_at(operator: Deflated, beside: FloatArray, seed: int, tolerance: float, enough: float, below: float) -> Level:
    """The level at the θ of an operator whose C is sparse.

    1. G, and the slow directions of C as those of GCG'
    2. both traces, of what is left
    3. probes until their error is `enough`, by the quantile of Student's t that has probability `below`
    """
    scaled = operator.scaled
    by = ByInverse(scaled.matrix())  # 1
    slow = by.lead_to(times(scaled.inverse, operator.U, transpose=True))
    left = Projected(by, orthonormal(slow))
    known = by.log_det + left.log_det + left.trace - 0.5 * square_left(left, by.square())  # 2
    n, count, found, cut = scaled.pairs.n_rest, FIRST, np.zeros(0), np.zeros(0)
    width = at_once(n, 0)
    while True:  # 3
        z = signs(n, count, seed + SEED_STEP)[:, len(found) :]
        for start in range(0, z.shape[1], width):
            krylov = lanczos(left, left.orthogonal(z[:, start : start + width]), tolerance)
            alpha, beta = krylov.alpha[0], krylov.beta[0]
            value = krylov.logarithm()[0] + krylov.square * (1.0 - alpha + 0.5 * ((alpha - 1.0) ** 2 + beta**2))
            found, cut = np.concatenate([found, value]), np.concatenate([cut, krylov.truncation()])
        by_chance = float(found.std(ddof=1) / np.sqrt(count) * t_quantile(below, count - 1) / 2.0)
        error = float(np.hypot(by_chance, cut.mean()))
        if by_chance <= enough or count >= MOST:
            return Level(known + float(found.mean()), error, count, beside)
        count = int(np.clip(8 * np.ceil(count * (by_chance / enough) ** 2 / 8), 2 * count, MOST))


def square_left(left: Projected, whole: float) -> float:
    """tr E² of E = B − I on what is orthogonal to the slow directions, from tr A² of A, whose diagonal is one."""
    F = left.AU @ left.M_inverse  # B = A − F(AU)'
    image = left.sided.product(left.sided.images(left.AU))
    inner = left.AU.T @ F
    square = whole - 2.0 * float(np.vdot(image, F)) + float(np.vdot(inner, inner.T))
    return square - 2.0 * left.trace - (len(left.U) - left.U.shape[1])
