"""The registry of structures: a line makes one known by name."""

from __future__ import annotations

from henderson.covariance.diagonal import Diagonal
from henderson.covariance.identity import Identity
from henderson.covariance.structure import Structure
from henderson.covariance.unstructured import Unstructured

#: name, as `RandomTerm.structure` has it -> structure
STRUCTURES: dict[str, Structure] = {each.name: each for each in (Unstructured(), Diagonal(), Identity())}


def structure_called(name: str) -> Structure:
    """The structure of that name.

    Raises
    ------
    ValueError
        For an unknown name, with those there are.

    Examples
    --------
    >>> structure_called("unstructured").n_theta(3)
    6
    """
    if name not in STRUCTURES:
        raise ValueError(f"unknown covariance structure {name!r}; supported: {', '.join(STRUCTURES)}")
    return STRUCTURES[name]
