"""What statsmodels' models hold as attributes: names, groups, and the arrays split by group."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from henderson.compat.statsmodels.groups import Groups, vc_spec
from henderson.compat.statsmodels.names import ModelData
from henderson.compat.statsmodels.packing import Packing
from henderson.compat.statsmodels.params import VCSpec
from henderson.compat.statsmodels.setup import Setup
from henderson.contract.design import Design
from henderson.contract.rows import present
from henderson.numerics.linalg import spans_constant

FloatArray = np.ndarray


class ModelAttributes:
    """The part of `MixedLM` that is read and not called."""

    setup: Setup

    def with_setup(self, setup: Setup) -> Self:
        """The same model on another setup."""
        out = copy.copy(self)
        for name in ("exog_re", "exog_vc", "endog_li", "exog_li", "exog_re_li"):
            out.__dict__.pop(name, None)
        out.setup = setup
        return out

    @property
    def design(self) -> Design:
        """Terms, names and levels of the model."""
        return self.setup.design

    @property
    def data(self) -> ModelData:
        """Names of the parameters, and the data as they were given."""
        return self.setup.names

    @property
    def formula(self) -> str | None:
        """The formula; None for a model of arrays."""
        return self.setup.design.formula or None

    @property
    def use_sqrt(self) -> bool:
        """Whether packed covariance parameters are those of the lower square root of the covariance matrix."""
        return self.setup.use_sqrt

    @property
    def endog(self) -> FloatArray:
        """Response, (n,)."""
        return self.setup.rows.y

    @property
    def exog(self) -> FloatArray:
        """Fixed-effects columns, (n, k_fe)."""
        return self.setup.rows.X

    @property
    def nobs(self) -> int:
        """Number of rows."""
        return self.setup.design.n

    @property
    def n_totobs(self) -> int:
        """Number of rows."""
        return self.nobs

    @property
    def k_fe(self) -> int:
        """Number of fixed effects."""
        return self.setup.k_fe

    @property
    def k_re(self) -> int:
        """Rows of cov_re."""
        return self.setup.k_re

    @property
    def k_re2(self) -> int:
        """Free entries of cov_re."""
        return self.setup.k_re2

    @property
    def k_vc(self) -> int:
        """Number of variance components."""
        return self.setup.k_vc

    @property
    def k_params(self) -> int:
        """Fixed effects and free entries of cov_re."""
        return self.k_fe + self.k_re2

    @property
    def _packing(self) -> Packing:
        return self.setup.packing

    @property
    def _groups(self) -> Groups:
        return self.setup.groups

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
        return np.hstack([self.setup.rows.terms[k].columns for k in self._packing.re_terms])

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
        return self.setup.is_grouped

    @property
    def groups(self) -> Any:
        """Label of each row's group, (n,)."""
        present(self.setup.given_rows, "model.groups")
        return np.asarray(pd.Index(self._groups.labels).take(self._groups.codes))

    @property
    def k_constant(self) -> int:
        """1 when the fixed effects span a constant, else 0."""
        return int(spans_constant(present(self.setup.given_rows, "model.k_constant").X))

    @property
    def group_sizes(self) -> FloatArray:
        """Rows of each group."""
        return self._groups.sizes

    @property
    def row_indices(self) -> dict[Any, list[int]]:
        """Label of a group → its rows."""
        present(self.setup.given_rows, "model.row_indices")
        return self._groups.rows

    @cached_property
    def exog_vc(self) -> VCSpec:
        """The variance components' designs, by component and group."""
        return vc_spec(self.design, self.setup.rows, self._packing, self._groups)

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
