"""`Design` and `RandomTerm`: what a model is, without the rows of its data.

A design says which columns a model has, on which factors its effects vary, and how new data become the same columns.
It is small whatever the number of rows: those are `henderson.contract.rows.Rows`, one chunk or many for one design.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.constraints import Constraints
from henderson.contract.relation import Relation
from henderson.contract.residual import ResidualTerm
from henderson.errors import NotAvailable


@dataclass(frozen=True, eq=False)
class KnownEffects:
    """Effects with known relationships, b = Bw, A = BB', w independent.

    Attributes
    ----------
    root : (J, J) array
        B.
    diagonal : (J,) array
        A_jj.
    observed : (m,) intp array
        The levels that have rows.
    """

    root: np.ndarray
    diagonal: np.ndarray
    observed: np.ndarray

    def of_levels(self, effects: np.ndarray) -> np.ndarray:
        """b (J, q) from w."""
        return np.asarray(self.root @ effects)


@dataclass(frozen=True, eq=False)
class RelatedEffects:
    """Effects with known relationships that rows load on as they are, Var(b) = σ² A ⊗ G, by a sparse A⁻¹.

    Attributes
    ----------
    relation : Relation
        A.
    observed : (m,) intp array
        The levels that have rows.
    """

    relation: Relation
    observed: np.ndarray

    @property
    def diagonal(self) -> np.ndarray:
        """A_jj, (J,)."""
        return self.relation.diagonal

    def of_levels(self, effects: np.ndarray) -> np.ndarray:
        """The effects themselves."""
        return effects


@dataclass(frozen=True, eq=False)
class RandomTerm:
    """One bar ``(columns | group)``, or one variance component.

    Attributes
    ----------
    group : str
        Name of the grouping factor, e.g. ``"Subject"`` or ``"cask:batch"``. Terms of one name are on one factor: they
        have the same levels, and their effects stand side by side.
    levels : pandas.Index of length J
        Labels of the levels, in code order; every level occurs.
    names : tuple of q str
        Names of the columns (``"(Intercept)"`` for the intercept).
    structure : {"unstructured", "diagonal", "identity"}
        Covariance of one level's effects: any, no correlations, or one variance for all.
    label : str
        What a table calls the term (``"Subject"``, ``"Subject.1"``; the component's name in statsmodels'
        door).
    loaded : bool
        Whether a row may load on several levels, each with a number of its own; then q = 1.
    known : KnownEffects, RelatedEffects or None
        Where the levels have known relationships. `KnownEffects`: rows load on the w, and `levels` are those of b = Bw.
    """

    group: str
    levels: pd.Index
    names: tuple[str, ...]
    structure: str = "unstructured"
    label: str = ""
    loaded: bool = False
    known: KnownEffects | RelatedEffects | None = field(default=None, compare=False)

    def of_levels(self, effects: np.ndarray) -> np.ndarray:
        """Effects (J, q) of the levels from those that rows load on."""
        return effects if self.known is None else self.known.of_levels(effects)

    @property
    def related(self) -> RelatedEffects | None:
        """Relationships that are no part of what rows load on."""
        return self.known if isinstance(self.known, RelatedEffects) else None

    @property
    def n_levels(self) -> int:
        """J, the number of levels."""
        return len(self.levels)

    @property
    def n_columns(self) -> int:
        """q, the number of effects per level."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Design:
    """A model's structure.

    Attributes
    ----------
    terms : tuple of RandomTerm
    x_names : tuple of p str
        Names of the fixed-effects columns.
    y_name : str
    n : int
        Rows that the model is of.
    n_missing : int
        Rows dropped because a variable used was missing.
    formula : str
    weighted, has_offset : bool
        Whether the rows have prior weights (Var ε_i = σ²/w_i), and a known part of the mean.
    specs : Specs, or None
        What replays the formula on new data; None for a model given by arrays.
    residual : ResidualTerm, or None
        Covariance of the residuals; None: independent, Var ε_i = σ²/w_i.
    constraints : Constraints, or None
        Variances that are held, equal, or not bounded by zero.
    """

    terms: tuple[RandomTerm, ...]
    x_names: tuple[str, ...]
    y_name: str
    n: int
    n_missing: int = 0
    formula: str = ""
    weighted: bool = False
    has_offset: bool = False
    specs: Any = None
    residual: ResidualTerm | None = None
    constraints: Constraints | None = None

    @property
    def is_related(self) -> bool:
        """Whether the equations have a sparse A⁻¹ in them: effects of levels that are not independent."""
        return any(term.related is not None for term in self.terms)

    @property
    def related_groups(self) -> str:
        """Their grouping factors, for a message."""
        return ", ".join(dict.fromkeys(term.group for term in self.terms if term.related is not None))

    def refuse_related(self, what: str) -> None:
        """Raise a `NotAvailable` for `what`, which takes effects of levels to be independent, where they are not."""
        if self.is_related:
            raise NotAvailable(
                f"{what}: not available for a model whose known relationships are a sparse inverse (pedigrees of many "
                "levels, bars with several effects); levels up to 1,000 in bars of one effect each have it"
            )

    def group_called(self, name: str) -> str:
        """The grouping factor that a name means.

        Its own name; that of the Series that was given as `groups` (which statsmodels calls Group); or the last part of
        a nested one's, a variance component's, say. Other names are returned as they are.

        Examples
        --------
        >>> term = RandomTerm("Group/item", pd.Index(["i", "j"]), ("Intercept",))
        >>> design = Design((term,), ("Intercept",), "y", 4)
        >>> design.group_called("item"), design.group_called("other")
        ('Group/item', 'other')
        """
        groups = dict.fromkeys(term.group for term in self.terms)
        if name in groups:
            return name
        if self.specs is not None and self.specs.groups and name == self.specs.group_column:
            return str(self.specs.groups)
        inner = [group for group in groups if "/" in group and group.split("/")[-1] == name]
        return inner[0] if len(inner) == 1 else name

    def without_rows(self) -> Design:
        """The same without vectors of the caller that stood for columns of the data."""
        specs = self.specs
        return self if specs is None else replace(self, specs=specs.without_rows(self.n + self.n_missing))
