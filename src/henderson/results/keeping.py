"""Results on disk, and results without anything that has one entry a row."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

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
        for name in ("params", "bse", "llf", "inference"):
            getattr(self, name)
        self._summary = self.summary()
        self.engine = self.engine.without_rows()
        for name in ("fittedvalues", "resid", "moments", "model"):
            self.__dict__.pop(name, None)
