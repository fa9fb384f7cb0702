"""Resampled data: whole groups drawn with replacement, and, where asked for, rows within them.

The groups are the components of the design, which share no random effect: with one grouping factor its levels, with
nested ones those at the top. Whole groups only count more or less often in the sums, so their fits are one array
computation; rows drawn within groups make new designs, which are fitted one by one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import Design, RandomTerm
from henderson.engine.fit import Fit, fit_design
from henderson.engine.many.components import component_of_rows, n_components
from henderson.engine.many.draws import Draw
from henderson.engine.many.fits import fit_batch
from henderson.engine.many.pieces import Resampled, Responses
from henderson.engine.many.refits import BATCH_DOUBLES, Refits, batched_components, start_of
from henderson.errors import DataError
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray


def check_groups(design: Design) -> int:
    """Number of independent groups.

    Raises
    ------
    DataError
        When there is but one: the grouping factors are crossed.
    """
    count = n_components(design)
    if count < 2:
        factors = ", ".join(dict.fromkeys(t.group for t in design.terms))
        raise DataError(
            f"resampling cases needs groups that share no random effect, but {factors} connect all rows; "
            "use kind='parametric' or kind='residual'"
        )
    return count


def draw_counts(n_groups: int) -> Draw:
    """How often each group is drawn, (C, m)."""

    def draw(rng: np.random.Generator, m: int) -> FloatArray:
        chosen = rng.integers(n_groups, size=(n_groups, m))
        flat = np.bincount((chosen + n_groups * np.arange(m)).ravel(), minlength=n_groups * m)
        return flat.reshape(m, n_groups).T.astype(float)

    return draw


class GroupFitter:
    """Fits of data in which each group counts some number of times."""

    @blas_threads()
    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.owner = component_of_rows(fit.design)
        self.parts = batched_components(fit, separate=True)
        if self.parts is None:
            self.batch = 1
            return
        parts, n_groups = self.parts, int(self.owner.max()) + 1
        self.batch = int(np.clip(BATCH_DOUBLES // parts.doubles(), 1, 2000))
        self.responses = Responses.of(parts, fit.design.y[:, None])
        y = (fit.design.y - parts.offset) * parts.root_weights
        y = y - parts.x @ self.responses.beta[:, 0]
        c = np.column_stack([parts.x, y])
        m = c.shape[1]
        incidence = sparse.csr_array((np.ones(parts.n), (self.owner, np.arange(parts.n))), shape=(n_groups, parts.n))
        self.products = (incidence @ (c[:, :, None] * c[:, None, :]).reshape(parts.n, m * m)).T.reshape(m, m, -1)
        self.rows = np.bincount(self.owner).astype(float)
        log_weights = np.zeros(parts.n) if fit.design.weights is None else np.log(fit.design.weights)
        self.log_weights = np.bincount(self.owner, log_weights)

    @blas_threads()
    def __call__(self, counts: FloatArray) -> Refits:
        """counts (C, B)."""
        if self.parts is None:
            return Refits.of_fits([
                _fit_like(self.fit, repeated(self.fit.design, self.owner, counts[:, b])) for b in range(counts.shape[1])
            ])  # fmt: skip
        parts, p = self.parts, self.parts.p
        totals = self.products @ counts
        drawn = Resampled(
            tuple(counts[shape.label[np.argsort(shape.pattern)]] for shape in parts.shapes),
            totals[:p, :p],
            totals[:p, p],
            totals[p, p],
        )
        with np.errstate(all="ignore"):
            found = fit_batch(
                parts,
                self.responses,
                start_of(self.fit, parts),
                reml=self.fit.reml,
                resampled=drawn,
                n_rows=self.rows @ counts,
            )
        fixed = parts.log_weights - self.log_weights @ counts
        return Refits.of_batch(self.fit, parts, replace(found, deviance=found.deviance + fixed)).without_failures()


def _fit_like(fit: Fit, design: Design) -> Fit:
    return fit_design(design, reml=fit.reml, start=fit.theta)


def repeated(design: Design, owner: np.ndarray, counts: np.ndarray) -> Design:
    """The design with each group as often as counted, its copies having levels of their own."""
    rows, copies = [], []
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(len(counts) + 1))
    for copy in range(int(counts.max())):
        for group in np.flatnonzero(counts > copy):
            here = order[edges[group] : edges[group + 1]]
            rows.append(here)
            copies.append(np.full(len(here), copy))
    return taken(design, np.concatenate(rows), np.concatenate(copies))


def within_groups(design: Design, owner: np.ndarray, rng: np.random.Generator) -> Design:
    """Groups drawn with replacement, then rows within each."""
    n_groups = int(owner.max()) + 1
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(n_groups + 1))
    rows, copies = [], []
    for copy, group in enumerate(rng.integers(n_groups, size=n_groups)):
        here = order[edges[group] : edges[group + 1]]
        rows.append(rng.choice(here, len(here)))
        copies.append(np.full(len(here), copy))
    return taken(design, np.concatenate(rows), np.concatenate(copies))


def taken(design: Design, rows: np.ndarray, copies: np.ndarray) -> Design:
    """Rows of a design, levels apart by copy."""
    known: dict[int, tuple[np.ndarray, pd.Index]] = {}

    def coded(term: RandomTerm) -> tuple[np.ndarray, pd.Index]:
        assert term.codes is not None
        if id(term.codes) not in known:
            key = copies.astype(np.int64) * term.n_levels + term.codes[rows]
            levels, codes = np.unique(key, return_inverse=True)
            known[id(term.codes)] = codes.reshape(-1).astype(np.intp), pd.RangeIndex(len(levels))
        return known[id(term.codes)]

    terms = []
    for term in design.terms:
        if term.codes is None:
            raise DataError(f"rows of {term.label or term.group} load on several effects; they cannot be resampled")
        codes, levels = coded(term)
        terms.append(replace(term, codes=codes, levels=levels, columns=term.columns[rows]))
    return replace(
        design,
        y=design.y[rows],
        X=design.X[rows],
        terms=tuple(terms),
        weights=None if design.weights is None else design.weights[rows],
        offset=None if design.offset is None else design.offset[rows],
        index=design.index[rows] if len(design.index) == len(design.y) else pd.RangeIndex(len(rows)),
    )
