"""Dates and spans of time as numbers: days, as SAS counts them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError

#: dates with a time of day or without, with a time zone or without, or spans of time
Dates = pd.DatetimeIndex | pd.TimedeltaIndex


def as_dates(values: Any) -> Dates | None:
    """Dates or spans of time of any make, datetime.date included; None for what is something else.

    Examples
    --------
    >>> from datetime import date
    >>> as_dates(pd.Index([date(2024, 2, 28), date(2024, 3, 1)])).day.tolist(), as_dates(pd.Index([1.0, 2.0]))
    ([28, 1], None)
    """
    index = pd.Index(values)
    if pd.api.types.is_object_dtype(index) and pd.api.types.infer_dtype(index) in ("date", "datetime", "datetime64"):
        index = pd.DatetimeIndex(index)
    elif pd.api.types.is_object_dtype(index) and pd.api.types.infer_dtype(index) == "timedelta":
        index = pd.TimedeltaIndex(index)
    return index if isinstance(index, Dates) else None


def days_from(first: Dates, values: Any, name: str) -> np.ndarray:
    """Days from the first of `first` to each of some dates, (n,); NaN where there is none.

    Raises
    ------
    DataError
        For what are no dates, or not of the same kind.

    Examples
    --------
    >>> dates = pd.DatetimeIndex(["2024-02-28", "2024-03-01T12:00"])
    >>> days_from(dates[:1], dates, "date")
    array([0. , 2.5])
    """
    found = as_dates(values)
    if found is None or type(found) is not type(first):
        kind = "spans of time" if isinstance(first, pd.TimedeltaIndex) else "dates"
        raise DataError(f"{name!r} holds {kind} where the model was fitted, and here dtype {pd.Index(values).dtype}")
    try:
        return np.asarray(pd.TimedeltaIndex(found - first[0]) / pd.Timedelta(days=1), float)
    except TypeError:  # with a time zone and without
        raise DataError(f"{name!r} has dates with a time zone and without: {first.dtype} and {found.dtype}") from None
