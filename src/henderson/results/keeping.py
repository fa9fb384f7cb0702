"""Results on disk, and results without anything that has one entry a row."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.results.base import FittedModel


class Keeping(FittedModel):
    """Results saved, loaded, and made light."""

    _summary: Any = None

    def summary(self) -> Any:
        """The results as text."""
        raise NotImplementedError

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
        results
        """
        with Path(fname).open("rb") as file:
            return pickle.load(file)

    def remove_data(self) -> None:
        """Let go of everything with one entry a row.

        Estimates, tests and summary() stay; fittedvalues, resid and fitting again do not.
        """
        for name in ("params", "bse", "llf", "inference", "nobs"):
            getattr(self, name)
        self._summary = self.summary()
        self.engine = replace(self.engine, design=_strip(self.engine.design), _built=None)
        for name in ("fittedvalues", "resid", "moments", "model"):
            self.__dict__.pop(name, None)


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
