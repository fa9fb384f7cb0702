"""An ordered sample beside what a standard normal one of its size would be.

The i-th of n order statistics of a uniform sample is Beta(i, n + 1 − i); its median is close to (i − 3/8) / (n + 1/4)
(Blom 1958), and its pointwise 95 % limits are quantiles of that distribution:

    theoretical_i = Φ⁻¹((i − 3/8) / (n + 1/4)),   lower_i, upper_i = Φ⁻¹(Beta⁻¹(0.5 ∓ 0.475; i, n + 1 − i))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtri

from henderson.plots.binning import some_ranks

FloatArray = np.ndarray

#: probability beyond either limit
TAIL = 0.025


@dataclass(frozen=True)
class NormalQuantiles:
    """A sample in order, or some of it.

    Attributes
    ----------
    n : int
        Size of the sample.
    theoretical : (k,) array
        Quantiles of the standard normal distribution.
    sample : (k,) array
        The sample, smallest first.
    lower, upper : (k,) arrays
        Pointwise 95 % limits of the order statistics of a standard normal sample.
    """

    n: int
    theoretical: FloatArray
    sample: FloatArray
    lower: FloatArray
    upper: FloatArray


def normal_quantiles(sample: FloatArray, most: int | None = None) -> NormalQuantiles:
    """The sample beside normal quantiles; values that are not finite are left out.

    Parameters
    ----------
    sample : (n,) array
        In standard deviations.
    most : int, optional
        Of a larger sample about so many order statistics: those at both ends and others evenly between.

    Examples
    --------
    >>> found = normal_quantiles(np.array([0.1, -1.2, 0.9]))
    >>> found.theoretical.round(2).tolist(), found.sample.tolist()
    ([-0.87, 0.0, 0.87], [-1.2, 0.1, 0.9])
    """
    ordered = np.sort(sample[np.isfinite(sample)])
    n = len(ordered)
    ranks = np.arange(n) if most is None else some_ranks(n, most)
    i = ranks + 1
    return NormalQuantiles(
        n,
        ndtri((i - 0.375) / (n + 0.25)),
        ordered[ranks],
        ndtri(betaincinv(i, n + 1 - i, TAIL)),
        ndtri(betaincinv(i, n + 1 - i, 1 - TAIL)),
    )
