"""Fits of the data without some rows, for many sets of rows, with whatever suits the size of the model.

Where the components of the design are small, all are one array computation (`deleted`); else, and where leaving rows
out makes fixed columns redundant, they are fitted one after another from subtracted cross-products (`engine.deletion`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from henderson.engine.deletion import INDEPENDENT, fit_without
from henderson.engine.fit import Fit
from henderson.engine.many.components import Components
from henderson.engine.many.deleted import Deleter
from henderson.engine.many.elsewhere import Elsewhere
from henderson.engine.many.fits import LEAST_START, fit_batch
from henderson.engine.many.refits import Refits, batched_components, start_of
from henderson.engine.row_forms import deviances_without_rows
from henderson.engine.search.glance import FURTHER
from henderson.engine.search.look import Look
from henderson.errors import DataError
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: effects of a component above which fits go one by one
LARGEST = 128
#: numbers in memory for a batch with large components
BATCH_DOUBLES = 4_000_000
#: patterns × sets of a batch without: those are taken in slices that fit the cache
PAIRS = 1 << 17
#: fits one after another that are many
MANY = 1000
#: sets of a batch
FEWEST, MOST = 128, 2000


@dataclass(frozen=True)
class Sets:
    """Sets of rows.

    Attributes
    ----------
    rows : (E,) int array
        The rows of all sets, set after set.
    starts : (m + 1,) int array
        Where each set begins.
    """

    rows: np.ndarray
    starts: np.ndarray

    @classmethod
    def of_codes(cls, codes: np.ndarray, n: int) -> Sets:
        """The rows of each of n codes (those below zero are in no set)."""
        order = np.argsort(codes, kind="stable")
        return cls(order[np.count_nonzero(codes < 0) :], np.cumsum([0, *np.bincount(codes[codes >= 0], minlength=n)]))

    @property
    def m(self) -> int:
        """Sets."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each set, (m,)."""
        return np.diff(self.starts)

    def __getitem__(self, which: int) -> np.ndarray:
        return self.rows[self.starts[which] : self.starts[which + 1]]

    def chosen(self, which: np.ndarray) -> Sets:
        """Some of the sets, (k,)."""
        rows = [self[one] for one in which]
        return Sets(np.concatenate([self.rows[:0], *rows]), np.cumsum([0, *map(len, rows)]))

    def some(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the sets from start to stop, and the number of each one's set among these."""
        edges = self.starts[start : stop + 1]
        return self.rows[edges[0] : edges[-1]], np.repeat(np.arange(stop - start), np.diff(edges))


@blas_threads()
def fits_without(
    fit: Fit,
    sets: Sets,
    tell: Callable[[int], None] | None = None,
    show: Callable[[int, Fit], None] | None = None,
) -> Refits:
    """Fit a model again without each of some sets of rows.

    Parameters
    ----------
    fit : Fit
        With its rows.
    sets : Sets
        m of them.
    tell : callable, optional
        Gets the number of fits done.
    show : callable, optional
        Gets the number of a set and the fit without it, where there is a whole fit: none is kept.

    Returns
    -------
    Refits
        Of m fits; NaN where what is left does not determine the model.
    """
    tell = tell or (lambda done: None)
    parts = _together(fit)
    if parts is None:
        return _one_by_one(fit, sets, range(sets.m), tell, show)
    start = start_of(fit, parts)
    near, elsewhere = _is_inside(parts, start), _elsewhere(fit, parts, sets)
    deleter = Deleter(fit.design, fit.rows, parts)
    step = _sets_at_once(parts)
    out = []
    for first in range(0, sets.m, step):
        last = min(first + step, sets.m)
        rows, member = sets.some(first, last)
        deleted = deleter(rows, member, last - first)
        n_rows = fit.n - np.bincount(member, minlength=last - first)
        whole = np.flatnonzero(_independent(deleted.xx) & (n_rows > parts.p + 1))
        found = []
        if len(whole):
            lost = np.bincount(member, deleter.log_weights[rows], last - first)[whole]
            with np.errstate(all="ignore"):
                batch = fit_batch(
                    parts,
                    deleter.responses,
                    start,
                    reml=fit.reml,
                    resampled=deleted[whole],
                    n_rows=n_rows[whole],
                    near=near,
                    elsewhere=None if elsewhere is None else elsewhere[first + whole],
                )
            fits = Refits.of_batch(fit, parts, replace(batch, deviance=batch.deviance + lost))
            found, whole = [fits[batch.converged]], whole[batch.converged]
        others = np.setdiff1d(np.arange(last - first), whole)
        if len(others):
            found.append(_one_by_one(fit, sets, first + others, lambda done: None, show))
        out.append(Refits.joined(found)[np.argsort(np.concatenate([whole, others]), kind="stable")])
        tell(last)
    return Refits.joined(out)


def takes_long(fit: Fit, m: int) -> bool:
    """Whether m sets are so many, of a model so large, that fits without each take minutes or hours."""
    return m > MANY and _together(fit) is None


def _together(fit: Fit) -> Components | None:
    """The components of a model whose fits without some rows are one array computation.

    Not of one whose log-determinant comes from probes: what an exact fit without a row differs by would be its
    Monte-Carlo error, and not what the row does; there all fits have the same probes.
    """
    if fit.optimum.monte_carlo is not None:
        return None
    parts = batched_components(fit, largest=LARGEST)
    return None if parts is None or _is_slow(parts) else parts


def _elsewhere(fit: Fit, parts: Components, sets: Sets) -> Elsewhere | None:
    """Where else fits without some rows may end lower, if they may; of single rows all deviances there are known from
    the fit's own factor."""
    if not Look.of(fit.criterion).is_due:
        return None
    elsewhere = Elsewhere.of(parts.layout)
    if (sets.sizes > 1).any():
        return replace(elsewhere, margin=FURTHER)
    users = [parts.basis @ root for root in parts.layout.lam(elsewhere.starts).transpose(2, 0, 1)]
    theta = [parts.layout.theta_of_cov(root @ root.T) for root in users]
    known = np.array([deviances_without_rows(fit, one)[sets.rows] for one in theta])
    return replace(elsewhere, known=known, margin=FURTHER)


def _one_by_one(
    fit: Fit,
    sets: Sets,
    which: range | np.ndarray,
    tell: Callable[[int], None],
    show: Callable[[int, Fit], None] | None,
) -> Refits:
    found = []  # a fit is let go as soon as its estimates are taken: it holds sums and a factor
    for done, number in enumerate(which):
        without = _fit_or_nothing(fit, sets[number])
        if show is not None and without.optimum.converged:
            show(int(number), without)
        found.append(Refits.of_fits(fit, [without]))
        tell(done + 1)
    return Refits.joined(found).without_failures()


def _fit_or_nothing(fit: Fit, gone: np.ndarray) -> Fit:
    """The fit without some rows, or one that says that there is none."""
    try:
        return fit_without(fit, gone)
    except DataError:
        return replace(fit, optimum=replace(fit.optimum, converged=False), deviance=np.nan)


def _sets_at_once(parts: Components) -> int:
    if any(shape.is_large for shape in parts.shapes):
        return int(np.clip(BATCH_DOUBLES // (parts.doubles() - parts.n), 1, MOST))
    return int(np.clip(PAIRS // sum(len(shape.count) for shape in parts.shapes), FEWEST, MOST))


def _is_slow(parts: Components) -> bool:
    """Whether the large components, one by one, cost more than the engine does."""
    return sum(len(s.label) * s.size**3 for s in parts.shapes if s.is_large) > 2 * LARGEST**3


def _is_inside(parts: Components, start: FloatArray) -> bool:
    """Whether the fit is well inside the boundary."""
    return bool(np.linalg.svd(start, compute_uv=False)[-1] > LEAST_START)


def _independent(xx: FloatArray) -> np.ndarray:
    """Where fixed columns that were orthonormal are still independent: (p, p, B) → (B,) bool."""
    if not len(xx):
        return np.ones(xx.shape[2], bool)
    return np.linalg.eigvalsh(xx.transpose(2, 0, 1))[:, 0] > INDEPENDENT
