"""A model in words and as an equation: y = β₀ + β₁x₁ + … + b₀ + b₁z₁ + ε, b ~ N(0, Σ), ε ~ N(0, σ²)."""

from __future__ import annotations

from collections.abc import Sequence

from henderson.contract.design import Design, RandomTerm
from henderson.contract.residual import ResidualTerm
from henderson.covariance.structures import structure_called
from henderson.design.variance_parameters import lme4_order
from henderson.engine.fit import Fit
from henderson.formula.bar_kinds import kind_of_structure
from henderson.report.document.page import text

INTERCEPTS = ("(Intercept)", "Intercept")
#: fixed effects above which the equation writes their sum as Xβ
MOST_WRITTEN = 12


def in_words(fit: Fit) -> list[str]:
    """Sentences on what the model says.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    list of str
        Plain text.
    """
    design = fit.design
    fixed = [name for name in design.x_names if name not in INTERCEPTS]
    explained = f"by {listed(fixed)}, whose effects are the same everywhere (fixed effects)" if fixed else "by a mean"
    groups = ", and by what its groups have of their own" if design.terms else ""
    said = [f"The model explains {design.y_name} {explained}{groups}."]
    said += [_random_words(design.terms[k]) for k in lme4_order(design.terms)]
    if design.residual is not None and not design.residual.is_plain:
        said.append(residual_words(design.residual))
        said += ["Covariances are divided by the roots of the rows' weights."] if design.weighted else []
    else:
        rest = "What remains differs from row to row, normally distributed with one variance"
        said.append(f"{rest}, divided by the weight of the row." if design.weighted else f"{rest}.")
    if design.has_offset:
        said.append("A known part of the mean, the offset, is added.")
    method = "restricted maximum likelihood (REML)" if fit.reml else "maximum likelihood (ML)"
    said.append(f"Everything was estimated together by {method}.")
    return said


def _random_words(term: RandomTerm) -> str:
    what = ["intercept" if name in INTERCEPTS else f"effect of {name}" for name in term.names]
    own = f"Each of the {term.n_levels:,} levels of {term.group} has its own {listed(what)}"
    if term.loaded:
        return f"Each of the {term.n_levels:,} levels of {term.group} adds to the rows that load on it."
    if term.n_columns == 1:
        return f"{own}, drawn from a normal distribution around 0 (a random effect)."
    apart = structure_called(term.structure).independent(term.n_columns)
    word, _ = kind_of_structure(term.structure)
    how = "which may be correlated" if word == "us" else f"with covariances of the structure {word}"
    how = "independent of each other" if apart else how
    return f"{own}, {how}, drawn from a normal distribution around 0 (random effects)."


#: structure of the residuals of a series → what it says of them
STRUCTURES = {
    "us": "each pair of visits has a covariance of its own (unstructured)",
    "cs": "all pairs correlate alike (compound symmetry)",
    "csh": "all pairs correlate alike, and each visit has a variance of its own (heterogeneous compound symmetry)",
    "toep": "pairs of visits equally far apart have one covariance (Toeplitz)",
    "toeph": "pairs of visits equally far apart correlate alike, and each visit has a variance of its own "
    "(heterogeneous Toeplitz)",
    "ar1": "correlations fall off geometrically with the visits in between (AR(1))",
    "ar1h": "correlations fall off geometrically with the visits in between, and each visit has a variance of its own "
    "(heterogeneous AR(1))",
    "ad": "each visit depends on the one before, each in its way (antedependence)",
    "adh": "each visit depends on the one before, each in its way, and has a variance of its own (heterogeneous "
    "antedependence)",
    "car1": "correlations fall off geometrically with the time in between (continuous-time AR(1))",
    "sp_exp": "correlations fall off exponentially with distance",
    "sp_gau": "correlations fall off with the square of distance (Gaussian)",
    "sp_mat": "correlations fall off with distance (Matérn)",
    "diag": "they are independent, and each level has a variance of its own",
    "iid": "they are independent",
}


def residual_words(term: ResidualTerm) -> str:
    """A sentence on the residuals of a series.

    Examples
    --------
    >>> import pandas as pd
    >>> residual_words(ResidualTerm("diag", "id", pd.RangeIndex(9), ("visit",), label="diag(visit | id)"))[:72]
    'Residuals of one id are normally distributed together, diag(visit | id):'
    """
    whose = (
        f"Residuals of one {term.group} are normally distributed together"
        if term.group
        else ("Residuals are normally distributed")
    )
    said = f"{whose}, {term.label}: {STRUCTURES[term.structure]}"
    if term.stratum and term.group:
        said += f", in each {term.stratum} with parameters of its own"
    if term.variance:
        said += f"; their standard deviations change with {listed([own.name for own in term.variance])}"
    return said + "."


def listed(names: Sequence[str]) -> str:
    """Names with commas and an "and".

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def equation(design: Design) -> str:
    """The model as lines of mathematics, in HTML.

    Parameters
    ----------
    design : Design
    """
    pieces = _fixed_pieces(design)
    lines, several = [], len(design.terms) > 1
    for number, k in enumerate(lme4_order(design.terms)):
        term, letter = design.terms[k], "<i>" + ("bcdfghkmnpq"[number] if several and number < 11 else "b") + "</i>"
        mark = f"<sub>{number + 1}</sub>" if number >= 11 else ""
        symbols = [f"{letter}{mark}<sub>{j if term.n_columns > 1 else ''}</sub>" for j in range(term.n_columns)]
        symbols = [one.replace("<sub></sub>", "") for one in symbols]
        where = f"<sub>[{text(term.group)}]</sub>"
        pieces += [_times(symbol + where, name) for symbol, name in zip(symbols, term.names)]
        lines.append(_distribution(term, symbols))
    if design.has_offset:
        pieces.insert(0, "offset")
    spread = "σ² / weight" if design.weighted else "σ²"
    residual = design.residual
    if residual is not None and not residual.is_plain:
        spread = f"<i>R</i><sub>{text(residual.label)}</sub>" + (" / √(weights)" if design.weighted else "")
    mean = " + ".join([*pieces, "<i>ε</i>"])
    lines = [f"{text(design.y_name)} = {mean}", *lines, f"<i>ε</i> ~ N(0, {spread})"]
    return '<div class="formula">' + "".join(f"<p>{line}</p>" for line in lines) + "</div>"


def _fixed_pieces(design: Design) -> list[str]:
    if len(design.x_names) > MOST_WRITTEN:
        return [f"<i>Xβ</i> ({len(design.x_names)} columns, listed under the estimates)"]
    return [_times(f"<i>β</i><sub>{k}</sub>", name) for k, name in enumerate(design.x_names)]


def _times(symbol: str, name: str) -> str:
    return symbol if name in INTERCEPTS else f"{symbol} · {text(name)}"


def _distribution(term: RandomTerm, symbols: list[str]) -> str:
    q = term.n_columns
    group = text(term.label or term.group)
    if q == 1:
        return f"{symbols[0]} ~ N(0, τ²<sub>{group}</sub>)"
    apart = structure_called(term.structure).independent(q)
    shown = symbols if q <= 6 else [symbols[0], "…", symbols[-1]]
    kind = "diagonal" if apart else f"{q} × {q}"
    return f"({', '.join(shown)}) ~ N(0, Σ<sub>{group}</sub>), Σ<sub>{group}</sub> {kind}"
