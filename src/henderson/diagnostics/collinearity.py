"""Variance inflation: how much collinearity among the fixed effects adds to the variance of each term.

With R the correlation matrix of β̂ without the intercept, R_t a term's block of it and R_−t that of the others,

    GVIF_t = det R_t det R_−t / det R,   scaled = GVIF^(1/d),  d the columns of the term

(Fox and Monette 1992; their GVIF^(1/2d) is its root.) Of a term with one column both are the usual VIF.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from henderson.engine.fit import Fit
from henderson.inference.anova.anova import fixed_terms_of
from henderson.tables.result_frame import ResultFrame


def variance_inflation(fit: Fit) -> pd.DataFrame:
    """Variance inflation of each term of the fixed part.

    Returns
    -------
    DataFrame
        Index: term; columns columns (d), gvif, scaled. Empty for fewer than two terms.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("angle ~ temp + recipe + (1 | recipe:replicate)", henderson.datasets.load("cake"))
    >>> variance_inflation(fit.engine)["gvif"].round(3).to_dict()
    {'temp': 1.0, 'recipe': 1.0}
    """
    at = np.flatnonzero(fit.kept)
    terms = [(term.name, np.flatnonzero(np.isin(at, term.columns))) for term in fixed_terms_of(fit)]
    terms = [(name, columns) for name, columns in terms if len(columns)]
    columns = ["columns", "gvif", "scaled"]
    if len(terms) < 2:
        return ResultFrame.of(pd.DataFrame(columns=columns, index=pd.Index([], name="term")), "Variance inflation")
    used = np.concatenate([columns for _, columns in terms])
    size = np.sqrt(np.diag(fit.vcov))
    R = (fit.vcov / np.outer(size, size))[np.ix_(used, used)]
    rows, start, whole = {}, 0, np.linalg.slogdet(R)[1]
    for name, own in terms:
        here = np.zeros(len(used), bool)
        here[start : start + len(own)] = True
        start += len(own)
        inside, outside = R[np.ix_(here, here)], R[np.ix_(~here, ~here)]
        log = np.linalg.slogdet(inside)[1] + np.linalg.slogdet(outside)[1] - whole
        rows[name] = (len(own), float(np.exp(log)), float(np.exp(log / len(own))))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("term")
    return ResultFrame.of(table, "Variance inflation")
