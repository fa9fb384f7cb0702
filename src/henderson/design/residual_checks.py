"""What must hold of a residual covariance before a model is fitted; each check names the culprit.

Parameters can be told apart when the derivatives of the covariance of a series in them are linearly independent over
the series: of V in its natural parameters ψ, and of Z_kG_kZ_k' in θ_k for each random term whose levels lie within
series. At generic ψ and θ the Gram matrix

    M_ab = Σ_series tr (∂V/∂a)(∂V/∂b)

is singular exactly where they are not; its null vectors say which parameters stand for each other. Crossed random
effects, and those of levels with relatives, reach beyond a series and are always told apart from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from henderson.contract.design import Design, RandomTerm
from henderson.contract.residual import ResidualRows, ResidualTerm
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.residual.residual import Residual
from henderson.covariance.residual.starts import by_distance
from henderson.covariance.residual.structure import Pairs
from henderson.covariance.residual.toeplitz import lags
from henderson.covariance.structures import structure_called
from henderson.errors import DataError
from henderson.sources.factors import shown_label

FloatArray = np.ndarray

#: smallest eigenvalue of the Gram matrix, its diagonal scaled to one, of parameters that are told apart
SINGULAR = 1e-11
#: length of what the earlier columns leave of a column, relative to it, that is rounding of it
ROUNDING = 1e-13
#: weight in a null vector, beside the largest, of a parameter that is named
NAMED = 1e-4
#: entries of derivatives that are worked on together; rows of a series that are looked at first of all where parameters
#: are no more than so many, and rows that are before all are
AT_ONCE, VERY_FIRST, SEVERAL, FIRST_ROWS = 4_000_000, 20, 10, 200
#: the same of the first series
FEW = 20_000
#: correlation of neighbours at which derivatives are taken
GENERIC = 0.5


def check_residual(design: Design, rows: Rows) -> None:
    """All checks of the residual covariance of a design."""
    term, series = design.residual, rows.residual
    if term is None or series is None:
        return
    check_repeated(term, series, rows.positions)
    check_covariates(term, series, rows)
    check_counts(term, series)
    check_strata(term, series)
    check_told_apart(design, rows)


def check_repeated(term: ResidualTerm, series: ResidualRows, positions: np.ndarray | None = None) -> None:
    """A series has one row of a visit, or at a place; `positions` are those of the rows in the data."""
    if not term.group or term.structure == "diag" or not term.places:
        return
    places = series.where[:, None] if series.where.ndim == 1 else series.where
    order = series.order
    here, before = order[1:], order[:-1]
    same = (series.codes[here] == series.codes[before]) & (places[here] == places[before]).all(axis=1)
    if not same.any():
        return
    k = int(np.flatnonzero(same)[0])
    one, other = sorted((before[k], here[k]))
    if term.visits is not None:
        place = f"{' and '.join(term.places)} {shown_label(term.visits[series.where[one]])}"
    else:
        place = ", ".join(f"{name} {value:g}" for name, value in zip(term.places, places[one]))
    more = f"; so do {int(same.sum()) - 1} other rows" if same.sum() > 1 else ""
    raise DataError(
        f"{term.label}: {term.group} {shown_label(term.levels[series.codes[one]])} has two rows at {place} "
        f"(rows {_position(positions, one)} and {_position(positions, other)}){more}: a series has one row at each"
    )


def _position(positions: np.ndarray | None, row: int) -> int:
    return int(row if positions is None else positions[row])


def check_covariates(term: ResidualTerm, series: ResidualRows, rows: Rows) -> None:
    """A power needs a covariate that is nowhere zero; one that is constant says nothing."""
    for own, values in zip(term.variance, series.covariates):
        if own.of_fitted:
            continue
        if own.kind == "power" and (values == 0).any():
            row = _position(rows.positions, int(np.argmax(values == 0)))
            raise DataError(f"{own.label}: {own.name!r} is zero in row {row}, where its power has no variance")
        size = np.abs(values) if own.kind == "power" else values
        if (size == size[0]).all():
            raise DataError(f"{own.label}: {own.name!r} is the same in all rows, so the variance cannot vary with it")


def check_counts(term: ResidualTerm, series: ResidualRows) -> None:
    """An unstructured covariance needs more series than visits; a variance of a visit two rows of it."""
    if term.visits is None:
        return
    strata = np.zeros(len(series.codes), np.intp) if series.strata is None else series.strata
    for stratum in range(term.n_strata):
        own = strata == stratum
        among = f" with {term.stratum} {shown_label(term.strata[stratum])}" if len(term.strata) else ""
        present = np.bincount(series.where[own], minlength=term.n_visits)
        n_series = np.count_nonzero(np.bincount(series.codes[own]))
        if term.structure == "us" and n_series <= np.count_nonzero(present):
            raise DataError(
                f"{term.label} has {term.n_visits} visits and {n_series} {term.group}{among}: an unstructured "
                "covariance needs more series than visits; ar1h, toeph or cs need fewer"
            )
        if term.structure in ("us", "diag", "csh", "toeph", "ar1h", "adh") and present.min() < 2:
            visit, place = shown_label(term.visits[int(np.argmin(present))]), " and ".join(term.places)
            count = "no row" if present.min() == 0 else "one row"
            raise DataError(
                f"{term.label} has a variance for each {place}, and {place} {visit} has {count}{among}: "
                "a variance needs two rows at least"
            )


def check_strata(term: ResidualTerm, series: ResidualRows) -> None:
    """A stratum's variance needs two rows of it, as that of a visit does."""
    for own, codes in zip(term.variance, series.covariates):
        if own.kind == "ident" and (counts := np.bincount(codes, minlength=len(own.strata))).min() < 2:
            stratum = shown_label(own.strata[int(np.argmin(counts))])
            raise DataError(
                f"{term.label} has a variance for each {own.name}, and {own.name} {stratum} has "
                f"{'no row' if counts.min() == 0 else 'one row'}: a variance needs two rows at least"
            )


