"""Blocks of random effects: the terms on one grouping factor, merged, and the order of θ among them.

Terms on one factor share its name and levels, so their effects stand side by side in one block with a block-diagonal
λ. The block with most effects is the front, the others are the rest (see `factor`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from henderson.contract.design import RandomTerm
from henderson.contract.relation import Relation
from henderson.contract.rows import Rows
from henderson.covariance.layout import Layout
from henderson.numerics.lazy import lazy
from henderson.numerics.matrices import singular_range

#: levels from which a block of the rest is put in order of frequency
MANY = 1024
#: λ's smallest singular value against its largest, below which it is nearly singular
NEARLY_SINGULAR = 1e-2
#: in place of a front's number: all blocks are the rest
NO_FRONT = -1


def rows_by_level(chunks: Iterable[Rows], term: int, n_levels: int) -> np.ndarray:
    """Number of rows of every level of a term."""
    count = np.zeros(n_levels, np.int64)
    for rows in chunks:
        codes = rows.terms[term].codes
        assert codes is not None
        count += np.bincount(codes, minlength=n_levels)
    return count


def _by_frequency(count: np.ndarray) -> np.ndarray:
    """Rank of every level, the most frequent first."""
    rank = np.empty(len(count), np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
    return rank


@dataclass(frozen=True)
class Block:
    """Terms of one grouping factor.

    Attributes
    ----------
    terms : tuple of int
        Which terms of the design, in their order.
    layout : Layout
        Where the block's θ go in its λ (q, q).
    n_levels : int
    parameters : (layout.n_theta,) int array
        Where the block's θ stand among the model's.
    g_parameters : (layout.n_g,) int array
        Where its G parameters stand among the model's.
    rank : (J,) int array, or None
        Place of each level in the engine's order; None: the design's own. Large blocks of the rest have their most
        frequent levels first (see `engine.factor.split_product`).
    relation : Relation, or None
        Of levels that are not independent.
    """

    terms: tuple[int, ...]
    layout: Layout
    n_levels: int
    parameters: np.ndarray
    g_parameters: np.ndarray
    rank: np.ndarray | None = None
    relation: Relation | None = None

    def independent(self, totals: np.ndarray) -> np.ndarray:
        """F'h of totals over the rows of each level (q, k, J): those of effects that are independent, b = Fw."""
        return totals if self.relation is None else self.relation.to_independent(totals)

    def of_levels(self, effects: np.ndarray) -> np.ndarray:
        """b = Fw, (q, k, J)."""
        return effects if self.relation is None else self.relation.to_levels(effects)

    def ranked(self, codes: np.ndarray) -> np.ndarray:
        """Codes in the engine's order."""
        return codes if self.rank is None else self.rank[codes]

    def unranked(self, by_level: np.ndarray) -> np.ndarray:
        """An array with the engine's levels first, in the design's order."""
        return by_level if self.rank is None else by_level[self.rank]

    @lazy
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the block's θ stand in a matrix over the model's."""
        return self.parameters[:, None], self.parameters

    @property
    def q(self) -> int:
        """Effects per level."""
        return self.layout.q

    @property
    def size(self) -> int:
        """Effects in all."""
        return self.layout.q * self.n_levels


class Sizes(NamedTuple):
    """What the arrangement of blocks depends on in a term; `factor` is its number where rows have loadings."""

    factor: str | int
    n_columns: int
    structure: str
    n_levels: int
    loaded: bool


@dataclass(frozen=True)
class Blocks:
    """All blocks of a model: `front` (an index into `blocks`, or None) and the rest.

    Attributes
    ----------
    blocks : tuple of Block
    front : int or None
    rest : tuple of int
        The other blocks, those with fewest levels first; effect a of level j of block k is rest column
        ``offsets[k] + j q_k + a``.
    offsets : dict
    n_rest : int
        Effects in the rest.
    n_theta, n_g : int
    """

    blocks: tuple[Block, ...]
    front: int | None
    rest: tuple[int, ...]
    offsets: dict[int, int]
    n_rest: int
    n_theta: int
    n_g: int

    @lazy
    def n_effects(self) -> int:
        """Random effects in all."""
        return sum(block.size for block in self.blocks)

    def singular(self, lam: Sequence[np.ndarray]) -> list[bool]:
        """Which blocks have a term that is on its boundary, or nearly."""
        return [
            block.layout.least(one) < NEARLY_SINGULAR * max(singular_range(one)[1], 1.0)
            for block, one in zip(self.blocks, lam)
        ]

    @classmethod
    def of(
        cls,
        terms: Sequence[RandomTerm],
        chunks: Iterable[Rows],
        *,
        front: int | None = None,
        counts: Callable[[tuple[int, ...]], Sequence[np.ndarray]] | None = None,
    ) -> Blocks:
        """Merge the terms of each grouping factor (they share its name), and choose the front, where none is given.

        `front` is the number of a block, or `NO_FRONT`. `counts` says how many rows the levels of some terms have,
        where the `chunks` are not to be gone through.
        """
        related = [k for k, term in enumerate(terms) if term.related is not None]
        if related:
            front = NO_FRONT
        blocks = _arranged(
            tuple(
                Sizes(i if term.loaded else term.group, term.n_columns, term.structure, term.n_levels, term.loaded)
                for i, term in enumerate(terms)
            ),
            front,
        )
        if related:
            return _with_relations(blocks, terms)
        large = [
            k for k in blocks.rest if blocks.blocks[k].n_levels >= MANY and not terms[blocks.blocks[k].terms[0]].loaded
        ]
        if not large:
            return blocks
        first = tuple(blocks.blocks[k].terms[0] for k in large)
        if counts is None:
            found = [rows_by_level(chunks, term, terms[term].n_levels) for term in first]
        else:
            found = list(counts(first))
        by_frequency = {k: replace(blocks.blocks[k], rank=_by_frequency(count)) for k, count in zip(large, found)}
        return replace(blocks, blocks=tuple(by_frequency.get(k, block) for k, block in enumerate(blocks.blocks)))

    @property
    def are_related(self) -> bool:
        """Whether levels of a block are not independent."""
        return any(block.relation is not None for block in self.blocks)

    @lazy
    def standard_deviations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The θ that are standard deviations (they stand on the diagonal of a λ), and of which block and effect, (c,)
        each."""
        found = [
            (int(block.parameters[i]), k, effect)
            for k, block in enumerate(self.blocks)
            for i, effect in block.layout.standard_deviations
        ]
        theta, which, effects = np.array(sorted(found), dtype=int).reshape(-1, 3).T
        return theta, which, effects

    def split(self, front: np.ndarray, rest: np.ndarray) -> list[np.ndarray]:
        """Effects front (q, k, J) and rest (R, k), block by block as (q, k, J)."""
        out = []
        for k, block in enumerate(self.blocks):
            if k == self.front:
                out.append(front)
            else:
                rows = rest[self.offsets[k] : self.offsets[k] + block.size]
                out.append(rows.reshape(block.n_levels, block.q, -1).transpose(1, 2, 0))
        return out

    def join(self, parts: list[np.ndarray], columns: list[np.ndarray], width: int) -> tuple[np.ndarray, np.ndarray]:
        """The reverse, front (q, width, J) and rest (R, width): each block's (q, k, J) at its own columns."""
        q, n_levels = (0, 0) if self.front is None else (self.blocks[self.front].q, self.blocks[self.front].n_levels)
        if len(parts) == 1 and self.front == 0:  # its columns are all there are, in order
            return parts[0], np.zeros((0, width))
        front, rest = np.zeros((q, width, n_levels)), np.zeros((self.n_rest, width))
        for k, (block, part, own) in enumerate(zip(self.blocks, parts, columns)):
            if k == self.front:
                front[:, own] = part
            else:
                rows = slice(self.offsets[k], self.offsets[k] + block.size)
                rest[rows, own] = part.transpose(2, 0, 1).reshape(block.size, -1)
        return front, rest

    def lam(self, theta: np.ndarray) -> list[np.ndarray]:
        """λ of every block, [(q, q), …]."""
        return [block.layout.lam(theta[block.parameters]) for block in self.blocks]

    def theta(self, lam: Sequence[np.ndarray]) -> np.ndarray:
        """θ of the λ of every block."""
        theta = np.zeros(self.n_theta)
        for block, one in zip(self.blocks, lam):
            theta[block.parameters] = block.layout.theta(one)
        return theta

    def g(self, covariances: Sequence[np.ndarray]) -> np.ndarray:
        """G parameters of the G of every block."""
        g = np.zeros(self.n_g)
        for block, one in zip(self.blocks, covariances):
            g[block.g_parameters] = block.layout.g(one)
        return g


