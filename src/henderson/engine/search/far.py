"""How far out a lower minimum can be: further out the deviance cannot come below one that is known.

    d(G) = D(G) + ν log r²(G) + const,        D = log|I + Λ'Z'MZΛ| + log|X'X|

M is the residual maker of X, of ML the identity (and nothing is added). D rises with G in the order of positive
matrices, r² falls, to what is left where all effects are free. So if a covariance has a variance of t or more along a
direction u, then, whatever the others are,

    d(G) ≥ D(t uu' alone) + ν log r²(free) + const,

and once that is above a known deviance for every u, there is nothing to look for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from henderson.engine.search.cones import Cone, roots
from henderson.engine.search.survey import BUDGET, Survey

FloatArray = np.ndarray

#: log(1 + at) that are asked, a the largest information on an effect in a level
LADDER = np.array([2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.5, 10.0])
#: standard deviations (working basis) of all effects at which the deviance is known
KNOWN = np.array([0.4, 1.0, 2.5])
#: deviance that the bound must be above one that is known
MARGIN = 1.0
#: angles of two effects, in half a turn; what a level can lose between them is the log(1 + at) of one
ANGLES = 6
#: share of a survey's multiplications that the question may take
SHARE = 0.4
#: standard deviation at which effects are as good as free, and the fixed effects beside them not yet rounding
FREE = 1e3
#: r² where all effects are free, by rows (y has unit variance), below which it is rounding
SATURATED = 1e-8
#: times beyond the bound on a standard deviation that holds for intercepts in one factor
BEYOND = 8.0


@dataclass(frozen=True)
class Reach:
    """How far a survey has to look.

    Attributes
    ----------
    ends : tuple of float
        log(1 + at) of each covariance, t the largest variance along any direction.
    closed : tuple of bool
        Whether there is proof that nothing beyond is lower than what is known.
    """

    ends: tuple[float, ...]
    closed: tuple[bool, ...]


def reach(survey: Survey, of: Sequence[Cone], budget: float = BUDGET) -> Reach:
    """Of a survey, how far it has to look at some covariances.

    Where all of `LADDER` is too near: along one variance t of J levels d' = Σ a/(1 + ta) + ν (log r²)', and r² falls by
    less than n/t, so d rises once t > νn/(J r²), in which r² is that of free effects.
    """
    if survey.blocks.n_theta == 1:  # all the way costs no more than to ask
        return Reach((math.log1p(of[0].a * FREE**2),), (False,))
    nu, several = survey.nu, [len(_directions(one.q)) for one in of]
    theta = np.zeros((1 + len(KNOWN), survey.blocks.n_theta))
    theta[:, survey.blocks.standard_deviations[0]] = np.append(FREE, KNOWN)[:, None]
    affordable = survey.cost * sum(several) * len(LADDER) <= SHARE * budget
    outwards = [_outwards(one, theta.shape[1]) for one in of] if affordable else []
    rising, falling = survey.parts(np.concatenate([theta, *outwards]))
    floor = math.log(SATURATED * survey.n)
    free = max(float(falling[0]), floor) if np.isfinite(falling[0]) else floor
    ends = [math.log1p(one.a * BEYOND**2 * nu * survey.n * math.exp(-free) / one.n_levels) for one in of]
    closed = [False] * len(of)
    known = float(np.fmin.reduce((rising + nu * falling)[1 : len(theta)], initial=np.inf))
    after = np.split(rising[len(theta) :], len(LADDER) * np.cumsum(several)[:-1]) if affordable else []
    for which, (one, own) in enumerate(zip(of, after)):
        least = own.reshape(-1, len(LADDER)).min(axis=0) - (LADDER if one.q > 1 else 0.0)
        above = least + nu * free > known + MARGIN
        if above.any() and LADDER[above.argmax()] < ends[which]:
            ends[which], closed[which] = float(LADDER[above.argmax()]), True
    return Reach(tuple(ends), tuple(closed))


def _outwards(one: Cone, k: int) -> FloatArray:
    """θ with one variance alone: along each direction, at every step of the ladder, (m s, k)."""
    unit = _directions(one.q)
    theta = np.zeros((len(unit), len(LADDER), k))
    theta[:, :, one.parameters] = unit[:, None] * np.sqrt(np.expm1(LADDER) / one.a)[:, None]
    return theta.reshape(-1, k)


@lru_cache(maxsize=16)
def _directions(q: int) -> FloatArray:
    """θ of uu' for unit vectors u that leave no direction far from one of them, (m, q(q + 1)/2)."""
    if q == 2:
        angles = np.pi / ANGLES * np.arange(ANGLES)
        u = np.column_stack([np.cos(angles), np.sin(angles)])
    else:
        i, j = np.triu_indices(q, 1)
        one = np.eye(q)
        u = np.concatenate([one, (one[i] + one[j]) / math.sqrt(2.0), (one[i] - one[j]) / math.sqrt(2.0)])
    return roots(u[:, :, None] * u[:, None])
