"""statsmodels' arrays (endog, exog, groups, exog_re, exog_vc) become a `Design` and its `Rows`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows, TermRows
from henderson.design import checks
from henderson.design.intercept import STATSMODELS, other_spelling
from henderson.design.variance_components import from_blocks
from henderson.errors import DataError
from henderson.sources.columns import Array, check_finite, find_missing, to_array, to_float
from henderson.sources.factors import encode
from henderson.sources.frames import read_table
from henderson.sources.grouping import one_grouping

_MISSING = ("none", "drop", "raise")
#: what the groups are called
GROUP = "Group"


def design_from_arrays(
    endog: Any,
    exog: Any,
    groups: Any,
    exog_re: Any = None,
    exog_vc: Any = None,
    *,
    missing: str = "none",
) -> tuple[Design, Rows]:
    """The design of a model given by arrays, and its rows.

    Parameters
    ----------
    endog : (n,) array or Series
        Response.
    exog : (n, p) array or DataFrame
        Fixed-effects columns.
    groups : (n,) array
        Labels, of any types.
    exog_re : (n, q) array or DataFrame, optional
        Columns whose coefficients vary by group; a random intercept when there is no `exog_vc` either.
    exog_vc : VCSpec, or mapping of str to mappings of label to (n_i, k_i) arrays, optional
        Variance components: for each, one matrix a group, groups in sorted order.
    missing : {"none", "drop", "raise"}
        Rows where any array has a missing value are dropped, or raise (``"none"`` too: no NaN can be fitted).

    Returns
    -------
    Design, Rows
        With statsmodels' names (``x1``, ``const``, ``x_re1``) where the arrays have none.

    Raises
    ------
    DataError
        When lengths differ, an array is not numeric, or values are missing.

    Examples
    --------
    >>> y, groups = np.array([1.0, 2.0, 4.0, 3.0]), ["a", "a", 1, 1]
    >>> design, rows = design_from_arrays(y, np.ones((4, 1)), groups)
    >>> design.x_names, design.terms[0].levels.tolist(), rows.terms[0].codes.tolist()
    (('const',), [1, 'a'], [1, 1, 0, 0])
    """
    if missing not in _MISSING:
        raise DataError(f"missing must be one of {_MISSING}, not {missing!r}")
    y = to_float(to_array(endog, "endog"), "endog")
    n = len(y)
    if n == 0:
        raise DataError("endog is empty")
    X, x_names = _matrix(exog, "exog", n)
    labels = to_array(one_grouping(groups), "groups")
    arrays: dict[str, Array] = {"endog": y, "exog": X, "groups": labels}
    re_names: tuple[str, ...] = ()
    if exog_re is not None:
        arrays["exog_re"], re_names = _matrix(exog_re, "exog_re", n)
    for role, values in arrays.items():
        if len(values) != n:
            raise DataError(f"{role} has {len(values)} rows, endog has {n}")
    _check_indices({"endog": endog, "exog": exog, "groups": groups, "exog_re": exog_re})
    components = _components(exog_vc, labels)
    lost = {role: rows for role, values in arrays.items() if (rows := _missing_rows(values)) is not None}
    for name, parts in components:
        if (rows := _missing_in_blocks(parts[0], parts[1], n)) is not None:
            lost[f"exog_vc {name!r}"] = rows
    keep = np.arange(n)
    if lost:
        if missing != "drop":
            where = ", ".join(f"{role} ({rows.sum()} rows)" for role, rows in lost.items())
            raise DataError(f"missing values in {where}")
        keep = np.flatnonzero(~np.logical_or.reduce(list(lost.values())))
        if not len(keep):
            raise DataError(f"no row is complete: {', '.join(lost)} have missing values")
        arrays = {role: values[keep] for role, values in arrays.items()}
    names = {"exog": x_names or _x_names(arrays["exog"]), "exog_re": re_names}
    for role in ("endog", "exog", "exog_re"):
        if role in arrays:
            check_finite(arrays[role], names.get(role) or [role])
    terms, loads = _terms(arrays, re_names, components, keep, n)
    index = next((a.index for a in (endog, exog) if isinstance(a, pd.Series | pd.DataFrame)), pd.RangeIndex(n))
    design = Design(
        terms,
        names["exog"],
        str(getattr(endog, "name", None) or _first_column(endog) or "y"),
        len(keep),
        n - len(keep),
    )
    made = Rows(
        np.array(arrays["endog"], np.float64),
        np.array(arrays["exog"], np.float64, order="F"),
        loads,
        None,
        None,
        index[keep] if lost else index,
        keep if lost else None,
    )
    checks.check_design(design, made, strict=False)
    return design, made


def _check_indices(given: Mapping[str, Any]) -> None:
    """Rows are matched by position, so all that has an index must have the same."""
    labelled = {role: values for role, values in given.items() if isinstance(values, pd.Series | pd.DataFrame)}
    first = next(iter(labelled), "")
    for role, values in labelled.items():
        if not values.index.equals(labelled[first].index):
            raise DataError(
                f"the index of {role} is not that of {first}: rows are matched by position, so align them "
                "or give arrays"
            )


def _first_column(endog: Any) -> Any:
    return endog.columns[0] if isinstance(endog, pd.DataFrame) else None


def _matrix(values: Any, role: str, n: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """A float64 matrix, NaN where an entry is missing, and its column names (none for a NumPy array)."""
    if isinstance(values, pd.Series):
        values = values.to_frame(values.name if values.name is not None else role)
    if isinstance(values, pd.DataFrame) or str(type(values).__module__).startswith(("polars", "pyarrow")):
        return _named_matrix(values, role)
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan) if values.dtype.kind in "fiub" else values.data
    if hasattr(values, "toarray"):
        values = values.toarray()
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{role} has rows of several lengths") from None
    if array.dtype.names:
        return _named_matrix(array, role)
    if array.ndim == 1:
        array = array[:, None] if len(array) == n or len(array) == 0 else array[None]
    if array.ndim != 2:
        what = f"it has shape {array.shape}" if array.ndim else f"it is {type(values).__name__}"
        raise DataError(f"{role} must have one or two dimensions, {what}")
    if array.dtype.kind not in "fiub":
        array = np.stack([to_float(array[:, k], f"{role}[:, {k}]") for k in range(array.shape[1])], axis=1)
    return array.astype(np.float64, copy=False), ()


def given_columns(newdata: Any, names: Sequence[str], role: str) -> np.ndarray:
    """Columns of a model given by arrays, for new rows: by name where both have names.

    Parameters
    ----------
    newdata : (m, k) array or DataFrame
    names : sequence of k str
        The model's; ``x1``, ``const`` or ``x_re1`` where it was given an array.
    role : str
        For the error.

    Returns
    -------
    (m, k) float64 array
        NaN where an entry is missing.
    """
    if isinstance(newdata, pd.DataFrame) and not (_are_made_up(names) and len(newdata.columns) == len(names)):
        table = read_table(newdata)
        own = [other_spelling(name) if name not in table.names else name for name in names]
        asked = [there if there in table.names else name for there, name in zip(own, names)]
        named = np.stack([to_float(table[name], name) for name in asked], axis=1)
        check_finite(named, names, allow_nan=True)
        return named
    array = newdata if isinstance(newdata, pd.DataFrame) else np.atleast_1d(np.asanyarray(newdata))
    if array.ndim == 1 and array.size % max(len(names), 1) == 0:
        array = np.asanyarray(array).reshape(-1, len(names))
    if array.ndim != 2 or array.shape[1] != len(names):
        raise DataError(f"{role}: new rows need the {len(names)} columns {', '.join(names)}")
    found = _matrix(array, role, len(array))[0]
    check_finite(found, names, allow_nan=True)
    return found


def _are_made_up(names: Sequence[str]) -> bool:
    """Whether columns have names only since an array has none."""
    return all(re.fullmatch(r"const|x(_re)?\d+|\(Intercept\)", name) for name in names)


def _named_matrix(values: Any, role: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The columns of a table, or a Series of any make, as a matrix and their names."""
    is_table = any(hasattr(values, name) for name in ("columns", "column_names")) or isinstance(values, np.ndarray)
    if not is_table:
        name = getattr(values, "name", None) or role
        return to_float(to_array(values, name), name)[:, None], (name,)
    if isinstance(values, pd.DataFrame):
        names = tuple(str(name) for name in values.columns)
        columns = [to_float(to_array(values.iloc[:, k], name), name) for k, name in enumerate(names)]
    else:
        table = read_table(values)
        names, columns = table.names, [to_float(table[name], name) for name in table.names]
    out = np.empty((len(values), len(names)), order="F")
    for k, column in enumerate(columns):
        out[:, k] = column
    return out, names


