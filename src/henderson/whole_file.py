"""Files that are there when all of them is, and as they were before until then: a full disk or Ctrl-C harms none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: Any) -> Iterator[Path]:
    """Where to write what shall be at `path`: a file beside it, which takes its place at the end, or is removed.

    What is no plain file (a pipe, ``/dev/stdout``) is written to itself.

    Raises
    ------
    OSError
        Of the system, with the name that was given.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with whole_file(path) as place:
    ...     _ = place.write_text("all of it")
    ...     path.exists()
    False
    >>> path.read_text()
    'all of it'
    """
    place = Path(os.path.realpath(path))
    if (Path(path).exists() and not Path(path).is_file()) or Path(os.path.abspath(path)).parts[1:2] == ("dev",):
        yield Path(path)
        return
    begun = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        yield begun
        begun.replace(place)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    finally:
        begun.unlink(missing_ok=True)
