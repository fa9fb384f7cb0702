"""From a source whose rows come in parts to a fitted model: a first pass that learns, a second that sums.

1. What factors, groups and transforms learn from all rows (`design.learning`).
2. All rows are summed in one pass (`sums.one_pass`). Levels of groups that turn out to have no complete row are left
   out of the sums. Where a category of a factor has none, what was learned is corrected, and where the sums would lose
   digits the basis is found as in memory: both read again.
3. The fit, from the sums alone. It has no rows; what reads them again is kept, for `augment` and what a table needs
   that was not summed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.design.checks import Reaction, check_contrasts
from henderson.design.learning import Witness, learned, table_of, witness
from henderson.design.streamed import Order, Reader, Tally, check_rows_of, design_of, rows_of, without
from henderson.engine.criterion import Criterion
from henderson.engine.factor.iterative.choice import check_rest, system_of, warn_if_sparse
from henderson.engine.fit import Fit, fit_criterion
from henderson.engine.summed import SummedRows
from henderson.engine.summing import Counting, Summing
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import NO_FRONT, Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.engine.sums.placed import placed
from henderson.errors import DataError, FormulaError
from henderson.formula.bars import parse
from henderson.formula.environment import Env, Environment, capture, environment
from henderson.formula.plan import Plan, make_plan, with_diagonal_bars
from henderson.progress import progress_bar
from henderson.sources.streams.distinct import Kinds
from henderson.sources.streams.registry import open_source
from henderson.sources.streams.source import Source, in_parts_of, reduced

#: passes that correct what was learned
CORRECTIONS = 3
#: rows of a part at the least (no power of two, see `source.PART`), and for each level
SHORT, EACH = 60_000, 4


@dataclass(frozen=True)
class Streamed:
    """Reads the rows of a model again: an iterable of `Rows`.

    Attributes
    ----------
    source : Source
    reader : Reader
    witness : Witness
    n, n_missing : int
        Rows that every pass must give, and drop; −1: whatever comes.
    sums : SummedRows, or None
        The rows, summed.
    counts : dict of int to (J,) int array
        Rows of each level of a term, one term of each grouping factor.
    """

    source: Source
    reader: Reader
    witness: Witness
    n: int = -1
    n_missing: int = -1
    sums: SummedRows | None = None
    counts: Mapping[int, np.ndarray] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Rows]:
        if not self.source.again:
            raise DataError(
                "the rows came from an iterator, which can be gone through once: give a function that makes it"
            )
        one = Tally.nothing(self.reader, self.witness)
        yield from rows_of(self.source.parts(self.reader.plan.variables), self.reader, one)
        self.check(one)

    def check(self, one: Tally) -> None:
        """Raise when a pass had other rows than the first."""
        if self.n >= 0 and (one.n, one.n_missing) != (self.n, self.n_missing):
            raise DataError(
                f"{self.source.title} changed while it was read: a pass had {one.n + one.n_missing} rows "
                f"({one.n_missing} with missing values), the one before {self.n + self.n_missing} ({self.n_missing})"
            )


def _quiet(done: int) -> None:
    """Tell nobody."""


def summed(
    formula: str,
    source: Source,
    *,
    weights: Any = None,
    offset: Any = None,
    groups: Any = None,
    re_formula: str | None = None,
    missing: str = "drop",
    contrasts: Mapping[str, Any] | None = None,
    env: Env | Environment = 0,
    order: Order = "degree",
    strict: bool = True,
    check_identified: Reaction = "raise",
    doublevert: str = "diag_special",
    progress: bool | None = None,
) -> Streamed:
    """Steps 1 and 2.

    Parameters
    ----------
    formula : str
    source : Source
        Which can be read several times.
    weights, offset, groups : str, optional
        Columns, or expressions.
    re_formula, missing, contrasts, env, order, strict, check_identified, doublevert
        As for `design_from_formula`.
    progress : bool, optional
    """
    plan, names, given_contrasts = planned(formula, source, weights, offset, groups, re_formula, contrasts, env, order)
    kinds = Kinds()
    with rows_bar("Learning, rows", source, progress) as tell:
        seen = witness(source, plan, names, given_contrasts, kinds, tell)
    known = learned(seen, plan, names, given_contrasts)
    check_contrasts(given_contrasts, known.factors)
    if doublevert not in ("diag_special", "split"):
        raise ValueError(f"doublevert must be 'diag_special' or 'split', not {doublevert!r}")
    if doublevert == "diag_special":
        plan = with_diagonal_bars(plan, lambda expr: known.factors[expr].levels is not None)
    for _ in range(CORRECTIONS):
        reader = Reader.of(plan, seen, known, names, formula, order)
        with rows_bar("Summing, rows", source, progress) as tell:
            summing = Summing.of(reader, seen, _blocks(source, reader))
            done = reduced(_in_parts(source, reader), reader.plan.variables, summing, tell)
        one = done.tally
        if missing != "drop" and one.n_missing:
            raise DataError(f"missing values in {one.n_missing} rows")
        if not one.n:
            raise DataError(f"{source.title}: no row is complete")
        if one.is_complete:
            break
        seen, known = without(seen, reader, one, given_contrasts)
        if one.has_factors:
            every, reader = reader, Reader.of(plan, seen, known, names, formula, order)
            break
    else:
        raise DataError(f"{source.title} changed while it was read: its levels differ from pass to pass")
    check_rows_of(reader.design, one, strict=strict, check_identified=check_identified)
    names.forget()
    design, rows = design_of(reader, one), Streamed(source, reader, seen, one.n, one.n_missing)
    blocks, (cross, basis, totals) = summing.blocks, summing.finish(done)
    if not one.is_complete:
        one, blocks, cross = _of_present(one, every.design, reader.design, blocks, cross)
    if cross is None or basis is None:
        basis = Basis.of(design, rows, blocks)
        cross = CrossProducts.of(design, rows, blocks, basis)
    sums = SummedRows(design, cross, blocks, basis, totals, one.sums)
    return replace(rows, sums=sums, counts=one.groups)


def _of_present(
    tally: Tally, every: Design, design: Design, blocks: Blocks, cross: CrossProducts | None
) -> tuple[Tally, Blocks, CrossProducts | None]:
    """What was counted and summed by `every` level, for the design of those that have a complete row."""
    counts = {every.terms[k].group: own for k, own in tally.groups.items()}
    places = {group: np.where(own > 0, np.cumsum(own > 0) - 1, -1) for group, own in counts.items()}
    for term, before in zip(design.terms, every.terms):
        if not term.levels.equals(before.levels[counts[term.group] > 0]):
            raise DataError(f"the levels of {term.group} changed their order without those that have no rows")
    front = NO_FRONT if blocks.front is None else blocks.front
    present = Blocks.of(
        design.terms,
        (),
        front=front,
        counts=lambda terms: tuple(own[own > 0] for own in (counts[design.terms[k].group] for k in terms)),
    )
    if cross is not None:
        cross = placed(cross, blocks, present, [places[every.terms[own.terms[0]].group] for own in blocks.blocks])
    return replace(tally, groups={k: own[own > 0] for k, own in tally.groups.items()}), present, cross


def _in_parts(source: Source, reader: Reader) -> Source:
    """In parts of a few rows for each level: sums by level go through all of them in every part."""
    levels = max((term.n_levels for term in reader.design.terms), default=0)
    return in_parts_of(source, max(EACH * levels, SHORT))


def _blocks(source: Source, reader: Reader) -> Blocks:
    """The blocks; where levels go in order of frequency, that takes a pass over the columns of their labels."""

    def counts(terms: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        counting = Counting(reader, terms)
        return reduced(source, counting.names, counting, _quiet).counts

    return Blocks.of(reader.design.terms, (), counts=counts)


def planned(
    formula: str,
    source: Source,
    weights: Any,
    offset: Any,
    groups: Any,
    re_formula: str | None,
    contrasts: Mapping[str, Any] | None,
    env: Env | Environment,
    order: Order,
) -> tuple[Plan, Environment, dict[str, Any]]:
    """The plan, the caller's names, and the contrasts asked for."""
    for role, given in (("weights", weights), ("offset", offset), ("groups", groups)):
        if given is not None and not isinstance(given, str):
            raise DataError(f"{role} must name a column of the source: the rows are read in parts, in their own order")
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise FormulaError(
            f"contrasts is a dict of factors and their contrasts, as in {{'a': 'sum'}}, not {type(contrasts).__name__}"
        )
    names = environment(capture(env), patsy=order == "patsy")
    plan = make_plan(parse(formula), table_of(source), names, groups, re_formula, None, weights, offset)
    return plan, names, dict(contrasts or {})


