"""Parameters that were given, not estimated: β, the covariance of the random effects, σ, by the user's names.

A covariance is given as θ (relative to σ) or as `varcorr`, variances in the units of the data, σ²G; λ of each term is
a root of G. Residuals with a covariance structure have ψ, its natural parameters, in place of σ, which is then √ψ₀.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.covariance.layout import layouts_of
from henderson.covariance.residual.residual import Residual
from henderson.covariance.roots import semidefinite_root
from henderson.covariance.structures import structure_called
from henderson.design.intercept import other_spelling
from henderson.sources.columns import numbers

FloatArray = np.ndarray

#: difference between a covariance and the nearest one of its term's structure that is not rounding
OTHER_STRUCTURE = 1e-8


@dataclass(frozen=True)
class Given:
    """A model's parameters.

    Attributes
    ----------
    beta : (p,) array
    lam : tuple of (q, q) arrays
        Relative covariance factor of each term of the design: Var(b_j) = σ² λλ'.
    sigma : float
    psi : (r,) array, or None
        Natural parameters of the residuals' structure, where they have one.
    """

    beta: FloatArray
    lam: tuple[FloatArray, ...]
    sigma: float
    psi: FloatArray | None = None

    def theta(self, design: Design) -> FloatArray:
        """Free entries of every λ, term after term."""
        parts = [layout.theta(one) for layout, one in zip(layouts_of(design.terms), self.lam)]
        return np.concatenate(parts) if parts else np.zeros(0)


def given_parameters(
    design: Design,
    *,
    beta: Any = None,
    theta: Any = None,
    varcorr: Any = None,
    sigma: Any = None,
    psi: Any = None,
    otherwise: Given | None = None,
) -> Given:
    """Parameters of a design by the names that it has.

    Parameters
    ----------
    design : Design
    beta : mapping of str to float, or (p,) array_like
        Fixed effects; a mapping may leave out those that `otherwise` has.
    theta : (k,) array_like, optional
        λ of every term, term after term, column by column.
    varcorr : mapping, or a table as `results.varcorr` is, optional
        Instead of θ: grouping factor (or label of a term) → variance of a single effect, q variances, or the (q, q)
        covariance matrix of a level's effects; ``{name: variance}`` is understood.
    sigma : float, optional
        Residual standard deviation; a table of variances has it.
    psi : mapping of str to float, or (r,) array_like, optional
        Of residuals with a structure, instead of σ: its natural parameters, by their names (``"Var"``, ``"Corr"``) or
        in their order; a mapping may leave out those that `otherwise` has.
    otherwise : Given, optional
        What stays where nothing is given.

    Raises
    ------
    ValueError
        What is missing, unknown, of another shape or no covariance is named.

    Examples
    --------
    >>> from henderson.design.without_response import design_without_response
    >>> design, _ = design_without_response("y ~ x + (1 | g)", {"x": [0, 1, 0, 1], "g": list("aabb")})
    >>> given_parameters(design, beta={"(Intercept)": 1, "x": 0.5}, varcorr={"g": 4.0}, sigma=0.5)
    Given(beta=array([1. , 0.5]), lam=(array([[4.]]),), sigma=0.5, psi=None)
    """
    if theta is not None and varcorr is not None:
        raise ValueError("theta= and varcorr= are two ways to give one thing: give one of them")
    if isinstance(varcorr, pd.DataFrame):
        varcorr, of_table = _of_table(varcorr)
        sigma = of_table if sigma is None else sigma
    if design.residual is not None:
        if sigma is not None:
            raise ValueError("sigma= is of independent residuals; psi= has the parameters of a residual structure")
        psi = _psi(Residual.of(design.residual, 1), psi, otherwise)
        sigma = float(np.sqrt(psi[0]))
    elif psi is not None:
        raise ValueError("psi= goes with a residual structure; the model's residuals are independent: sigma=")
    if sigma is None:
        if otherwise is None:
            raise ValueError("sigma= is missing: the residual standard deviation")
        sigma = otherwise.sigma
    if isinstance(sigma, bool) or not isinstance(sigma, float | int | np.number) or not 0 < sigma < np.inf:
        raise ValueError(f"sigma must be a positive number, not {sigma!r}")
    sigma = float(sigma)
    if theta is not None:
        lam = _lam_of_theta(design, theta)
    elif varcorr is not None:
        lam = tuple(semidefinite_root(cov / sigma**2) for cov in _covariances(design, varcorr))
    elif otherwise is not None or not design.terms:
        # variances stay, whatever σ is
        lam = () if otherwise is None else tuple(one * (otherwise.sigma / sigma) for one in otherwise.lam)
    else:
        raise ValueError("varcorr= (or theta=) is missing: the variances of the random effects")
    return Given(_beta(design, beta, otherwise), lam, sigma, psi)


def _psi(residual: Residual, psi: Any, otherwise: Given | None) -> FloatArray:
    """Natural parameters of a residual structure."""
    names = residual.names
    known = None if otherwise is None else otherwise.psi
    if psi is None and known is None:
        raise ValueError(f"psi= is missing: a number for each of {', '.join(names)}, the residuals' parameters")
    if psi is None or isinstance(psi, Mapping | pd.Series):
        given = {} if psi is None else dict(psi)
        if unknown := [name for name in given if name not in names]:
            raise ValueError(f"psi names {unknown[0]!r}; the residuals' parameters are {', '.join(names)}")
        numbers = np.array([given.get(name, np.nan) for name in names], float)
        out = np.where(np.isin(names, list(given)), residual.given(numbers), np.nan if known is None else known)
        if missing := [name for name, value in zip(names, out) if np.isnan(value)]:
            raise ValueError(f"psi lacks {', '.join(missing)}")
    else:
        out = np.asarray(psi, float)
        if out.shape == (len(names),):
            out = residual.given(out)
        else:
            raise ValueError(f"psi has shape {out.shape}, the residuals {len(names)} parameters: {', '.join(names)}")
    residual.check(_finite(out, "psi"), "psi")
    return out


def start_vector(start: Any) -> FloatArray | None:
    """Parameters to begin a search from, as one vector: θ, and the residuals' natural parameters after it.

    Raises
    ------
    ValueError
        For a key that there is not.

    Examples
    --------
    >>> start_vector({"theta": [1.0], "residual": [4.0, 0.5]}).tolist()
    [1.0, 4.0, 0.5]
    """
    if not isinstance(start, Mapping):
        return None if start is None else numbers(start, "start")
    parts = ("theta", "residual")
    if unknown := [key for key in start if key not in parts]:
        raise ValueError(f"start has {unknown[0]!r}; it takes 'theta' and, with residual=, 'residual'")
    return np.concatenate([np.zeros(0), *(numbers(start[name], f"start[{name!r}]") for name in parts if name in start)])


def _beta(design: Design, beta: Any, otherwise: Given | None) -> FloatArray:
    names = design.x_names
    if beta is None:
        if otherwise is None:
            raise ValueError(f"beta= is missing: a number for each of {', '.join(names)}")
        return otherwise.beta
    if isinstance(beta, pd.Series):
        beta = beta.to_dict()
    if not isinstance(beta, Mapping):
        out = np.asarray(beta, float)
        if out.shape != (len(names),):
            raise ValueError(f"beta has shape {out.shape}, the model {len(names)} fixed effects: {', '.join(names)}")
        return _finite(out, "beta")
    out = np.full(len(names), np.nan) if otherwise is None else otherwise.beta.copy()
    for name, value in beta.items():
        place = name if name in names else other_spelling(str(name))
        if place not in names:
            raise ValueError(
                f"beta names {name!r}, which is no fixed effect of the model; there are {', '.join(names)}"
            )
        out[names.index(place)] = value
    if otherwise is None and np.isnan(out).any():
        missing = [name for name, value in zip(names, out) if np.isnan(value)]
        raise ValueError(f"beta lacks {', '.join(missing)}")
    return out


def _finite(values: FloatArray, what: str) -> FloatArray:
    if not np.isfinite(values).all():
        raise ValueError(f"{what} must be finite")
    return values


def _lam_of_theta(design: Design, theta: Any) -> tuple[FloatArray, ...]:
    layouts = layouts_of(design.terms)
    theta = _finite(np.atleast_1d(np.asarray(theta, float)), "theta")
    if theta.shape != (n := sum(one.n_theta for one in layouts),):
        raise ValueError(f"theta has {theta.size} entries, the model {n}")
    ends = np.cumsum([one.n_theta for one in layouts])[:-1]
    return tuple(layout.lam(own) for layout, own in zip(layouts, np.split(theta, ends)))


def _of_table(table: pd.DataFrame) -> tuple[dict[str, dict[Any, float]], float | None]:
    """Entries of each term, {(var1, var2): value}, and σ, of a table as `results.varcorr`."""
    if not {"grp", "var1", "var2", "vcov"} <= set(table.columns):
        raise ValueError("a table of variances has columns grp, var1, var2, vcov, as results.varcorr")
    terms: dict[str, dict[Any, float]] = {}
    sigma = None
    for grp, one, two, value in zip(table["grp"], table["var1"], table["var2"], table["vcov"]):
        if grp == "Residual" and pd.isna(one):
            sigma = float(np.sqrt(value))
        else:
            terms.setdefault(grp, {})[one if pd.isna(two) else (one, two)] = float(value)
    return terms, sigma


def _covariances(design: Design, varcorr: Any) -> list[FloatArray]:
    """σ²G of each term of the design."""
    if not isinstance(varcorr, Mapping):
        if len(design.terms) != 1:
            there = ", ".join(dict.fromkeys(term.group for term in design.terms))
            raise ValueError(f"varcorr must be a dict of grouping factors ({there}) and their variances")
        varcorr = {design.terms[0].group: varcorr}
    labels = [term.label or term.group for term in design.terms]
    groups = [term.group for term in design.terms]
    out: list[FloatArray | None] = [None] * len(labels)
    for key, value in varcorr.items():
        if key in groups and (groups.count(key) == 1 or not set(labels) & (set(varcorr) - {key})):
            own = [k for k, group in enumerate(groups) if group == key]
        elif key in labels:
            own = [labels.index(key)]
        else:
            known = ", ".join(dict.fromkeys([*groups, *labels]))
            raise ValueError(f"varcorr names {key!r}, which is no grouping factor of the model; there are {known}")
        names = [name for k in own for name in design.terms[k].names]
        whole, at = covariance_matrix(value, names, str(key)), 0
        for k in own:
            here = slice(at, at + design.terms[k].n_columns)
            out[k], at = whole[here, here].copy(), here.stop
            whole[here, here] = 0.0
        if whole.any():
            raise ValueError(f"varcorr[{key!r}] correlates effects that stand in different terms of the formula")
    checked = []
    for k, (label, cov) in enumerate(zip(labels, out)):
        if cov is None:
            raise ValueError(f"varcorr lacks {label!r}: the covariance of ({' + '.join(design.terms[k].names)})")
        checked.append(checked_covariance(cov, design.terms[k].structure, label))
    return checked


def covariance_matrix(value: Any, names: Sequence[str], key: str, what: str = "varcorr") -> FloatArray:
    """A covariance of q effects from a number, q variances, a matrix or its entries by name."""
    q = len(names)
    if isinstance(value, pd.DataFrame):
        value = value.reindex(index=list(names), columns=list(names)) if set(value.columns) == set(names) else value
        value = value.to_numpy(float, copy=True)
    if isinstance(value, Mapping):
        out = np.zeros((q, q))
        for name, entry in value.items():
            pair = [
                one if one in names else other_spelling(one) for one in (name if isinstance(name, tuple) else (name,))
            ]
            if len(pair) > 2 or not set(pair) <= set(names):
                raise ValueError(f"{what}[{key!r}] names {name!r}; its effects are {', '.join(names)}")
            i, j = names.index(pair[0]), names.index(pair[-1])
            out[i, j] = out[j, i] = float(entry)
        return out
    matrix = np.array(value, float)
    if matrix.ndim == 0:
        matrix = matrix[None]
    if matrix.shape == (q,):
        matrix = np.diag(matrix)
    if matrix.shape != (q, q):
        raise ValueError(
            f"{what}[{key!r}] has shape {np.shape(value)}; it needs {q} variances, or a ({q}, {q}) covariance matrix, "
            f"of {', '.join(names)}"
        )
    return matrix


def checked_covariance(cov: FloatArray, structure: str, label: str, what: str = "varcorr") -> FloatArray:
    """The covariance, when it is one, and of its term's structure."""
    _finite(cov, f"{what}[{label!r}]")
    size = float(np.abs(cov).max(initial=0.0))
    if np.abs(cov - cov.T).max(initial=0.0) > OTHER_STRUCTURE * size:
        raise ValueError(f"{what}[{label!r}] is not symmetric")
    try:
        semidefinite_root(cov)
    except ValueError:
        raise ValueError(f"{what}[{label!r}] is no covariance matrix: it is not positive semidefinite") from None
    own = structure_called(structure)
    root = own.lam(own.theta_of_cov(cov), len(cov))
    if np.abs(root @ root.T - cov).max(initial=0.0) > OTHER_STRUCTURE * size:
        raise ValueError(f"{what}[{label!r}] does not have the structure of its term, {structure}")
    return cov
