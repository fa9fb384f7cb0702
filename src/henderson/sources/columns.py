"""One column of a table as an array: what it holds, what is missing, its numbers.

A column is a NumPy array, or a pandas extension array where NumPy has no such type (categories, strings, time
zones, and numbers with missing entries: integers must not become floats, or ids above 2**53 fall together).
"""

from __future__ import annotations

import numbers as numbers_of_python
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError

#: rounding of whole numbers, beside their range, with which they are other numbers
COARSE = 1e-6

Array = Any
"""A NumPy array or a pandas extension array, one-dimensional."""


def to_array(values: Any, name: str) -> Array:
    """One column as an array.

    Masked entries and nulls are missing; integers and booleans among them keep their type.

    Parameters
    ----------
    values : array_like, Series of any make
    name : str
        For the error.

    Raises
    ------
    DataError
        When it is not one-dimensional, or its cells are of several lengths.

    Examples
    --------
    >>> to_array([1, None, 3], "x")
    <IntegerArray>
    [1, <NA>, 3]
    Length: 3, dtype: Int64
    """
    if isinstance(values, pd.Series | pd.Index):
        return to_array(values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array, name)
    if isinstance(values, pd.arrays.NumpyExtensionArray):  # NumPy's own, wrapped: its dtype is neither's
        return to_array(values.to_numpy(), name)
    if isinstance(values, pd.api.extensions.ExtensionArray):
        return _from_extension(values, name)
    if isinstance(values, np.ma.MaskedArray):
        return _from_masked(values, name)
    if not isinstance(values, np.ndarray | list | tuple):
        series = _as_narwhals(values)
        if series is not None:
            return from_narwhals(series, name)
    array = _from_sequence(values, name) if isinstance(values, list | tuple) else np.asarray(values)
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1:
        what = f"it has shape {array.shape}" if array.ndim else f"it is {type(values).__name__} {values!r:.40}"
        raise DataError(f"{name!r} must be one-dimensional, {what}")
    return _native(array) if isinstance(array, np.ndarray) else array


def _from_sequence(values: Sequence[Any], name: str) -> Array:
    """A list's entries: text as objects, numbers with None among them as numbers with missing entries."""
    if any(isinstance(v, str) for v in values):
        return pd.Series(values, dtype=object).to_numpy()
    if all(isinstance(v, tuple) and len(v) > 1 for v in values) and len(values):
        labels = np.empty(len(values), dtype=object)
        labels[:] = values
        return labels
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{name!r} has cells of several lengths; one value a row is needed") from None
    if array.dtype == object and array.ndim == 1:
        kind = pd.api.types.infer_dtype(array, skipna=True)
        if kind in ("integer", "floating", "mixed-integer-float", "boolean") and any(v is None for v in values):
            return pd.array(values)
    return array


def _native(array: np.ndarray) -> np.ndarray:
    """The machine's byte order, and a width that pandas has."""
    if array.dtype.kind in "iufc" and not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float64)
    return array.astype(object) if array.dtype.kind == "T" else array


def _from_extension(values: Array, name: str) -> Array:
    dtype = values.dtype
    if isinstance(dtype, pd.SparseDtype):
        return to_array(np.asarray(values), name)
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind not in "iufbmM":
        return _from_arrow(values, name)
    return values


def _from_arrow(values: Array, name: str) -> Array:
    """An Arrow column of pandas that is no number, boolean or time: pandas cannot use all of them as labels."""
    import pyarrow

    column = pyarrow.chunked_array([pyarrow.array(values)])
    return values if pyarrow.types.is_string(column.type) else to_array(column, name)


def _from_masked(values: np.ma.MaskedArray, name: str) -> Array:
    data, mask = to_array(np.asarray(values.data), name), np.ma.getmaskarray(values).reshape(-1)
    return with_missing(data, mask) if mask.any() else data


