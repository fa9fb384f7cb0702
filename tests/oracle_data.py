"""Reads the listings in `tests/oracles` and makes their names comparable with ours.

>>> from oracle_data import normal
>>> normal("recipe[T.B]:temperature[T.185]"), normal("I(x ** 2)")
('recipeB:temperature185', 'I(x^2)')
"""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from henderson import datasets

FOLDER = Path(__file__).parent / "oracles"


@cache
def load_oracle(name: str) -> dict[str, Any]:
    """A listing: ``{"versions": …, "data": …, "cases": […]}`` (see `tests/oracles/README.md`)."""
    packed = FOLDER / f"{name}.json.gz"
    if packed.exists():
        return json.loads(gzip.decompress(packed.read_bytes()))
    return json.loads((FOLDER / f"{name}.json").read_text())


def cases(name: str) -> dict[str, dict[str, Any]]:
    """The cases of a listing by id."""
    return {case["id"]: case for case in load_oracle(name)["cases"]}


def frame(name: str, data: str) -> pd.DataFrame:
    """A table of a listing, as a new frame: factors are unordered categoricals with R's order of levels."""
    oracle = load_oracle(name)
    if data in oracle["data"]:
        table = pd.DataFrame(oracle["data"][data])
        levels = oracle.get("levels", {}).get(data, {})
        for column in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
            table[column] = pd.Categorical(table[column], levels.get(column))
        return table
    table = datasets.load(data)
    for column in table.select_dtypes("category"):
        table[column] = table[column].cat.as_unordered()
    if data == "VerbAgg":
        table["r2y"] = (table["r2"] == "Y").astype(float)
    return table


def normal(name: str) -> str:
    """Our name of a coefficient as R would write it."""
    if name == "Intercept":
        return "(Intercept)"
    name = re.sub(r"\[(?:T\.)?([^\]]*)\]", r"\1", name)
    return re.sub(r"\s*\*\*\s*", "^", name)


def group(name: str) -> frozenset[str]:
    """A grouping factor without the order of its parts, and without the number of a repeated term."""
    return frozenset(re.sub(r"\.\d+$", "", name).split(":"))


def level(label: Any) -> frozenset[str]:
    """A level of a grouping factor without the order of its parts."""
    parts = label if isinstance(label, tuple) else str(label).split(":")
    return frozenset(map(str, parts))
