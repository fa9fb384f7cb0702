"""`ResidualTerm` and `ResidualRows`: how the residuals of a series (a patient's visits, say) vary and correlate.

Residuals of different series are independent. Within a series of rows 1 … n with prior weights w the covariance is

    Var(ε) = W^{-1/2} D C D W^{-1/2},      D = diag(Π_v s_v(row))

where C is the structure's covariance (AR(1), unstructured, …) at the rows' visits, times or coordinates, with the
parameters of the series' stratum, and the s_v are variance functions: standard deviations relative to C's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

FloatArray = np.ndarray

#: of a structure without a stratum, or whose places are numbers
_NO_LABELS = pd.RangeIndex(0)


@dataclass(frozen=True)
class VarianceTerm:
    """A variance function: a factor of the residuals' standard deviation.

    Attributes
    ----------
    kind : str
        ``"ident"`` (one factor for each stratum), ``"power"`` (|v|^δ), ``"exp"`` (exp(δv)).
    name : str
        Its stratum or covariate; ``"fitted"`` (of "power" and "exp"): the fitted values.
    strata : pandas.Index
        Labels of the strata of ``"ident"``, the first of which has the factor 1; none otherwise.
    """

    kind: str
    name: str
    strata: pd.Index = field(default_factory=lambda: _NO_LABELS)

    @property
    def of_fitted(self) -> bool:
        """Whether its covariate is the fitted values, which no column holds."""
        return self.kind != "ident" and self.name == "fitted"

    @property
    def label(self) -> str:
        """As a formula has it: ``"power(age)"``."""
        return f"{self.kind}({self.name})"


@dataclass(frozen=True)
class ResidualTerm:
    """The covariance of the residuals, without rows.

    Attributes
    ----------
    structure : str
        Name of the structure within a series: ``"us"``, ``"ar1"``, …; ``"iid"`` (one variance) and ``"diag"`` (one for
        each visit) do not correlate the residuals.
    group : str
        Name of the factor of the series; empty: each row is its own.
    levels : pandas.Index
        Labels of the series, in code order.
    places : tuple of str
        Columns that say where a row stands in its series: the visit, a time, or coordinates.
    visits : pandas.Index, or None
        Labels of the visits, in order; None where places are numbers, or there are none.
    stratum : str
        Column of the strata, each of which has parameters of its own; empty: none.
    strata : pandas.Index
        Their labels.
    variance : tuple of VarianceTerm
    label : str
        As a formula has it: ``"us(AVISIT | ARMCD / USUBJID)"``.
    unit : float
        Of a structure in continuous time: the distance of times, in the user's unit, that its parameters belong to.
    """

    structure: str
    group: str
    levels: pd.Index
    places: tuple[str, ...] = ()
    visits: pd.Index | None = None
    stratum: str = ""
    strata: pd.Index = field(default_factory=lambda: _NO_LABELS)
    variance: tuple[VarianceTerm, ...] = ()
    label: str = ""
    unit: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether residuals are independent with one variance, as those of a model without a structure."""
        return self.structure == "iid" and not self.variance

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.levels)

    @property
    def n_visits(self) -> int:
        """Number of visits, zero where places are numbers."""
        return 0 if self.visits is None else len(self.visits)

    @property
    def n_strata(self) -> int:
        """Sets of parameters of the structure, one or more."""
        return max(len(self.strata), 1)


@dataclass(frozen=True)
class ResidualRows:
    """Where rows stand in the structure of the residuals.

    Attributes
    ----------
    codes : (n,) intp array
        Series of each row.
    where : (n,) intp array or (n, d) float64 array
        Visit of each row, or its d coordinates (a time: d = 1); (n, 0) where the structure asks for neither.
    strata : (n,) intp array, or None
        Stratum of each row, one to a series; None without strata.
    covariates : tuple of (n,) arrays
        One a variance function: strata (intp) of "ident", numbers of the others; of fitted values those at hand, ones
        before there are any.
    """

    codes: np.ndarray
    where: np.ndarray
    strata: np.ndarray | None = None
    covariates: tuple[np.ndarray, ...] = ()

    def __getitem__(self, rows: slice | np.ndarray) -> ResidualRows:
        return ResidualRows(
            self.codes[rows],
            self.where[rows],
            None if self.strata is None else self.strata[rows],
            tuple(own[rows] for own in self.covariates),
        )

    @property
    def order(self) -> np.ndarray:
        """The rows by series, and within each by place, (n,) intp."""
        codes, places = self.codes, [self.where] if self.where.ndim == 1 else list(self.where.T)
        steps, ties = np.diff(codes), np.ones(max(len(codes) - 1, 0), bool)
        ordered = bool((steps >= 0).all())
        ties &= steps == 0
        for place in places if ordered else ():
            step = np.diff(place)
            ordered &= not (step[ties] < 0).any()
            ties &= step == 0
        return np.arange(len(codes)) if ordered else np.lexsort((*places[::-1], codes))

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: codes in as few bytes as they need."""
        return {name: _packed(value) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: _unpacked(value) for name, value in state.items()})


def _packed(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_packed(own) for own in value)
    is_codes = isinstance(value, np.ndarray) and value.dtype.kind == "i"
    return value.astype(np.min_scalar_type(int(value.max(initial=0)))) if is_codes else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_unpacked(own) for own in value)
    return value.astype(np.intp) if isinstance(value, np.ndarray) and value.dtype.kind == "u" else value
