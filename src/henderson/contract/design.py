"""`Design` and `RandomTerm`: the contract between the formula side and the engine side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class RandomTerm:
    """One bar ``(columns | group)``, or one variance component.

    Attributes
    ----------
    group : str
        Name of the grouping factor, e.g. ``"Subject"`` or ``"cask:batch"``. Terms on one factor share the
        name and the very same `codes` array.
    codes : (n,) intp array, or None
        Level of each row; None for a term on whose effects a row loads several times (then see `loadings`).
    levels : pandas.Index of length J
        Labels of the levels, in code order; every level occurs.
    columns : (n, q) float64 array
        Covariates whose coefficients vary by level (a column of ones: a random intercept).
    names : tuple of q str
        Names of the columns (``"(Intercept)"`` for the intercept).
    structure : {"unstructured", "diagonal", "identity"}
        Covariance of one level's effects: any, no correlations, or one variance for all.
    loadings : (n, J) csr_array, or None
        For a term on whose effects a row loads several times: its whole Z. Then codes is None, q = 1,
        `columns` is (n, 0).
    label : str
        What a table calls the term (``"Subject"``, ``"Subject.1"``; the component's name in statsmodels'
        door).
    """

    group: str
    codes: np.ndarray | None
    levels: pd.Index
    columns: np.ndarray
    names: tuple[str, ...]
    structure: str = "unstructured"
    loadings: sparse.csr_array | None = None
    label: str = ""

    @property
    def n_levels(self) -> int:
        """J, the number of levels."""
        return len(self.levels)

    @property
    def n_columns(self) -> int:
        """q, the number of effects per level."""
        return len(self.names)


@dataclass(frozen=True)
class Design:
    """The arrays of one model.

    Attributes
    ----------
    y : (n,) float64 array
        Response.
    X : (n, p) float64 array
        Fixed-effects columns.
    terms : tuple of RandomTerm
    y_name : str
    x_names : tuple of p str
    weights, offset : (n,) float64 arrays, or None
        Prior weights (Var ε_i = σ²/w_i) and known part of the mean.
    index : pandas.Index of length n
        Labels of the rows kept.
    n_missing : int
        Rows dropped because a variable used was missing.
    formula : str
    specs : Any
        What `design_from_formula` needs to replay the formula on new data.
    """

    y: np.ndarray
    X: np.ndarray
    terms: tuple[RandomTerm, ...]
    y_name: str
    x_names: tuple[str, ...]
    weights: np.ndarray | None = None
    offset: np.ndarray | None = None
    index: pd.Index = field(default_factory=lambda: pd.RangeIndex(0))
    n_missing: int = 0
    formula: str = ""
    specs: Any = None
