"""A file that `save` wrote, read in whichever format it has; knows no class of results but the one below them all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from henderson.errors import DataError
from henderson.results.base import FittedModel
from henderson.results.file import read


def read_saved(fname: Any, env: Mapping[str, Any] | None = None) -> FittedModel:
    """The results in a file, of the class that was saved; see `loading.load`.

    Raises
    ------
    DataError
        When the file holds no results, is not whole, or was written by a version that this one does not know.
    """
    path = Path(fname)
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return read(path, env)
    if not start.startswith(b"\x80"):
        raise DataError(f"{path.name} holds no saved results: it is neither a pickle nor in the format 'henderson'")
    try:
        with path.open("rb") as file:
            found = pickle.load(file)
    except (EOFError, pickle.UnpicklingError, AttributeError, ImportError, IndexError, KeyError) as error:
        raise DataError(f"{path.name} cannot be read: {error or type(error).__name__}") from error
    if not isinstance(found, FittedModel):
        raise DataError(f"{path.name} holds no saved results but {type(found).__name__}")
    return found
