"""The format "henderson": results as numbers, names and text in one file, and no code.

A zip archive of ``model.json`` and of NumPy arrays without pickled objects, ``arrays/0.npy``, …. In the JSON

    null, true, 12, 0.5, "text", [..]    are themselves; lists are tuples, {"list": [..]} is a list
    {"float": "nan"}                     a number that JSON has not
    {"array": 3}                         arrays/3.npy; {"bytes": 3} its bytes
    {"dict": [[key, value], ..]}, {"set": [..]}, {"slice": [a, b, c]}
    {"index": {..}}                      a pandas Index: its values, names and dtype
    {"object": "Part", "fields": {..}}   one of the classes named in `CLASSES`, from what its fields hold
    {"same": 5}                          the sixth object in the order in which they are written
    {"module": "numpy"}, {"function": "numpy.log"}    names that a formula uses, of modules in `MODULES` only
    {"own": "f"}                         a function of the user's, which `load(..., env={"f": f})` must give
    {"structure": "unstructured"}        a covariance structure

Nothing in a file is executed or imported, but for modules in `MODULES`; the formula's expressions are read again from
their text, as when they were given.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import types
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from henderson.covariance.structure import Structure
from henderson.covariance.structures import structure_called
from henderson.errors import DataError
from henderson.version import __version__

#: number of the format; a file of another one is refused
VERSION = 1
#: modules whose names a formula in a file may use
MODULES = ("numpy", "numpy.linalg", "math", "scipy", "scipy.special", "scipy.stats", "pandas", "operator")

#: what reading a file that is not whole may raise
_DAMAGES = (
    zipfile.BadZipFile,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
)
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
    "Fit": "henderson.engine.fit",
    "Search": "henderson.engine.fit",
    "Criterion": "henderson.engine.criterion",
    "Basis": "henderson.engine.sums.basis",
    "Blocks": "henderson.engine.sums.blocks",
    "Block": "henderson.engine.sums.blocks",
    "Counts": "henderson.engine.sums.crossproducts",
    "CrossProducts": "henderson.engine.sums.crossproducts",
    "Moments": "henderson.engine.moments",
    "Known": "henderson.engine.moments",
    "Layout": "henderson.covariance.layout",
    "Design": "henderson.contract.design",
    "RandomTerm": "henderson.contract.design",
    "Digest": "henderson.contract.digest",
    "Specs": "henderson.design.from_formula",
    "RandomSpec": "henderson.design.random_terms",
    "ComponentSpec": "henderson.design.variance_components",
    "FixedTerms": "henderson.design.fixed_terms",
    "Cells": "henderson.design.cells",
    "Part": "henderson.formula.coding",
    "FactorSpec": "henderson.formula.evaluate",
    "Environment": "henderson.formula.environment",
    "Crossing": "henderson.sources.factors",
    "Inference": "henderson.inference.inference",
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


def write(results: Any, fname: Any) -> None:
    """Write results without rows to a file.

    Raises
    ------
    DataError
        When they hold something that the format has no place for; the message names it.
    """
    if results.design.specs is not None:
        check_specs(results.design.specs)
    writer = Writer()
    content = writer.encode(results, "results")
    head = {"format": "henderson", "version": VERSION, "henderson": __version__, "results": content}
    path = Path(fname)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", json.dumps(head, ensure_ascii=False, allow_nan=False))
        for number, array in enumerate(writer.arrays):
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            archive.writestr(f"arrays/{number}.npy", buffer.getvalue())


def read(path: Path, env: Mapping[str, Any] | None = None) -> Any:
    """Results from a file that `write` wrote.

    Raises
    ------
    DataError
        When the file is damaged, of an unknown version, or no file of this format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise DataError(f"{path.name} is damaged: {bad}")
            head = json.loads(archive.read("model.json"))
            if not isinstance(head, dict) or head.get("format") != "henderson":
                raise DataError(f"{path.name} holds no saved results")
            if head.get("version") != VERSION:
                raise DataError(
                    f"{path.name} is of version {head.get('version')!r} of the format, written by henderson "
                    f"{head.get('henderson')}; this henderson reads version {VERSION}"
                )
            names = [name for name in archive.namelist() if name.startswith("arrays/")]
            loaded = {name: np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names}
        reader = Reader([loaded[f"arrays/{number}.npy"] for number in range(len(names))], env or {})
        return reader.decode(head["results"])
    except DataError:
        raise
    except _DAMAGES as error:
        raise DataError(f"{path.name} is damaged, or no file of saved results: {error}") from error


def class_named(name: str) -> type:
    """One of `CLASSES`, or a covariance structure."""
    if name not in CLASSES:
        raise DataError(f"the file holds an object of an unknown kind, {name!r}")
    return getattr(importlib.import_module(CLASSES[name]), name)


