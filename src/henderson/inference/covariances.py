"""Covariances of β̂: the registry.

A covariance is made from a `Setting` (and clusters): (p, p) over the columns kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .setting import Setting

FloatArray = np.ndarray


def model(setting: Setting, cluster: Any = None) -> FloatArray:
    """σ² (X'V⁻¹X)⁻¹, lme4's."""
    return setting.fit.vcov


#: name -> (Setting, cluster) -> (p, p)
COV: dict[str, Callable[[Setting, Any], FloatArray]] = {"model": model}


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
