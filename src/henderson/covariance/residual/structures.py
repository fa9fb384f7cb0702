"""The registry of structures within a series: a line makes one known by name."""

from __future__ import annotations

from henderson.covariance.residual.antedependence import Antedependence, HeterogeneousAntedependence
from henderson.covariance.residual.autoregressive import Autoregressive, HeterogeneousAutoregressive
from henderson.covariance.residual.compound import CompoundSymmetry, HeterogeneousCompoundSymmetry
from henderson.covariance.residual.distance import ContinuousTime, Exponential, Gaussian
from henderson.covariance.residual.matern import Matern
from henderson.covariance.residual.structure import ResidualStructure
from henderson.covariance.residual.toeplitz import HeterogeneousToeplitz, Toeplitz
from henderson.covariance.residual.unstructured import Diagonal, Independent, Unstructured

#: name, as `ResidualTerm.structure` has it -> structure
RESIDUAL_STRUCTURES: dict[str, type[ResidualStructure]] = {
    each.name: each
    for each in (
        Unstructured,
        CompoundSymmetry,
        HeterogeneousCompoundSymmetry,
        Toeplitz,
        HeterogeneousToeplitz,
        Autoregressive,
        HeterogeneousAutoregressive,
        Antedependence,
        HeterogeneousAntedependence,
        ContinuousTime,
        Exponential,
        Gaussian,
        Matern,
        Diagonal,
        Independent,
    )
}
