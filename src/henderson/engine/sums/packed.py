"""Arrays in few bytes: their bytes sorted by place, then deflated.

The first bytes of one array's numbers are much alike, so are the second, …; sums of small integers (how often a level
of one factor meets one of another) have hardly more than one byte each that varies. Indices are replaced by their
differences first.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np


def pack(array: np.ndarray, level: int = 6) -> dict[str, Any]:
    """What `unpack` needs: dtype, shape, whether differences were taken, and bytes; deflated at a level of zlib's.

    Examples
    --------
    >>> packed = pack(np.arange(1000))
    >>> len(packed["data"]) < 100, bool((unpack(packed) == np.arange(1000)).all())
    (True, True)
    """
    flat = np.ascontiguousarray(array).ravel()
    differs = flat.dtype.kind in "iu"
    if differs:
        flat = np.diff(flat, prepend=flat.dtype.type(0))
    by_place = np.ascontiguousarray(flat.view(np.uint8).reshape(-1, flat.dtype.itemsize).T)
    order = "F" if array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "order": order,
        "differences": differs,
        "data": np.frombuffer(zlib.compress(by_place.tobytes(), level), np.uint8),
    }


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The array that was packed."""
    dtype = np.dtype(packed["dtype"])
    by_place = np.frombuffer(zlib.decompress(packed["data"].tobytes()), np.uint8).reshape(dtype.itemsize, -1)
    flat = np.ascontiguousarray(by_place.T).view(dtype).ravel()
    if packed["differences"]:
        flat = np.cumsum(flat, dtype=dtype)
    out = flat.reshape(packed["shape"])
    return np.asfortranarray(out) if packed["order"] == "F" else out
