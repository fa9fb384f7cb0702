"""Covariances of β̂: the registry.

A covariance is made from a `Setting` (and clusters): (p, p) over the columns kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .information import joint_covariance
from .kenward_roger import adjusted_covariance
from .setting import Setting

FloatArray = np.ndarray


#: name -> (Setting, cluster) -> (p, p)
COV: dict[str, Callable[[Setting, Any], FloatArray]] = {
    "hessian": lambda setting, cluster: joint_covariance(setting),
    "model": lambda setting, cluster: setting.fit.vcov,
    "kenward-roger": lambda setting, cluster: adjusted_covariance(setting),
}


def covariance(name: str, setting: Setting, cluster: Any = None) -> FloatArray:
    """The covariance called `name`.

    Raises
    ------
    ValueError
        An unknown name.
    """
    if name not in COV:
        raise ValueError(f"unknown cov {name!r}; there are {', '.join(COV)}")
    return COV[name](setting, cluster)
