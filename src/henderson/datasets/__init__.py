"""Example data: the tables on which mixed models are usually explained, ready for a formula.

The numbers are facts from published studies; each description says where they were first published, or who made them.
A small table is a CSV file, a large one a compressed archive with one array a column
(for a factor, the codes, and the levels under `<column>.levels`).

>>> from henderson import datasets
>>> datasets.load("sleepstudy").head(3)
   Reaction  Days Subject
0  249.5600     0     308
1  258.7047     1     308
2  250.8006     2     308
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from henderson.datasets.catalogue import CATALOGUE, Dataset

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Dataset", "describe", "load", "names"]

_FOLDER = Path(__file__).parent / "data"


def names() -> list[str]:
    """Names of the data sets.

    Returns
    -------
    list of str
        In the order of the catalogue, from small to large.

    Examples
    --------
    >>> from henderson import datasets
    >>> datasets.names()[:3]
    ['nba', 'sleepstudy', 'Dyestuff']
    """
    return list(CATALOGUE)


def describe(name: str) -> Dataset:
    """What a data set is: its columns, an example model, where it was published, and its licence.

    Parameters
    ----------
    name : str
        One of `names()`; upper and lower case do not matter.

    Returns
    -------
    Dataset
        A frozen dataclass that prints as a paragraph.

    Raises
    ------
    ValueError
        No data set has that name.

    Examples
    --------
    >>> from henderson import datasets
    >>> datasets.describe("Penicillin").formula
    'diameter ~ 1 + (1 | plate) + (1 | sample)'
    """
    by_lower = {key.lower(): key for key in CATALOGUE}
    key = by_lower.get(name.lower())
    if key is None:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(CATALOGUE)}")
    return CATALOGUE[key]


def load(name: str) -> pd.DataFrame:
    """One data set as a DataFrame, grouping columns as categoricals.

    Parameters
    ----------
    name : str
        One of `names()`; upper and lower case do not matter.

    Returns
    -------
    pandas.DataFrame
        A new table at each call. Factors are categorical, their levels sorted or in their published order;
        levels that are numbers are integers (subject 308, not "308").

    Raises
    ------
    ValueError
        No data set has that name.

    Examples
    --------
    >>> from henderson import datasets
    >>> yields = datasets.load("Dyestuff")
    >>> yields.shape, list(yields["Batch"].cat.categories)
    ((30, 2), ['A', 'B', 'C', 'D', 'E', 'F'])
    """
    dataset = describe(name)
    if (archive := _FOLDER / f"{dataset.name}.npz").exists():
        return _from_archive(archive, dataset)
    return _from_csv(_FOLDER / f"{dataset.name}.csv", dataset)


def _from_csv(path: Path, dataset: Dataset) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(path)
    for column in dataset.factors:
        values = table[column]
        ordered = column in dataset.ordered
        table[column] = pd.Categorical(values, categories=sorted(values.unique()), ordered=ordered)
    return table


def _from_archive(path: Path, dataset: Dataset) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    columns: dict[str, pd.Categorical | np.ndarray] = {}
    with np.load(path) as archive:
        for column in dataset.columns:
            values = archive[column]
            if column not in dataset.factors:
                columns[column] = values if values.dtype.kind == "f" else values.astype(np.int64)
                continue
            levels = archive[f"{column}.levels"]
            as_text = levels.dtype.kind == "S"
            kind = pd.CategoricalDtype(
                levels.astype(str).tolist() if as_text else levels.astype(np.int64),
                ordered=column in dataset.ordered,
            )
            columns[column] = pd.Categorical.from_codes(values, dtype=kind, validate=False)
    return pd.DataFrame(columns)
