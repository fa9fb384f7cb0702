"""Degrees of freedom, covariances of β̂, tests and comparisons of models.

Everything here is a function of a `Fit`, its `Moments` and its `Design`. `infer` chooses; every table asks the
`Inference` that it returns. Modules are imported when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import FTest as FTest
    from .core import Inference as Inference
    from .core import infer as infer
    from .covariances import COV as COV
    from .ddf import DDF as DDF
    from .hypotheses import coef_table as coef_table
    from .hypotheses import f_test as f_test
    from .hypotheses import t_test as t_test

_ROOMS = {
    "COV": "covariances",
    "DDF": "ddf",
    "FTest": "core",
    "Inference": "core",
    "coef_table": "hypotheses",
    "f_test": "hypotheses",
    "infer": "core",
    "t_test": "hypotheses",
}

__all__ = [*_ROOMS]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)
    globals()[name] = value
    return value
