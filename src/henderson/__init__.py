"""Mixed-effects models: statsmodels' `MixedLM` and lme4's `lmer` on one exact, fast engine.

>>> import henderson
>>> sleepstudy = henderson.datasets.load("sleepstudy")
>>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
>>> fit.fixef.round(2).to_dict()
{'(Intercept)': 251.41, 'Days': 10.47}
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from henderson.version import __version__ as __version__

if TYPE_CHECKING:
    from henderson import datasets as datasets
    from henderson.compat.statsmodels.model import MixedLM as MixedLM
    from henderson.compat.statsmodels.model import mixedlm as mixedlm
    from henderson.compat.statsmodels.params import MixedLMParams as MixedLMParams
    from henderson.compat.statsmodels.params import VCSpec as VCSpec
    from henderson.compat.statsmodels.results import MixedLMResults as MixedLMResults
    from henderson.covariance.pedigree import pedigree as pedigree
    from henderson.diagnostics.simplify import simplify as simplify
    from henderson.door import lmer as lmer
    from henderson.door import mmrm as mmrm
    from henderson.errors import ApproximationWarning as ApproximationWarning
    from henderson.errors import ConvergenceWarning as ConvergenceWarning
    from henderson.errors import DataError as DataError
    from henderson.errors import FormulaError as FormulaError
    from henderson.errors import SingularMatrixWarning as SingularMatrixWarning
    from henderson.errors import ValueWarning as ValueWarning
    from henderson.inference.comparison.compare import bootstrap_compare as bootstrap_compare
    from henderson.inference.comparison.compare import compare as compare
    from henderson.inference.comparison.compare import kr_compare as kr_compare
    from henderson.inference.constraints import parse_constraints as parse_constraints
    from henderson.many import fit_many as fit_many
    from henderson.planning.power import power as power
    from henderson.prediction.from_parameters import simulate as simulate
    from henderson.report.paper import table as table
    from henderson.results.fitted import MixedModelResults as MixedModelResults
    from henderson.results.loading import load as load
    from henderson.results.many_fits import ManyFits as ManyFits
    from henderson.results.row_sums import RowSums as RowSums
    from henderson.tables.aligned import Summary as Summary

#: public name → the room that has it; rooms are imported when a name is first used
_ROOMS = {
    "ApproximationWarning": "errors",
    "ConvergenceWarning": "errors",
    "DataError": "errors",
    "FormulaError": "errors",
    "ManyFits": "results.many_fits",
    "MixedLM": "compat.statsmodels.model",
    "MixedLMParams": "compat.statsmodels.params",
    "MixedLMResults": "compat.statsmodels.results",
    "MixedModelResults": "results.fitted",
    "RowSums": "results.row_sums",
    "SingularMatrixWarning": "errors",
    "Summary": "tables.aligned",
    "VCSpec": "compat.statsmodels.params",
    "ValueWarning": "errors",
    "bootstrap_compare": "inference.comparison.compare",
    "compare": "inference.comparison.compare",
    "fit_many": "many",
    "kr_compare": "inference.comparison.compare",
    "lmer": "door",
    "load": "results.loading",
    "mixedlm": "compat.statsmodels.model",
    "mmrm": "door",
    "pedigree": "covariance.pedigree",
    "parse_constraints": "inference.constraints",
    "simplify": "diagnostics.simplify",
    "power": "planning.power",
    "simulate": "prediction.from_parameters",
    "table": "report.paper",
}

__all__ = ["__version__", "datasets", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return importlib.import_module(".datasets", __name__)
    if name not in _ROOMS:
        from henderson.elsewhere import PACKAGE

        hint = f"; use {PACKAGE[name]}" if name in PACKAGE else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    value = getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
