"""Tests of linear hypotheses written as text, matrices or named contrasts, and the table of coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.inference.constraints import parse_constraints
from henderson.inference.inference import FTest, Inference
from henderson.tables.result_frame import ResultFrame


def coef_table(inference: Inference, level: float = 0.95) -> pd.DataFrame:
    """The fixed effects, each with its t test.

    Parameters
    ----------
    inference : Inference
    level : float
        Of the confidence limits.

    Returns
    -------
    DataFrame
        Index: coefficient (those dropped as redundant are named in `attrs["notes"]`); columns estimate, se, df,
        statistic, p, lower, upper.
    """
    kept = np.flatnonzero(inference.kept)
    names = [inference.names[j] for j in kept]
    frame = inference.t_test(np.eye(len(inference.names))[kept], level=level, names=names)
    frame.index.name = "coefficient"
    dropped = [name for name, keep in zip(inference.names, inference.kept) if not keep]
    notes = (f"dropped as redundant: {', '.join(dropped)}",) if dropped else ()
    heading = f"Fixed effects ({inference.cov_type} covariance, {inference.ddf} degrees of freedom)"
    return ResultFrame.of(frame, heading, frame.attrs["notes"] + notes)


def t_test(inference: Inference, constraints: Any, level: float = 0.95) -> pd.DataFrame:
    """One t test for each constraint.

    Parameters
    ----------
    inference : Inference
    constraints : str, array, mapping, …
        See `henderson.parse_constraints`: ``"x1 = x2"``, rows over the coefficients, ``{"label":
        weights}``.
    level : float
        Of the confidence limits (of the left side minus nothing: of L β).

    Returns
    -------
    DataFrame
        Index: constraint; columns estimate, se, df, statistic, p, lower, upper.

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> t_test(fit.inference, "Days = 10")[["estimate", "statistic", "p"]].round(3)
               estimate  statistic      p
    contrast
    Days = 10    10.467      0.302  0.766
    """
    L, q, labels = parse_constraints(constraints, inference.names)
    frame = inference.t_test(L, q, level=level, names=labels)
    frame.index.name = "contrast"
    return ResultFrame.of(frame, notes=frame.attrs["notes"])


def f_test(inference: Inference, constraints: Any) -> FTest:
    """All constraints at once.

    Parameters
    ----------
    inference : Inference
    constraints : str, array, mapping, …
        See `henderson.parse_constraints`: ``"x1 = x2, x3 = 0"``.

    Returns
    -------
    FTest
        F, num_df, den_df (infinite for z inference: F is then χ²/num_df), p.

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> test = f_test(fit.inference, "Intercept = 250, Days = 10")
    >>> round(test.F, 4), round(test.den_df, 4), round(test.p, 4)
    (0.0769, 17.0, 0.9263)
    """
    R, q, _ = parse_constraints(constraints, inference.names)
    return inference.f_test(R, q)
