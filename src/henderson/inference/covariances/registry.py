"""Covariances of β̂: the registry.

A covariance is made from a `FitMoments` (and clusters): (p, p) over the columns kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from henderson.inference.covariances.cluster_robust import cluster_robust
from henderson.inference.covariances.joint import fixed_of_surface, joint_of_fit
from henderson.inference.ddf.kenward_roger import adjusted_covariance
from henderson.inference.fit_moments import FitMoments
from henderson.inference.inference import DdfMethod
from henderson.inference.information import tangent

FloatArray = np.ndarray


@dataclass(frozen=True)
class Covariance:
    """A covariance of β̂, with the df method that is its own where it has one.

    Attributes
    ----------
    matrix : (p, p) array
        Over the columns kept.
    working : (p, p) array, or None
        The same in the working basis, where it is known.
    satterthwaite : DdfMethod, or None
        Satterthwaite's method for this covariance, where it has its own.
    notes : tuple of str
        What a reader must know of it.
    """

    matrix: FloatArray
    working: FloatArray | None = None
    satterthwaite: DdfMethod | None = None
    notes: tuple[str, ...] = ()


_INDEFINITE = (
    "the Hessian is not negative definite (the fit is on the boundary): standard errors made from it are not to be "
    "trusted; with_inference(cov='model') has others"
)

#: cluster-robust covariances
KINDS = ("CR0", "CR1", "CR2", "CR2-mmrm", "CR3")


def _hessian(fitted: FitMoments, cluster: Any) -> Covariance:
    if fitted.design.residual is not None or tangent(fitted.working) is not None:
        working, is_definite = fixed_of_surface(fitted.fit)
    else:
        joint, p = joint_of_fit(fitted.fit), int(fitted.kept.sum())
        working, is_definite = joint.cov[:p, :p], joint.is_definite
    return Covariance(_in_user_units(fitted, working), working, notes=() if is_definite else (_INDEFINITE,))


def _model(fitted: FitMoments, cluster: Any) -> Covariance:
    return Covariance(fitted.fit.vcov)


def _kenward_roger(information: str, curved: bool, fitted: FitMoments, cluster: Any) -> Covariance:
    working = adjusted_covariance(fitted, information, curved)
    return Covariance(_in_user_units(fitted, working), working)


def _robust(kind: str, fitted: FitMoments, cluster: Any) -> Covariance:
    sandwich = cluster_robust(kind, fitted, cluster)
    return Covariance(_in_user_units(fitted, sandwich.working), sandwich.working, sandwich)


def _in_user_units(fitted: FitMoments, working: FloatArray) -> FloatArray:
    to_beta = fitted.working.to_beta
    return to_beta @ working @ to_beta.T


#: name -> (FitMoments, cluster) -> Covariance
COV: dict[str, Callable[[FitMoments, Any], Covariance]] = {
    "hessian": _hessian,
    "model": _model,
    "kenward-roger": partial(_kenward_roger, "expected", True),
    "kenward-roger-observed": partial(_kenward_roger, "observed", True),
    "kenward-roger-linear": partial(_kenward_roger, "expected", False),
    **{kind: partial(_robust, kind) for kind in KINDS},
}


def covariance(name: str, fitted: FitMoments, cluster: Any = None) -> Covariance:
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
    return COV[name](fitted, cluster)
