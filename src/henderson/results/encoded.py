"""Python values ↔ the JSON of the format "henderson", arrays aside; see `file` for what it looks like."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from henderson.covariance.structure import Structure
from henderson.covariance.structures import structure_called
from henderson.errors import DataError
from henderson.formula.evaluate import FactorSpec
from henderson.results.file_classes import (
    CLASSES,
    MODULES,
    class_named,
    function_named,
    function_state,
    module_named,
    set_state,
    state_of,
)

#: labels of Python's own types, from the text that `str` makes of them
_TEXTS: Mapping[type, Callable[[str], Any]] = {
    date: date.fromisoformat,
    time: time.fromisoformat,
    datetime: datetime.fromisoformat,
    Decimal: Decimal,
    UUID: UUID,
}
_FROM_TEXT = {kind.__name__: read for kind, read in _TEXTS.items()}


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
        if isinstance(value, timedelta):
            value = pd.Timedelta(value)
        if isinstance(value, pd.Timestamp | pd.Timedelta | pd.Period | pd.Interval):
            return {"index": self._index(pd.Index([value]), where), "scalar": True}
        if type(value) in _TEXTS:
            return {"text": [type(value).__name__, str(value)]}
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
            return function_state(value) or {"own": where}
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
        "text": lambda self, v: _FROM_TEXT[v["text"][0]](v["text"][1]),
        "bytes": lambda self, v: self.arrays[v["bytes"]].tobytes(),
        "list": lambda self, v: [self.decode(one) for one in v["list"]],
        "dict": lambda self, v: {self.decode(key): self.decode(one) for key, one in v["dict"]},
        "set": lambda self, v: frozenset(self.decode(one) for one in v["set"]),
        "slice": lambda self, v: slice(*v["slice"]),
        "index": lambda self, v: self._index(v["index"])[0] if v.get("scalar") else self._index(v["index"]),
        "object": lambda self, v: self._object(v),
        "same": lambda self, v: self._made[v["same"]],
        "module": lambda self, v: module_named(v["module"]),
        "function": lambda self, v: function_named(v["function"]),
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
    if specs.residual is not None:
        factors += [one for one in (*specs.residual.places, *specs.residual.variance) if isinstance(one, FactorSpec)]
    for factor in [*factors, *specs.offsets, specs.response, *([specs.weights] if specs.weights else [])]:
        if factor.state is not None:
            check_expression(factor.expr, factor.variables, specs.environment.used)


def _time_index(values: np.ndarray, dtype: str, name: Any) -> pd.Index:
    if dtype.startswith("timedelta"):
        return pd.TimedeltaIndex(values.view(dtype.replace("timedelta64", "m8")), name=name)
    unit = dtype[dtype.index("[") + 1 :].rstrip("]").split(",")
    found = pd.DatetimeIndex(values.view(f"M8[{unit[0]}]"), name=name)
    return found.tz_localize("UTC").tz_convert(unit[1].strip()) if len(unit) > 1 else found
