"""How a design was made from a formula: what `replay` needs to make rows of other data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from henderson.design.fixed_terms import FixedTerms
from henderson.design.known_term import KnownSpec
from henderson.design.membership_term import MembershipSpec
from henderson.design.random_terms import RandomSpec
from henderson.design.residual_term import Labels, ResidualSpec
from henderson.design.variance_components import ComponentSpec
from henderson.formula.coding import Part
from henderson.formula.environment import Environment
from henderson.formula.evaluate import FactorSpec
from henderson.sources.frames import Make


@dataclass(frozen=True)
class Specs:
    """How a design was made: what `replay` needs.

    Attributes
    ----------
    fixed : Part
    random : tuple of RandomSpec, ComponentSpec, KnownSpec or MembershipSpec
        One a term.
    offsets : tuple of FactorSpec
        Of the ``offset(...)`` terms of the formula, and of a column or expression given as `offset`.
    response : FactorSpec
    environment : Environment
    groups : str or None
        Name of the groups given as `groups`.
    group_levels : pandas.Index, or None
        Their J levels.
    terms : FixedTerms
        Terms of the fixed part, its factors' levels and covariates' means.
    offset_column : str or None
        Where what was given as `offset` is in new data.
    offset_given : bool
        Whether it was a nameless array: new data need one.
    group_column : str or None
        Where the labels of `groups` are in new data; None where a nameless array was given.
    weights : FactorSpec or None
        Of a column or an expression given as `weights`.
    weights_column : str or None
        Where weights that were given as a Series are in new data.
    residual : ResidualSpec or None
        Where rows stand in the series of a residual covariance.
    make : {"pandas", "polars", "pyarrow"}
        Of which make tables by level should be: that of the data.
    """

    fixed: Part
    random: tuple[RandomSpec | ComponentSpec | KnownSpec | MembershipSpec, ...]
    offsets: tuple[FactorSpec, ...]
    response: FactorSpec
    environment: Environment
    groups: str | None = None
    group_levels: pd.Index | None = None
    terms: FixedTerms | None = None
    offset_column: str | None = None
    offset_given: bool = False
    group_column: str | None = None
    weights: FactorSpec | None = None
    weights_column: str | None = None
    residual: ResidualSpec | None = None
    make: Make = "pandas"

    def with_series(self, series: pd.Index | None) -> Specs:
        """The same where each row is a series of residuals of its own, with these labels; None: there are none."""
        return replace(self, residual=None if series is None else ResidualSpec(Labels((), series), None, None, (), ()))

    def without_rows(self, n: int) -> Specs:
        """The same without the caller's vectors of n entries or more: columns, which new data have of their own."""
        return replace(self, environment=self.environment.without_vectors(n))
