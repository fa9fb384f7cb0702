"""How the intercept is spelled: one way behind each door, in every table.

lme4 writes ``(Intercept)``, statsmodels ``Intercept``. A design carries its door's spelling in the names of its columns
and of its random effects, and every table takes it from there. What a user writes is understood either way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from henderson.contract.design import Design

LME4, STATSMODELS = "(Intercept)", "Intercept"


def other_spelling(name: str) -> str:
    """The other way to write an intercept's name; any other name as it is.

    Examples
    --------
    >>> other_spelling("Intercept"), other_spelling("(Intercept)"), other_spelling("Days")
    ('(Intercept)', 'Intercept', 'Days')
    """
    return {LME4: STATSMODELS, STATSMODELS: LME4}.get(name, name)


def intercept_at(names: Sequence[str]) -> int | None:
    """Which of the names is the intercept's.

    Examples
    --------
    >>> intercept_at(("Days", "(Intercept)")), intercept_at(("Days",))
    (1, None)
    """
    return next((names.index(name) for name in (LME4, STATSMODELS) if name in names), None)


def spelled(design: Design, name: str) -> Design:
    """A design made by a formula, with its intercepts called `name`; a column called so is in backticks."""
    fixed = design.specs.fixed
    own = {place.start for term, place in zip(fixed.terms, fixed.slices) if not term}
    x_names = _called(design.x_names, own, name)
    terms = []
    for term, spec in zip(design.terms, design.specs.random):
        part = getattr(spec, "part", None)
        if part is None:
            at, own_names = {intercept_at(term.names)}, term.names
        else:
            at = {place.start for factors, place in zip(part.terms, part.slices) if not factors}
            own_names = part.names
        names = _called(own_names, at, name)
        terms.append(term if names == term.names else replace(term, names=names))
    return replace(design, x_names=x_names, terms=tuple(terms))


def _called(names: Sequence[str], intercepts: Collection[int | None], name: str) -> tuple[str, ...]:
    return tuple(name if j in intercepts else f"`{name}`" if given == name else given for j, given in enumerate(names))
