"""One replicate of a bootstrap, as a statistic sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.engine.fit import Fit
from henderson.engine.many.refits import Refits

FloatArray = np.ndarray


@dataclass(frozen=True)
class Replicate:
    """The estimates from one replicate.

    Attributes
    ----------
    params : Series
        Fixed effects, standard deviations, correlations, sigma.
    fe_params : Series
        Fixed effects.
    sigma, scale : float
        Residual standard deviation and variance.
    cov_re : dict
        Grouping factor → covariance matrix of its effects (DataFrame); terms on one factor side by side.
    deviance : float
    fit : Fit
        The whole fit, made when it is asked for: conditional modes are in ``fit.b``.
    """

    params: pd.Series
    fe_params: pd.Series
    sigma: float
    deviance: float
    _cov: tuple[FloatArray, ...] = field(repr=False)
    _design: Design = field(repr=False)
    _refit: Callable[[], Fit] = field(repr=False)

    @property
    def scale(self) -> float:
        """σ²."""
        return self.sigma**2

    @property
    def fixef(self) -> pd.Series:
        """Fixed effects."""
        return self.fe_params

    @cached_property
    def cov_re(self) -> dict[str, pd.DataFrame]:
        """Covariance matrices of the random effects."""
        out: dict[str, pd.DataFrame] = {}
        for term, cov in zip(self._design.terms, self._cov):
            table = pd.DataFrame(self.scale * cov, index=pd.Index(term.names), columns=pd.Index(term.names))
            out[term.group] = pd.concat([out[term.group], table]).fillna(0.0) if term.group in out else table
        return out

    @cached_property
    def fit(self) -> Fit:
        """The whole fit."""
        return self._refit()


def replicates(design: Design, refits: Refits, shown: pd.DataFrame, refit: Callable[[int], Fit]) -> list[Replicate]:
    """Each of some fits as a `Replicate`; `refit` makes the whole fit of one of them."""
    names = pd.Index(design.x_names)
    return [
        Replicate(
            shown.iloc[b],
            pd.Series(refits.beta[b], index=names),
            float(refits.sigma[b]),
            float(refits.deviance[b]),
            tuple(c[b] for c in refits.cov),
            design,
            partial(refit, b),
        )
        for b in range(len(shown))
    ]


def as_table(values: Sequence[Any]) -> pd.DataFrame:
    """What a statistic returned for each replicate: numbers, sequences, dicts or Series, one row each."""
    first = values[0]
    if isinstance(first, pd.Series | dict):
        return pd.DataFrame([dict(v) for v in values])
    rows = np.array([np.atleast_1d(np.asarray(v, float)) for v in values])
    return pd.DataFrame(
        rows, columns=[f"statistic{i + 1}" for i in range(rows.shape[1])] if rows.shape[1] > 1 else ["statistic"]
    )
