"""The questions that a reviewer asks of a fit: each a function that returns an `Answer`.

What counts as too much does not depend on the size of the data, as a p-value would: sizes of effects are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from henderson.design.variance_parameters import lme4_order
from henderson.diagnostics.autocorrelation import autocorrelation
from henderson.diagnostics.collinearity import variance_inflation
from henderson.diagnostics.influence import influence, largest_moves
from henderson.diagnostics.residuals import residuals
from henderson.diagnostics.singular_text import singular_text
from henderson.engine.boundary import is_singular, smallest_sds
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.row_forms import Forms, row_forms
from henderson.errors import NotAvailable
from henderson.inference.identified import not_identified
from henderson.sources.factors import shown_label

FloatArray = np.ndarray
Status = Literal["ok", "look", "problem"]

#: rows × levels up to which levels are left out exactly
EXACT_WORK = 1_000_000
#: above that: levels left out at most, and their rows together (of levels of average size)
MOST_LEVELS, MOST_LEFT_OUT = 100, 20_000
#: standard errors that an estimate may move when a level is left out: to be looked at, and a problem
MOVES, MOVES_FAR = 0.5, 1.0
#: skewness and excess kurtosis to be looked at
SKEWED, HEAVY = 1.0, 3.0
#: standard deviations beyond which a row is named
FAR = 4.0
#: rank correlation of the residuals' size with the fitted values to be looked at
FANS = 0.2
#: correlation of whitened residuals to be looked at, and standard deviations at visits that are unlike, as a ratio
LEFT_OVER, UNLIKE = 0.15, 1.5
#: rows of a visit from which a standard deviation says something
MANY = 25
#: variance inflation to be looked at, and that is a problem
INFLATED, COLLINEAR = 5.0, 10.0
#: levels of a grouping factor below which its variance is a guess
FEW_LEVELS = 5
#: levels from which a shape can be told
ENOUGH = 10
#: share of the rows missing to be looked at
MISSING = 0.05


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes
    ----------
    question : str
    status : {"ok", "look", "problem"}
    number : float
        What the verdict rests on.
    verdict : str
    advice : str
        What to do; empty when nothing.
    """

    question: str
    status: Status
    number: float
    verdict: str
    advice: str = ""


def convergence(fit: Fit) -> list[Answer]:
    """Is the optimum certified?"""
    search, what = fit.optimum, "Is it the optimum?"
    gain = max(search.predicted_decrease, search.boundary_gain)
    if search.converged:
        return [Answer(what, "ok", gain, "certified: no step from it lowers the deviance")]
    return [Answer(what, "problem", gain, f"not certified: {search.message}", search.help)]


def singular(fit: Fit) -> list[Answer]:
    """Does every combination of random effects have a variance?"""
    what = "Is it singular?"
    least = min(smallest_sds(fit), default=np.inf)
    if not is_singular(fit) and isinstance(fit, StructuredFit) and fit.at_end:
        verdict = f"the residual covariance is at the end of its range: {fit.ends}"
        return [Answer(what, "look", least, verdict, "compare() it with a simpler structure")]
    if not fit.design.terms:
        return [Answer(what, "ok", least, "no: there are no random effects, and no residual parameter is at an end")]
    if not is_singular(fit):
        return [Answer(what, "ok", least, f"no: the least standard deviation is {least:.2g} of the residual's")]
    advice = "henderson.simplify(results) proposes smaller models; docs/singular-fits.md says when to keep it"
    return [Answer(what, "look", least, singular_text(fit), advice)]


def identified(fit: Fit) -> list[Answer]:
    """Do the data tell all variances, and all fixed effects, apart?"""
    what, flat = "Is it identified?", not_identified(fit)
    dropped = [name for name, kept in zip(fit.design.x_names, fit.kept) if not kept]
    if flat is not None:
        return [Answer(what, "problem", 0.0, flat.flat.note, "leave out one of these terms")]
    if dropped:
        verdict = f"columns dropped as redundant: {', '.join(dropped)}"
        return [Answer(what, "look", len(dropped), verdict, "empty cells, or a variable that others determine")]
    return [Answer(what, "ok", 0, "all fixed effects and variances are")]


def collinear(fit: Fit) -> list[Answer]:
    """How much wider are intervals than with unrelated covariates?"""
    what, table = "Is there collinearity?", variance_inflation(fit)
    if not len(table):
        return [Answer(what, "ok", 1.0, "no: fewer than two terms")]
    at = int(np.argmax(table["scaled"].to_numpy()))
    worst, number = table.index[at], float(table["scaled"].to_numpy()[at])
    if number < INFLATED:
        return [Answer(what, "ok", number, f"little: the largest variance inflation is {number:.2f} ({worst})")]
    status: Status = "problem" if number >= COLLINEAR else "look"
    verdict = f"variance inflation {number:.1f} of {worst}"
    return [Answer(what, status, number, verdict, "centre covariates that interact; say which of two alike is meant")]


