"""The groups of statsmodels' models, and what they hold split by group."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from henderson.compat.statsmodels.groups import vc_spec
from henderson.compat.statsmodels.model_attributes import ModelAttributes
from henderson.compat.statsmodels.params import VCSpec
from henderson.contract.rows import present
from henderson.typing import Label

FloatArray = np.ndarray


class GroupedArrays(ModelAttributes):
    """Labels and rows of the groups; arrays by group."""

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
    def group_labels(self) -> list[Label]:
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
    def groups(self) -> np.ndarray:
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
    def row_indices(self) -> dict[Label, list[int]]:
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

    def group_list(self, array: ArrayLike | None) -> list[FloatArray] | None:
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
