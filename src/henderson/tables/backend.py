"""The one switch for the make of a table: pandas, polars or pyarrow, through narwhals."""

from __future__ import annotations

from typing import Any, get_args

import pandas as pd

from henderson.typing import Backend

BACKENDS: tuple[Backend, ...] = get_args(Backend)


def in_backend(frame: pd.DataFrame, backend: str | None) -> Any:
    """A table of results as a DataFrame of another library; its index, where it says something, is the first columns.

    Parameters
    ----------
    frame : DataFrame
    backend : {"pandas", "polars", "pyarrow"}, optional
        None: as it is.

    Raises
    ------
    ValueError
        For another library.
    ImportError
        When it is not installed.

    Examples
    --------
    >>> in_backend(pd.DataFrame({"x": [1, 2]}), "polars").columns
    ['x']
    """
    if backend is None or backend == "pandas":
        return frame
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    import narwhals as nw

    plain = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    columns = {str(name): _values(plain[name]) for name in plain.columns}
    make = BACKENDS[BACKENDS.index(backend)]
    return nw.from_dict(columns, backend=make).to_native()


def _values(column: pd.Series) -> Any:
    if column.dtype == object or isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype):
        return [None if pd.isna(one) else one for one in column.tolist()]
    return column.to_numpy()
