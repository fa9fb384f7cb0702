"""Conditional modes and covariances of the random effects by level: arrays by term, tables by grouping factor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from henderson.contract.design import Design, KnownEffects
from henderson.design.variance_parameters import lme4_order
from henderson.engine.fit import Fit
from henderson.prediction.breeding_values import error_variances

FloatArray = np.ndarray


def modes_of_levels(fit: Fit) -> list[FloatArray]:
    """Conditional modes of each term's levels, (J, q)."""
    return [term.of_levels(b) for term, b in zip(fit.design.terms, fit.b)]


def covariances_of_levels(fit: Fit) -> tuple[FloatArray, ...]:
    """Their conditional covariances given β, (J, q, q)."""
    rooted = [isinstance(term.known, KnownEffects) for term in fit.design.terms]  # rows load on others than the levels'
    own = () if all(rooted) else fit.b_cov()
    return tuple(
        error_variances(fit, k, fixed=False)[:, :, None] if is_rooted else own[k] for k, is_rooted in enumerate(rooted)
    )


def modes_by_factor(fit: Fit) -> dict[str, pd.DataFrame]:
    """Grouping factor → modes, levels × effects."""
    return _by_factor(fit.design, modes_of_levels(fit))


def sds_by_factor(fit: Fit) -> dict[str, pd.DataFrame]:
    """Grouping factor → conditional standard deviations, levels × effects."""
    variances = [np.einsum("jaa->ja", cov) for cov in covariances_of_levels(fit)]
    return _by_factor(fit.design, [np.sqrt(np.maximum(one, 0.0)) for one in variances])


def _by_factor(design: Design, values: Sequence[FloatArray]) -> dict[str, pd.DataFrame]:
    """(J, q) arrays of the terms as tables, those on one factor side by side, in lme4's order."""
    out: dict[str, pd.DataFrame] = {}
    for k in lme4_order(design.terms):
        term = design.terms[k]
        levels = term.levels.rename(term.group) if term.levels.nlevels == 1 else term.levels
        table = pd.DataFrame(values[k], index=levels, columns=pd.Index(term.names))
        out[term.group] = pd.concat([out[term.group], table], axis=1) if term.group in out else table
    return out
