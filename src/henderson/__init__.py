"""Mixed-effects models: statsmodels' `MixedLM` and lme4's `lmer` on one exact, fast engine.

>>> import henderson
>>> sleepstudy = henderson.datasets.load("sleepstudy")
>>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
>>> fit.fixef.round(2).to_dict()
{'Intercept': 251.41, 'Days': 10.47}
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets as datasets
    from .constraints import parse_constraints as parse_constraints
    from .errors import ConvergenceWarning as ConvergenceWarning
    from .errors import DataError as DataError
    from .errors import FormulaError as FormulaError
    from .errors import SingularMatrixWarning as SingularMatrixWarning
    from .errors import ValueWarning as ValueWarning
    from .inference.compare import bootstrap_compare as bootstrap_compare
    from .inference.compare import compare as compare
    from .inference.compare import kr_compare as kr_compare
    from .lme4_door import lmer as lmer
    from .model import MixedLM as MixedLM
    from .model import mixedlm as mixedlm
    from .params import MixedLMParams as MixedLMParams
    from .params import VCSpec as VCSpec
    from .results import MixedLMResults as MixedLMResults
    from .text import Summary as Summary

__version__ = "0.1.0"

#: public name → the room that has it; rooms are imported when a name is first used
_ROOMS = {
    "ConvergenceWarning": "errors",
    "DataError": "errors",
    "FormulaError": "errors",
    "MixedLM": "model",
    "MixedLMParams": "params",
    "MixedLMResults": "results",
    "SingularMatrixWarning": "errors",
    "Summary": "text",
    "VCSpec": "params",
    "ValueWarning": "errors",
    "bootstrap_compare": "inference.compare",
    "compare": "inference.compare",
    "kr_compare": "inference.compare",
    "lmer": "lme4_door",
    "mixedlm": "model",
    "parse_constraints": "constraints",
}

__all__ = ["__version__", "datasets", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return importlib.import_module(".datasets", __name__)
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), "datasets", *_ROOMS])
