"""The distribution of the response of a mixed model, to draw from.

The draws come in statsmodels' order (random effects, each component, residuals): a seed gives its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.compat.statsmodels.groups import Members
from henderson.compat.statsmodels.setup import Setup
from henderson.covariance.roots import factor_of
from henderson.typing import AnyGenerator

FloatArray = np.ndarray


@dataclass(frozen=True)
class Distribution:
    """Distribution of endog.

    Attributes
    ----------
    setup : Setup
    exog : (n, k_fe) array
    fe_params : (k_fe,) array
    cov_re : (k_re, k_re) array
    vcomp : (k_vc,) array
    scale : float
    """

    setup: Setup
    exog: FloatArray
    fe_params: FloatArray
    cov_re: FloatArray
    vcomp: FloatArray
    scale: float

    @classmethod
    def of(cls, setup: Setup, params: Any, scale: float, exog: Any = None) -> Distribution:
        """From packed parameters: variances relative to `scale`, no square roots."""
        params, k, packing = np.asarray(params, float), setup.k_fe, setup.packing
        g = np.zeros(len(packing.index))
        g[packing.index] = params[k:]
        exog = setup.rows.X if exog is None else np.asarray(exog, float)
        return cls(setup, exog, params[:k], scale * packing.cov_re(g), scale * packing.vcomp(g), scale)

    def rvs(
        self,
        n: int | None = None,
        rng: AnyGenerator | None = None,
        random_state: AnyGenerator | None = None,
    ) -> FloatArray:
        """One draw of endog, (n,).

        Parameters
        ----------
        n : int
            Ignored.
        rng : None, int, Generator or RandomState
        random_state : same
            Older name of `rng`.
        """
        given = random_state if rng is None else rng
        drawn = (
            given if isinstance(given, np.random.Generator | np.random.RandomState) else np.random.default_rng(given)
        )
        setup = self.setup
        rows, packing, groups = setup.rows, setup.packing, setup.groups
        y = self.exog @ np.nan_to_num(self.fe_params)
        if rows.offset is not None:
            y = y + rows.offset
        if packing.k_re:
            exog_re = np.hstack([rows.terms[k].columns for k in packing.re_terms])
            effects = drawn.normal(size=(len(groups.labels), packing.k_re)) @ factor_of(self.cov_re).T
            y = y + np.einsum("ia,ia->i", effects[groups.codes], exog_re)
        for k, variance in zip(packing.vc_terms, self.vcomp):
            term = setup.design.terms[k]
            order = Members.of(term, rows.terms[k], groups).order
            effects = np.empty(term.n_levels)
            effects[order] = drawn.normal(size=term.n_levels)
            y = y + np.sqrt(variance) * rows.terms[k].times(effects[:, None])
        noise = np.sqrt(self.scale) * drawn.normal(size=len(y))
        return y + (noise if rows.weights is None else noise / np.sqrt(rows.weights))
