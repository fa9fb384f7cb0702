"""A model without a residual structure as one that has one, residuals being independent with one variance, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.contract.residual import ResidualRows, ResidualTerm
from henderson.contract.rows import Rows


def with_plain_residual(design: Design, rows: Rows) -> tuple[Design, Rows]:
    """The same model as one whose residuals have a structure: that they are independent, of one variance."""
    series = pd.RangeIndex(design.n)
    specs = None if design.specs is None else design.specs.with_series(series)
    design = replace(design, residual=ResidualTerm("iid", "", series), specs=specs)
    return design, replace(rows, residual=ResidualRows(np.arange(rows.n), np.empty((rows.n, 0))))


def without_plain_residual(design: Design, rows: Rows) -> tuple[Design, Rows]:
    """What `with_plain_residual` was given."""
    specs = None if design.specs is None else design.specs.with_series(None)
    return replace(design, residual=None, specs=specs), replace(rows, residual=None)
