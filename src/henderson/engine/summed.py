"""`SummedRows`: the rows of a model summed, with all that a fit needs; those of two files of rows add up.

The cross-products of both parts are turned into one basis and one numbering of the levels, and added:

1. Both must be of one formula, with the same categories of the fixed part and the same numbers learned by transforms
   (`refuse_unless_alike` names what differs). Groups may be new in either part: their levels are put together.
2. The levels of each part are placed among those of both; the front stays the block that it was.
3. Sums in the basis of the first part, then turned into the basis that all rows give (`sums.change`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.contract.digest import Digest
from henderson.covariance.roots import factor_of
from henderson.design.fixed_sums import FixedSums
from henderson.design.random_terms import Groups, RandomSpec, labels_of
from henderson.design.replay import variables_of
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.change import in_basis
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.engine.sums.one_pass import Totals, exact_basis
from henderson.engine.sums.placed import placed
from henderson.errors import DataError
from henderson.formula.evaluate import FactorSpec
from henderson.sources.streams.distinct import joined

FloatArray = np.ndarray


@dataclass(frozen=True)
class SummedRows:
    """The rows of a model, summed.

    Attributes
    ----------
    design : Design
    cross : CrossProducts
        In `basis`.
    blocks : Blocks
    basis : Basis
    totals : Totals
    fixed : FixedSums
        What tests and marginal means need of the rows.
    """

    design: Design
    cross: CrossProducts
    blocks: Blocks
    basis: Basis
    totals: Totals
    fixed: FixedSums

    def digest(self, chunks: Any = None) -> Digest:
        """What tables need of the rows, as far as it was summed; `chunks` has the rows again."""
        roots = tuple(factor_of(gram).T for gram in self.totals.grams)
        known = {"low": self.totals.low, "high": self.totals.high, "term_roots": roots}
        if not self.design.weighted and self.basis.kept.all() and self.basis.ones.any():
            known["triangle"] = triangle_of(self.cross, self.basis)
        return Digest(None, self.design.x_names, chunks, known)

    def __add__(self, other: SummedRows) -> SummedRows:
        """The rows of both, summed.

        Raises
        ------
        DataError
            When they are not of one model; the message names what differs.
        """
        if not isinstance(other, SummedRows):
            return NotImplemented
        refuse_unless_alike(self, other)
        groups = {
            spec.group: _together(spec, more) for spec, more in zip(self.design.specs.random, other.design.specs.random)
        }
        design = _with_groups(self.design, groups)
        blocks = Blocks.of(design.terms, (), front=self.blocks.front)
        mine, theirs = (
            [groups[design.specs.random[block.terms[0]].group].places[which] for block in blocks.blocks]
            for which in range(2)
        )
        moved = in_basis(other.cross, other.blocks, other.basis, self.basis)
        cross = placed(self.cross, self.blocks, blocks, mine) + placed(moved, other.blocks, blocks, theirs)
        totals = self.totals + other.totals
        basis = exact_basis(design, blocks, self.basis, cross, totals)
        if basis is None:
            raise DataError(
                "the sums of both parts, made apart, do not tell the columns of the fixed or random effects from each "
                "other with enough digits: fit the files together"
            )
        fixed = self.fixed + other.fixed
        n_missing = self.design.n_missing + other.design.n_missing
        design = replace(design, n=cross.n, n_missing=n_missing, specs=replace(design.specs, terms=fixed.terms()))
        return SummedRows(design, in_basis(cross, blocks, self.basis, basis), blocks, basis, totals, fixed)


def triangle_of(cross: CrossProducts, basis: Basis) -> FloatArray:
    """R of [1 X] = QR, (p + 1, p + 1), from sums without weights: X = X̃B, 1 = Xw, X̃'X̃ = R̃'R̃.

    The span of X has the constant, and no column is redundant.
    """
    p = basis.p
    B = basis.from_beta
    inner = np.linalg.cholesky(cross.xy[:p, :p]).T
    both = inner @ np.column_stack([B @ basis.ones, B])
    return np.vstack([np.linalg.qr(both, mode="r"), np.zeros((1, p + 1))])


def refuse_unless_alike(one: SummedRows, other: SummedRows) -> None:
    """Step 1."""
    a, b = one.design, other.design
    if a.formula != b.formula:
        raise DataError(f"the sums are of different formulas: {a.formula!r} and {b.formula!r}")
    if (a.weighted, a.has_offset) != (b.weighted, b.has_offset) or variables_of(a) != variables_of(b):
        raise DataError("the sums are of different weights or offsets")
    mine, theirs = factors_of(a), factors_of(b)
    for expr, spec in mine.items():
        more = theirs[expr]
        if (spec.levels is None) != (more.levels is None) or (
            spec.levels is not None and more.levels is not None and not spec.levels.equals(more.levels)
        ):
            raise DataError(f"{expr!r} has other categories: {_some(spec.levels)} and {_some(more.levels)}")
        if not _same(spec.contrasts, more.contrasts):
            raise DataError(f"{expr!r} has other contrasts")
        if not _same(spec.state, more.state):
            raise DataError(
                f"{expr!r} learned other numbers from each part (its means and scales differ): write them into the "
                "formula, as in (x - 10) / 2, so that both parts have the same"
            )
    if a.x_names != b.x_names or [t.names for t in a.terms] != [t.names for t in b.terms]:
        raise DataError(f"the sums have different columns: {', '.join(a.x_names)} and {', '.join(b.x_names)}")
    if one.blocks.front != other.blocks.front:
        names = [part.design.terms[part.blocks.blocks[part.blocks.front or 0].terms[0]].group for part in (one, other)]
        raise DataError(
            f"the grouping factor with most effects is {names[0]} in one and {names[1]} in the other: fit the files "
            "together"
        )
    for part in (one, other):
        if part.basis.unmix is not None or not part.basis.kept.all() or not part.basis.ones.any():
            raise DataError(
                "one of the sums has columns that are redundant, or all but combinations of others, or no intercept: "
                "fit the files together"
            )


def factors_of(design: Design) -> dict[str, FactorSpec]:
    """The factors of a design by their text."""
    specs = design.specs
    parts = [specs.fixed, *(spec.part for spec in specs.random)]
    found = {expr: spec for part in parts for expr, spec in part.factors.items()}
    more = (specs.response, *specs.offsets, *([] if specs.weights is None else [specs.weights]))
    return found | {spec.expr: spec for spec in more}


def _some(levels: pd.Index | None) -> str:
    return "numbers" if levels is None else ", ".join(map(str, levels[:8])) + (", …" if len(levels) > 8 else "")


def _same(one: Any, other: Any) -> bool:
    """Whether two states of transforms are the same, number by number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray | pd.Index) or isinstance(other, np.ndarray | pd.Index):
        return type(one) is type(other) and one.shape == other.shape and bool(np.all(one == other))
    if hasattr(one, "__dict__") and type(one) is type(other):
        return _same(one.__dict__, other.__dict__)
    return bool(one == other)


@dataclass(frozen=True)
class _Both:
    """Levels of a grouping factor in both parts, and where each part's own are among them."""

    spec: RandomSpec
    places: tuple[np.ndarray, np.ndarray]


def _together(one: RandomSpec, other: RandomSpec) -> _Both:
    each = [labels_of(spec) for spec in (one, other)]
    columns = {name: joined([each[0][name], each[1][name]], name) for name in one.group}
    groups = Groups(columns)
    codes, levels = groups[one.group]
    n = len(one.levels)
    return _Both(replace(one, levels=levels, crossing=groups.crossings.get(one.group)), (codes[:n], codes[n:]))


def _with_groups(design: Design, groups: dict[tuple[str, ...], _Both]) -> Design:
    random = tuple(
        replace(spec, levels=groups[spec.group].spec.levels, crossing=groups[spec.group].spec.crossing)
        for spec in design.specs.random
    )
    terms = tuple(replace(term, levels=spec.levels) for term, spec in zip(design.terms, random))
    return replace(design, terms=terms, specs=replace(design.specs, random=random))
