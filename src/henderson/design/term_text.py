"""How a random term is written: as a bar of the user's formula, ``(Days | Subject)``, for messages, notes and names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from henderson.contract.design import Design, RandomTerm
from henderson.design.intercept import intercept_at
from henderson.formula.bar_kinds import bar_text
from henderson.formula.terms import shown


def written(design: Design, k: int, columns: Sequence[bool] = ()) -> str:
    """A random term as it is written, or its part of some columns; a variance component by its name.

    Parameters
    ----------
    design : Design
    k : int
        Number of the term.
    columns : (q,) sequence of bool, optional
        Which of its columns.

    Examples
    --------
    >>> from henderson import datasets
    >>> from henderson.design.from_formula import design_from_formula
    >>> design, _ = design_from_formula("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    >>> written(design, 0), written(design, 0, [True, False]), written(design, 0, [False, True])
    ('(Days | Subject)', '(1 | Subject)', '(0 + Days | Subject)')
    """
    term = design.terms[k]
    if "/" in term.group and term.label != term.group:
        return term.label
    names = tuple(compress(term.names, columns))
    if term.loaded or not names or len(names) == len(term.names):
        return as_bar(design, k)
    return bar_text("", " + ".join(_columns(names)), term.group)


def as_bar(design: Design, k: int) -> str:
    """A random term as it is written, a variance component too: ``(1 | group/component)``."""
    return design.terms[k].label if design.terms[k].loaded else spellings(design, k)[0]


def spellings(design: Design, k: int) -> list[str]:
    """Ways to write a term as a bar, the one that is shown first: its effects as the formula has them, or by name."""
    term = design.terms[k]
    part = None if design.specs is None else getattr(design.specs.random[k], "part", None)
    found = []
    if part is not None:
        columns = {expr: own.levels_of or expr for expr, own in part.factors.items()}  # t of ar1(0 + t | g)
        for called in (columns, {}):
            own = [":".join(shown(called.get(expr, expr)) for expr in names) for names in part.terms if names]
            if () not in part.terms:
                found.append(["0", *own])
            else:
                found += [own, ["1", *own]] if own else [["1"]]
    found.append(_columns(term.names))
    return [bar_text(term.structure, " + ".join(one), term.group) for one in found]


def effects_as_bar(term: RandomTerm) -> str:
    """A term as a bar of its columns, where there is no design yet.

    Examples
    --------
    >>> from henderson import datasets
    >>> from henderson.design.from_formula import design_from_formula
    >>> effects_as_bar(design_from_formula("Reaction ~ 1 + (Days | Subject)", datasets.load("sleepstudy"))[0].terms[0])
    '(1 + Days | Subject)'
    """
    return bar_text(term.structure, " + ".join(_columns(term.names)), term.group)


def _columns(names: Sequence[str]) -> list[str]:
    """Columns as a bar has them: ``1`` for the intercept, ``0`` where there is none."""
    constant = intercept_at(tuple(names))
    return ["0", *names] if constant is None else ["1" if j == constant else name for j, name in enumerate(names)]