def with_missing(data: np.ndarray, mask: np.ndarray) -> Array:
    """`data` with missing entries where `mask` says so, of the same type.

    Parameters
    ----------
    data : (n,) array
    mask : (n,) bool array
    """
    if data.dtype.kind in "iu":
        return pd.arrays.IntegerArray(data.copy(), mask.copy())
    if data.dtype.kind == "b":
        return pd.arrays.BooleanArray(data.copy(), mask.copy())
    out = data.copy() if data.dtype.kind in "fcmM" else data.astype(object)
    none = "NaT" if out.dtype.kind in "mM" else np.nan if out.dtype.kind in "fc" else None
    out[mask] = np.array(none, out.dtype)
    return out


def _as_narwhals(values: Any) -> Any:
    """A polars or pyarrow column as narwhals has it; None for anything else."""
    make = str(type(values).__module__).partition(".")[0]
    if make not in ("polars", "pyarrow", "narwhals", "modin", "cudf"):
        return None
    import narwhals as nw

    if type(values).__module__.startswith("pyarrow") and not hasattr(values, "chunks"):
        import pyarrow

        values = pyarrow.chunked_array([values])
    return nw.from_native(values, series_only=True)


def from_narwhals(series: Any, name: str) -> Array:
    """A narwhals Series as an array.

    Parameters
    ----------
    series : narwhals.Series
    name : str
        For the error.
    """
    import narwhals as nw

    dtype = series.dtype
    if dtype in (nw.Categorical, nw.Enum):
        # narwhals' own to_pandas turns a missing entry of a pyarrow dictionary into a level
        values = series.to_native().to_pandas().array
        # a polars Categorical and an Arrow dictionary have their entries in the order in which they met them
        kind = series.implementation
        met = dtype == nw.Categorical and (kind.is_polars() or kind.is_pyarrow()) and not values.ordered
        return values.reorder_categories(sorted(values.categories)) if met else values
    if dtype in (nw.Int128, nw.UInt128):
        return to_array(series.to_list(), name)
    if dtype == nw.Decimal:
        series = series.cast(nw.Float64)
    if (dtype.is_integer() or dtype == nw.Boolean) and series.null_count():
        filled = series.fill_null(False if dtype == nw.Boolean else 0)
        return with_missing(filled.to_numpy(), np.asarray(series.is_null().to_numpy(), bool))
    if isinstance(dtype, nw.List | nw.Struct | nw.Array):
        raise DataError(f"{name!r} holds {str(dtype).partition('(')[0].lower()}s; one value a row is needed")
    return to_array(series.to_numpy(), name)


def settle(values: Array) -> Array:
    """A column in which nothing is missing, as plainly as NumPy can hold it: nullable numbers become numbers.

    Examples
    --------
    >>> settle(pd.array([3, 1], dtype="Int64"))
    array([3, 1])
    """
    dtype = values.dtype
    if isinstance(dtype, np.dtype | pd.CategoricalDtype):
        return values
    plain = getattr(dtype, "numpy_dtype", None)
    if isinstance(plain, np.dtype) and plain.kind in "iufb":
        return values.to_numpy(dtype=plain)
    return values


def kind_of(values: Array) -> str:
    """What a column holds.

    Returns
    -------
    {"number", "bool", "category", "text", "time", "complex", "number objects", "objects"}
    """
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        kinds = {
            "b": "bool",
            "c": "complex",
            "U": "text",
            "S": "text",
            "M": "time",
            "m": "time",
            "O": "objects",
        }
        kind = kinds.get(dtype.kind, "number")
        if kind == "objects":
            inferred = pd.api.types.infer_dtype(values, skipna=True)
            numbers = ("integer", "floating", "decimal", "complex", "mixed-integer-float")
            kind = {
                "string": "text",
                "boolean": "bool",
                "datetime": "time",
                "datetime64": "time",
                "date": "time",
                "time": "time",
                "timedelta": "time",
            }.get(inferred, "number objects" if inferred in numbers or _are_numbers(values) else "objects")
        return kind
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if pd.api.types.is_bool_dtype(dtype):
        return "bool"
    if pd.api.types.is_numeric_dtype(dtype):
        return "number"
    if pd.api.types.is_string_dtype(dtype):
        return "text"
    if isinstance(dtype, pd.IntervalDtype):
        return "objects"
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind not in "mM" and "date" not in str(dtype):
        return "objects"
    return "time"