def _with_relations(blocks: Blocks, terms: Sequence[RandomTerm]) -> Blocks:
    """The same, with the relations of levels."""
    found = []
    for block in blocks.blocks:
        related = terms[block.terms[0]].related
        found.append(block if related is None else replace(block, relation=related.relation))
    return replace(blocks, blocks=tuple(found))


@lru_cache(maxsize=64)
def _arranged(terms: tuple[Sizes, ...], front: int | None = None) -> Blocks:
    """The blocks of some terms, levels in the design's order; one object for equal ones, since it never changes."""
    members: dict[str | int, list[int]] = {}
    for i, term in enumerate(terms):
        members.setdefault(term.factor, []).append(i)
    sizes = [term.n_columns for term in terms]
    every = Layout.of(sizes, [term.structure for term in terms])
    blocks = []
    for those in members.values():
        layout = Layout.of([sizes[i] for i in those], [terms[i].structure for i in those])
        places = (np.r_[tuple(where[i] for i in those)] for where in (every.theta_of, every.g_of))
        blocks.append(Block(tuple(those), layout, terms[those[0]].n_levels, *places))
    candidates = [k for k, block in enumerate(blocks) if not terms[block.terms[0]].loaded]
    if front is None and candidates:
        front = max(candidates, key=lambda k: blocks[k].size)
    front = None if front == NO_FRONT else front
    rest = tuple(sorted((k for k in range(len(blocks)) if k != front), key=lambda k: blocks[k].n_levels))
    ends = np.cumsum([0, *(blocks[k].size for k in rest)])
    offsets = dict(zip(rest, ends.tolist()))
    return Blocks(tuple(blocks), front, rest, offsets, int(ends[-1]), every.n_theta, every.n_g)
