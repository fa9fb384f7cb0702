"""One grouping factor out of what a user gives as `groups`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import FormulaError


def one_grouping(groups: Any) -> Any:
    """`groups` as a name or one column of labels, unless they are several.

    Parameters
    ----------
    groups : str, array_like, Series or table of one column

    Raises
    ------
    FormulaError
        For several, with the ways to say that.

    Examples
    --------
    >>> one_grouping(["Subject"]), one_grouping(pd.DataFrame({"g": [1, 2]})).tolist()
    ('Subject', [1, 2])
    """
    if isinstance(groups, str):
        return groups
    if hasattr(groups, "columns") and hasattr(groups, "__getitem__"):
        names = list(getattr(groups, "column_names", groups.columns))
        return groups[names[0]] if len(names) == 1 else _refuse(names)
    if isinstance(groups, list | tuple | np.ndarray | pd.Index) and 0 < len(groups) < 10:
        given = list(groups)
        if all(isinstance(name, str) for name in given) and len(set(given)) == len(given):
            return given[0] if len(given) == 1 else _refuse(given)
        if len(given) > 1 and all(isinstance(own, np.ndarray | pd.Series | list) and len(own) > 1 for own in given):
            return _refuse([getattr(own, "name", None) for own in given])
    if isinstance(groups, np.ndarray) and groups.ndim == 2 and groups.shape[1] > 1:
        return _refuse([None] * groups.shape[1])
    return groups


def _refuse(names: list[Any]) -> Any:
    a, b = (str(name) if isinstance(name, str) else f"g{k}" for k, name in enumerate(names[:2], 1))
    raise FormulaError(
        f"groups takes one grouping factor, not {len(names)}. Write bars: lmer('… + (1 | {a}) + (1 | {b})', data); "
        f"or, for {b} within {a}, groups={a!r} and vc_formula={{{b!r}: '0 + C({b})'}}"
    )