def _x_names(X: np.ndarray) -> tuple[str, ...]:
    """statsmodels' names: ``const`` for the first constant column, ``x1``, ``x2``, … for the others."""
    constant = np.flatnonzero(np.ptp(X, axis=0) == 0)
    names = [f"x{k + 1}" for k in range(X.shape[1] - bool(len(constant)))]
    if len(constant):
        names.insert(int(constant[0]), "const")
    return tuple(names)


def _missing_rows(values: Array) -> np.ndarray | None:
    if getattr(values, "ndim", 1) == 1:
        return find_missing(values)
    rows = np.isnan(values).any(axis=1)
    return rows if rows.any() else None


Blocks = tuple[Sequence[Any], Sequence[np.ndarray], Sequence[Sequence[Any]], pd.Index]


def _components(exog_vc: Any, labels: Array) -> list[tuple[str, Blocks]]:
    """Each component's blocks, rows, column names and the levels of the groups."""
    if exog_vc is None or (isinstance(exog_vc, Mapping) and not exog_vc):
        return []
    known = np.flatnonzero(~np.asarray(pd.isna(labels)))
    codes, levels = encode(labels[known], "groups")
    order = known[np.argsort(codes, kind="stable")]
    rows = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    found: list[tuple[str, Blocks]] = []
    for name, mats, columns in _read_vc(exog_vc, levels):
        if len(mats) != len(levels):
            raise DataError(f"component {name!r} has {len(mats)} matrices for {len(levels)} groups")
        blocks = [_block(block, name) for block in mats]
        for level, block, at, own in zip(levels, blocks, rows, columns):
            if block.shape[0] != len(at):
                raise DataError(
                    f"component {name!r} has {block.shape[0]} rows for group {level!r}, which has {len(at)}"
                )
            if len(own) != block.shape[1]:
                raise DataError(
                    f"component {name!r} has {len(own)} column names for {block.shape[1]} columns of group {level!r}"
                )
        found.append((name, (blocks, rows, columns, levels)))
    return found


