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

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.engine.fit import Fit, fit_design
from henderson.engine.many.components import component_of_rows, n_components
from henderson.engine.many.draws import Draw
from henderson.engine.many.fits import fit_batch
from henderson.engine.many.pieces import Resampled, Responses
from henderson.engine.many.refits import BATCH_DOUBLES, Refits, batched_components, start_of
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.fitting import fit_structured
from henderson.engine.residual.units import blocks_of
from henderson.errors import DataError, NotAvailable
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: share of the largest eigenvalue of X'X below which a resample does not tell all fixed effects
LOST = 1e-10


def check_groups(fit: Fit) -> int:
    """Number of independent groups.

    Raises
    ------
    DataError
        When there is but one: the grouping factors are crossed.
    """
    if fit.design.is_related:
        raise DataError(
            "resampling cases needs groups that share no random effect, but the known relationships of "
            f"{fit.design.related_groups} connect all rows; use kind='parametric' or kind='residual'"
        )
    count = n_groups(fit)
    if count < 2:
        factors = ", ".join(dict.fromkeys(t.group for t in fit.design.terms))
        raise DataError(
            f"resampling cases needs groups that share no random effect, but {factors} connect all rows; "
            "use kind='parametric' or kind='residual'"
        )
    return count


def n_groups(fit: Fit) -> int:
    """Number of independent groups of rows; of residuals that correlate within series those that no series joins."""
    if isinstance(fit, StructuredFit):
        return fit.n_blocks
    return n_components(fit.design, fit.rows)


def owners(fit: Fit) -> np.ndarray:
    """The group of each row, (n,)."""
    if isinstance(fit, StructuredFit):
        return np.unique(blocks_of(fit.design, fit.observed), return_inverse=True)[1].ravel()
    return component_of_rows(fit.design, fit.rows)


def check_within(fit: Fit) -> None:
    """Raise where rows drawn within groups would break up series."""
    if (residual := fit.design.residual) is not None:
        raise NotAvailable(
            f"within=True draws rows within the groups, which breaks up the series of {residual.label}; cases are "
            "drawn whole there: leave within= out"
        )


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
        self.owner = owners(fit)
        self.parts = batched_components(fit, separate=True)
        if self.parts is None:
            self.batch = 1
            return
        parts, n_groups = self.parts, int(self.owner.max()) + 1
        self.batch = int(np.clip(BATCH_DOUBLES // parts.doubles(), 1, 2000))
        self.responses = Responses.of(parts, fit.rows.y[:, None])
        y = (fit.rows.y - parts.offset) * parts.root_weights
        y = y - parts.x @ self.responses.beta[:, 0]
        c = np.column_stack([parts.x, y])
        m = c.shape[1]
        incidence = sparse.csr_array((np.ones(parts.n), (self.owner, np.arange(parts.n))), shape=(n_groups, parts.n))
        self.products = (incidence @ (c[:, :, None] * c[:, None, :]).reshape(parts.n, m * m)).T.reshape(m, m, -1)
        self.rows = np.bincount(self.owner).astype(float)
        self.log_weights = np.bincount(self.owner, np.log(fit.rows.unit_weights))

    @blas_threads()
    def __call__(self, counts: FloatArray) -> Refits:
        """counts (C, B)."""
        if self.parts is None:
            return of_resamples(self.fit, [
                fit_like(self.fit, *repeated(self.fit, self.owner, counts[:, b])) for b in range(counts.shape[1])
            ])  # fmt: skip
        parts, p = self.parts, self.parts.p
        totals = self.products @ counts
        lost = _loses_a_column(totals[:p, :p])
        if lost.any():  # in their place the data themselves
            counts = np.where(lost, 1.0, counts)
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
        found = replace(found, deviance=found.deviance + fixed, converged=found.converged & ~lost)
        return Refits.of_batch(self.fit, parts, found).without_failures()


def _loses_a_column(gram: FloatArray) -> np.ndarray:
    """Replicates, (B,) bool, of whose rows some fixed effects are no functions: a level was not drawn. `gram` is X'X of
    orthonormal columns, (p, p, B)."""
    if not len(gram):
        return np.zeros(gram.shape[2], bool)
    sizes = np.linalg.eigvalsh(gram.transpose(2, 0, 1))
    return np.asarray(sizes[:, 0] <= LOST * sizes[:, -1])


def of_resamples(fit: Fit, fits: list[Fit]) -> Refits:
    """Fits of resampled data; those that had to drop a column that `fit` has are failures, for what is left of them
    means something else."""
    refits = Refits.of_fits(fit, fits)
    same = np.array([np.array_equal(one.kept, fit.kept) for one in fits])
    return replace(refits, converged=refits.converged & same).without_failures() if not same.all() else refits


def fit_like(fit: Fit, design: Design, rows: Rows) -> Fit:
    """A fit of another design, by the same criterion and from the same estimates."""
    if isinstance(fit, StructuredFit):
        return fit_structured(design, rows, reml=fit.reml, progress=False, near=fit.phi_of)
    return fit_design(design, rows, reml=fit.reml, start=fit.theta)


def repeated(fit: Fit, owner: np.ndarray, counts: np.ndarray) -> tuple[Design, Rows]:
    """The model with each group as often as counted, its copies having levels of their own."""
    rows, copies = [], []
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(len(counts) + 1))
    for copy in range(int(counts.max())):
        for group in np.flatnonzero(counts > copy):
            here = order[edges[group] : edges[group + 1]]
            rows.append(here)
            copies.append(np.full(len(here), copy))
    return taken(fit, np.concatenate(rows), np.concatenate(copies))


def within_groups(fit: Fit, owner: np.ndarray, rng: np.random.Generator) -> tuple[Design, Rows]:
    """Groups drawn with replacement, then rows within each."""
    n_groups = int(owner.max()) + 1
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(n_groups + 1))
    rows, copies = [], []
    for copy, group in enumerate(rng.integers(n_groups, size=n_groups)):
        here = order[edges[group] : edges[group + 1]]
        rows.append(rng.choice(here, len(here)))
        copies.append(np.full(len(here), copy))
    return taken(fit, np.concatenate(rows), np.concatenate(copies))


def taken(fit: Fit, rows: np.ndarray, copies: np.ndarray) -> tuple[Design, Rows]:
    """Some rows of a fit, levels apart by copy."""
    chosen = fit.observed[rows]
    known: dict[str, tuple[np.ndarray, pd.Index]] = {}
    terms, loads = [], []
    for term, own in zip(fit.design.terms, chosen.terms):
        if own.codes is None:
            raise DataError(f"rows of {term.label or term.group} load on several effects; they cannot be resampled")
        if term.group not in known:
            levels, codes = np.unique(copies.astype(np.int64) * term.n_levels + own.codes, return_inverse=True)
            known[term.group] = codes.reshape(-1).astype(np.intp), pd.RangeIndex(len(levels))
        codes, labels = known[term.group]
        terms.append(replace(term, levels=labels))
        loads.append(replace(own, codes=codes))
    design, chosen = replace(fit.design, terms=tuple(terms), n=len(rows)), replace(chosen, terms=tuple(loads))
    residual, places = design.residual, chosen.residual
    if residual is None or places is None:
        return design, chosen
    series, codes = np.unique(copies.astype(np.int64) * residual.n_series + places.codes, return_inverse=True)
    return (
        replace(design, residual=replace(residual, levels=pd.RangeIndex(len(series)))),
        replace(chosen, residual=replace(places, codes=codes.reshape(-1).astype(np.intp))),
    )