def levels(fit: Fit) -> list[Answer]:
    """Are there enough levels of each grouping factor?"""
    counts = {fit.design.terms[k].group: fit.design.terms[k].n_levels for k in lme4_order(fit.design.terms)}
    if fit.design.residual is not None and fit.design.residual.group:
        counts.setdefault(fit.design.residual.group, fit.design.residual.n_series)
    what = "Are there enough levels?"
    if not counts:
        return [Answer(what, "ok", np.nan, "there are no groups")]
    name, least = min(counts.items(), key=lambda item: item[1])
    if least >= FEW_LEVELS:
        return [Answer(what, "ok", least, "yes: " + ", ".join(f"{n} of {group}" for group, n in counts.items()))]
    advice = f"take {name} as a fixed effect, or ddf='kenward-roger'; its variance is not a result"
    return [Answer(what, "look", least, f"{name} has {least}: its variance rests on {least - 1} differences", advice)]


def influential(fit: Fit) -> list[Answer]:
    """How far do fixed effects move when one level is left out?"""
    out: list[Answer] = []
    if isinstance(fit, StructuredFit) and not fit.tells_of_rows:
        return out
    forms: Forms | None = None
    for group, n_levels in _factors(fit).items():
        what, how = f"Does one {group} decide?", ""
        if fit.n * n_levels <= EXACT_WORK and fit.design.residual is None:
            moves = influence(fit, group, progress=False).filter(like="dfbetas[")
        else:
            forms = row_forms(fit) if forms is None else forms
            most = max(3, min(MOST_LEVELS, MOST_LEFT_OUT * n_levels // fit.n))
            moves = largest_moves(fit, group, most, forms)
            how = " (variances held)"
            if len(moves) < n_levels:
                how = f" (variances held; the {len(moves)} of {n_levels:,} left out that promised to move it most)"
        out.append(_of_levels(what, moves.abs(), how))
    return out


def _factors(fit: Fit) -> dict[str, int]:
    """Factors whose levels may be left out, with their numbers: of random terms in lme4's order, and of the series."""
    terms, rows, series = fit.design.terms, fit.observed, fit.design.residual
    out: dict[str, int] = {}
    for k in lme4_order(terms):
        if rows.terms[k].codes is not None:
            out.setdefault(terms[k].group, terms[k].n_levels)
    if series is not None and series.group:
        out.setdefault(series.group, series.n_series)
    return out


def _of_levels(what: str, moves: pd.DataFrame, how: str = "") -> Answer:
    values = moves.to_numpy()
    if not values.shape[1]:
        return Answer(what, "ok", 0, "there are no fixed effects that it could move")
    if not np.isfinite(values).any():
        return Answer(what, "look", np.nan, "nothing can be estimated without one of them", "more levels are needed")
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    level, number = shown_label(moves.index[int(row)]), float(values[row, column])
    coefficient = str(moves.columns[int(column)]).removeprefix("dfbetas[").removesuffix("]")
    verdict = f"without {level} the estimate of {coefficient} moves by {number:.2f} standard errors"
    if number < MOVES:
        return Answer(what, "ok", number, f"no: {verdict}, no other moves more{how}")
    status: Status = "problem" if number >= MOVES_FAR else "look"
    return Answer(
        what, status, number, verdict + how, "report the fit without it, too; results.influence(by) shows all"
    )


def shape(fit: Fit) -> list[Answer]:
    """Are the residuals normal enough?"""
    whitened = isinstance(fit, StructuredFit)
    if isinstance(fit, StructuredFit) and not fit.tells_of_rows:
        whitened, r = False, residuals(fit, "pearson")
    else:
        r = residuals(fit, "scaled", "marginal") if whitened else residuals(fit, "studentized")
    rows_of = _WHITENED if whitened else _ROWS
    far, what = int((np.abs(r) > FAR).sum()), "Are residuals normal?"
    skew, kurtosis = _shape(r[np.isfinite(r)])
    number = kurtosis if abs(kurtosis) / HEAVY > abs(skew) / SKEWED else skew
    numbers = f"skewness {skew:.2f}, excess kurtosis {kurtosis:.2f}"
    rows = f"; {far} row{'s' if far > 1 else ''} beyond {FAR:.0f} standard deviations" if far else ""
    if abs(skew) < SKEWED and kurtosis < HEAVY:
        return [Answer(what, "look" if far else "ok", number, numbers + rows, rows_of if far else "")]
    heavy = kurtosis / HEAVY > abs(skew) / SKEWED
    advice = rows_of if heavy else "a log or a root of the response, if that is meaningful"
    return [Answer(what, "look", number, numbers + rows, advice)]


_ROWS = "look at these rows (results.residuals('studentized')); results.influence() tells whether they matter"
_WHITENED = (
    "look at these rows (results.residuals('scaled', 'marginal')); results.influence() tells whether they matter"
)


def spread(fit: Fit) -> list[Answer]:
    """Is the spread of the residuals the same at all fitted values?"""
    r, what = residuals(fit, "pearson"), "Is their spread constant?"
    rank = pd.Series(np.abs(r)).rank().to_numpy()
    fitted = pd.Series(fit.observed.y - residuals(fit, "raw")).rank().to_numpy()
    number = float(np.corrcoef(rank, fitted)[0, 1]) if np.ptp(fitted) > 0 else 0.0
    text = f"rank correlation of |residual| and fitted value {number:.2f}"
    # of two unrelated columns it is 0 ± 1/√n
    if abs(number) < max(FANS, 3 / np.sqrt(fit.n)):
        return [Answer(what, "ok", number, text)]
    grows = "a log or a root of the response" if number > 0 else "another scale of the response, or weights="
    return [Answer(what, "look", number, text, grows)]


def correlated(fit: Fit) -> list[Answer]:
    """Is nothing left of the correlation of a series' residuals, and of their unlike variances, after the structure?"""
    if not isinstance(fit, StructuredFit) or fit.structure.term.is_plain or not fit.tells_of_rows:
        return []
    what, said, number = "Is the residual covariance right?", [], 0.0
    status: Status = "ok"
    try:
        table = autocorrelation(fit)
    except NotAvailable:
        table = pd.DataFrame({"whitened": [], "se": []})
    if len(table):
        each, se = table["whitened"].to_numpy(float), table["se"].to_numpy(float)
        at = int(np.argmax(np.abs(each) / se))
        number, apart = float(each[at]), f"{table.index[at]:.3g}"
        if fit.structure.term.visits is not None:
            apart = "one visit" if apart == "1" else f"{apart} visits"
        said.append(f"whitened residuals {apart} apart correlate by {number:.2f}, others not as clearly")
        status = "look" if abs(number) > max(LEFT_OVER, 3 * se[at]) else status
    sizes = _spread_by_visit(fit)
    if sizes is not None:
        whose = "their" if said else "whitened residuals'"
        said.append(
            f"{whose} standard deviations by {fit.structure.term.places[0]} are {sizes[0]:.2f} to {sizes[1]:.2f}"
        )
        status = "look" if sizes[1] / sizes[0] > UNLIKE else status
    advice = (
        "compare() with a richer structure (us, toeph, ar1h); results.plot.autocorrelation()" if status != "ok" else ""
    )
    return [Answer(what, status, number, "; ".join(said) or "no series has two rows", advice)]


def _spread_by_visit(fit: StructuredFit) -> tuple[float, float] | None:
    """Least and largest standard deviation of whitened residuals at a visit that many have."""
    places = fit.observed.residual
    if places is None or places.where.ndim != 1:
        return None
    w, count = residuals(fit, "scaled", "marginal"), np.bincount(places.where)
    many = count >= MANY
    size = np.sqrt(np.bincount(places.where, w**2)[many] / count[many])
    return (float(size.min()), float(size.max())) if len(size) > 1 else None


def effects(fit: Fit) -> list[Answer]:
    """Are the conditional modes of the random effects normal enough?"""
    if not fit.design.terms:
        return []
    out: list[tuple[float, float, float, str, str, str]] = []
    for k in lme4_order(fit.design.terms):
        term, b = fit.design.terms[k], fit.design.terms[k].of_levels(fit.b[k])
        for j, name in enumerate(term.names):
            sd = b[:, j].std()
            if term.n_levels < ENOUGH or not sd > 1e-9 * fit.sigma:
                continue
            skew, kurtosis = _shape(b[:, j])
            far = shown_label(term.levels[int(np.argmax(np.abs(b[:, j] - b[:, j].mean())))])
            worst = max(abs(skew) / SKEWED, kurtosis / HEAVY)
            out.append((worst, skew, kurtosis, f"{name} | {term.group}", term.group, far))
    what = "Are random effects normal?"
    if not out:
        return [Answer(what, "ok", np.nan, f"not to be told from fewer than {ENOUGH} levels")]
    worst, skew, kurtosis, name, group, far = max(out, key=lambda one: one[0])
    number = kurtosis if kurtosis / HEAVY > abs(skew) / SKEWED else skew
    verdict = f"{name}: skewness {skew:.2f}, excess kurtosis {kurtosis:.2f}"
    if worst < 1:
        return [Answer(what, "ok", number, verdict + ", no other is further off")]
    advice = f"look at {far}; a covariate of {group} may be missing"
    return [Answer(what, "look", number, verdict, advice)]


def missing(fit: Fit) -> list[Answer]:
    """How many rows were dropped?"""
    what, n, dropped = "Are rows missing?", fit.n, fit.design.n_missing
    share = dropped / (n + dropped)
    if not dropped:
        return [Answer(what, "ok", 0, f"no: all {n} rows are used")]
    verdict = f"{dropped} of {n + dropped} rows were dropped ({100 * share:.1f} %)"
    if share < MISSING:
        return [Answer(what, "ok", share, verdict)]
    advice = "compare rows with and without missing values; covariates can be imputed"
    return [Answer(what, "look", share, verdict, advice)]


def _shape(values: FloatArray) -> tuple[float, float]:
    """Skewness and excess kurtosis."""
    centred = values - values.mean()
    variance = float(np.square(centred).mean())
    if not variance > 0:
        return 0.0, 0.0
    return float((centred**3).mean() / variance**1.5), float((centred**4).mean() / variance**2 - 3)
