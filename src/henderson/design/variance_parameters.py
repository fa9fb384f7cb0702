"""The parameters of the covariance as they are shown: standard deviations, correlations, and σ.

    sd_r = σ √G_rr        cor_rs = G_rs / √(G_rr G_ss)

They are called what lme4 calls them, both ways: ``.sig01`` (terms with most levels first, the lower triangle column by
column, diagonals standard deviations) and ``.sigma``; or ``sd_(Intercept)|Subject``, ``cor_Days.(Intercept)|Subject``,
``sigma``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from henderson.contract.design import Design, RandomTerm
from henderson.covariance.residual.residual import Residual
from henderson.covariance.structures import structure_called

FloatArray = np.ndarray


@dataclass(frozen=True)
class VarianceParameter:
    """One standard deviation or correlation, or σ.

    Attributes
    ----------
    name : str
        ``"sd_(Intercept)|Subject"``, ``"cor_Days.(Intercept)|Subject"``, ``"sigma"`` (``".sigma"`` beside a
        covariate of that name).
    alias : str
        lme4's ``".sig01"``, ``".sigma"``.
    kind : {"sd", "cor", "var", "sigma", "residual"}
        ``"var"``: of a variance that may be negative.
    term : int
        Number of the term in the design (−1 for σ and what the residual's structure has in its place).
    row, column : int
        Place in the term's covariance matrix (column < row for a correlation); of the residual's parameter, its number.
    """

    name: str
    alias: str
    kind: str
    term: int
    row: int = 0
    column: int = 0


def variance_parameters(design: Design) -> tuple[VarianceParameter, ...]:
    """The parameters of a design's covariance, in lme4's order, σ last; where residuals have a structure, in place of σ
    its natural parameters (variances, correlations, …): ``"residual Var(VIS1)"``."""
    out: list[VarianceParameter] = []
    for k in lme4_order(design.terms):
        term = design.terms[k]
        for one in structure_called(term.structure).display(term.names):
            kind = "var" if design.constraints is not None and k in design.constraints.unbounded else one.kind
            name = f"{kind}_{one.label}|{term.group or term.label}"
            out.append(VarianceParameter(name, f".sig{len(out) + 1:02d}", kind, k, one.row, one.column))
    if design.residual is not None and not design.residual.is_plain:
        for i, name in enumerate(Residual.of(design.residual, 1).names):
            out.append(VarianceParameter(f"residual {name}", f".res{i + 1:02d}", "residual", -1, i))
        return _distinct(tuple(out))
    sigma = ".sigma" if "sigma" in design.x_names else "sigma"
    return _distinct((*out, VarianceParameter(sigma, ".sigma", "sigma", -1)))


def is_held(design: Design, parameter: VarianceParameter) -> bool:
    """Whether a parameter is fixed by the user, not estimated."""
    held = design.constraints
    if held is None:
        return False
    return held.residual is not None if parameter.kind == "sigma" else parameter.term in held.terms


def lme4_order(terms: Sequence[RandomTerm]) -> list[int]:
    """Numbers of the terms in lme4's order, the one in which every table lists them.

    As written where the numbers of levels do not increase, else most levels first and ties backwards.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> [lme4_order([SimpleNamespace(n_levels=n) for n in levels]) for levels in ([6, 6, 3], [3, 6, 6])]
    [[0, 1, 2], [2, 1, 0]]
    """
    n_levels = [term.n_levels for term in terms]
    if all(a >= b for a, b in pairwise(n_levels)):
        return list(range(len(n_levels)))
    return [int(k) for k in np.argsort(n_levels, kind="stable")[::-1]]


def _distinct(parameters: Sequence[VarianceParameter]) -> tuple[VarianceParameter, ...]:
    """Two terms that would share a name get their number into it."""
    names = [p.name for p in parameters]
    return tuple(
        p
        if names.count(p.name) == 1
        else VarianceParameter(f"{p.name}.{p.term + 1}", p.alias, p.kind, p.term, p.row, p.column)
        for p in parameters
    )


def shown(
    parameters: Sequence[VarianceParameter],
    cov: Sequence[FloatArray],
    sigma: FloatArray,
    psi: FloatArray | None = None,
) -> FloatArray:
    """Values of the parameters of B fits.

    Parameters
    ----------
    parameters : sequence of VarianceParameter
    cov : sequence of (B, q, q) arrays
        Relative covariance G of each term of the design.
    sigma : (B,) array
    psi : (B, r) array, optional
        Natural parameters of the residual's structure, in the user's unit of time.

    Returns
    -------
    (B, len(parameters)) array
        A correlation with a standard deviation of zero is NaN.
    """
    out = np.empty((len(sigma), len(parameters)))
    for i, p in enumerate(parameters):
        if p.kind == "sigma":
            out[:, i] = sigma
        elif p.kind == "residual":
            assert psi is not None
            out[:, i] = psi[:, p.row]
        elif p.kind == "var":
            out[:, i] = sigma**2 * cov[p.term][:, p.row, p.row]
        elif p.kind == "sd":
            out[:, i] = sigma * np.sqrt(np.maximum(cov[p.term][:, p.row, p.row], 0.0))
        else:
            g = cov[p.term]
            size = np.sqrt(np.maximum(g[:, p.row, p.row] * g[:, p.column, p.column], 0.0))
            with np.errstate(invalid="ignore", divide="ignore"):
                out[:, i] = np.clip(np.where(size > 0, g[:, p.row, p.column] / size, np.nan), -1.0, 1.0)
    return out


def find(wanted: Sequence[str] | str, names: Sequence[Sequence[str]]) -> list[int]:
    """Numbers of the parameters called for; each has several names.

    Raises
    ------
    ValueError
        For a name that is not there, with those that are.
    """
    out = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        here = [i for i, each in enumerate(names) if name in each]
        if not here:
            known = ", ".join(each[0] for each in names)
            raise ValueError(f"no parameter is called {name!r}; there are: {known}")
        out += here
    return out