class Writer:
    """Python values → JSON, arrays aside.

    Attributes
    ----------
    arrays : list of arrays
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._places: dict[int, int] = {}
        self._alive: list[Any] = []  # an id is one object's as long as that lives

    def encode(self, value: Any, where: str) -> Any:
        """The JSON of a value; `where` it stands is said when it has none."""
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, pd.Timestamp | pd.Timedelta | pd.Period | pd.Interval):
            return {"index": self._index(pd.Index([value]), where), "scalar": True}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, pd.Index):
            return {"index": self._index(value, where)}
        if isinstance(value, list):
            return {"list": [self.encode(one, where) for one in value]}
        if isinstance(value, tuple):
            return [self.encode(one, where) for one in value]
        if isinstance(value, Mapping):
            return {
                "dict": [[self.encode(key, where), self.encode(one, f"{where}[{key!r}]")] for key, one in value.items()]
            }
        if isinstance(value, set | frozenset):
            return {"set": [self.encode(one, where) for one in sorted(value, key=str)]}
        if isinstance(value, slice):
            return {"slice": [value.start, value.stop, value.step]}
        if isinstance(value, bytes):
            return {"bytes": self._array(np.frombuffer(value, np.uint8), where)["array"]}
        return self._object(value, where)

    def _array(self, array: np.ndarray, where: str) -> dict[str, Any]:
        if array.dtype.kind == "O":
            return {"objects": [self.encode(one, where) for one in array.ravel().tolist()], "shape": list(array.shape)}
        self.arrays.append(array)
        return {"array": len(self.arrays) - 1}

    def _index(self, index: pd.Index, where: str) -> dict[str, Any]:
        if isinstance(index, pd.RangeIndex):
            return {"kind": "range", "names": [index.name], "range": [index.start, index.stop, index.step]}
        names = [self.encode(name, where) for name in index.names]
        if isinstance(index, pd.MultiIndex):
            levels = [self._index(level, where) for level in index.levels]
            return {
                "kind": "multi",
                "names": names,
                "levels": levels,
                "codes": [self._array(np.asarray(c), where) for c in index.codes],
            }
        if isinstance(index, pd.IntervalIndex):
            sides = [self._index(index.left, where), self._index(index.right, where)]
            return {"kind": "interval", "names": names, "sides": sides, "closed": str(index.closed)}
        if isinstance(index, pd.CategoricalIndex):
            own = {
                "categories": self._index(index.categories, where),
                "codes": self._array(np.asarray(index.codes), where),
            }
            return {"kind": "categorical", "names": names, "ordered": bool(index.ordered), **own}
        dtype = str(index.dtype)
        if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
            return {"kind": "time", "names": names, "dtype": dtype, "values": self._array(index.asi8, where)}
        if isinstance(index, pd.PeriodIndex):
            return {"kind": "period", "names": names, "freq": index.freqstr, "values": self._array(index.asi8, where)}
        values = index.to_numpy()
        return {"kind": "plain", "names": names, "dtype": dtype, "values": self._array(np.asarray(values), where)}

    def _object(self, value: Any, where: str) -> Any:
        if id(value) in self._places:
            return {"same": self._places[id(value)]}
        if isinstance(value, types.ModuleType):
            return {"module": value.__name__} if value.__name__ in MODULES else {"own": where}
        if callable(value) and not is_dataclass(value) and not isinstance(value, type):
            return _function(value) or {"own": where}
        if isinstance(value, Structure):
            return {"structure": value.name}
        name = type(value).__name__
        if type(value).__module__ != CLASSES.get(name):
            raise DataError(
                f"{where} is of the type {type(value).__module__}.{name}, for which the format 'henderson' has no "
                "place: save with format='pickle'"
            )
        self._places[id(value)] = len(self._alive)
        self._alive.append(value)
        return {"object": name, "fields": {k: self.encode(v, f"{where}.{k}") for k, v in state_of(value).items()}}


class Reader:
    """The reverse of `Writer`.

    Parameters
    ----------
    arrays : list of arrays
    env : mapping of str
        The user's own functions.
    """

    def __init__(self, arrays: list[np.ndarray], env: Mapping[str, Any]) -> None:
        self.arrays, self.env = arrays, env
        self._made: list[Any] = []

    def decode(self, value: Any) -> Any:
        """The Python value of a JSON value."""
        if isinstance(value, list):
            return tuple(self.decode(one) for one in value)
        if not isinstance(value, dict):
            return value
        kind = next(iter(value))
        if kind not in self._KINDS:
            raise DataError(f"the file holds {kind!r}, which this version does not know")
        return self._KINDS[kind](self, value)

    def _index(self, state: dict[str, Any]) -> pd.Index:
        kind, names = state["kind"], [self.decode(name) for name in state["names"]]
        if kind == "range":
            start, stop, step = state["range"]
            return pd.RangeIndex(start, stop, step, name=names[0])
        if kind == "multi":
            codes = [self.decode(one) for one in state["codes"]]
            return pd.MultiIndex(levels=[self._index(one) for one in state["levels"]], codes=codes, names=names)  # type: ignore[misc]  # levels of any kind
        if kind == "interval":
            left, right = (self._index(one) for one in state["sides"])
            return pd.IntervalIndex.from_arrays(left, right, closed=state["closed"], name=names[0])
        if kind == "categorical":
            categories = self._index(state["categories"])
            found = pd.Categorical.from_codes(self.decode(state["codes"]), categories, ordered=state["ordered"])
            return pd.CategoricalIndex(found, name=names[0])
        values = self.decode(state["values"])
        if kind == "period":
            return pd.PeriodIndex([pd.Period(ordinal=one, freq=state["freq"]) for one in values], name=names[0])
        if kind == "time":
            return _time_index(values, state["dtype"], names[0])
        return pd.Index(values, dtype=state["dtype"], name=names[0])

    def _object(self, value: dict[str, Any]) -> Any:
        made: Any = object.__new__(class_named(value["object"]))
        self._made.append(made)
        set_state(made, {name: self.decode(one) for name, one in value["fields"].items()})
        if value["object"] == "Specs":
            check_specs(made)
        return made

    def _own(self, value: dict[str, Any]) -> Any:
        name = value["own"].rpartition("[")[2].strip("']")
        if name not in self.env:
            raise DataError(
                f"the formula uses {name!r}, which is yours and not in the file; give it: "
                f"load(..., env={{{name!r}: {name}}})"
            )
        return self.env[name]

    def _objects(self, value: dict[str, Any]) -> np.ndarray:
        out = np.empty(len(value["objects"]), object)
        out[:] = [self.decode(one) for one in value["objects"]]
        return out.reshape(value["shape"])

    _KINDS: Mapping[str, Callable[[Reader, dict[str, Any]], Any]] = {
        "float": lambda self, v: float(v["float"]),
        "array": lambda self, v: self.arrays[v["array"]],
        "objects": lambda self, v: self._objects(v),
        "bytes": lambda self, v: self.arrays[v["bytes"]].tobytes(),
        "list": lambda self, v: [self.decode(one) for one in v["list"]],
        "dict": lambda self, v: {self.decode(key): self.decode(one) for key, one in v["dict"]},
        "set": lambda self, v: frozenset(self.decode(one) for one in v["set"]),
        "slice": lambda self, v: slice(*v["slice"]),
        "index": lambda self, v: self._index(v["index"])[0] if v.get("scalar") else self._index(v["index"]),
        "object": lambda self, v: self._object(v),
        "same": lambda self, v: self._made[v["same"]],
        "module": lambda self, v: _module(v["module"]),
        "function": lambda self, v: _named(v["function"]),
        "own": lambda self, v: self._own(v),
        "structure": lambda self, v: structure_called(v["structure"]),
    }


def check_specs(specs: Any) -> None:
    """Every expression of a formula, before anybody evaluates it."""
    from henderson.formula.confined import check_expression

    parts = [
        specs.fixed,
        *(part for one in specs.random for part in (getattr(one, "part", None), *getattr(one, "parts", ()))),
    ]
    factors = [factor for part in parts if part is not None for factor in part.factors.values()]
    for factor in [*factors, *specs.offsets, specs.response, *([specs.weights] if specs.weights else [])]:
        if factor.state is not None:
            check_expression(factor.expr, factor.variables, specs.environment.used)


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


def _time_index(values: np.ndarray, dtype: str, name: Any) -> pd.Index:
    if dtype.startswith("timedelta"):
        return pd.TimedeltaIndex(values.view(dtype.replace("timedelta64", "m8")), name=name)
    unit = dtype[dtype.index("[") + 1 :].rstrip("]").split(",")
    found = pd.DatetimeIndex(values.view(f"M8[{unit[0]}]"), name=name)
    return found.tz_localize("UTC").tz_convert(unit[1].strip()) if len(unit) > 1 else found


def _function(value: Any) -> dict[str, str] | None:
    """A function of one of `MODULES` by its name there; None for others."""
    name = getattr(value, "__name__", "")
    for module in MODULES:
        if name and getattr(importlib.import_module(module), name, None) is value:
            return {"function": f"{module}.{name}"}
    return None


def _module(name: str) -> types.ModuleType:
    if name not in MODULES:
        raise DataError(f"the file asks for the module {name!r}; formulas in files may use {', '.join(MODULES)}")
    return importlib.import_module(name)


def _named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(_module(module), name)
