"""A linear model without random effects, as comparisons see a fit: statsmodels' OLS and WLS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.contract.digest import Digest
from henderson.contract.rows import Rows
from henderson.engine.fit import Fit
from henderson.engine.fitted import Penalty
from henderson.inference.comparison.submodels import linear

_KINDS = ("OLS", "WLS")


@dataclass(frozen=True)
class LinearFit:
    """y = Xβ + ε.

    Attributes
    ----------
    design : Design
        Without random terms.
    rows : Rows
    kept : (p,) bool array
        Columns of X that are not redundant.
    reml : bool
        By which criterion its deviance is.
    """

    design: Design
    rows: Rows
    kept: np.ndarray
    reml: bool

    @property
    def n(self) -> int:
        """Rows."""
        return self.rows.n

    @cached_property
    def digest(self) -> Digest:
        """What comparisons need of the rows."""
        return Digest(self.rows, self.design.x_names)

    @property
    def observed(self) -> Rows:
        """The rows."""
        return self.rows

    @property
    def penalty(self) -> Penalty:
        """What information criteria count."""
        return Penalty(self.n_parameters, self.n, self.n)

    @property
    def has_rows(self) -> bool:
        """Always."""
        return True

    @property
    def theta(self) -> np.ndarray:
        """No variance parameters, (0,)."""
        return np.zeros(0)

    @property
    def n_parameters(self) -> int:
        """Fixed effects that were kept, and σ."""
        return int(self.kept.sum()) + 1

    @property
    def deviance(self) -> float:
        """−2 log L, or the REML criterion."""
        return linear(self.rows, self.kept, reml=self.reml).deviance


def is_linear_results(model: Any) -> bool:
    """Whether `model` looks like results of statsmodels' linear models."""
    inner = getattr(model, "model", None)
    return type(inner).__name__ in _KINDS and hasattr(inner, "endog") and hasattr(inner, "exog")


def linear_fit(results: Any, like: Fit) -> LinearFit:
    """statsmodels' results as a fit, to be compared with `like`.

    Parameters
    ----------
    results : statsmodels OLS or WLS results
    like : Fit
        Its criterion is used, and its labels of rows where the results have none.
    """
    model = results.model
    X, y = np.asarray(model.exog, float), np.asarray(model.endog, float)
    weights = np.broadcast_to(np.asarray(getattr(model, "weights", 1.0), float), y.shape)
    labels = getattr(model.data, "row_labels", None)
    index = (
        like.observed_for("a comparison with a linear model whose rows have no labels").index
        if labels is None and like.n == len(y)
        else pd.Index(range(len(y)) if labels is None else labels)
    )
    names = tuple(map(str, model.exog_names))
    formula = getattr(model, "formula", None) or f"{model.endog_names} ~ {' + '.join(names)}"
    design = Design(
        (), names, str(model.endog_names), len(y), formula=str(formula), weighted=bool((weights != 1).any())
    )
    rows = Rows(y, X, (), None if np.all(weights == 1) else weights.copy(), index=index)
    return LinearFit(design, rows, _independent(X), like.reml)


def _independent(X: np.ndarray) -> np.ndarray:
    """Which columns are kept so that none is redundant, the earlier before the later, (p,) bool."""
    kept = np.zeros(X.shape[1], bool)
    basis = np.zeros((len(X), 0))
    for j, column in enumerate(X.T):
        left = column - basis @ (basis.T @ column)
        left = left - basis @ (basis.T @ left)
        if np.linalg.norm(left) > 1e-9 * np.linalg.norm(column):
            kept[j], basis = True, np.column_stack([basis, left / np.linalg.norm(left)])
    return kept
