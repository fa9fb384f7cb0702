"""Designs whose residuals have a structure, made by hand, and their covariance in n × n algebra."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import linalg
from tests.reference import Data, blocks

from henderson.contract.design import Design, RandomTerm
from henderson.contract.residual import ResidualRows, ResidualTerm, VarianceTerm
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.layout import layouts_of
from henderson.covariance.residual.residual import Residual
from henderson.engine.boundary import is_singular
from henderson.engine.residual.model import to_user_units
from henderson.inference.fit_moments import FitMoments
from henderson.prediction.rules import RULES


def repeated(
    data: pd.DataFrame,
    structure: str,
    *,
    y: str,
    subject: str,
    visit: str | tuple[str, ...],
    X: dict[str, np.ndarray],
    stratum: str = "",
    variance: tuple[tuple[str, str], ...] = (),
    terms: tuple[tuple[str, tuple[str, ...]], ...] = (),
    weights: np.ndarray | None = None,
) -> Data:
    """A design; `visit` a column of labels, or columns of numbers in a tuple; `terms` (factor, columns) of bars."""
    codes, levels = pd.factorize(data[subject])
    if isinstance(visit, str):
        visits = pd.Index(np.unique(data[visit]))
        where, places = visits.get_indexer(data[visit]).astype(np.intp), (visit,)
    else:
        visits, where, places = None, data[list(visit)].to_numpy(float), visit
    own, strata = pd.factorize(data[stratum]) if stratum else (None, pd.RangeIndex(0))
    functions, covariates = [], []
    for kind, name in variance:
        if kind == "ident":
            ident, labels = pd.factorize(data[name])
            functions.append(VarianceTerm(kind, name, pd.Index(labels)))
            covariates.append(ident.astype(np.intp))
        else:
            functions.append(VarianceTerm(kind, name))
            covariates.append(data[name].to_numpy(float))
    residual = ResidualTerm(
        structure, subject, pd.Index(levels), places, visits, stratum, pd.Index(strata), tuple(functions),
        f"{structure}({' + '.join(places)} | {subject})",
    )  # fmt: skip
    bars, loads = [], []
    for factor, names in terms:
        of, labels = pd.factorize(data[factor])
        bars.append(RandomTerm(factor, pd.Index(labels), names, label=factor))
        columns = [np.ones(len(data)) if name == "(Intercept)" else data[name].to_numpy(float) for name in names]
        loads.append(TermRows(of.astype(np.intp), np.column_stack(columns)))
    design = Design(tuple(bars), tuple(X), y, len(data), weighted=weights is not None, residual=residual)
    rows = Rows(
        data[y].to_numpy(float), np.column_stack(list(X.values())), tuple(loads), weights, index=data.index,
        residual=ResidualRows(codes.astype(np.intp), where, own, tuple(covariates)),
    )  # fmt: skip
    return Data(design, rows)


def residual_variance_of(data: Data) -> Callable[[np.ndarray], np.ndarray]:
    """Var(ε), (n, n), as a function of the natural parameters in the user's units: series by series."""
    rows, series = data.rows, data.rows.residual
    residual = Residual.of(data.design.residual, int(np.bincount(series.codes).max()))
    each = [np.flatnonzero(series.codes == code) for code in np.unique(series.codes)]
    parts = [(np.ix_(own, own), series[own]) for own in each]
    root = np.sqrt(rows.unit_weights)

    def at(psi: np.ndarray) -> np.ndarray:
        out = np.zeros((rows.n, rows.n))
        for place, part in parts:
            out[place] = residual.cov(psi, part.where, part.strata, part.covariates)
        return out / root[:, None] / root

    return at


def variance_of(data: Data) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Var(y), (n, n), as a function of the G parameters (of the covariances themselves) and ψ."""
    residual, terms = residual_variance_of(data), []
    for term, own, layout in zip(data.design.terms, data.rows.terms, layouts_of(data.design.terms)):
        z = blocks(term, own)
        terms.append((layout, np.einsum("rmj,snj->rsmn", z, z, optimize=True)))

    def at(g: np.ndarray, psi: np.ndarray) -> np.ndarray:
        out, first = residual(psi), 0
        for layout, kernels in terms:
            out += np.tensordot(layout.covariance(g[first : first + layout.n_g]), kernels, 2)
            first += layout.n_g
        return out

    return at


def residual_covariance(data: Data, psi: np.ndarray) -> np.ndarray:
    """Var(ε) at one ψ, (n, n)."""
    return residual_variance_of(data)(psi)


def covariance(data: Data, g: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """Var(y) at one point, (n, n)."""
    return variance_of(data)(g, psi)


def deviance(data: Data, V: np.ndarray, reml: bool) -> float:
    """−2 log (restricted) likelihood for Var(y) = V, β at its GLS estimate."""
    root = np.linalg.cholesky(V)
    white = linalg.solve_triangular(root, np.column_stack([data.rows.X, data.rows.response]), lower=True)
    R = np.linalg.qr(white, mode="r")  # of [X y]: the last of its diagonal is the length of what X leaves of y
    *of_x, left = np.abs(np.diag(R))
    n = len(V) - (len(of_x) if reml else 0)
    log_det = 2 * np.log(np.diag(root)).sum() + (2 * np.log(of_x).sum() if reml else 0.0)
    return float(log_det + left**2 + n * np.log(2 * np.pi))


def user_covariance(found, name, added: bool = False) -> np.ndarray:
    """Covariance of the user's variance parameters by a method's rule: of degrees of freedom, or of what is added."""
    turn, rule = to_user_units(found.engine.blocks), RULES[name]
    along_g = added and rule.singular is not None and is_singular(found.engine)
    return turn @ (rule.singular if along_g else rule.covariance)(FitMoments.of(found.engine).working) @ turn.T
