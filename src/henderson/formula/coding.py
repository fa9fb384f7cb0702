"""Terms and factors → columns, without redundant ones, named as formulaic and patsy name them.

A categorical factor ``a`` spans the constant: ``a = 1 + a-``, where ``a-`` is its reduced coding (contrasts).
So a term ``a:b`` is made of the subterms 1, a-, b-, a-:b-. Those that earlier terms span already are left
out, and what remains is put together again by ``u + u:a- = u:a``. That is the rule of S, as patsy states it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from henderson.formula.evaluate import FactorSpec, Values
from henderson.formula.terms import Term, shown
from henderson.numerics.lazy import lazy

Piece = tuple[tuple[str, bool], ...]
"""Factors of a product of columns, each with True when it is coded in full."""


@dataclass(frozen=True)
class Part:
    """The fixed part of a model, or what varies in one bar: how its columns are made.

    Attributes
    ----------
    terms : tuple of m Term
    pieces : tuple of m tuples of Piece
        The products of columns of which each term is made.
    names : tuple of p str
        Column names.
    slices : tuple of m slices
        Columns of each term.
    factors : dict of str to FactorSpec
    """

    terms: tuple[Term, ...]
    pieces: tuple[tuple[Piece, ...], ...]
    names: tuple[str, ...]
    slices: tuple[slice, ...]
    factors: Mapping[str, FactorSpec] = field(default_factory=dict)

    def place_of(self, name: str) -> int | None:
        """The column that is the data's column `name` itself; None when there is none."""
        for j, (piece, _) in enumerate(self.columns):
            if len(piece) == 1 and self.factors[piece[0][0]].is_column(name):
                return j
        return None

    @lazy
    def columns(self) -> tuple[tuple[Piece, int], ...]:
        """What each of the p columns is: a product of factors, and its place among that product's columns."""
        return tuple(
            (piece, k) for made in self.pieces for piece in made for k in range(len(_names(piece, self.factors)))
        )

    @lazy
    def variables(self) -> tuple[str, ...]:
        """Columns of the data that the part uses."""
        used = (name for term in self.terms for expr in term for name in self.factors[expr].variables)
        return tuple(dict.fromkeys(used))


class Coded(NamedTuple):
    """What the columns of terms depend on in a factor: not its levels or values, but its columns' names."""

    expr: str
    names: tuple[str, ...]
    reduced_names: tuple[str, ...]
    spans_intercept: bool


def make_part(terms: Sequence[Term], factors: Mapping[str, FactorSpec], *, order: str = "degree") -> Part:
    """Decide how each term is coded.

    Parameters
    ----------
    terms : sequence of Term
        As written.
    factors : mapping of str to FactorSpec
        A spec for each factor of the terms.
    order : {"degree", "patsy"}
        ``"patsy"``: terms with the same numeric factors stand together, those without any first; each by
        degree.
    """
    terms = tuple(_patsy_order(terms, factors) if order == "patsy" else sorted(terms, key=len))
    used = {expr: factors[expr] for term in terms for expr in term}
    reduced = {expr: patsy_names(spec) if order == "patsy" else spec.reduced_names for expr, spec in used.items()}
    coded = tuple(Coded(expr, spec.names, reduced[expr], spec.spans_intercept) for expr, spec in used.items())
    return Part(terms, *_columns_of(terms, coded, order), used)


@lru_cache(maxsize=32)
def _columns_of(
    terms: tuple[Term, ...], coded: tuple[Coded, ...], order: str
) -> tuple[tuple[tuple[Piece, ...], ...], tuple[str, ...], tuple[slice, ...]]:
    """Pieces, names and slices of terms in their order."""
    factors = {one.expr: one for one in coded}
    spanned: set[frozenset[str]] = set()
    pieces: list[tuple[Piece, ...]] = []
    names: list[str] = []
    slices: list[slice] = []
    for term in terms:
        made = _pieces(term, factors, spanned)
        start = len(names)
        names += [name for piece in made for name in _names(piece, factors)]
        pieces.append(made)
        slices.append(slice(start, len(names)))
    return tuple(pieces), _distinct(names, order), tuple(slices)


def _distinct(names: Sequence[str], order: str) -> tuple[str, ...]:
    """Column names of which no two are the same: a column called Intercept is not patsy's intercept, and levels
    ``1`` and ``"1"`` are two."""
    taken: dict[str, int] = {}
    out = []
    for k, name in enumerate(names):
        seen = taken.get(name)
        taken[name] = k
        if seen is None or (name == "Intercept" and order != "patsy"):
            out.append(name)  # lme4's intercept is spelled otherwise
        else:
            out.append(f"`{name}`" if name == "Intercept" else f"{name} ({k})")
    return tuple(out)


