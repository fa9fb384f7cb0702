"""What is tested, by name: a coefficient, a term, or a contrast of coefficients, as Rβ = q."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.design.intercept import other_spelling
from henderson.engine.fit import Fit
from henderson.errors import FormulaError
from henderson.inference.anova.anova import fixed_terms_of, hypotheses
from henderson.inference.constraints import parse_constraints

FloatArray = np.ndarray


@dataclass(frozen=True)
class Hypothesis:
    """A null hypothesis on a model with p fixed effects.

    Attributes
    ----------
    name : str
    kind : {"coefficient", "contrast", "term"}
    of : callable
        A fit of the design → R (r, p) and q (r,): those of a term may depend on the design (Type III).
    """

    name: str
    kind: str
    of: Callable[[Fit], tuple[FloatArray, FloatArray]]


def hypothesis(fit: Fit, effect: Any = None, contrast: Any = None, term: Any = None) -> Hypothesis:
    """Read what is to be tested.

    Parameters
    ----------
    fit : Fit
        Of the design.
    effect : str, optional
        A coefficient, or else a term, or else a contrast.
    contrast : str, array, mapping, …
        See `henderson.parse_constraints`.
    term : str, optional
        A term of the fixed part, by its Type III test.

    Raises
    ------
    ValueError
        When not exactly one is given, or the name is not known; the message lists what there is.
    """
    given = [name for name, value in (("effect", effect), ("contrast", contrast), ("term", term)) if value is not None]
    if len(given) != 1:
        raise ValueError(
            f"give one of effect, contrast=, term=: what is to be tested, not {' and '.join(given) or 'none'}"
        )
    names, terms = fit.design.x_names, {one.name for one in fixed_terms_of(fit)}
    if contrast is not None:
        return _contrast(contrast, names)
    if term is not None:
        if term not in terms:
            raise ValueError(f"no term is called {term!r}; there are {_listed(sorted(terms))}")
        return _term(term)
    if isinstance(effect, str):
        if (found := _coefficient(effect, names)) is not None:
            return found
        if effect in terms:
            return _term(effect)
        try:
            return _contrast(effect, names)
        except FormulaError:
            raise ValueError(
                f"no effect is called {effect!r}: the coefficients are {_listed(names)}, the terms "
                f"{_listed(sorted(terms))}; a contrast is an equation in coefficients, such as 'a - b = 0'"
            ) from None
    return _contrast(effect, names)


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"


def _coefficient(name: str, names: tuple[str, ...]) -> Hypothesis | None:
    name = name if name in names else other_spelling(name)
    if name not in names:
        return None
    row = np.zeros((1, len(names)))
    row[0, names.index(name)] = 1.0
    return Hypothesis(name, "coefficient", lambda fit: (row, np.zeros(1)))


def _contrast(given: Any, names: tuple[str, ...]) -> Hypothesis:
    R, q, labels = parse_constraints(given, names)
    return Hypothesis(", ".join(labels), "contrast", lambda fit: (R, q))


def _term(name: str) -> Hypothesis:
    def of(fit: Fit) -> tuple[FloatArray, FloatArray]:
        rows = hypotheses(fit, 3)[name]
        return rows, np.zeros(len(rows))

    return Hypothesis(name, "term", of)