def check_told_apart(design: Design, rows: Rows) -> None:
    """Parameters of the residuals and of random terms within series are told apart by the data."""
    term, series = design.residual, rows.residual
    assert term is not None
    assert series is not None
    sizes = np.bincount(series.codes)
    residual = Residual.of(term, largest=int(sizes.max()))
    stand_in = np.linspace(1.0, 2.0, len(series.codes))  # fitted values are not there yet: any that vary
    covariates = zip(term.variance, series.covariates)
    series = replace(series, covariates=tuple(stand_in if own.of_fitted else v for own, v in covariates))
    psi = generic(residual, series)
    inner = [
        Inner.of(own, loads)
        for own, loads in zip(design.terms, rows.terms)
        if not (own.loaded or own.related) and loads.owners(series.codes, own.n_levels) is not None
    ]
    names = [*residual.names, *(name for own in inner for name in own.names)]
    total = np.zeros((len(names), len(names)))
    for most in (*([VERY_FIRST] if len(names) <= SEVERAL else []), FIRST_ROWS, len(rows.y)):
        total[:] = 0.0
        for here in batches(series.codes, sizes, most, len(names)):
            total += gram(residual, psi, series, inner, rows.unit_weights, here)
            if is_regular(total):
                return
    unseen = np.diag(total) == 0
    if unseen.any():
        missing = ", ".join(names[k] for k in np.flatnonzero(unseen)[:6])
        raise DataError(
            f"{term.label}: the data say nothing of {missing}: no series has the rows that it is about"
            + (
                "; a structure with fewer parameters (ar1h, toeph, cs) can do without"
                if term.visits is not None
                else ""
            )
        )
    scale = 1 / np.sqrt(np.diag(total))
    values, vectors = np.linalg.eigh(total * np.outer(scale, scale))
    null = np.abs(vectors[:, values < SINGULAR]).max(axis=1)
    culprits = [names[k] for k in np.flatnonzero(null > NAMED * null.max())]
    random = [own.label for own in inner if set(own.names) & set(culprits)]
    if random:
        raise DataError(
            f"{term.label} with {' and '.join(random)}: {_some(culprits)} cannot be told apart, since the residual "
            f"covariance holds what {'that term adds' if len(random) == 1 else 'those terms add'}: leave "
            f"{random[0]} out, or take a simpler residual structure"
        )
    raise DataError(
        f"{term.label}: {_some(culprits)} cannot be told apart with series like these: take a structure with fewer "
        "parameters"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


@dataclass(frozen=True)
class Inner:
    """A random term whose levels lie within series.

    Attributes
    ----------
    term : RandomTerm
    loads : TermRows
    changes : (k, q, q) array
        ∂G/∂θ at a generic θ.
    """

    term: RandomTerm
    loads: TermRows
    changes: FloatArray

    @classmethod
    def of(cls, term: RandomTerm, loads: TermRows) -> Inner:
        """With the derivatives of its covariance where effects correlate and differ in size."""
        structure, q = structure_called(term.structure), term.n_columns
        sd = 1.0 + 0.1 * np.arange(q)
        theta = structure.theta_of_cov(np.outer(sd, sd) * GENERIC ** lags(q))
        half = structure.jacobian(theta, q) @ structure.lam(theta, q).T
        return cls(term, orthonormal(loads) if structure.any_order else loads, half + half.transpose(0, 2, 1))

    @property
    def label(self) -> str:
        """``(1 + x | g)``."""
        names = ["1" if name in ("(Intercept)", "Intercept") else name for name in self.term.names]
        return f"({' + '.join(names)} | {self.term.group})"

    @property
    def names(self) -> list[str]:
        """Of its parameters."""
        if len(self.changes) == 1:
            return [f"the variance of {self.label}"]
        return [f"parameter {k + 1} of the covariance of {self.label}" for k in range(len(self.changes))]

    def first(self, at: np.ndarray) -> FloatArray:
        """Z (∂G/∂θ_i) Z', (k, U, n, n), of series whose rows are `at` (U, n)."""
        assert self.loads.codes is not None
        codes, z = self.loads.codes[at], self.loads.columns[at]
        same = codes[..., :, None] == codes[..., None, :]
        return np.stack([np.einsum("...ia,ab,...jb->...ij", z, one, z) * same for one in self.changes])


def orthonormal(loads: TermRows) -> TermRows:
    """Rows of the same span, which every covariance of the effects has: of a covariate far from zero, intercept and
    slope are all but proportional, and tell as much. Rows of columns that depend on each other stay."""
    columns, q = loads.columns, loads.columns.shape[1]
    if q < 2 or len(columns) < q:
        return loads
    basis, triangle = np.linalg.qr(columns)
    if (np.abs(np.diag(triangle)) <= ROUNDING * np.linalg.norm(columns, axis=0)).any():
        return loads
    return TermRows(loads.codes, basis * np.sqrt(len(columns)))


def generic(residual: Residual, series: ResidualRows) -> FloatArray:
    """ψ at which derivatives are not degenerate: neighbours correlate by a half, variances differ a little."""
    where, T, nothing = series.where, residual.term.n_visits, np.zeros(0)
    apart = nothing
    if where.ndim == 2 and where.shape[1]:
        apart, _ = by_distance(np.ones(len(where)), series.codes, where)
    middle = np.median(apart) if len(apart) else 1.0
    pairs = Pairs((GENERIC ** np.arange(float(T)))[lags(T)], np.ones((T, T)), 1.0, apart, np.exp(-apart / middle))
    psi = np.concatenate(
        [
            *(residual.structure.start(pairs) for _ in range(residual.term.n_strata)),
            *(v.none for v in residual.variance),
        ]
    )
    phi = residual.working(psi)
    moved = np.array(residual.kinds) != "exponent"  # of a covariate in any unit: at zero it tells of itself
    return residual.natural(phi + 0.05 * moved * np.sin(1.0 + np.arange(len(phi))))


def batches(codes: np.ndarray, sizes: np.ndarray, most: int, n_parameters: int) -> Iterator[np.ndarray]:
    """Rows of series of one size, (U, n), the largest first, of a longer one its first `most`."""
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes)[::-1]:
        own = np.flatnonzero(sizes == size)
        n = min(int(size), most)
        largest, k = max(1, min(64, AT_ONCE // (n_parameters * n * n))), 0
        step = min(largest, max(1, FEW // (n_parameters * n * n)))  # few series say all there is to say, as a rule
        while k < len(own):
            yield order[starts[own[k : k + step], None] + np.arange(n)]
            k, step = k + step, min(4 * step, largest)


def gram(
    residual: Residual,
    psi: FloatArray,
    series: ResidualRows,
    inner: list[Inner],
    weights: FloatArray,
    at: np.ndarray,
) -> FloatArray:
    """Σ tr (∂V/∂a)(∂V/∂b) over series whose rows are `at` (U, n), (k, k)."""
    here = series[at]
    root = 1 / np.sqrt(weights[at])
    own = residual.first(psi, here.where, here.strata, here.covariates) * (root[..., :, None] * root[..., None, :])
    derivatives = [own, *(each.first(at) for each in inner)]
    flat = np.concatenate([one.reshape(len(one), -1) for one in derivatives])
    return flat @ flat.T


def is_regular(total: FloatArray) -> bool:
    """Whether a Gram matrix is regular, by its scaled eigenvalues."""
    diagonal = np.diag(total)
    if not (diagonal > 0).all():
        return False
    scale = 1 / np.sqrt(diagonal)
    return bool(np.linalg.eigvalsh(total * np.outer(scale, scale))[0] > SINGULAR)
