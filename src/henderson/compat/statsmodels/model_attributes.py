"""What statsmodels' models hold as attributes: names, arrays, and numbers of parameters; groups are `model_groups`'."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np

from henderson.compat.statsmodels.groups import Groups
from henderson.compat.statsmodels.names import ModelData
from henderson.compat.statsmodels.packing import Packing
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
