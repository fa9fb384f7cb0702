"""What statsmodels' models hold as attributes: names, groups, and the arrays split by group."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from henderson.compat.statsmodels.groups import Groups, top_groups, vc_spec
from henderson.compat.statsmodels.names import ModelData
from henderson.compat.statsmodels.packing import Packing
from henderson.compat.statsmodels.params import VCSpec
from henderson.contract.design import Design
from henderson.errors import DataError

FloatArray = np.ndarray


class ModelAttributes:
    """The part of `MixedLM` that is read and not called."""

    design: Design
    data: ModelData
    endog: FloatArray
    exog: FloatArray
    k_re: int
    _packing: Packing
    _given_groups: Groups | None

    @property
    def endog_names(self) -> str:
        """Name of the response."""
        return self.data.ynames

    @property
    def exog_names(self) -> list[str]:
        """Names of the fixed-effects columns."""
        return self.data.xnames

    @cached_property
    def exog_re(self) -> FloatArray | None:
        """Covariates whose coefficients vary by group, (n, k_re)."""
        if not self.k_re:
            return None
        return np.hstack([self.design.terms[k].columns for k in self._packing.re_terms])

    @cached_property
    def _groups(self) -> Groups:
        return self._given_groups or top_groups(self.design)

    @property
    def group_labels(self) -> list[Any]:
        """Labels of the groups, sorted."""
        return self._groups.labels

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self._groups.labels)

    @property
    def is_grouped(self) -> bool:
        """Whether there are independent groups: a grouping factor that nests all others."""
        try:
            return bool(self._groups.labels)
        except DataError:
            return False

    @property
    def groups(self) -> Any:
        """Label of each row's group, (n,)."""
        return np.asarray(pd.Index(self._groups.labels).take(self._groups.codes))

    @property
    def k_constant(self) -> int:
        """1 when the fixed effects span a constant, else 0."""
        ones, X = np.ones(len(self.exog)), self.exog
        size = np.sqrt(np.einsum("ij,ij->j", X, X))
        X = X / np.where(size > 0, size, 1.0)
        fitted = X @ np.linalg.lstsq(X, ones, rcond=None)[0]
        return int(np.abs(fitted - ones).max(initial=0.0) < 1e-8)

    @property
    def group_sizes(self) -> FloatArray:
        """Rows of each group."""
        return self._groups.sizes

    @property
    def row_indices(self) -> dict[Any, list[int]]:
        """Label of a group → its rows."""
        return self._groups.rows

    @cached_property
    def exog_vc(self) -> VCSpec:
        """The variance components' designs, by component and group."""
        return vc_spec(self.design, self._packing, self._groups)

    @cached_property
    def endog_li(self) -> list[FloatArray] | None:
        """endog by group."""
        return self.group_list(self.endog)

    @cached_property
    def exog_li(self) -> list[FloatArray] | None:
        """exog by group."""
        return self.group_list(self.exog)

    @cached_property
    def exog_re_li(self) -> list[FloatArray] | None:
        """exog_re by group."""
        return self.group_list(self.exog_re)

    def group_list(self, array: Any) -> list[FloatArray] | None:
        """`array` split by group.

        Parameters
        ----------
        array : (n, ...) array_like, or None

        Returns
        -------
        list of (rows of the group, ...) arrays, or None
        """
        return None if array is None else self._groups.split(np.asarray(array))
