"""A fit whose levels stay on the workers, sharded by label: for more levels than are to be held in one place.

The rows are gone through once more than their sums need: the factors of the fixed part are learned, the partitions are
summed and divided (`building`), and each evaluation of the criterion sends θ out and brings sums of p × p size back
(`point`). What is left here is the fit without the levels: no effects, no likelihood at other parameters.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.design.checks import Reaction, check_contrasts
from henderson.design.learning import FIRST, Seen, learned, peek
from henderson.design.random_terms import RandomSpec
from henderson.design.streamed import Reader, check_rows_of, design_of, without
from henderson.engine.fit import in_user_units
from henderson.engine.fitted import Fit
from henderson.engine.from_source import CORRECTIONS, planned, rows_bar
from henderson.engine.sharded.building import Head, Splitting, merged
from henderson.engine.sharded.descent import one_descent
from henderson.engine.sharded.point import ELSEWHERE, ShardedCriterion, ShardedEvaluation
from henderson.engine.summed import SummedRows
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.change import columns_between, roots_between
from henderson.engine.sums.one_pass import guessed, in_exact_basis
from henderson.errors import DataError, FormulaError
from henderson.formula.bars import parse
from henderson.formula.environment import Env, Environment
from henderson.formula.plan import Plan, with_diagonal_bars
from henderson.numerics.threads import blas_threads
from henderson.progress import progress_bar
from henderson.sources.streams.distinct import Kinds
from henderson.sources.streams.registry import is_stream, open_source
from henderson.sources.streams.source import reduced
from henderson.sources.table import Table


class Elsewhere(tuple[np.ndarray, ...]):
    """Effects that are with the workers: whoever asks for one is told so."""

    def __getitem__(self, key: Any) -> Any:
        raise ELSEWHERE

    def __iter__(self) -> Any:
        raise ELSEWHERE


@dataclass(frozen=True)
class UnknownLabels(RandomSpec):
    """A term whose labels are with the workers: none is known, and none is new."""

    def codes(self, columns: Mapping[str, Any]) -> np.ndarray:
        """There are none."""
        raise ELSEWHERE


class Rowless:
    """Rows that nobody can number, since their levels are with the workers."""

    def __iter__(self) -> Any:
        raise DataError("this needs the rows again, whose levels were with the workers: fit without shards=")


def fit_sharded(
    formula: str,
    data: Any,
    n_shards: int,
    *,
    reml: bool = True,
    start: Any = None,
    subset: Any = None,
    weights: Any = None,
    offset: Any = None,
    missing: str = "drop",
    contrasts: Mapping[str, Any] | None = None,
    env: Env | Environment = 0,
    check_identified: Reaction = "raise",
    doublevert: str = "diag_special",
    progress: bool | None = None,
) -> Fit:
    """Fit a model of one grouping factor whose levels stay on the workers.

    Parameters
    ----------
    formula : str
    data : a source that can be divided, such as a Dask DataFrame
    n_shards : int
    reml, start, weights, offset, missing, contrasts, env, check_identified, doublevert, progress
        As for `lmer`.

    Raises
    ------
    DataError, FormulaError
        For another source, several grouping factors, or no intercept.
    """
    began = time.perf_counter()
    parse(formula)
    if not is_stream(data) or not hasattr(source := open_source(data), "divide"):
        raise DataError(f"shards= is for a Dask DataFrame, whose workers hold them, not for a {type(data).__name__}")
    if isinstance(n_shards, bool) or not isinstance(n_shards, int | np.integer) or n_shards < 1:
        raise ValueError(f"shards is a number of shards, 1 or more, not {n_shards!r}")
    if subset is not None:
        raise DataError("subset is of a table in memory: leave rows of a source out where it is made")
    plan, names, given = planned(formula, source, weights, offset, None, None, contrasts, env, "degree")
    _check_one_factor(plan)
    reader, guess, head, shards = _divided(source, plan, names, given, formula, int(n_shards), doublevert, progress)
    if missing != "drop" and head.tally.n_missing:
        raise DataError(f"missing values in {head.tally.n_missing} rows")
    names.forget()
    design = _of_levels(design_of(reader, head.tally), shards.total("count"))
    check_rows_of(design, head.tally, strict=True, check_identified=check_identified)
    blocks = Blocks.of(design.terms, ())
    cross, basis, totals = in_exact_basis(design, blocks, guess, head.cross, head.totals)
    if cross is None or basis is None:
        raise DataError(
            "the sums do not tell the columns of the fixed or random effects from each other with enough digits: fit "
            "without shards=, which goes through the rows again"
        )
    shards = shards.mapped("turned", roots_between(guess, basis)[0], columns_between(guess, basis))
    none = replace(cross, zz=cross.zz[:, :, :0], zx=cross.zx[:, :, :0])
    criterion = ShardedCriterion(none, blocks, basis, shards, bool(reml))
    with blas_threads(), progress_bar("Fitting, evaluations", None, progress) as tell:
        summed = time.perf_counter()
        ended = one_descent(criterion, start, tell)
        searched = time.perf_counter() - summed
        point = ended.optimum.point
        fit = in_user_units(design, None, criterion, ended, began)
        assert isinstance(point, ShardedEvaluation)
        moments = point.moments()
    digest = SummedRows(design, cross, blocks, basis, totals, head.tally.sums).digest(Rowless())
    kept = {"moments": moments, "digest": digest, "residual_quantiles": None, "searched": searched}
    return replace(fit, b=Elsewhere(), _built=criterion.without_sums(), _near=None, _point=None, _kept=kept)


def _divided(
    source: Any,
    plan: Plan,
    names: Environment,
    given: dict[str, Any],
    formula: str,
    n_shards: int,
    doublevert: str,
    progress: bool | None,
) -> tuple[Reader, Basis, Head, Any]:
    """The factors of the fixed part learned, then the partitions summed and divided: the reader of the rows, the basis
    that was guessed from the first of them, the sums without the levels, and the levels' shards."""
    kinds = Kinds()
    first = peek(source, plan.variables, kinds)
    seen = replace(Seen.nothing(first, plan, names, given, kinds), groups={})
    with rows_bar("Learning, rows", source, progress) as tell:
        seen = reduced(source, seen.names, seen, tell) if seen.names else seen
    shown = seen.witness(first)
    known = learned(shown, plan, names, given)
    check_contrasts(given, known.factors)
    if doublevert == "diag_special":
        plan = with_diagonal_bars(plan, lambda expr: known.factors[expr].levels is not None)
    some = {name: column[:FIRST] for name, column in first.items()}
    table = Table(tuple(some), n := len(next(iter(some.values()))), pd.RangeIndex(n), some.__getitem__)
    for _ in range(CORRECTIONS):
        split = Splitting(plan, shown, known, names, formula, n_shards)
        reader = split.reader({name: some[name] for name in split.group})
        intercept = next((s.start for term, s in zip(reader.fixed.terms, reader.fixed.slices) if not term), None)
        if intercept is None:
            raise FormulaError("shards= needs an intercept among the fixed effects")
        rows = reader.read(table, "the first rows", Kinds()).rows
        if not rows.n:
            raise DataError(f"{source.title}: none of the first rows is complete")
        guess = guessed(reader.design, rows, Blocks.of(reader.design.terms, ()), intercept)
        with rows_bar("Summing, rows", source, progress) as tell:
            head, shards = source.divide(plan.variables, replace(split, guess=guess), merged, n_shards, tell)
        if head.tally.is_complete:
            return reader, guess, head, shards
        shown, known = without(shown, reader, head.tally, given)
    raise DataError(f"{source.title} changed while it was read: its levels differ from pass to pass")


def _check_one_factor(plan: Any) -> None:
    groups = list(dict.fromkeys(bar.group for bar, _ in plan.bars))
    if len(groups) != 1:
        shown = " and ".join(":".join(group) for group in groups) or "none"
        raise FormulaError(f"shards= is for models of one grouping factor, not of {shown}")
    if any(bar.members is not None for bar, _ in plan.bars):
        raise FormulaError("shards= is for rows that each have one level of the grouping factor")


def _of_levels(design: Design, n_levels: int) -> Design:
    """The design with so many levels, whose labels are not here."""
    levels = pd.RangeIndex(n_levels)
    random = tuple(UnknownLabels(spec.group, spec.part, levels) for spec in design.specs.random)
    terms = tuple(replace(term, levels=levels) for term in design.terms)
    return replace(design, terms=terms, specs=replace(design.specs, random=random))
