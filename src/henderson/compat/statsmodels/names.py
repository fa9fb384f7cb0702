"""What statsmodels calls the parameters of a model: `ModelData`, a model's ``data`` attribute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from henderson.compat.statsmodels.packing import Packing
from henderson.contract.design import Design, RandomTerm
from henderson.design.intercept import STATSMODELS


@dataclass
class ModelData:
    """Names of a model's parameters, and the data as they were given.

    Attributes
    ----------
    ynames : str
    xnames : list of k_fe str
    exog_re_names : list of k_re str
        Rows of cov_re.
    exog_re_names_full : list of k_re2 str
        Entries of cov_re: ``"a Var"``, ``"a x b Cov"``.
    vcomp_names : list of k_vc str
    param_names : list of str
        xnames, exog_re_names_full, and ``"v Var"`` for each component.
    row_labels : pandas.Index, or None
        Labels of the rows; None when neither endog nor exog came with any.
    frame, orig_endog, orig_exog, model_spec : Any
        The table or arrays given, and the formula's specification.
    """

    ynames: str
    xnames: list[str]
    exog_re_names: list[str]
    exog_re_names_full: list[str]
    vcomp_names: list[str]
    row_labels: pd.Index | None = None
    frame: Any = None
    orig_endog: Any = None
    orig_exog: Any = None
    model_spec: Any = None
    param_names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        components = [f"{name} Var" for name in self.vcomp_names]
        self.param_names = [*self.xnames, *self.exog_re_names_full, *components]

    @property
    def cov_names(self) -> list[str]:
        """Names of the rows of cov_params()."""
        return self.param_names

    @property
    def design_info(self) -> Any:
        """The formula's specification."""
        return self.model_spec


def effect_names(design: Design, packing: Packing) -> list[str]:
    """Names of the rows of cov_re: an intercept has its group's name."""
    terms: list[RandomTerm] = [design.terms[k] for k in packing.re_terms]
    names = []
    for term in terms:
        label = term.label or term.group
        for name in term.names:
            if name == STATSMODELS:
                names.append(label)
            else:
                names.append(name if len(terms) == 1 else f"{label} {name}")
    return names


def entry_names(packing: Packing, names: list[str]) -> list[str]:
    """Names of the free entries of cov_re.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> entry_names(SimpleNamespace(entries=np.array([[0, 0], [1, 0], [1, 1]])), ["g", "x"])
    ['g Var', 'g x x Cov', 'x Var']
    """
    return [f"{names[r]} Var" if r == s else f"{names[s]} x {names[r]} Cov" for r, s in packing.entries.tolist()]


def component_names(design: Design, packing: Packing) -> list[str]:
    """Names of the variance components."""
    return [design.terms[k].label or design.terms[k].group for k in packing.vc_terms]
