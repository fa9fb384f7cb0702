"""What is done to the parts of a source where they are, here or with a worker: all of it can be pickled and added.

`Summing` makes `Summed` of some parts: the sums of their rows in a basis guessed beforehand from the first rows
(`sums.one_pass`), and the tally of what went by. `Counting` makes `Counts` of the rows of each level.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.contract.rows import Rows
from henderson.design.learning import FIRST, Witness, complete_rows
from henderson.design.streamed import Reader, Tally, rows_of
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import Sums, parts_of
from henderson.engine.sums.one_pass import OnePass, Totals, guessed, in_exact_basis
from henderson.numerics.overlap import work_beside
from henderson.numerics.threads import blas_threads
from henderson.sources.streams.distinct import Kinds
from henderson.sources.streams.source import Part
from henderson.sources.table import Table


@dataclass(frozen=True)
class Summed:
    """Some rows, summed.

    Attributes
    ----------
    tally : Tally
    totals : Totals
    sums : Sums, or None
        Without a guess nothing but the totals is summed.
    """

    tally: Tally
    totals: Totals
    sums: Sums | None

    def __add__(self, other: Summed) -> Summed:
        """Of both."""
        sums = None if self.sums is None or other.sums is None else self.sums + other.sums
        return Summed(self.tally + other.tally, self.totals + other.totals, sums)


@dataclass(frozen=True)
class Summing:
    """Sums the rows of a design.

    Attributes
    ----------
    reader : Reader
    tally : Tally
        Of no rows.
    blocks : Blocks
    guess : Basis, or None
        Where X has no column of ones, or the first rows have nothing complete.
    """

    reader: Reader
    tally: Tally
    blocks: Blocks
    guess: Basis | None

    @classmethod
    def of(cls, reader: Reader, witness: Witness, blocks: Blocks) -> Summing:
        """With a guess from the first complete rows."""
        intercept = next((s.start for term, s in zip(reader.fixed.terms, reader.fixed.slices) if not term), None)
        guess = None
        if intercept is not None:
            first = {name: column[:FIRST] for name, column in witness.first.items()}
            n = len(next(iter(first.values())))
            table = Table(tuple(first), n, pd.RangeIndex(n), first.__getitem__)
            rows = reader.read(table, "the first rows", Kinds()).rows
            guess = guessed(reader.design, rows, blocks, intercept) if rows.n else None
        return cls(reader, Tally.nothing(reader, witness), blocks, guess)

    def __call__(self, parts: Iterable[Part]) -> Summed:
        """Sum some parts; rows are summed while the next are read."""
        tally, totals = self.tally.copy(), Totals.none(self.reader.design)
        sums = None if self.guess is None else Sums(self.blocks, self.guess)

        @blas_threads(products=None)
        def add(rows: Rows) -> None:
            totals.add(rows)
            if sums is not None:
                for part in parts_of(rows, self.blocks):
                    sums.add(part)

        with blas_threads(products=None):
            work_beside(rows_of(parts, self.reader, tally), add)
        return Summed(tally, totals, sums)

    def finish(self, done: Summed) -> OnePass:
        """The sums of all rows in the basis that they give."""
        if done.sums is None or self.guess is None:
            return OnePass(None, None, done.totals)
        return in_exact_basis(self.reader.design, self.blocks, self.guess, done.sums.total(), done.totals)


@dataclass(frozen=True)
class Counts:
    """Rows by level.

    Attributes
    ----------
    counts : tuple of int arrays
        One for each of some terms.
    """

    counts: tuple[np.ndarray, ...]

    def __add__(self, other: Counts) -> Counts:
        """Of both."""
        return Counts(tuple(a + b for a, b in zip(self.counts, other.counts)))


@dataclass(frozen=True)
class Counting:
    """Counts the rows of each level, those in which another column is missing too.

    Attributes
    ----------
    reader : Reader
    terms : tuple of int
    """

    reader: Reader
    terms: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read."""
        random = self.reader.design.specs.random
        return tuple(dict.fromkeys(name for k in self.terms for name in random[k].group))

    def __call__(self, parts: Iterable[Part]) -> Counts:
        """Count those of some parts."""
        counts = [np.zeros(self.reader.design.terms[k].n_levels, np.int64) for k in self.terms]
        for part in parts:
            for k, own in zip(self.terms, counts):
                columns = {name: part.table[name] for name in self.reader.design.specs.random[k].group}
                kept = complete_rows(columns)
                known = columns if kept is None else {name: column[kept] for name, column in columns.items()}
                codes = self.reader.level_codes(k, known)
                own += np.bincount(codes[codes >= 0], minlength=len(own))
        return Counts(tuple(counts))
