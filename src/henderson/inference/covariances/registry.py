"""Covariances of β̂: the registry.

A covariance is made from a `Setting` (and clusters): (p, p) over the columns kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from henderson.inference.fit_moments import Setting
from henderson.inference.inference import DdfMethod

FloatArray = np.ndarray


@dataclass(frozen=True)
class Covariance:
    """Attributes
    ----------
    matrix : (p, p) array
        Over the columns kept.
    satterthwaite : DdfMethod, or None
        Satterthwaite's method for this covariance, where it has its own.
    """

    matrix: FloatArray
    satterthwaite: DdfMethod | None = None


#: cluster-robust covariances
KINDS = ("CR0", "CR1", "CR2", "CR3")


def _hessian(setting: Setting, cluster: Any) -> Covariance:
    from henderson.inference.information import joint_covariance

    return Covariance(joint_covariance(setting))


def _model(setting: Setting, cluster: Any) -> Covariance:
    return Covariance(setting.fit.vcov)


def _kenward_roger(information: str, setting: Setting, cluster: Any) -> Covariance:
    from henderson.inference.ddf.kenward_roger import adjusted_covariance

    return Covariance(adjusted_covariance(setting, information))


def _robust(kind: str, setting: Setting, cluster: Any) -> Covariance:
    from henderson.inference.covariances.cluster_robust import cluster_robust

    sandwich = cluster_robust(kind, setting, cluster)
    return Covariance(sandwich.cov, sandwich)


#: name -> (Setting, cluster) -> Covariance
COV: dict[str, Callable[[Setting, Any], Covariance]] = {
    "hessian": _hessian,
    "model": _model,
    "kenward-roger": partial(_kenward_roger, "expected"),
    "kenward-roger-observed": partial(_kenward_roger, "observed"),
    **{kind: partial(_robust, kind) for kind in KINDS},
}


def covariance(name: str, setting: Setting, cluster: Any = None) -> Covariance:
    """The covariance called `name`.

    Raises
    ------
    ValueError
        An unknown name, or clusters for a covariance that has none.
    """
    if name not in COV:
        raise ValueError(f"unknown cov {name!r}; there are {', '.join(COV)}")
    if cluster is not None and name not in KINDS:
        raise ValueError(f"cov={name!r} has no clusters; cluster= goes with {', '.join(KINDS)}")
    return COV[name](setting, cluster)
