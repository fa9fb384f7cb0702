"""The format "henderson": results as numbers, names and text in one file, and no code.

A zip archive of ``model.json`` and of NumPy arrays without pickled objects, ``arrays/0.npy``, …. In the JSON

    null, true, 12, 0.5, "text", [..]    are themselves; lists are tuples, {"list": [..]} is a list
    {"float": "nan"}                     a number that JSON has not
    {"array": 3}                         arrays/3.npy; {"bytes": 3} its bytes
    {"dict": [[key, value], ..]}, {"set": [..]}, {"slice": [a, b, c]}
    {"text": ["date", "2024-03-01"]}     a date, time, datetime, Decimal or UUID, from its text
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

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from henderson.errors import DataError
from henderson.results.encoded import Reader, Writer, check_specs
from henderson.version import __version__

#: number of the format; a file of another one is refused
VERSION = 1

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


def write(results: Any, file: Path | IO[bytes]) -> None:
    """Write results without rows to a file, or into one that is open.

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
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", json.dumps(head, ensure_ascii=False, allow_nan=False))
        for number, array in enumerate(writer.arrays):
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            archive.writestr(f"arrays/{number}.npy", buffer.getvalue())


def read(file: Path | IO[bytes], name: str, env: Mapping[str, Any] | None = None) -> Any:
    """Results from a file that `write` wrote; errors call it `name`.

    Raises
    ------
    DataError
        When the file is damaged, of an unknown version, or no file of this format.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if (bad := archive.testzip()) is not None:
                raise DataError(f"{name} is damaged: {bad}")
            head = json.loads(archive.read("model.json"))
            if not isinstance(head, dict) or head.get("format") != "henderson":
                raise DataError(f"{name} holds no saved results")
            if head.get("version") != VERSION:
                raise DataError(
                    f"{name} is of version {head.get('version')!r} of the format, written by henderson "
                    f"{head.get('henderson')}; this henderson reads version {VERSION}"
                )
            members = [one for one in archive.namelist() if one.startswith("arrays/")]
            loaded = {one: np.load(io.BytesIO(archive.read(one)), allow_pickle=False) for one in members}
        reader = Reader([loaded[f"arrays/{number}.npy"] for number in range(len(members))], env or {})
        return reader.decode(head["results"])
    except DataError:
        raise
    except _DAMAGES as error:
        raise DataError(f"{name} is damaged, or no file of saved results: {error}") from error
