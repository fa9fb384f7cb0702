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
        """Terms, names and levels of the model.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> [term.names for term in model.design.terms]
        [('Intercept', 'Days')]
        """
        return self.setup.design

    @property
    def data(self) -> ModelData:
        """Names of the parameters, and the data as they were given.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.data.param_names
        ['Intercept', 'Days', 'Subject Var', 'Subject x Days Cov', 'Days Var']
        """
        return self.setup.names

    @property
    def formula(self) -> str | None:
        """The formula; None for a model of arrays.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.formula
        'Reaction ~ Days'
        """
        return self.setup.design.formula or None

    @property
    def use_sqrt(self) -> bool:
        """Whether packed covariance parameters are those of the lower square root of the covariance matrix.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.use_sqrt
        True
        """
        return self.setup.use_sqrt

    @property
    def endog(self) -> FloatArray:
        """Response, (n,).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.endog[:3]
        array([249.56  , 258.7047, 250.8006])
        """
        return self.setup.rows.y

    @property
    def exog(self) -> FloatArray:
        """Fixed-effects columns, (n, k_fe).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.exog[:3]
        array([[1., 0.],
               [1., 1.],
               [1., 2.]])
        """
        return self.setup.rows.X

    @property
    def nobs(self) -> int:
        """Number of rows.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.nobs
        180
        """
        return self.setup.design.n

    @property
    def n_totobs(self) -> int:
        """Number of rows.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.n_totobs
        180
        """
        return self.nobs

    @property
    def k_fe(self) -> int:
        """Number of fixed effects.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.k_fe
        2
        """
        return self.setup.k_fe

    @property
    def k_re(self) -> int:
        """Rows of cov_re.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.k_re
        2
        """
        return self.setup.k_re

    @property
    def k_re2(self) -> int:
        """Free entries of cov_re.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.k_re2
        3
        """
        return self.setup.k_re2

    @property
    def k_vc(self) -> int:
        """Number of variance components.

        Examples
        --------
        >>> import henderson
        >>> data, parts = henderson.datasets.load("Pastes"), {"cask": "0 + C(cask)"}
        >>> model = henderson.mixedlm("strength ~ 1", data, groups="batch", re_formula="~1", vc_formula=parts)
        >>> model.k_vc
        1
        """
        return self.setup.k_vc

    @property
    def k_params(self) -> int:
        """Fixed effects and free entries of cov_re.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.k_params
        5
        """
        return self.k_fe + self.k_re2

    @property
    def _packing(self) -> Packing:
        return self.setup.packing

    @property
    def _groups(self) -> Groups:
        return self.setup.groups

    @property
    def endog_names(self) -> str:
        """Name of the response.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.endog_names
        'Reaction'
        """
        return self.data.ynames

    @property
    def exog_names(self) -> list[str]:
        """Names of the fixed-effects columns.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.exog_names
        ['Intercept', 'Days']
        """
        return self.data.xnames

    @cached_property
    def exog_re(self) -> FloatArray | None:
        """Covariates whose coefficients vary by group, (n, k_re).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.exog_re[:3]
        array([[1., 0.],
               [1., 1.],
               [1., 2.]])
        """
        if not self.k_re:
            return None
        return np.hstack([self.setup.rows.terms[k].columns for k in self._packing.re_terms])

    @property
    def group_labels(self) -> list[Any]:
        """Labels of the groups, sorted.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.group_labels[:3]
        [308, 309, 310]
        """
        return self._groups.labels

    @property
    def n_groups(self) -> int:
        """Number of groups.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.n_groups
        18
        """
        return len(self._groups.labels)

    @property
    def is_grouped(self) -> bool:
        """Whether there are independent groups: a grouping factor that nests all others.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.is_grouped
        True
        """
        return self.setup.is_grouped

    @property
    def groups(self) -> Any:
        """Label of each row's group, (n,).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.groups[8:12]
        array([308, 308, 309, 309]...)
        """
        present(self.setup.given_rows, "model.groups")
        return np.asarray(pd.Index(self._groups.labels).take(self._groups.codes))

    @property
    def k_constant(self) -> int:
        """1 when the fixed effects span a constant, else 0.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.k_constant
        1
        """
        return int(spans_constant(present(self.setup.given_rows, "model.k_constant").X))

    @property
    def group_sizes(self) -> FloatArray:
        """Rows of each group.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.group_sizes[:3]
        array([10, 10, 10]...)
        """
        return self._groups.sizes

    @property
    def row_indices(self) -> dict[Any, list[int]]:
        """Label of a group → its rows.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.row_indices[308]
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        """
        present(self.setup.given_rows, "model.row_indices")
        return self._groups.rows

    @cached_property
    def exog_vc(self) -> VCSpec:
        """The variance components' designs, by component and group.

        Examples
        --------
        >>> import henderson
        >>> data, parts = henderson.datasets.load("Pastes"), {"cask": "0 + C(cask)"}
        >>> model = henderson.mixedlm("strength ~ 1", data, groups="batch", re_formula="~1", vc_formula=parts)
        >>> model.exog_vc.names
        ['cask']
        >>> model.exog_vc.colnames[0][0]
        ['C(cask)[a]', 'C(cask)[b]', 'C(cask)[c]']
        >>> model.exog_vc.mats[0][0]
        array([[1., 0., 0.],
               [1., 0., 0.],
               [0., 1., 0.],
               [0., 1., 0.],
               [0., 0., 1.],
               [0., 0., 1.]])
        """
        return vc_spec(self.design, self.setup.rows, self._packing, self._groups)

    @cached_property
    def endog_li(self) -> list[FloatArray] | None:
        """endog by group.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.endog_li[0][:3]
        array([249.56  , 258.7047, 250.8006])
        """
        return self.group_list(self.endog)

    @cached_property
    def exog_li(self) -> list[FloatArray] | None:
        """exog by group.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> model.exog_li[0][:3]
        array([[1., 0.],
               [1., 1.],
               [1., 2.]])
        """
        return self.group_list(self.exog)

    @cached_property
    def exog_re_li(self) -> list[FloatArray] | None:
        """exog_re by group.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> [columns.shape for columns in model.exog_re_li[:2]]
        [(10, 2), (10, 2)]
        """
        return self.group_list(self.exog_re)

    def group_list(self, array: Any) -> list[FloatArray] | None:
        """`array` split by group.

        Parameters
        ----------
        array : (n, ...) array_like, or None

        Returns
        -------
        list of (rows of the group, ...) arrays, or None

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> [days.shape for days in model.group_list(data["Days"])[:2]]
        [(10,), (10,)]
        """
        return None if array is None else self._groups.split(np.asarray(array))
