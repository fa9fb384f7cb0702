"""What the format "henderson" may hold besides numbers and text: the classes, modules and functions, and their states.

Nothing in a file is executed or imported, but for modules in `MODULES`.
"""

from __future__ import annotations

import importlib
import types
from dataclasses import fields, is_dataclass
from typing import Any

from henderson.errors import DataError

#: modules whose names a formula in a file may use
MODULES = ("numpy", "numpy.linalg", "math", "scipy", "scipy.special", "scipy.stats", "pandas", "operator")

#: the classes that a file may hold, by their names, and where they are
CLASSES = {
    "MixedModelResults": "henderson.results.fitted",
    "MixedLMResults": "henderson.compat.statsmodels.results",
    "MixedLM": "henderson.compat.statsmodels.model",
    "MixedLMParams": "henderson.compat.statsmodels.params",
    "Setup": "henderson.compat.statsmodels.setup",
    "Packing": "henderson.compat.statsmodels.packing",
    "ModelData": "henderson.compat.statsmodels.names",
    "Groups": "henderson.compat.statsmodels.groups",
    "Members": "henderson.compat.statsmodels.groups",
    "Outcome": "henderson.compat.statsmodels.outcome",
    "Fit": "henderson.engine.fitted",
    "Search": "henderson.engine.searched",
    "StructuredFit": "henderson.engine.residual.fit",
    "BlockModel": "henderson.engine.residual.model",
    "MonteCarlo": "henderson.engine.search.monte_carlo",
    "Probes": "henderson.engine.factor.iterative.rest",
    "Level": "henderson.engine.factor.iterative.level",
    "Criterion": "henderson.engine.criterion",
    "Basis": "henderson.engine.sums.basis",
    "Blocks": "henderson.engine.sums.blocks",
    "Block": "henderson.engine.sums.blocks",
    "Counts": "henderson.engine.sums.crossproducts",
    "CrossProducts": "henderson.engine.sums.crossproducts",
    "Moments": "henderson.engine.moments",
    "Known": "henderson.engine.moments",
    "KnownCurved": "henderson.engine.moments",
    "Layout": "henderson.covariance.layout",
    "RowSums": "henderson.results.row_sums",
    "SummedRows": "henderson.engine.summed",
    "Totals": "henderson.engine.sums.one_pass",
    "FixedSums": "henderson.design.fixed_sums",
    "FactorVariables": "henderson.design.fixed_terms",
    "Design": "henderson.contract.design",
    "RandomTerm": "henderson.contract.design",
    "KnownEffects": "henderson.contract.design",
    "RelatedEffects": "henderson.contract.design",
    "Relation": "henderson.contract.relation",
    "KnownSpec": "henderson.design.known_term",
    "MembershipSpec": "henderson.design.membership_term",
    "Membership": "henderson.formula.membership",
    "ResidualTerm": "henderson.contract.residual",
    "VarianceTerm": "henderson.contract.residual",
    "Digest": "henderson.contract.digest",
    "Specs": "henderson.design.specs",
    "Days": "henderson.design.residual_term",
    "ResidualSpec": "henderson.design.residual_term",
    "Labels": "henderson.design.residual_term",
    "Constraints": "henderson.contract.constraints",
    "RandomSpec": "henderson.design.random_terms",
    "ComponentSpec": "henderson.design.variance_components",
    "FixedTerms": "henderson.design.fixed_terms",
    "Cells": "henderson.design.cells",
    "Part": "henderson.formula.coding",
    "FactorSpec": "henderson.formula.evaluate",
    "Environment": "henderson.formula.environment",
    "Crossing": "henderson.sources.factors",
    "Inference": "henderson.inference.inference",
    "Turned": "henderson.inference.contrast_rows",
    "InferenceRequest": "henderson.inference.names",
    "FitMoments": "henderson.inference.fit_moments",
    "ConstantDf": "henderson.inference.ddf.counting",
    "ByTerm": "henderson.inference.ddf.containment",
    "Flat": "henderson.inference.identified",
    "Unidentified": "henderson.inference.identified",
    "Satterthwaite": "henderson.inference.ddf.satterthwaite",
    "ClusterRobust": "henderson.inference.covariances.cluster_robust",
    "KenwardRoger": "henderson.inference.ddf.kenward_roger",
}


def class_named(name: str) -> type:
    """One of `CLASSES`, or a covariance structure."""
    if name not in CLASSES:
        raise DataError(f"the file holds an object of an unknown kind, {name!r}")
    return getattr(importlib.import_module(CLASSES[name]), name)


def state_of(value: Any) -> dict[str, Any]:
    """What an object is made of: what it would pickle, or its fields."""
    if hasattr(value, "to_state"):
        return value.to_state()
    if type(value).__getstate__ is not object.__getstate__:
        return value.__getstate__()
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(value.__dict__)


def set_state(value: Any, state: dict[str, Any]) -> None:
    """Give an empty object its state."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
    else:
        value.__dict__.update(state)


def function_state(value: Any) -> dict[str, str] | None:
    """A function of one of `MODULES` by its name there; None for others."""
    name = getattr(value, "__name__", "")
    for module in MODULES:
        if name and getattr(importlib.import_module(module), name, None) is value:
            return {"function": f"{module}.{name}"}
    return None


def module_named(name: str) -> types.ModuleType:
    """One of `MODULES`."""
    if name not in MODULES:
        raise DataError(f"the file asks for the module {name!r}; formulas in files may use {', '.join(MODULES)}")
    return importlib.import_module(name)


def function_named(path: str) -> Any:
    """The reverse of `function_state`."""
    module, _, name = path.rpartition(".")
    return getattr(module_named(module), name)