def _block(block: Any, name: str) -> Any:
    """One group's matrix of a component: dense, or sparse as it is; infinity is refused."""
    try:
        made = block if hasattr(block, "tocsr") else np.asarray(block, np.float64).reshape(len(block), -1)
    except (TypeError, ValueError):
        raise DataError(f"component {name!r} must have matrices of numbers") from None
    if np.isinf(made.data if hasattr(made, "tocsr") else made).any():
        raise DataError(f"component {name!r} is infinite somewhere")
    return made


def _read_vc(exog_vc: Any, levels: pd.Index) -> list[tuple[str, Sequence[Any], Sequence[Sequence[Any]]]]:
    """Name, matrices and column names of each component, sorted by name when given as a mapping."""
    if not isinstance(exog_vc, Mapping):
        if not all(hasattr(exog_vc, part) for part in ("names", "mats", "colnames")):
            raise DataError(
                f"exog_vc must be a VCSpec or a dict of components, each a dict of a matrix a group, not "
                f"{type(exog_vc).__name__}"
            )
        return list(zip(exog_vc.names, exog_vc.mats, exog_vc.colnames))
    components: list[tuple[str, Sequence[Any], Sequence[Sequence[Any]]]] = []
    for name in sorted(exog_vc):
        own = exog_vc[name]
        absent = [level for level in levels if level not in own]
        if absent:
            known = ", ".join(repr(label) for label in list(own)[:5])
            raise DataError(f"component {name!r} has no matrix for group {absent[0]!r}; it has {known}")
        mats = [own[level] for level in levels]
        columns = [
            list(mat.columns) if hasattr(mat, "columns") else [str(j) for j in range(_width(mat))] for mat in mats
        ]
        components.append((name, mats, columns))
    return components


def _width(matrix: Any) -> int:
    shape = np.shape(matrix)
    return shape[1] if len(shape) > 1 else 1


def _missing_in_blocks(blocks: Sequence[Any], rows: Sequence[np.ndarray], n: int) -> np.ndarray | None:
    missing = np.zeros(n, dtype=bool)
    for block, at in zip(blocks, rows):
        array = block.toarray() if hasattr(block, "toarray") else block
        missing[at] = np.isnan(array).any(axis=1)
    return missing if missing.any() else None


def _terms(
    arrays: Mapping[str, Array],
    re_names: tuple[str, ...],
    components: list[tuple[str, Blocks]],
    keep: np.ndarray,
    n: int,
) -> tuple[tuple[RandomTerm, ...], tuple[TermRows, ...]]:
    made = []
    if "exog_re" in arrays or not components:
        codes, levels = encode(arrays["groups"], "groups")
        if "exog_re" in arrays:
            columns = np.array(arrays["exog_re"], order="F")
            names = re_names or tuple(f"x_re{k + 1}" for k in range(columns.shape[1]))
        else:
            columns, names = np.ones((len(keep), 1)), (STATSMODELS,)
        made.append((RandomTerm(GROUP, levels, names, label=GROUP), TermRows(codes, columns)))
    for name, (blocks, rows, own, levels) in components:
        part = None if len(keep) == n else keep
        made.append(from_blocks(name, GROUP, blocks, rows, own, levels, part))
    return tuple(term for term, _ in made), tuple(rows for _, rows in made)
