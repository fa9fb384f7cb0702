"""Degrees of freedom, covariances of β̂, tests and comparisons of models.

Everything here is a function of a `Fit`, its `Moments` and its `Design`. `infer` chooses; every table asks the
`Inference` that it returns. Modules are imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from henderson.inference.choose import infer as infer
    from henderson.inference.covariances.registry import COV as COV
    from henderson.inference.ddf.registry import DDF as DDF
    from henderson.inference.hypotheses import coef_table as coef_table
    from henderson.inference.hypotheses import f_test as f_test
    from henderson.inference.hypotheses import t_test as t_test
    from henderson.inference.inference import FTest as FTest
    from henderson.inference.inference import Inference as Inference

_ROOMS = {
    "COV": "covariances.registry",
    "DDF": "ddf.registry",
    "FTest": "inference",
    "Inference": "inference",
    "coef_table": "hypotheses",
    "f_test": "hypotheses",
    "infer": "choose",
    "t_test": "hypotheses",
}

__all__ = [*_ROOMS]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)
    globals()[name] = value
    return value
