"""`infer`: from a fit and two names to an `Inference`.

The names are looked up in the registries `COV` and `DDF`; some methods imply the covariance that goes with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.inference.covariances.registry import KINDS, covariance
from henderson.inference.ddf.registry import IMPLIED, degrees_of_freedom
from henderson.inference.fit_moments import FitMoments
from henderson.inference.identified import not_identified
from henderson.inference.inference import Inference, Turned, all_but_dependent
from henderson.inference.names import cov_name, ddf_name


def infer(fit: Any, *, ddf: str | None = None, cov: str | None = None, cluster: Any = None) -> Inference:
    """Choose a covariance of β̂ and degrees of freedom for a fit.

    Parameters
    ----------
    fit : Fit or MixedLMResults
    ddf : str, optional
        A name in `DDF`; by default the one that goes with `cov`, else "satterthwaite".
    cov : str, optional
        A name in `COV`; by default the one that goes with `ddf`, else "model".
    cluster : (n,) labels, optional
        Clusters of a cluster-robust `cov`; by default the top grouping factor.

    Returns
    -------
    Inference

    Raises
    ------
    ValueError
        An unknown name, or a combination that has no meaning.

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> infer(fit, ddf="kenward-roger").df([[0.0, 1.0]]).round(6)
    array([17.])
    >>> infer(fit, cov="CR2").se([[0.0, 1.0]]).round(4)
    array([1.5458])
    """
    fitted = FitMoments.of(fit)
    ddf, cov = ddf_name(ddf), cov_name(cov)
    if ddf is None:
        ddf = cov if cov in IMPLIED else "satterthwaite"
    if cov is None:
        cov = IMPLIED.get(ddf, "model")
    of_beta = covariance(cov, fitted, cluster)
    make = degrees_of_freedom(ddf, cov, fitted, of_beta.satterthwaite)
    kept = fitted.kept
    unidentified = None if cov in KINDS else not_identified(fitted)
    full = np.full((len(kept), len(kept)), np.nan)
    full[np.ix_(kept, kept)] = of_beta.matrix
    working = of_beta.working
    if working is None and cov == "model" and all_but_dependent(of_beta.matrix):
        working = fitted.scale * fitted.working.phi
    return Inference(
        names=tuple(fitted.design.x_names),
        beta=fitted.beta,
        kept=kept,
        cov=full,
        ddf=ddf,
        cov_type=cov,
        make=make,
        null_space=fitted.null_space,
        of_cov=of_beta.notes,
        unidentified=unidentified,
        turned=None if working is None else Turned(fitted.working.to_beta, working),
    )