def _are_numbers(values: np.ndarray) -> bool:
    """Whether objects are numbers of types that pandas does not tell apart, as fractions are."""
    there = values[~pd.isna(values)]
    return len(there) > 0 and all(isinstance(value, numbers_of_python.Number) for value in there)


def find_missing(values: Array) -> np.ndarray | None:
    """Which entries are missing; None when none is. Infinity is not missing."""
    if isinstance(values.dtype, np.dtype):
        if values.dtype.kind in "biuUS":
            return None
        if values.dtype.kind in "fc" and np.isfinite(quiet_sum(values)):
            return None
    missing = np.asarray(pd.isna(values))
    return missing if missing.any() else None


def quiet_sum(values: np.ndarray) -> Any:
    """Sum without warnings: finite only if every entry is (or, rarely, not even then)."""
    with np.errstate(all="ignore"):
        return values.sum()


def to_float(values: Array, name: str) -> np.ndarray:
    """A numeric column as float64 (a view where it already is); NaN for missing.

    Raises
    ------
    DataError
        When the column does not hold real numbers or booleans.
    """
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "fiub":
        return values.astype(np.float64, copy=False)
    kind = kind_of(values)
    if kind in ("number", "bool"):
        if isinstance(values, np.ndarray):
            return np.asarray(pd.array(values, dtype="boolean").to_numpy(np.float64, na_value=np.nan))
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    problem = {
        "complex": "holds complex numbers",
        "number objects": f"holds numbers as Python objects (dtype {values.dtype}); use astype(float)",
        "objects": f"holds Python objects (dtype {values.dtype}), not numbers",
        "time": f"holds dates or times (dtype {values.dtype}); convert it to a number of days, say",
        "category": "is categorical, not numeric",
        "text": "holds text, not numbers",
    }[kind]
    raise DataError(f"{name!r} {problem}")


def check_fine(values: Array, name: str) -> None:
    """Raise where whole numbers beyond 2**53 (nanoseconds since 1970) differ by so little that double precision, in
    which models are fitted, rounds away more than `COARSE` of their range."""
    if kind_of(values) != "number":
        return
    whole = values if isinstance(values, np.ndarray) else values[~np.asarray(pd.isna(values))].to_numpy()
    if whole.dtype.kind not in "iu" or not len(whole):
        return
    low, high = int(whole.min()), int(whole.max())
    largest = float(max(-low, high))
    if largest <= 2.0**53 or np.spacing(largest) / 2 <= COARSE * (high - low) or low == high:
        return
    if (whole.astype(np.float64).astype(whole.dtype) != whole).any():
        raise DataError(
            f"{name!r} has whole numbers beyond 2**53 that are too close to each other for double precision: take the "
            f"smallest from it, {low}, before it goes into a table"
        )


def numbers(values: Any, name: str) -> np.ndarray:
    """What must be numbers as a float64 array, NaN for missing.

    Parameters
    ----------
    values : number, array_like or Series of any make
    name : str
        For the error.

    Examples
    --------
    >>> numbers([1, None], "start"), numbers(2, "start")
    (array([ 1., nan]), array([2.]))
    """
    return to_float(to_array([values] if np.ndim(values) == 0 else values, name), name)


def check_finite(
    values: np.ndarray, names: Sequence[str], rows: np.ndarray | None = None, allow_nan: bool = False
) -> None:
    """Raise unless every entry is finite, or NaN where these are allowed.

    Parameters
    ----------
    values : (n,) or (n, k) array
    names : sequence of k str
    rows : (n,) integer array, optional
        Where the rows are in the data.
    """
    if np.isfinite(quiet_sum(values)):
        return
    for k, name in enumerate(names):
        column = values if values.ndim == 1 else values[:, k]
        bad = np.flatnonzero(np.isinf(column) if allow_nan else ~np.isfinite(column))
        if len(bad):
            what = "NaN" if np.isnan(column[bad[0]]) else "infinite"
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise DataError(f"{name!r} is {what} in row {bad[0] if rows is None else rows[bad[0]]}{more}")
