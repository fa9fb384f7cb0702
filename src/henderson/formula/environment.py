"""Names that a formula uses and the data do not have: the caller's variables, functions and modules.

An open environment looks them up where the model is made; a formula is then a program of its own, as patsy's
and formulaic's are. A closed one knows the columns and the listed functions (`functions.FUNCTIONS`), and
nothing else: no attribute, no subscript, no name of Python's. It is for formulas that come from elsewhere.

Tested: tests/formula/test_environment.py
"""

from __future__ import annotations

import builtins
import importlib
import pickle
import sys
import types
from collections import ChainMap
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from henderson.errors import FormulaError

_ABSENT = object()

Env = Mapping[str, Any] | int | Literal["closed"]
"""What a user gives as `env`: names, how many frames above the caller to look for them, or ``"closed"``."""


class Environment:
    """The caller's names, of which those looked up are kept, so that a formula can be replayed on new data.

    Modules are pickled by name, and what cannot be pickled (a lambda, say) is left out of the pickle.

    Parameters
    ----------
    names : mapping of str
    patsy : bool
        Whether functions mean what they mean to patsy.
    closed : bool
        Whether formulas are confined to columns and listed functions.
    """

    def __init__(self, names: Mapping[str, Any], *, patsy: bool = False, closed: bool = False) -> None:
        self._names = {} if closed else names
        self.patsy = patsy
        self.closed = closed
        self.used: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """The value of the caller's `name`, or NumPy as ``np``; `Environment.absent` when there is none."""
        if name not in self.used:
            value = self._names.get(name, _ABSENT)
            if value is _ABSENT and name == "np" and not self.closed:
                value = np
            if value is _ABSENT:
                return _ABSENT
            self.used[name] = value
        return self.used[name]

    def function(self, name: str) -> Any:
        """The caller's function `name`; `Environment.absent` when there is none."""
        value = self.get(name)
        if value is not _ABSENT and not callable(value):
            self.used.pop(name, None)
            return _ABSENT
        return value

    def builtin(self, name: str) -> Any:
        """NumPy's function of elements or Python's function of a name; `Environment.absent` when there is none."""
        if self.closed or name.startswith("_"):
            return _ABSENT
        found = getattr(np, name, None)
        if isinstance(found, np.ufunc):
            return found
        found = getattr(builtins, name, _ABSENT)
        return found if callable(found) else _ABSENT

    def vector(self, name: str) -> Any:
        """The value of `name` when it is a sequence, such as can stand for a column."""
        value = self.get(name)
        is_sequence = hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)
        return value if is_sequence and not callable(value) else _ABSENT

    absent = _ABSENT

    def forget(self) -> None:
        """Let go of the names that were not looked up (a frame's locals can be large)."""
        self._names = {}

    def without_vectors(self, n: int) -> Environment:
        """The same without vectors of at least n entries."""
        out = Environment({}, patsy=self.patsy, closed=self.closed)
        out.used = {name: value for name, value in self.used.items() if self.vector(name) is _ABSENT or len(value) < n}
        return out

    def to_state(self) -> dict[str, Any]:
        """What a file without code holds: all that was looked up, modules as they are."""
        return {"modules": {}, "values": dict(self.used), "patsy": self.patsy, "closed": self.closed}

    def __getstate__(self) -> dict[str, Any]:
        modules = {k: v.__name__ for k, v in self.used.items() if isinstance(v, types.ModuleType)}
        values = {k: v for k, v in self.used.items() if k not in modules and _can_pickle(v)}
        return {"modules": modules, "values": values, "patsy": self.patsy, "closed": self.closed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._names = {}
        self.patsy = state["patsy"]
        self.closed = state["closed"]
        self.used = {k: importlib.import_module(name) for k, name in state["modules"].items()}
        self.used.update(state["values"])


def _can_pickle(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # whatever an object's own __reduce__ raises
        return False
    return True


def capture(env: Any) -> Mapping[str, Any] | Environment:
    """The names of a caller: to be called at the door, where the frames are known.

    Parameters
    ----------
    env : mapping, int, ``"closed"`` or Environment
        The names themselves, or how many frames above the door's caller to look for them; negative: nowhere.

    Raises
    ------
    FormulaError
        When `env` is none of these.
    """
    if isinstance(env, Environment | Mapping):
        return env
    if isinstance(env, str) and env == "closed":
        return Environment({}, closed=True)
    if isinstance(env, bool) or not isinstance(env, int):
        raise FormulaError(f"env is a mapping of names, a number of frames above the caller, or 'closed', not {env!r}")
    if env < 0:
        return {}
    try:
        frame = sys._getframe(2 + env)
    except ValueError:
        raise FormulaError(f"env={env} is above the outermost caller") from None
    return ChainMap(frame.f_locals, frame.f_globals)


def environment(env: Mapping[str, Any] | Environment, *, patsy: bool = False) -> Environment:
    """What `capture` returned, as an `Environment` for one model."""
    if isinstance(env, Environment):
        return Environment(env._names, patsy=patsy, closed=env.closed)
    return Environment(env, patsy=patsy)
