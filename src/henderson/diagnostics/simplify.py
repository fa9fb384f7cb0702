"""Smaller models for a covariance that the data do not support: the parsimonious sequence, proposed and not taken.

After Bates, Kliegl, Vasishth and Baayen (2015), "Parsimonious mixed models":

1. the model as it was fitted (`rePCA` says whether it has as many directions as effects);
2. without correlations, one variance for each term of a bar (`without_correlations`);
3. without the smallest of these variances, one after another;
4. the correlations of what is left, again.

Every model is nested in the one above, and has the same fixed part: likelihood ratios by the criterion of the fit. The
p-values are those of χ², which is conservative on the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from henderson.arguments import probability
from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.design.term_text import as_bar
from henderson.diagnostics.measures import random_effects_pca
from henderson.diagnostics.uncorrelated import without_correlations
from henderson.engine.boundary import is_singular
from henderson.engine.fit import Fit, fit_design
from henderson.errors import NotAvailable
from henderson.inference.comparison.ranova import without_columns
from henderson.inference.comparison.submodels import fit_from, likelihood_of, likelihood_ratio
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table
from henderson.typing import Fitted

#: p-value above which a smaller model is said to fit as well (Bates and others: 0.2 where parsimony is wanted)
AS_WELL = 0.2
#: the same for a model to step from that is singular: more has to be lost before it stays
SINGULAR = 0.05


@dataclass(frozen=True, repr=False, eq=False)
class Simplification(TableExports):
    """A sequence of models, from the largest to the smallest, and the one that is proposed.

    Attributes
    ----------
    table : DataFrame
        Index: random part; columns step, npar, deviance, aic, singular, statistic, df, p (against the model above).
    pca : DataFrame
        `rePCA` of the model fitted.
    proposed : str
        The random part that is proposed.
    fits : tuple of Fit
        One a row of the table.

    Examples
    --------
    >>> import henderson
    >>> data = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", data)
    >>> henderson.simplify(fit).proposed
    '(Days || Subject)'
    """

    table: pd.DataFrame
    pca: pd.DataFrame
    proposed: str
    fits: tuple[Fit, ...] = field(compare=False)

    def __repr__(self) -> str:
        return repr(self.table)

    def as_table(self) -> Table:
        """The sequence of models, as it is printed."""
        return ResultFrame.of(
            self.table, self.table.attrs.get("heading", ""), self.table.attrs.get("notes", ())
        ).as_table()


@dataclass(frozen=True)
class _Model:
    step: str
    fit: Fit

    @property
    def text(self) -> str:
        return " + ".join(_bar(self.fit, k) for k in range(len(self.fit.design.terms)))


def simplify(model: Fitted, *, alpha: float = AS_WELL) -> Simplification:
    """Propose smaller random parts, with likelihood ratios. Nothing is changed.

    Parameters
    ----------
    model : results or Fit
        With its rows.
    alpha : float
        Effects leave as long as the p-value of what is lost is above (from a singular model: above 0.05, if that is
        less); correlations return where it is not.

    Returns
    -------
    Simplification
        Prints the sequence; `proposed` is the random part to write into the formula.

    Raises
    ------
    NotAvailable
        When the rows were let go; of a model without random effects, or with constraints.

    Examples
    --------
    >>> import henderson, warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     fit = henderson.lmer("score ~ Machine + (Machine | Worker)", henderson.datasets.load("Machines"))
    >>> henderson.simplify(fit).proposed
    '(Machine | Worker)'
    """
    alpha = probability(alpha, "alpha")
    fit = fit_from(model)
    fit.observed_for("simplify()")
    fit.refuse_constraints("simplify()")
    if not fit.design.terms:
        raise NotAvailable("simplify(): the model has no random effects")
    chain, again = _sequence(fit)
    models = [*chain, *again.values()]
    parents = [None, *chain[:-1], *(chain[i] for i in again)]
    tests = [_against(one.fit, parent.fit) if parent else _NONE for one, parent in zip(models, parents)]
    frame = pd.DataFrame(
        {
            "step": [one.step for one in models],
            "npar": [one.fit.n_parameters for one in models],
            "deviance": [one.fit.deviance for one in models],
            "aic": [one.fit.deviance + 2 * one.fit.n_parameters for one in models],
            "singular": ["yes" if is_singular(one.fit) else "no" for one in models],
            "statistic": [statistic for statistic, _, _ in tests],
            "df": [df for _, df, _ in tests],
            "p": [p for _, _, p in tests],
        },
        index=pd.Index([one.text for one in models], name="random part"),
    )
    # down the chain as long as nothing is lost, and back to the correlations where they gain something
    chosen = 0
    while chosen + 1 < len(chain):
        needed = SINGULAR if is_singular(chain[chosen].fit) else alpha
        if not tests[chosen + 1][2] > min(needed, alpha):
            break
        chosen += 1
    proposed = chain[chosen]
    if chosen in again and tests[models.index(again[chosen])][2] <= alpha:
        proposed = again[chosen]
    notes = (
        "each is compared with the model above it, a correlated one with the same without correlations; "
        "on the boundary p-values are too large",
        f"proposed: {proposed.text}" if chosen else "proposed: the model as it is",
        "nothing was changed; keep a term that belongs to the design of the study",
    )
    heading = f"Smaller random parts ({'REML' if fit.reml else 'ML'} criterion)"
    table = ResultFrame.of(frame, heading, notes)
    pca = random_effects_pca(fit.design, fit.lam, fit.sigma)
    return Simplification(table, pca, proposed.text, tuple(one.fit for one in models))


_NONE = (np.nan, np.nan, np.nan)


def _against(one: Fit, other: Fit) -> tuple[float, float, float]:
    """Likelihood ratio of two nested models, whichever is the larger: statistic, df, p."""
    from scipy.special import chdtrc

    small, large = sorted((likelihood_of(one), likelihood_of(other)), key=lambda at: at.n_parameters)
    df, ratio = large.n_parameters - small.n_parameters, likelihood_ratio(small, large)
    return ratio, float(df), float(chdtrc(df, ratio))


def _sequence(fit: Fit) -> tuple[list[_Model], dict[int, _Model]]:
    """Steps 1 to 3, and by their places among these the models of step 4."""
    models = [_Model("as fitted", fit)]
    independent = _fit_or_none(fit, without_correlations(fit.design, fit.observed))
    if independent is not None:
        models.append(_Model("without correlations", independent))
    current = independent or fit
    while (smaller := _without_smallest(current)) is not None:
        less, name = smaller
        models.append(_Model(f"without {name}", less))
        current = less
    again = {}
    for i in range(2, len(models)) if independent is not None else ():
        larger = _correlated(fit, models[i].fit)
        if larger is not None:
            again[i] = _Model(f"{models[i].step}, correlated", larger)
    return models, again


def _fit_or_none(fit: Fit, made: tuple[Design, Rows] | None) -> Fit | None:
    return None if made is None else fit_design(*made, reml=fit.reml)


def _correlated(whole: Fit, less: Fit) -> Fit | None:
    """The effects of a model with the correlations that the model fitted had; None where it has them."""
    structures = {(term.group, term.label): term.structure for term in whole.design.terms}
    terms = tuple(
        replace(term, structure=structures.get((term.group, term.label), term.structure))
        if term.n_columns > 1
        else term
        for term in less.design.terms
    )
    if all(one.structure == two.structure for one, two in zip(terms, less.design.terms)):
        return None
    return fit_design(replace(less.design, terms=terms), less.observed, reml=less.reml)


def _without_smallest(fit: Fit) -> tuple[Fit, str] | None:
    """The model without the effect that gives the rows the least variance; effects that are tied by a structure go
    together. None when these are all that is left."""
    first, *others = fit.design.terms
    if not others and (first.structure != "diagonal" or first.n_columns < 2):
        return None
    least = (np.inf, 0, 0)
    for k, (term, root, lam) in enumerate(zip(fit.design.terms, fit.digest.term_roots, fit.lam)):
        for j in range(term.n_columns if term.structure == "diagonal" else 1):
            own = slice(j, j + 1) if term.structure == "diagonal" else slice(None)
            variance = float(np.sum((root[:, own] @ lam[own]) ** 2)) / fit.n
            least = min(least, (variance, k, j))
    _, k, j = least
    term = fit.design.terms[k]
    columns = [j] if term.structure == "diagonal" else list(range(term.n_columns))
    name = f"{', '.join(term.names[c] for c in columns)} | {term.group}"
    design, rows = without_columns(fit.design, fit.observed, k, columns)
    return fit_design(design, rows, reml=fit.reml), name


def _bar(fit: Fit, k: int) -> str:
    """``(1 + x || g)`` where a term with several effects has no correlations."""
    term = fit.design.terms[k]
    text = as_bar(fit.design, k)
    if term.structure != "diagonal":
        return text
    return text.removeprefix("diag").replace(" | ", " || " if term.n_columns > 1 else " | ", 1)
