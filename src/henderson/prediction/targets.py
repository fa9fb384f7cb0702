"""What rows ask for where residuals correlate, and what their targets share with the blocks that they have a part in.

A target is z'b of random effects, the residual of a new visit of a series, or both. With c its covariance with y,

    random term k      √w_i z_i'G z      for rows i of the target's level       g: z'Gz
    residual           R_i,new / √w_new  for rows i of its series               g: R_new,new / w_new
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.design.replay import NewTerm
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.units import Batch

FloatArray = np.ndarray


@dataclass(frozen=True)
class Asked:
    """What m rows ask for.

    Attributes
    ----------
    x : (m, p) array
        Columns of the fixed part in the working basis.
    terms : tuple of NewTerm or None
        What each random term says of the rows, columns times T; None where it has no part.
    places : ResidualRows, or None
        Where the rows stand in their series; None where their residuals have no part.
    own : (m,) array
        1/w of each row.
    known : bool
        Whether what was observed of a row's series tells of its residual.
    """

    x: FloatArray
    terms: tuple[NewTerm | None, ...]
    places: ResidualRows | None
    own: FloatArray
    known: bool

    def __getitem__(self, rows: np.ndarray) -> Asked:
        terms = tuple(None if one is None else one[rows] for one in self.terms)
        places = None if self.places is None else self.places[rows]
        return Asked(self.x[rows], terms, places, self.own[rows], self.known)

    @property
    def knows_series(self) -> bool:
        """Whether a row is of a series that was observed, and that tells of it."""
        return self.known and self.places is not None and bool((self.places.codes >= 0).any())

    @property
    def has_known(self) -> bool:
        """Whether a target has a part in something that was observed."""
        return self.knows_series or any(one is not None and _has_known(one) for one in self.terms)


def in_basis(terms: Sequence[NewTerm | None], roots: Sequence[FloatArray]) -> tuple[NewTerm | None, ...]:
    """What terms say of rows, columns times the T of each."""
    return tuple(
        None if one is None else NewTerm(one.codes, one.columns @ T if one.loadings is None else one.columns,
                                         None if one.loadings is None else one.loadings * T[0, 0])
        for one, T in zip(terms, roots)
    )  # fmt: skip


def parts_in(asked: Asked, fit: StructuredFit, of_row: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Targets and a block that each has a part in.

    Parameters
    ----------
    asked : Asked
    fit : StructuredFit
    of_row : (n,) int array
        Number of the block of each row that the fit is of.
    """
    rows = fit.observed
    for term, new, own in zip(fit.design.terms, asked.terms, rows.terms):
        if new is None:
            continue
        at = np.full(term.n_levels, -1)
        if own.codes is not None and new.codes is not None:
            at[own.codes] = of_row
            target, level = np.flatnonzero(new.codes >= 0), new.codes[new.codes >= 0]
        else:
            entries = own.given_loadings.tocoo()
            at[entries.coords[1]] = of_row[entries.coords[0]]
            assert new.loadings is not None
            asked_of = new.loadings.tocoo()
            inside = asked_of.coords[1] < term.n_levels
            target, level = asked_of.coords[0][inside], asked_of.coords[1][inside]
        has_rows = at[level] >= 0
        yield target[has_rows], at[level[has_rows]]
    series, residual = rows.residual, fit.design.residual
    if asked.known and asked.places is not None and series is not None and residual is not None:
        at = np.full(residual.n_series, -1)
        at[series.codes] = of_row
        target = np.flatnonzero(asked.places.codes >= 0)
        yield target, at[asked.places.codes[target]]


def covariances(
    asked: Asked, fit: StructuredFit, psi: FloatArray, batch: Batch, u: int, blocks: np.ndarray, *, derivatives: bool
) -> tuple[FloatArray, FloatArray]:
    """c (t, n) of targets with a block of unit u each, and c_a (k, t, n), at the parameters ψ of the working basis."""
    model, rows, at = fit.blocks, fit.observed, batch.rows[blocks]
    c, ca = np.zeros(at.shape), np.zeros((model.k if derivatives else 0, *at.shape))
    for j, (new, own, layout, to) in enumerate(zip(asked.terms, rows.terms, model.layouts, model.g_of)):
        if new is None:
            continue
        G = layout.covariance(psi[to])
        if own.codes is None:
            assert new.loadings is not None
            J = new.loadings.shape[1] - 1
            root = model.roots[j][0, 0] * np.sqrt(rows.unit_weights[at])
            alike = np.empty(at.shape)
            for i, here in enumerate(at):
                loads = new.loadings[[i]].toarray()[0, :J]
                alike[i] = own.given_loadings[here] @ loads
            alike *= root
            c += G[0, 0] * alike
            if derivatives:
                ca[to] += layout.basis()[:, 0, 0][:, None, None] * alike
            continue
        assert new.codes is not None
        same = (own.codes[at] == new.codes[:, None]) & (new.codes >= 0)[:, None]
        columns = batch.terms[j].columns[u]
        c += np.where(same, new.columns @ G @ columns.T, 0.0)
        if derivatives:
            ca[to] += np.where(same, new.columns @ layout.basis() @ columns.T, 0.0)
    if not asked.known or asked.places is None or rows.residual is None:
        return c, ca
    places, own_psi = asked.places, psi[model.n_g :]
    same = (rows.residual.codes[at] == places.codes[:, None]) & (places.codes >= 0)[:, None]
    together = _with_block(places, batch, u)
    root = np.sqrt(asked.own)[:, None]
    c += np.where(same, model.residual.cov(own_psi, *together)[:, -1, :-1] * root, 0.0)
    if derivatives:
        first = model.residual.first(own_psi, *together)[:, :, -1, :-1]
        ca[model.n_g :] += np.where(same, first * root, 0.0)
    return c, ca


def _has_known(term: NewTerm) -> bool:
    """Whether some row has a level that the fit has."""
    if term.loadings is not None:
        return bool((term.loadings.tocoo().coords[1] < term.loadings.shape[1] - 1).any())
    return term.codes is not None and bool((term.codes >= 0).any())


def alone(places: ResidualRows) -> tuple[np.ndarray, np.ndarray | None, tuple[np.ndarray, ...]]:
    """Rows as series of one row each, as `Residual.cov` takes them."""
    strata = None if places.strata is None else places.strata[:, None]
    return places.where[:, None], strata, tuple(v[:, None] for v in places.covariates)


def together(places: ResidualRows, other: ResidualRows) -> tuple[Any, ...]:
    """Rows of both as one series, as `Residual.cov` takes them."""
    return (
        np.concatenate([places.where, other.where]),
        None if places.strata is None or other.strata is None else np.concatenate([places.strata, other.strata]),
        tuple(np.concatenate([v, w]) for v, w in zip(places.covariates, other.covariates)),
    )


def _with_block(
    places: ResidualRows, batch: Batch, u: int
) -> tuple[np.ndarray, np.ndarray | None, tuple[np.ndarray, ...]]:
    """Each of t rows after the rows of a unit, (t, n + 1), all taken for rows of one series."""
    t, n = len(places.codes), batch.n

    def joined(of_unit: np.ndarray, new: np.ndarray) -> np.ndarray:
        return np.concatenate([np.broadcast_to(of_unit, (t, *of_unit.shape)), new[:, None]], axis=1)

    strata = None if places.strata is None else np.repeat(places.strata[:, None], n + 1, axis=1)
    covariates = tuple(joined(of[u], new) for of, new in zip(batch.covariates, places.covariates))
    return joined(batch.where[u], places.where), strata, covariates
