"""A bar on a factor whose levels have known relationships, (1 | animal) with Var(b) = σ²λ²A.

b = Bw with w ~ N(0, σ²λ²I): the term's rows load on all w, Z_w = ZB, and for the engine it is a term as any. Among the
roots B of A one makes Z_w'WZ_w diagonal: with A = LL' and L'Z'WZL = UDU' it is B = LU. A model with one such term then
costs nothing more than one without (the eigenvalues are found once, as in EMMA); several meet as dense blocks.

Large pedigrees, and bars with several effects, Var(b) = σ² A ⊗ λλ', stay as they are: rows load on b, and A⁻¹, which is
sparse, goes into the equations (`engine.factor.sparse`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import KnownEffects, RandomTerm, RelatedEffects
from henderson.contract.relation import Relation
from henderson.contract.rows import TermRows
from henderson.covariance.relationship import Relationship, relationship
from henderson.design.random_terms import RandomSpec
from henderson.design.structured_effects import structured_effects
from henderson.errors import DataError, FormulaError
from henderson.formula.bar_kinds import bar_text
from henderson.formula.bars import Bar
from henderson.formula.coding import Part
from henderson.formula.evaluate import Columns
from henderson.formula.tokens import bare
from henderson.sources.columns import Array, kind_of
from henderson.sources.factors import match, shown_label, unknown_levels

#: share of the largest below which an eigenvalue is zero
NOTHING = 1e-12
#: levels, and entries of the rows, up to which the roots of a pedigree's A are taken: a model with one such term, whose
#: effects are independent, is one as any
FEW, DENSE = 1_000, 20_000_000


@dataclass(frozen=True, eq=False)
class KnownSpec:
    """How rows of new data load on the effects of a term with known relationships.

    Attributes
    ----------
    group : (str,)
        The factor's column; empty when labels were given as a nameless array.
    part : Part
        The column that varies.
    levels : pandas.Index of length J
        All labels of the relationships.
    root : (J, J) array
        B.
    """

    group: tuple[str]
    part: Part
    levels: pd.Index
    root: np.ndarray

    def loadings(self, codes: np.ndarray, column: np.ndarray) -> sparse.csr_array:
        """Z_w, (m, J + 1); a row whose level is not known (−1) loads on the last column, an effect of its own."""
        m, J = len(codes), len(self.levels)
        own = np.zeros((m, J + 1))
        own[:, :J] = np.where(codes[:, None] >= 0, self.root[codes], 0.0) * column[:, None]
        own[codes < 0, J] = column[codes < 0]
        return sparse.csr_array(own)

    def complaint(self, labels: Array, codes: np.ndarray) -> str:
        """What to say of levels that have no relationships."""
        return unknown_levels(self.group[0] or "groups", labels, codes, self.levels)


@dataclass(frozen=True)
class Relations:
    """What was given as `relmat`.

    Attributes
    ----------
    given : mapping of str to object
        By the name of a factor.
    wide : bool
        Whether a bar on one of the factors has several effects.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    wide: bool = False

    def __contains__(self, name: object) -> bool:
        return name in self.given


def check_relmat(relmat: Any, bars: tuple[Bar, ...]) -> Relations:
    """What was given as `relmat`, when it names factors of the bars.

    Raises
    ------
    FormulaError
        Naming what it names and the model has not, or a bar that cannot have known relationships.
    """
    if relmat is None:
        return Relations()
    if not isinstance(relmat, Mapping):
        raise FormulaError(
            f"relmat is a dict of factors and their relationships, as in {{'animal': A}}, not {type(relmat).__name__}"
        )
    there = [bar.name for bar in bars]
    given = {name if name in there or not isinstance(name, str) else bare(name): own for name, own in relmat.items()}
    if len(given) < len(relmat):
        raise FormulaError(f"relmat names a factor twice, among {', '.join(map(repr, relmat))}")
    for name in given:
        if name not in there:
            shown = ", ".join(repr(one) for one in dict.fromkeys(there)) or "none"
            raise FormulaError(f"relmat names {name!r}, which no bar is on; there are {shown}")
    return Relations(given)


def refuse_relmat(related: Relations, name: str) -> None:
    """Members of ``mm()`` have no known relationships."""
    if name in related:
        raise FormulaError(f"relmat does not go with {name}")


def known_term(
    bar: Bar,
    part: Part,
    varying: np.ndarray,
    columns: Columns,
    related: Relations,
    weights: np.ndarray | None,
    group: tuple[str, ...],
) -> tuple[RandomTerm, TermRows, KnownSpec | RandomSpec]:
    """A bar's term with known relationships, its rows, and how to replay it.

    Parameters
    ----------
    bar : Bar
    part : Part
    varying : (n, q) array
    columns : mapping of str to (n,) arrays
    related : Relations
    weights : (n,) array, or None
    group : tuple of str
        Where the labels are in new data.
    """
    if len(bar.group) != 1:
        written = bar_text(bar.structure, bar.columns, bar.name)
        raise FormulaError(f"{written}: relmat goes with a factor that is one column, make one of {bar.name}")
    values = columns[bar.group[0]]
    categories = values.categories if kind_of(values) == "category" else None
    relation = relationship(related.given[bar.name], bar.name, categories)
    codes = match(values, relation.labels)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        more = len(pd.unique(values[codes < 0])) - 1
        others = f" and {more} more" if more else ""
        raise DataError(
            f"relmat[{bar.name!r}] lacks levels of the data: {shown_label(values[row])} (row {row}){others}; it has "
            f"{', '.join(shown_label(one) for one in relation.labels[:3])}, …"
        )
    if _stays_sparse(related, relation, len(codes)):
        structure, part = structured_effects(bar, part, columns)
        effects = RelatedEffects(Relation(relation.inverse_root, relation.diagonal), np.unique(codes))
        term = RandomTerm(bar.name, relation.labels, part.names, structure, bar.label, known=effects)
        return term, TermRows(codes, varying), RandomSpec(group, part, relation.labels)
    root = _orthogonal_root(relation, codes, varying[:, 0], weights)
    spec = KnownSpec((group[0],), part, relation.labels, root)
    known = KnownEffects(root, relation.diagonal, np.unique(codes))
    term = RandomTerm(bar.name, relation.labels, part.names, "unstructured", bar.label, True, known)
    rows = sparse.csr_array(root[codes] * varying)
    return term, TermRows(None, np.empty((len(codes), 0)), rows), spec


def _stays_sparse(related: Relations, relation: Relationship, n: int) -> bool:
    """Whether the equations have A⁻¹ in them, and not the roots of A in the rows."""
    J = len(relation)
    return related.wide or (relation.has_sparse_inverse and (J > FEW or n * J > DENSE))


def _orthogonal_root(
    related: Relationship, codes: np.ndarray, column: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """B = LU, (J, J); columns on which no row loads are exactly those."""
    J = len(related.labels)
    size = np.bincount(codes, column**2 if weights is None else weights * column**2, J)
    used = np.flatnonzero(size > 0)
    half = np.sqrt(size[used])[:, None] * related.root[used]
    values, vectors = np.linalg.eigh(half.T @ half)
    root = related.root @ vectors
    empty = values < NOTHING * max(float(values[-1]), 1e-300)
    root[np.ix_(used, empty)] = 0.0
    return np.asarray(root)
