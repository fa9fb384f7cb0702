"""The study that a power analysis begins with: a fit's own rows, or a formula and a table without its response.

A factor that the sizes name and the table does not have is crossed with its rows: each of its levels gets all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from henderson.design.without_response import design_without_response
from henderson.engine.fit import Fit
from henderson.formula.bars import parse
from henderson.formula.environment import Environment
from henderson.formula.residual import parse_residual
from henderson.planning.extend import Study, check_factor
from henderson.sources.frames import read_table

#: sizes by factor, in the order given
Sizes = dict[str, tuple[int, ...]]


def read_sizes(sizes: Any) -> Sizes:
    """Numbers of levels to try, by factor.

    Raises
    ------
    ValueError
        When they are not whole numbers from two on.

    Examples
    --------
    >>> read_sizes({"Subject": range(20, 41, 10), "Item": 24})
    {'Subject': (20, 30, 40), 'Item': (24,)}
    """
    if sizes is None:
        return {}
    if not isinstance(sizes, Mapping):
        raise ValueError(f"sizes must be a dict of factors and their numbers of levels, not {sizes!r}")
    out = {}
    for factor, given in sizes.items():
        several = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
        if not several:
            raise ValueError(f"sizes[{factor!r}] is empty")
        for one in several:
            if isinstance(one, bool) or not isinstance(one, int | np.integer) or one < 2:
                raise ValueError(f"sizes[{factor!r}] must be whole numbers from 2 on, not {one!r}")
        out[str(factor)] = tuple(int(one) for one in several)
    return out


def combinations(study: Study, sizes: Sizes) -> list[dict[str, int]]:
    """Every combination of sizes; the study's own where there are none."""
    for factor in sizes:
        check_factor(study, factor)
    return [dict(zip(sizes, chosen)) for chosen in product(*sizes.values())]


def study_of_fit(fit: Fit) -> Study:
    """The rows of a fit."""
    return Study(fit.design, fit.observed_for("power()"))


def study_of_formula(
    formula: str, data: Any, sizes: Sizes, env: Mapping[str, Any] | Environment, residual: str | None = None
) -> Study:
    """The study that a formula and a table say, crossed with factors that only the sizes name."""
    if data is None:
        raise ValueError("data= is missing: with a formula, a table of the study's design")
    table = read_table(data)
    text = f"y {formula.strip()}" if str(formula).strip().startswith("~") else formula
    grouping = {name for bar in parse(text).bars for name in bar.group}
    if residual is not None:
        grouping |= set(parse_residual(residual).group)
    new = {factor: max(many) for factor, many in sizes.items() if factor in grouping and factor not in table}
    if new:
        data = _crossed({str(name): table[name] for name in table.names}, table.n, new)
    return Study(*design_without_response(formula, data, env=env, residual=residual))


def _crossed(columns: Mapping[str, Any], n: int, new: Mapping[str, int]) -> pd.DataFrame:
    """Every row of a table with every combination of levels of new factors."""
    cells = np.array(list(product(*(range(1, many + 1) for many in new.values()))))
    rows = np.tile(np.arange(n), len(cells))
    out = pd.DataFrame({name: pd.Series(values).iloc[rows].to_numpy() for name, values in columns.items()})
    for factor, codes in zip(new, cells.T):
        out[factor] = np.repeat(codes, n)
    return out
