"""A model and a fit without anything that has one entry a row."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .contract import Design
from .fit import Fit

if TYPE_CHECKING:
    from .model import MixedLM


def without_rows(model: MixedLM, fit: Fit) -> tuple[MixedLM, Fit]:
    """Copies; names, levels, group sizes and estimates stay."""
    light = copy.copy(model)
    for name in ("endog_li", "exog_li", "exog_re_li", "exog_re", "exog_vc", "_groups"):
        light.__dict__.pop(name, None)
    light.design = _strip(model.design)
    light.endog, light.exog = light.design.y, light.design.X
    light._criteria = {}
    light._given_groups = model._groups.without_rows() if model.is_grouped else None
    light.data = copy.copy(model.data)
    light.data.frame = light.data.orig_endog = light.data.orig_exog = None
    if light.data.row_labels is not None:
        light.data.row_labels = pd.RangeIndex(0)
    return light, replace(fit, design=_strip(fit.design), _built=None)


def _strip(design: Design) -> Design:
    terms = tuple(
        replace(
            term,
            codes=None if term.codes is None else np.zeros(0, np.intp),
            columns=np.zeros((0, term.columns.shape[1])),
            loadings=None,
        )
        for term in design.terms
    )
    return replace(
        design,
        y=np.zeros(0),
        X=np.zeros((0, design.X.shape[1])),
        terms=terms,
        weights=None,
        offset=None,
        index=pd.RangeIndex(0),
        specs=None,
    )
