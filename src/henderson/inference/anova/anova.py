"""Analysis of variance of the fixed effects: one F test a term."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from henderson.engine.fit import Fit
from henderson.inference.anova.full_coding import Term, full_coding, terms_of_columns, terms_of_part
from henderson.inference.anova.hypothesis_types import Columns, type_one, type_three, type_two
from henderson.inference.choose import infer
from henderson.inference.ddf.containment import ByTerm
from henderson.inference.fit_moments import FitMoments
from henderson.inference.inference import FTest, Inference
from henderson.numerics.distributions import f_pvalue
from henderson.tables.result_frame import ResultFrame

FloatArray = np.ndarray

_ROMAN = {"1": 1, "2": 2, "3": 3, "i": 1, "ii": 2, "iii": 3}


def fixed_terms_of(fit: Fit) -> tuple[Term, ...]:
    """Terms of the fixed part, without the intercept."""
    if fit.design.specs is None:
        return terms_of_columns(fit.design.x_names, fit.digest.constant)
    return terms_of_part(fit.design.specs.fixed)


def hypotheses(fit: Any, type: int | str = 3) -> dict[str, FloatArray]:
    """The contrasts that each term stands for.

    Parameters
    ----------
    fit : Fit or MixedLMResults
    type : 1, 2 or 3
        Or "I", "II", "III".

    Returns
    -------
    dict of str to (k, p) arrays
        Rows over all columns of the design.

    Raises
    ------
    ValueError
        For another type.
    """
    kind = _ROMAN.get(str(type).lower())
    if kind is None and hasattr(type, "design" if hasattr(type, "theta") else "engine"):
        raise TypeError("anova tests the terms of one model; to compare two models: henderson.compare(one, other)")
    if kind is None:
        raise ValueError(f"unknown type {type!r} of analysis of variance; there are 1, 2, 3")
    fitted = FitMoments.of(fit)
    design, terms = fitted.design, fixed_terms_of(fitted.fit)
    if len(terms) == 1:
        kind = 1  # nothing to be adjusted for: the types are one, with the rows of this one, as in lmerTest
    full = full_coding(design.specs.fixed) if kind > 1 and design.specs is not None else None
    columns = Columns(fitted.fit.digest.x_triangle, fitted.fit.working_triangle, fitted.fit.basis)
    if kind == 3 and full is not None:
        rows = type_three(terms, full, fitted.kept, fitted.null_space)
    elif kind == 1:
        rows = type_one(terms, columns, fitted.kept)
    else:
        rows = type_two(terms, columns, fitted.kept, full)
    return {term.name: one for term, one in zip(terms, rows)}


def anova(fit: Any, type: int | str = 3, inference: Inference | None = None) -> pd.DataFrame:
    """F tests of the terms of the fixed part, as lmerTest defines the types.

    Parameters
    ----------
    fit : Fit or MixedLMResults
    type : 1, 2 or 3
        Sequential, by containment, or of marginal means.
    inference : Inference, optional
        By default Satterthwaite's.

    Returns
    -------
    DataFrame
        Index: term; columns num_df, den_df, F, p; `attrs["notes"]`.

    Examples
    --------
    >>> import henderson
    >>> cake = henderson.datasets.load("cake")
    >>> fit = henderson.lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    >>> anova(fit, 2).round(4)
                        num_df  den_df        F       p
    term
    recipe                 2.0    42.0   0.2488  0.7809
    temperature            5.0   210.0  20.5199  0.0000
    recipe:temperature    10.0   210.0   1.0062  0.4393
    """
    inference = inference or infer(fit)
    frame, notes = term_tests(fit, hypotheses(fit, type), inference)
    roman = "I" * _ROMAN[str(type).lower()]
    heading = f"Type {roman} analysis of variance ({inference.ddf} degrees of freedom)"
    return ResultFrame.of(frame, heading, notes)


def term_tests(
    fit: Any, wanted: Mapping[str, FloatArray], inference: Inference
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """F tests of the rows (k, p) that terms stand for: index term, columns num_df, den_df, F, p; and the notes."""
    tests, notes = {}, list(inference.notes)
    columns = {term.name: term.columns for term in fixed_terms_of(FitMoments.of(fit).fit)}
    for name, rows in wanted.items():
        if not len(rows):
            tests[name] = (0.0, np.nan, np.nan, np.nan)
            notes.append(f"nothing of {name} can be estimated: its columns are redundant")
            continue
        test = inference.f_test(rows)
        if isinstance(inference.method, ByTerm):
            den_df = inference.method.of_columns(np.isin(np.flatnonzero(inference.kept), columns[name]))
            test = FTest(test.F, test.num_df, den_df, float(f_pvalue(test.F, test.num_df, den_df)))
        tests[name] = (test.num_df, test.den_df, test.F, test.p)
        if np.isnan(test.p):
            notes.append(
                f"no test of {name}: its hypothesis is not estimable, or its degrees of freedom cannot be computed"
            )
    frame = pd.DataFrame.from_dict(tests, orient="index", columns=["num_df", "den_df", "F", "p"])
    frame.index.name = "term"
    return frame, tuple(notes)
