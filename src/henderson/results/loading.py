"""`load`: results from a file, in whichever format they were saved."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from henderson.errors import DataError
from henderson.results.fitted import MixedModelResults


def load(fname: Any, env: Mapping[str, Any] | None = None) -> MixedModelResults:
    """Results that their method `save` wrote.

    A file in the format "henderson" is safe to load, whoever wrote it. A pickle can run code: load only what you trust.

    Parameters
    ----------
    fname : str or path
    env : mapping of str, optional
        Functions of your own that the formula uses; a file in the format "henderson" has their names only.

    Returns
    -------
    MixedModelResults or MixedLMResults
        The class that was saved.

    Raises
    ------
    DataError
        When the file is neither, is not whole, or was written by a version that this one does not know.
    """
    from henderson.results.file import read

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
    if not isinstance(found, MixedModelResults):
        raise DataError(f"{path.name} holds no saved results but {type(found).__name__}")
    return found
