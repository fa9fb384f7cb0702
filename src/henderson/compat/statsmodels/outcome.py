"""`Outcome`: the end of a fit, whichever way it was fitted; what results are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.compat.statsmodels.params import MixedLMParams
from henderson.compat.statsmodels.setup import Setup
from henderson.engine.fit import Fit
from henderson.typing import Penalty

FloatArray = np.ndarray


@dataclass(frozen=True)
class Outcome:
    """The end of a fit.

    Attributes
    ----------
    fit : Fit
    params : MixedLMParams
        Variances relative to the residual's.
    converged : bool
    message : str
    hist : list, or None
        How the optimum was found.
    freepat : MixedLMParams, or None
        Mask of the parameters that were estimated.
    cov_pen : Penalty, or None
    same_design : bool
        Whether the fit is of the model's own design (a mask may have changed a covariance structure).
    optimal : bool
        Whether fit's deviance is a minimum over all parameters.
    cov_re, vcomp : arrays, or None
        In place of params' times the scale.
    zero : (k_fe,) bool array, or None
        Fixed effects that a penalty set to zero.
    """

    fit: Fit
    params: MixedLMParams
    converged: bool
    message: str = ""
    hist: list[dict[str, object]] | None = None
    freepat: MixedLMParams | None = None
    cov_pen: Penalty | None = None
    same_design: bool = True
    optimal: bool = True
    cov_re: FloatArray | None = None
    vcomp: FloatArray | None = None
    zero: FloatArray | None = None

    @classmethod
    def of(cls, fit: Fit, params: MixedLMParams) -> Outcome:
        """The end of the engine's fit."""
        search = fit.optimum
        steps = [{"deviance": deviance, "predicted_decrease": rest} for deviance, rest in search.history]
        hist = [{"evaluations": search.evaluations, "converged": search.converged, "steps": steps}]
        return cls(fit, params, search.converged, search.message, hist)

    def free(self, setup: Setup) -> FloatArray:
        """Which of (β over the columns kept, G) were estimated, (p + k,) bool."""
        packing, kept = setup.packing, self.fit.kept
        beta, g = np.ones(len(kept), bool), np.ones(len(packing.index), bool)
        if self.freepat is not None:
            entries = np.asarray(self.freepat.cov_re)[tuple(packing.entries.T)]
            beta = np.asarray(self.freepat.fe_params, bool)
            g[packing.index] = np.concatenate([entries, self.freepat.vcomp]).astype(bool)
        if self.zero is not None:
            beta = beta & ~self.zero
        return np.concatenate([beta[kept], g])