def patsy_names(spec: FactorSpec) -> tuple[str, ...]:
    """The names that patsy gives the columns of a factor's contrasts, where those of Poly and Diff are others.

    Examples
    --------
    >>> import pandas as pd
    >>> levels = pd.Index(["a", "b", "c"])
    >>> patsy_names(FactorSpec("C(k, Poly)", ("k",), (), levels, None, ("C(k, Poly)[.L]", "C(k, Poly)[.Q]")))
    ('C(k, Poly).Linear', 'C(k, Poly).Quadratic')
    """
    if spec.levels is None:
        return spec.reduced_names
    name, n = shown(spec.expr), len(spec.reduced_names)
    powers = [f"^{k}" for k in range(4, n + 1)]
    others = {
        tuple(f"{name}[{end}]" for end in [".L", ".Q", ".C", *powers][:n]): [
            ".Linear",
            ".Quadratic",
            ".Cubic",
            *powers,
        ],
        tuple(f"{name}[D.{level}]" for level in spec.levels[1:]): [f"[D.{level}]" for level in spec.levels],
    }
    ends = others.get(spec.reduced_names)
    return spec.reduced_names if ends is None else tuple(name + end for end in ends[:n])


def _patsy_order(terms: Sequence[Term], factors: Mapping[str, FactorSpec]) -> list[Term]:
    together: dict[frozenset[str], list[Term]] = {frozenset(): []}
    for term in terms:
        numeric = frozenset(expr for expr in term if factors[expr].levels is None)
        together.setdefault(numeric, []).append(term)
    return [term for group in together.values() for term in sorted(group, key=len)]


def _pieces(term: Term, factors: Mapping[str, Coded], spanned: set[frozenset[str]]) -> tuple[Piece, ...]:
    """Products that add what `term` spans to what is `spanned`, which grows by it."""
    choices = [((expr,), ()) if factors[expr].spans_intercept else ((expr,),) for expr in term]
    subterms = [tuple(expr for choice in chosen for expr in choice) for chosen in product(*choices)]
    new = [sub for sub in dict.fromkeys(subterms) if frozenset(sub) not in spanned]
    spanned.update(frozenset(sub) for sub in new)
    is_full = {expr: not factors[expr].spans_intercept for expr in term}
    made: list[Piece] = []
    for sub in sorted(new, key=len):
        made = _absorb(made, tuple((expr, is_full[expr]) for expr in sub))
    return tuple(made)


def _absorb(made: list[Piece], piece: Piece) -> list[Piece]:
    """`made` and `piece`, put together wherever ``u + u:a-`` makes ``u:a``."""
    for k, other in enumerate(made):
        extra = set(piece) - set(other)
        if len(piece) == len(other) + 1 and len(extra) == 1:
            ((expr, full),) = extra
            if not full:
                joined = tuple((name, True) if name == expr else (name, f) for name, f in piece)
                rest: list[Piece] = []
                for again in sorted([*made[:k], *made[k + 1 :], joined], key=len):
                    rest = _absorb(rest, again)
                return rest
    return [*made, piece]


def _names(piece: Piece, factors: Mapping[str, FactorSpec] | Mapping[str, Coded]) -> list[str]:
    """Names of a product's columns, the first factor varying fastest."""
    if not piece:
        return ["Intercept"]
    each = [factors[expr].names if full else factors[expr].reduced_names for expr, full in piece]
    return [":".join(reversed(names)) for names in product(*reversed(each))]


def fill(part: Part, values: Mapping[str, Values], out: np.ndarray) -> np.ndarray:
    """Write the columns of `part` into `out`, (n, p).

    Parameters
    ----------
    part : Part
    values : mapping of str to Values
        For each factor.
    out : (n, p) float64 array
    """
    j = 0
    for pieces in part.pieces:
        for piece in pieces:
            each = [_factor_columns(part.factors[expr], values[expr], full) for expr, full in piece]
            for columns in product(*reversed(each)):
                if not columns:
                    out[:, j] = 1.0
                else:
                    out[:, j] = columns[-1]
                    for column in columns[-2::-1]:
                        out[:, j] *= column
                j += 1
    return out


def copied(part: Part, values: Mapping[str, Values]) -> list[np.ndarray | None]:
    """For each column that `fill` writes the array that it is a copy of; None for what is made."""
    found: list[np.ndarray | None] = []
    for piece, k in part.columns:
        plain = len(piece) == 1 and values[piece[0][0]].codes is None
        found.append(_factor_columns(part.factors[piece[0][0]], values[piece[0][0]], piece[0][1])[k] if plain else None)
    return found


def _factor_columns(spec: FactorSpec, values: Values, full: bool) -> Sequence[np.ndarray]:
    if values.codes is None:
        return values.columns if full or not spec.spans_intercept else values.columns[1:]
    assert spec.levels is not None
    assert spec.contrasts is not None
    if full and len(spec.names) == len(spec.levels):
        return [values.codes == level for level in range(len(spec.names))]
    return [column[values.codes] for column in spec.contrasts.T]
