"""From a source that lives with workers to shards of levels: what is summed of each partition, split by its labels.

1. The fixed part's factors are learned as of any source; the labels of the grouping factor are not, and go nowhere.
2. Each partition is summed with levels of its own (`Splitting`), in one basis, guessed from the first rows. The sums
   over all its rows come here; those of each level go to the shard that a hash of its label says, as a `Piece`.
3. A shard adds up what the partitions had of each of its labels (`merged`), and stays where it is.
4. The sums over all rows give the basis (`sums.one_pass`); the shards are turned into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from henderson.design.learning import Columns, Learned, Witness, complete_rows
from henderson.design.random_terms import Groups, labels_of
from henderson.design.streamed import Reader, Tally, rows_of
from henderson.engine.sharded.levels import Levels
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts, Sums, parts_of
from henderson.engine.sums.one_pass import Totals
from henderson.errors import DataError
from henderson.formula.environment import Environment
from henderson.formula.plan import Plan
from henderson.numerics.threads import blas_threads
from henderson.sources.columns import Array, kind_of, settle, to_array
from henderson.sources.streams.distinct import Distinct, joined
from henderson.sources.streams.source import Part

FloatArray = np.ndarray


@dataclass(frozen=True)
class Head:
    """What is summed over all rows of some partitions.

    Attributes
    ----------
    tally : Tally
        Without the rows of each level.
    totals : Totals
    cross : CrossProducts
        With one level, the sum of all.
    """

    tally: Tally
    totals: Totals
    cross: CrossProducts

    def __add__(self, other: Head) -> Head:
        """Of both."""
        return Head(self.tally + other.tally, self.totals + other.totals, self.cross + other.cross)


@dataclass(frozen=True)
class Piece:
    """The levels that a partition has of one shard.

    Attributes
    ----------
    labels : dict of str to arrays
        Of each level, column by column.
    levels : Levels
    """

    labels: Columns
    levels: Levels


def canonical(values: Array) -> Array:
    """Labels as all partitions have them: whole numbers as int64, text and categories as what they say.

    Examples
    --------
    >>> canonical(np.array([3.0, 4.0])), canonical(pd.Categorical(["b", "a"])).tolist()
    (array([3, 4]), ['b', 'a'])
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        return canonical(to_array(np.asarray(values.categories)[values.codes], "labels"))
    kind, values = kind_of(values), settle(values)
    if kind == "number":
        numbers = np.asarray(values)
        if numbers.dtype.kind == "f" and not ((numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**62)).all():
            return numbers
        if numbers.dtype.kind == "u" and numbers.max(initial=0) >= 2**62:
            raise DataError("labels of a grouping factor in shards are whole numbers below 2**62, or text")
        return numbers.astype(np.int64)
    return np.asarray(values, object) if kind == "text" else values


def shard_of(labels: Mapping[str, Array], n_shards: int) -> np.ndarray:
    """Which shard has each level, by a hash of its labels that is the same everywhere."""
    hashed = pd.util.hash_pandas_object(pd.DataFrame(dict(enumerate(labels.values()))), index=False)
    return (hashed.to_numpy() % np.uint64(n_shards)).astype(np.intp)


@dataclass(frozen=True)
class Splitting:
    """Step 2.

    Attributes
    ----------
    plan : Plan
    witness : Witness
        Of the fixed part.
    known : Learned
    env : Environment
    formula : str
    n_shards : int
    guess : Basis, or None
        While there is none, of the first rows.
    """

    plan: Plan
    witness: Witness
    known: Learned
    env: Environment
    formula: str
    n_shards: int
    guess: Basis | None = None

    @property
    def group(self) -> tuple[str, ...]:
        """Columns of the grouping factor."""
        return self.plan.bars[0][0].group

    def reader(self, columns: Columns) -> Reader:
        """The design with the levels of some rows."""
        groups = Groups(columns)
        levels = groups[self.group][1]
        known = replace(self.known, groups={self.group: (levels, groups.crossings.get(self.group))})
        return Reader.of(self.plan, self.witness, known, self.env, self.formula)

    def __call__(self, parts: Iterable[Part]) -> tuple[Head | None, list[Piece]]:
        """The sums of a partition, and those of its levels for each shard; nothing of one without rows."""
        assert self.guess is not None
        held, found = list(parts), Distinct(self.group)
        for part in held:
            own = {name: part.table[name] for name in self.group}
            kept = complete_rows(own)
            found.add({name: settle(values if kept is None else values[kept]) for name, values in own.items()})
        labels = found.columns() if held else {}
        if not labels or not len(labels[self.group[0]]):
            return None, []
        reader = self.reader(labels)
        tally, totals = Tally.nothing(reader, self.witness), Totals.none(reader.design)
        blocks = Blocks.of(reader.design.terms, ())
        sums = Sums(blocks, self.guess)
        with blas_threads(products=None):
            for rows in rows_of(held, reader, tally):
                totals.add(rows)
                for part_rows in parts_of(rows, blocks):
                    sums.add(part_rows)
        cross = sums.total()
        there = np.flatnonzero(next(iter(tally.groups.values())))
        tally.groups.clear()
        whole = replace(cross, zz=cross.zz.sum(axis=2, keepdims=True), zx=cross.zx.sum(axis=2, keepdims=True))
        return Head(tally, totals, whole), self._pieces(labels_of(reader.design.specs.random[0]), cross, there)

    def _pieces(self, labels: Columns, cross: CrossProducts, there: np.ndarray) -> list[Piece]:
        own = {name: canonical(values[there]) for name, values in labels.items()}
        shard, pieces = shard_of(own, self.n_shards), []
        for k in range(self.n_shards):
            at = np.flatnonzero(shard == k)
            levels = Levels(cross.zz[:, :, there[at]], cross.zx[:, :, there[at]])
            pieces.append(Piece({name: values[at] for name, values in own.items()}, levels))
        return pieces


def merged(pieces: Sequence[Piece]) -> Levels:
    """Step 3: what the partitions had of each label, added up."""
    names = tuple(pieces[0].labels)
    pieces = [piece for piece in pieces if len(piece.labels[names[0]])] or list(pieces[:1])
    columns = {name: canonical(joined([piece.labels[name] for piece in pieces], name)) for name in names}
    codes, levels = Groups(columns)[names]

    def total(stacks: list[FloatArray]) -> FloatArray:
        whole = np.concatenate(stacks, axis=2)
        out = np.empty((*whole.shape[:2], len(levels)))
        for a, b in np.ndindex(whole.shape[:2]):
            out[a, b] = np.bincount(codes, whole[a, b], len(levels))
        return out

    return Levels(total([p.levels.zz for p in pieces]), total([p.levels.zx for p in pieces]))
