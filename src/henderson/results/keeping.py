"""Results on disk, and results without anything that has one entry a row."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.engine.fit import Fit

if TYPE_CHECKING:
    from henderson.compat.statsmodels.model import MixedLM


class Keeping:
    """`MixedLMResults` saved, loaded, and made light."""

    model: Any
    engine: Any
    _outcome: Any

    def save(self, fname: Any, remove_data: bool = False) -> None:
        """Pickle to a file.

        Parameters
        ----------
        fname : str or path
        remove_data : bool
            Leave out everything with one entry a row; see `remove_data`.
        """
        results = self
        if remove_data:
            results = copy.copy(self)
            results.remove_data()
        with Path(fname).open("wb") as file:
            pickle.dump(results, file)

    @classmethod
    def load(cls, fname: Any) -> Any:
        """Results that `save` wrote.

        Parameters
        ----------
        fname : str or path

        Returns
        -------
        MixedLMResults
        """
        with Path(fname).open("rb") as file:
            return pickle.load(file)

    def remove_data(self) -> None:
        """Let go of everything with one entry a row.

        Estimates, tests and summary() stay; fittedvalues, resid and fitting again do not.
        """
        for name in ("params", "bse", "llf", "inference", "_joint_covariance"):
            getattr(self, name)
        self.model, fit = without_rows(self.model, self.engine)
        self.engine, self._outcome = fit, replace(self._outcome, fit=fit)
        for name in ("fittedvalues", "resid", "moments"):
            self.__dict__.pop(name, None)


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
