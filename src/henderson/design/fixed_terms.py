"""The fixed part as tests and marginal means see it: terms, factors with levels, covariates with means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.formula.coding import Part
from henderson.formula.evaluate import Columns, Values
from henderson.sources.columns import kind_of, to_float
from henderson.sources.factors import encode


@dataclass(frozen=True)
class FixedTerms:
    """Terms of the fixed part, and the variables of the data that they use.

    Attributes
    ----------
    names : tuple of m str
        ``"Intercept"``, ``"a"``, ``"a:x"``.
    slices : tuple of m slices
        Columns of X of each term.
    factors : tuple of m tuples of str
        Factors of each term as written: ``("C(a)", "np.log(x)")``.
    variables : tuple of m tuples of str
        Columns of the data that each term uses.
    levels : dict of str to pandas.Index
        Variables that are factors, in the order of their first use, with the levels that occur.
    means : dict of str to float
        The other variables, with their means over the rows used.
    """

    names: tuple[str, ...]
    slices: tuple[slice, ...]
    factors: tuple[tuple[str, ...], ...]
    variables: tuple[tuple[str, ...], ...]
    levels: Mapping[str, pd.Index]
    means: Mapping[str, float]

    @property
    def assign(self) -> np.ndarray:
        """The term of each column of X, (p,)."""
        return np.repeat(np.arange(len(self.slices)), [part.stop - part.start for part in self.slices])


def fixed_terms(part: Part, values: Mapping[str, Values], columns: Columns) -> tuple[FixedTerms, dict[str, np.ndarray]]:
    """The terms of a fixed part, and the level of each row in its factors: variable → (n,) codes.

    Parameters
    ----------
    part : Part
    values : mapping of str to Values
        Of its factors.
    columns : mapping of str to (n,) arrays
        The data.

    A variable is a factor when it is not a number, or when it stands alone in a categorical factor such as
    ``C(x)``.
    """
    levels: dict[str, pd.Index] = {}
    codes: dict[str, np.ndarray] = {}
    for expr, spec in part.factors.items():
        if spec.levels is not None and len(spec.variables) == 1:
            (name,) = spec.variables
            own, found = values[expr].codes, spec.levels
            if name not in levels and own is not None and (spec.spec is None or expr.startswith("C(")):
                levels[name], codes[name] = found, own
    for name in part.variables:
        if name not in levels and kind_of(columns[name]) not in ("number", "time"):
            codes[name], levels[name] = encode(columns[name])
    means = {
        name: float(to_float(columns[name], name).mean())
        for name in part.variables
        if name not in levels and kind_of(columns[name]) == "number"
    }
    uses = [tuple(dict.fromkeys(v for expr in term for v in part.factors[expr].variables)) for term in part.terms]
    order = [name for name in part.variables if name in levels]
    terms = FixedTerms(
        tuple(":".join(term) or "Intercept" for term in part.terms),
        part.slices,
        part.terms,
        tuple(uses),
        {name: levels[name] for name in order},
        means,
    )
    return terms, {name: codes[name] for name in order}
