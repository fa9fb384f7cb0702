"""Single-term deletions: the F test of each term that no other contains, as lmerTest's `drop1`.

A term may leave when no other has all its factors and more (Nelder's marginality, R's `drop.scope`). What is tested is
the difference between the model and the model without the term: type II's hypothesis of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from henderson.arguments import names
from henderson.inference.anova.anova import fixed_terms_of, hypotheses, term_tests
from henderson.inference.anova.full_coding import Term
from henderson.inference.fit_moments import FitMoments
from henderson.inference.inference import Inference
from henderson.tables.result_frame import ResultFrame


def droppable(terms: Sequence[Term]) -> list[str]:
    """Names of the terms that no other contains.

    Examples
    --------
    >>> import numpy as np
    >>> at = np.zeros(0, int)
    >>> a, x = Term("a", at, frozenset("a"), frozenset()), Term("x", at, frozenset(), frozenset("x"))
    >>> droppable([a, x]), droppable([a, x, Term("a:x", at, frozenset("a"), frozenset("x"))])
    (['a', 'x'], ['a:x'])
    """
    factors = {term.name: term.categorical | term.numeric for term in terms}
    return [name for name, own in factors.items() if not any(own < other for other in factors.values())]


def drop1(fit: Any, inference: Inference, scope: str | Sequence[str] | None = None) -> pd.DataFrame:
    """F tests of the terms that may be dropped.

    Parameters
    ----------
    fit : Fit or results
    inference : Inference
    scope : str or sequence of str, optional
        Only these terms.

    Returns
    -------
    DataFrame
        Index: term; columns num_df, den_df, F, p.

    Raises
    ------
    ValueError
        When the scope has a term that may not be dropped, with those that may.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
    >>> drop1(fit, fit.inference).round(3)
                 num_df  den_df      F      p
    term
    recipe:temp     2.0   222.0  0.042  0.959
    """
    allowed = droppable(fixed_terms_of(FitMoments.of(fit).fit))
    wanted = allowed if scope is None else names(scope, "scope")
    if unknown := [name for name in wanted if name not in allowed]:
        raise ValueError(f"{unknown[0]!r} cannot be dropped; terms that no other contains are: {', '.join(allowed)}")
    every = hypotheses(fit, 2)
    frame, notes = term_tests(fit, {name: every[name] for name in wanted}, inference)
    return ResultFrame.of(frame, f"Single-term deletions ({inference.ddf} degrees of freedom)", notes)
