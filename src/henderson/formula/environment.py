"""Names that a formula uses and the data do not have: the caller's variables, functions and modules."""

from __future__ import annotations

import importlib
import pickle
import sys
import types
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import numpy as np

_ABSENT = object()


class Environment:
    """The caller's names, of which those looked up are kept, so that a formula can be replayed on new data.

    Modules are pickled by name, and what cannot be pickled (a lambda, say) is left out of the pickle.

    Parameters
    ----------
    names : mapping of str
    patsy : bool
        Whether functions mean what they mean to patsy.
    """

    def __init__(self, names: Mapping[str, Any], *, patsy: bool = False) -> None:
        self._names = names
        self.patsy = patsy
        self.used: dict[str, Any] = {}

    def get(self, name: str, *, called: bool = False) -> Any:
        """The value of `name`; `Environment.absent` when there is none.

        R's TRUE and FALSE and ``np`` are known; when `called`, NumPy's functions too (``sqrt(x)``).
        """
        if name not in self.used:
            value = self._names.get(name, _ABSENT)
            if value is _ABSENT:
                value = self._known(name, called)
            if value is _ABSENT:
                return _ABSENT
            self.used[name] = value
        return self.used[name]

    def _known(self, name: str, called: bool) -> Any:
        if name in ("TRUE", "FALSE"):
            return name == "TRUE"
        if name == "np":
            return np
        if called and name == "scale" and self.patsy:
            from formulaic.transforms import TRANSFORMS

            return TRANSFORMS["standardize"]
        function = getattr(np, name, _ABSENT) if called else _ABSENT
        return function if isinstance(function, np.ufunc) else _ABSENT

    def vector(self, name: str) -> Any:
        """The value of `name` when it is a sequence, such as can stand for a column."""
        value = self.get(name)
        is_sequence = hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)
        return value if is_sequence and not callable(value) else _ABSENT

    absent = _ABSENT

    def drop(self, name: str) -> None:
        """Use formulaic's meaning of `name`, not the caller's."""
        self.used.pop(name, None)

    def forget(self) -> None:
        """Let go of the names that were not looked up (a frame's locals can be large)."""
        self._names = {}

    def __getstate__(self) -> dict[str, Any]:
        modules = {k: v.__name__ for k, v in self.used.items() if isinstance(v, types.ModuleType)}
        values = {k: v for k, v in self.used.items() if k not in modules and _can_pickle(v)}
        return {"modules": modules, "values": values, "patsy": self.patsy}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._names = {}
        self.patsy = state["patsy"]
        self.used = {k: importlib.import_module(name) for k, name in state["modules"].items()}
        self.used.update(state["values"])


def _can_pickle(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # whatever an object's own __reduce__ raises
        return False
    return True


def capture(env: Mapping[str, Any] | int, depth: int, *, patsy: bool = False) -> Environment:
    """The environment of a caller.

    Parameters
    ----------
    env : mapping, or int
        The names themselves, or how many frames above the caller of `capture`'s caller to look for them.
    depth : int
        Frames between here and the frame that ``env=0`` means.
    patsy : bool
        See `Environment`.
    """
    if isinstance(env, Mapping):
        return Environment(env, patsy=patsy)
    frame = sys._getframe(depth + 1 + env)
    return Environment(ChainMap(frame.f_locals, frame.f_globals), patsy=patsy)
