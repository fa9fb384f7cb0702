"""The distribution of the response of a mixed model, to draw from.

The draws come in statsmodels' order (random effects, each component, residuals): a seed gives its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.compat.statsmodels.groups import Members
from henderson.covariance.roots import factor_of

if TYPE_CHECKING:
    from henderson.compat.statsmodels.model import MixedLM

FloatArray = np.ndarray


@dataclass(frozen=True)
class Distribution:
    """Distribution of endog.

    Attributes
    ----------
    model : MixedLM
    exog : (n, k_fe) array
    fe_params : (k_fe,) array
    cov_re : (k_re, k_re) array
    vcomp : (k_vc,) array
    scale : float
    """

    model: MixedLM
    exog: FloatArray
    fe_params: FloatArray
    cov_re: FloatArray
    vcomp: FloatArray
    scale: float

    @classmethod
    def of(cls, model: MixedLM, params: Any, scale: float, exog: Any = None) -> Distribution:
        """From packed parameters: variances relative to `scale`, no square roots."""
        params, k, packing = np.asarray(params, float), model.k_fe, model._packing
        g = np.zeros(len(packing.index))
        g[packing.index] = params[k:]
        exog = model.exog if exog is None else np.asarray(exog, float)
        return cls(model, exog, params[:k], scale * packing.cov_re(g), scale * packing.vcomp(g), scale)

    def rvs(self, n: int | None = None, rng: Any = None, random_state: Any = None) -> FloatArray:
        """One draw of endog, (n,).

        Parameters
        ----------
        n : int
            Ignored.
        rng : None, int, Generator or RandomState
        random_state : same
            Older name of `rng`.
        """
        rng = random_state if rng is None else rng
        if not hasattr(rng, "normal"):
            rng = np.random.default_rng(rng)
        model = self.model
        rows, packing, groups = model.setup.rows, model._packing, model._groups
        y = self.exog @ np.nan_to_num(self.fe_params)
        if rows.offset is not None:
            y = y + rows.offset
        if model.exog_re is not None:
            effects = rng.normal(size=(len(groups.labels), packing.k_re)) @ factor_of(self.cov_re).T
            y = y + np.einsum("ia,ia->i", effects[groups.codes], model.exog_re)
        for k, variance in zip(packing.vc_terms, self.vcomp):
            term = model.design.terms[k]
            order = Members.of(term, rows.terms[k], groups).order
            effects = np.empty(term.n_levels)
            effects[order] = rng.normal(size=term.n_levels)
            y = y + np.sqrt(variance) * rows.terms[k].times(effects[:, None])
        noise = np.sqrt(self.scale) * rng.normal(size=len(y))
        return y + (noise if rows.weights is None else noise / np.sqrt(rows.weights))
