"""Rows as a user gives them: a table or arrays, and what is given beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.design.checks import check_weights
from henderson.design.replay import Wanted, new_weights
from henderson.engine.fit import Fit
from henderson.errors import DataError
from henderson.prediction.new_rows import Targets, own_targets, read_targets
from henderson.sources.columns import to_array, to_float

FloatArray = np.ndarray


@dataclass(frozen=True)
class Given:
    """Rows as a user gives them.

    Attributes
    ----------
    newdata : table or (m, p) array_like, or None
        None: the rows that were fitted.
    transform : bool
        False: `newdata` are the columns of X as they are.
    groups, exog_re, offset, weights : optional
        What is given beside them; see `read_targets` and `new_weights`.
    """

    newdata: Any
    transform: bool = True
    groups: Any = None
    exog_re: Any = None
    offset: Any = None
    weights: Any = None

    def targets(self, fit: Fit, wanted: Sequence[Wanted]) -> Targets:
        """The rows to predict."""
        if self.newdata is None:
            return own_targets(fit, wanted, "predict() without new data")
        beside = {"groups": self.groups, "exog_re": self.exog_re, "offset": self.offset}
        return read_targets(fit, self.newdata, wanted, **beside, transform=self.transform)

    def own_variances(self, fit: Fit, m: int) -> FloatArray:
        """1/w of each row, (m,): the variance of its own error over σ²."""
        if not fit.design.weighted:
            if self.weights is not None:
                raise ValueError("weights= goes with a model that has weights; this one has none")
            return np.ones(m)
        if self.newdata is None:
            return 1.0 / fit.observed.unit_weights
        of_arrays = fit.design.specs is None
        found = (
            given_weights(fit, self.weights, m) if of_arrays else new_weights(fit.design, self.newdata, self.weights)
        )
        return 1.0 / np.asarray(found)


def given_weights(fit: Fit, weights: Any, m: int) -> FloatArray | None:
    if not fit.design.weighted:
        return None
    if weights is None:
        raise DataError("the model has weights: give weights=, those of the new rows")
    values = to_float(to_array(weights, "weights"), "weights")
    if len(values) != m:
        raise DataError(f"weights has {len(values)} entries, newdata {m} rows")
    check_weights(values, "weights")
    return values
