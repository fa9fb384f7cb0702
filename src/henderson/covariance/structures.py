"""The registry of structures: a line makes one known by name.

A name may have arguments, ``"ou(0,1,2.5)"``: a family of structures, one for each list of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from henderson.covariance.correlated import Correlated
from henderson.covariance.diagonal import Diagonal
from henderson.covariance.exchangeable import CompoundSymmetry, ExchangeableCorrelation
from henderson.covariance.factor_analytic import FactorAnalytic, ReducedRank
from henderson.covariance.identity import Identity
from henderson.covariance.markov import Ar1Correlation, OuCorrelation
from henderson.covariance.structure import Structure
from henderson.covariance.toeplitz import ToeplitzCorrelation
from henderson.covariance.unstructured import Unstructured

#: name, as `RandomTerm.structure` has it -> structure
STRUCTURES: dict[str, Structure] = {
    each.name: each
    for each in (
        Unstructured(),
        Diagonal(),
        Identity(),
        CompoundSymmetry(),
        Correlated(ExchangeableCorrelation(), False, "cs"),
        Correlated(Ar1Correlation(), True, "ar1"),
        Correlated(Ar1Correlation(), False, "hetar1"),
        Correlated(ToeplitzCorrelation(), True, "homtoep"),
        Correlated(ToeplitzCorrelation(), False, "toep"),
    )
}

#: name of a family -> its member of some numbers
FAMILIES: dict[str, Callable[[tuple[float, ...]], Structure]] = {
    "ar1": lambda times: Correlated(Ar1Correlation(times), True, "ar1"),
    "hetar1": lambda times: Correlated(Ar1Correlation(times), False, "hetar1"),
    "ou": lambda times: Correlated(OuCorrelation(times), True, "ou"),
    "rr": lambda factors: ReducedRank(int(factors[0])),
    "fa": lambda factors: FactorAnalytic(int(factors[0])),
    "hetou": lambda times: Correlated(OuCorrelation(times), False, "hetou"),
}


def structure_called(name: str) -> Structure:
    """The structure of that name.

    Raises
    ------
    ValueError
        For an unknown name, with those there are.

    Examples
    --------
    >>> structure_called("unstructured").n_theta(3), structure_called("ou(0,1,2.5)").n_theta(3)
    (6, 2)
    """
    if name in STRUCTURES:
        return STRUCTURES[name]
    if name.partition("(")[0] in FAMILIES and name.endswith(")"):
        return _member(name)
    families = (each for each in FAMILIES if each not in STRUCTURES)
    raise ValueError(f"unknown covariance structure {name!r}; supported: {', '.join((*STRUCTURES, *families))}")


@lru_cache(maxsize=256)
def _member(name: str) -> Structure:
    family, _, numbers = name[:-1].partition("(")
    return FAMILIES[family](tuple(float(one) for one in numbers.split(",")))
