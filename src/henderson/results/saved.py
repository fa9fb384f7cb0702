"""A file that `save` wrote, or the record of a fit that the command line wrote, read in whichever format it has; knows
no class of results but the one below them all."""

from __future__ import annotations

import base64
import binascii
import io
import json
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
        return read(path, path.name, env)
    if start.lstrip()[:1] == b"{":
        return read(io.BytesIO(_of_record(path)), path.name, env)
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


def model_text(results: Any, crossproducts: bool | None = None) -> str:
    """Results in the format "henderson" as text that JSON can hold, for a record of a fit."""
    archive = io.BytesIO()
    results.save(archive, format="henderson", crossproducts=crossproducts)
    return base64.b64encode(archive.getvalue()).decode("ascii")


def _of_record(path: Path) -> bytes:
    """The archive that `model_text` put into a record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path.name} cannot be read as JSON: {error}") from error
    text = record.get("model")
    if not isinstance(text, str):
        raise DataError(f"{path.name} holds no saved results: it is JSON without a model, which fit --out writes")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise DataError(f"{path.name} is damaged, or no file of saved results: {error}") from error
