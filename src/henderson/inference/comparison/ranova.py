"""Tests of the random effects, one at a time: `ranova`, as lmerTest's.

A term with several effects loses one model term at a time (``Days in (Days | Subject)``), those first that no other
contains; a term with one is removed. The fixed part stays, and what covariance the residuals have, so REML likelihoods
are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.covariance.layout import consecutive
from henderson.design.intercept import intercept_at
from henderson.design.random_terms import RandomSpec
from henderson.design.term_text import as_bar
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.formula.coding import Part
from henderson.inference.comparison.chibar import mixture
from henderson.inference.comparison.submodels import fit_from, likelihood_of, likelihood_ratio, likelihood_without
from henderson.tables.result_frame import ResultFrame


def ranova(model: Any) -> pd.DataFrame:
    """Likelihood-ratio tests of random effects.

    Parameters
    ----------
    model : Fit or MixedLMResults
        Submodels are fitted by the same criterion, REML or ML.

    Returns
    -------
    DataFrame
        Index: what was removed, after ``<none>``; columns npar, loglik, aic, statistic, df, p, and p_chibar, the χ̄²
        p-value at the boundary where its mixture is known (`attrs["notes"]`).

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> ranova(fit)[["npar", "statistic", "df"]].round(3)
                              npar  statistic   df
    term
    <none>                       6        NaN  NaN
    Days in (Days | Subject)     4     42.837  2.0
    """
    from scipy.special import chdtrc

    fit = fit_from(model)
    if isinstance(fit, Fit):
        fit.refuse_constraints("ranova()")
    whole, at_end = likelihood_of(fit), isinstance(fit, StructuredFit) and fit.at_end
    rows = {"<none>": _row(whole.deviance, whole.n_parameters)}
    notes = []
    for one in removals(fit):
        name, terms = one.name, one.design.terms
        less = likelihood_without(fit, one.design, one.rows)
        statistic = likelihood_ratio(less, whole)
        df = whole.n_parameters - less.n_parameters
        known = None if at_end else mixture(terms, fit.design.terms)
        if known is not None:
            notes.append(f"p_chibar of {name}: chi-bar-square, {known}")
        rows[name] = _row(less.deviance, less.n_parameters) | {
            "statistic": statistic,
            "df": float(df),
            "p": float(chdtrc(df, statistic)),
            "p_chibar": known.pvalue(statistic) if known is not None else np.nan,
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "term"
    return ResultFrame.of(frame, "Tests of random effects (likelihood ratios)", tuple(notes))


def _row(deviance: float, npar: int) -> dict[str, float]:
    return {"npar": npar, "loglik": -deviance / 2, "aic": deviance + 2 * npar}


@dataclass(frozen=True)
class Removal:
    """Something that can be taken from the random part.

    Attributes
    ----------
    name : str
        ``"(1 | g)"``, ``"x in (x | g)"``.
    design : Design
        Without it.
    rows : Rows
    """

    name: str
    design: Design
    rows: Rows


def removals(fit: Fit) -> Iterator[Removal]:
    """What can be removed, and the models without it."""
    design, rows = fit.design, fit.observed_for("ranova()")
    for k, term in enumerate(design.terms):
        pieces, label = _pieces(design, k), as_bar(design, k)
        slopes = [(names, place) for names, place in pieces if names]
        if len(pieces) == 1 or not slopes:
            name = f"{':'.join(slopes[0][0])} in {label}" if slopes else label
            yield Removal(name, *without_columns(design, rows, k, range(term.n_columns)))
            continue
        for names, place in slopes:
            if any(set(names) < set(more) for more, _ in slopes):
                continue
            columns = range(*place.indices(term.n_columns))
            yield Removal(f"{':'.join(names)} in {label}", *without_columns(design, rows, k, columns))


def without_columns(design: Design, rows: Rows, k: int, columns: Sequence[int]) -> tuple[Design, Rows]:
    """A design and its rows without some effects of a random term; without the term where none is left."""
    term, own = design.terms[k], rows.terms[k]
    keep = np.ones(term.n_columns, bool)
    keep[list(columns)] = False
    specs = design.specs
    if not keep.any():
        if specs is not None:
            specs = replace(specs, random=(*specs.random[:k], *specs.random[k + 1 :]))
        less = replace(design, terms=(*design.terms[:k], *design.terms[k + 1 :]), specs=specs)
        return less, replace(rows, terms=(*rows.terms[:k], *rows.terms[k + 1 :]))
    left = replace(term, names=tuple(np.array(term.names)[keep]))
    if specs is not None and isinstance(specs.random[k], RandomSpec):
        part = _some_columns(specs.random[k].part, keep)
        specs = replace(specs, random=_put(specs.random, k, replace(specs.random[k], part=part)))
    loads = replace(own, columns=own.columns[:, keep])
    return replace(design, terms=_put(design.terms, k, left), specs=specs), replace(
        rows, terms=_put(rows.terms, k, loads)
    )


def _put(items: tuple[Any, ...], k: int, item: Any) -> tuple[Any, ...]:
    return (*items[:k], item, *items[k + 1 :])


def _some_columns(part: Part, keep: np.ndarray) -> Part:
    """A part with some of its terms; of one that keeps some of its columns only, None (it cannot be replayed)."""
    left = [i for i, place in enumerate(part.slices) if keep[place].any()]
    sizes = [int(keep[part.slices[i]].sum()) for i in left]
    return replace(
        part,
        terms=tuple(part.terms[i] for i in left),
        pieces=tuple(part.pieces[i] for i in left),
        names=tuple(np.array(part.names)[keep]),
        slices=consecutive(sizes),
    )


def _pieces(design: Design, k: int) -> list[tuple[tuple[str, ...], slice]]:
    """The model terms of a random term, and their columns."""
    term = design.terms[k]
    spec = design.specs.random[k] if design.specs is not None else None
    part = spec.part if isinstance(spec, RandomSpec) else None
    if term.loaded or part is None:
        return [
            (() if j == intercept_at(term.names) else (name,), slice(j, j + 1)) for j, name in enumerate(term.names)
        ]
    called = {expr: own.levels_of or expr for expr, own in part.factors.items()}
    return [(tuple(called.get(expr, expr) for expr in names), place) for names, place in zip(part.terms, part.slices)]