def summed_stream(formula: str, data: Any, *, subset: Any = None, **options: Any) -> Streamed:
    """The sums of data that are read in parts; as `summed`, of what `open_source` opens."""
    if subset is not None:
        raise DataError(
            "subset is of a table in memory: leave rows of a source out where it is made, by a query or filter"
        )
    parse(formula)  # who gives the table first is told so, and not that there is no file of the formula's name
    source = open_source(data)
    with source.held(None if source.again else columns_of(formula, source, options)) as held:
        rows = summed(formula, held, **options)
    return rows if held is source else replace(rows, source=source)


def fit_stream(
    formula: str, data: Any, *, reml: bool = True, start: Any = None, rest: str = "auto", **options: Any
) -> Fit:
    """Fit a model to data that are read in parts."""
    check_rest(rest)
    began = time.perf_counter()
    rows = summed_stream(formula, data, **options)
    assert rows.sums is not None
    return fit_sums(rows.sums, rows, reml=reml, start=start, rest=rest, progress=options.get("progress"), began=began)


def columns_of(formula: str, source: Source, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns that a model uses."""
    weights, offset, groups = (options.get(name) for name in ("weights", "offset", "groups"))
    re_formula, env, order = options.get("re_formula"), options.get("env", 0), options.get("order", "degree")
    return planned(formula, source, weights, offset, groups, re_formula, None, env, order)[0].variables


def fit_sums(
    sums: SummedRows,
    rows: Streamed | None = None,
    *,
    reml: bool = True,
    start: Any = None,
    rest: str = "auto",
    progress: bool | None = None,
    began: float | None = None,
) -> Fit:
    """Step 3; without `rows` they cannot be read again."""
    if not isinstance(reml, bool | int | np.bool_):
        raise ValueError(f"REML must be True or False, not {reml!r}")
    began = time.perf_counter() if began is None else began
    criterion = Criterion(system_of(sums.cross, sums.blocks, rest), sums.basis, bool(reml))
    if rest == "iterative":
        warn_if_sparse(criterion.system)
    fit = fit_criterion(sums.design, None, criterion, began, start=start, progress=progress)
    return replace(fit, _kept={"digest": sums.digest(rows), "residual_quantiles": None}, _streamed=rows)


@contextmanager
def rows_bar(title: str, source: Source, progress: bool | None) -> Iterator[Callable[[int], None]]:
    with progress_bar(title, source.n if progress is not False else None, progress, rate="rows") as tell:
        yield tell
