"""Where a search for the variance parameters of correlated rows begins, and where it begins again.

1. `starts_of`: shares of the variance for the random effects, and for the residuals what products of least-squares
   residuals say (or as if they were all but independent).
2. `of_ranges`: of rows in space, ranges at which the likelihood is higher than beside them.
3. `of_either_sign`: where rows are few, correlations that fall with the lag whatever the products say.
4. `of_exponents`: there, variances that go otherwise by a covariate.
5. `by_moments`: where effects are crossed, what sums by level say, in one pass over the rows a column.
6. `scattered`: where strata have hardly more rows than parameters, variances at random.
7. `elsewhere`: after an end of a model that has several minima, points from which another may be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from henderson.contract.constraints import is_fixed
from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.residual.distance import ByDistance
from henderson.covariance.residual.residual import Residual
from henderson.covariance.residual.starts import Lost, by_distance
from henderson.engine.residual.ends import End
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.summed import SummedModel
from henderson.numerics.scatter import Places

FloatArray = np.ndarray

#: share of the variance that random effects begin with: of the first start, and of the others
SHARES = (0.3, 0.05, 0.7)
#: share of the variance that a term has at least where moments say what it begins with; turns in which sums by level
#: are taken
LEAST, SWEEPS = 0.01, 2
#: shares of the variance that effects of single rows have beside residuals that correlate, in further starts, and
#: correlations of neighbours in these and where rows are few
NOISE, CORRELATED = (0.2, 0.5, 0.85), (0.97, 0.7, -0.6)
#: the same of effects of many rows; rows to a variance parameter below which these are tried of any fit
WHOLE, SEVERAL = (0.02, 0.6, 0.95), 50
#: rows to a variance parameter below which variances are scattered; how many times, spreads of their logarithms in
#: turn, and what share of the variance effects have then
HARDLY, DRAWS, SPREADS, MOSTLY = 3, 48, (3.0, 1.0, 2.0), 0.9
#: share of the variances that is added to a covariance of low rank to find other factors in it; descents from these
LIFTED, AGAIN = 0.3, 4
#: ranges at which the likelihood of rows in space is looked at before the first descent
ALONG = 16
#: logarithms of how many times as large standard deviations are where a covariate makes them largest, and smallest
RATIOS = np.linspace(-4.5, 4.5, 7)


def starts_of(model: BlockModel, rows: Rows) -> Iterator[FloatArray]:
    """Coordinates to begin from, the best guess first."""
    e = _least_squares(model, rows)
    assert rows.residual is not None
    found = model.residual.starts(e, rows.residual, rows.weights)
    for share in SHARES if model.layouts else (0.0,):
        for psi in found:
            yield _sharing(model, share, psi)


def of_ranges(model: BlockModel, rows: Rows, evaluate: Callable[[FloatArray], End]) -> list[FloatArray]:
    """Of a covariance by distance in space, along ranges, where the deviance at the best overall variance is lower than
    at the ranges beside, the lowest first.

    Products of residuals do not tell a range at which smooth residuals are all but determined by their neighbours, and
    the likelihood nowhere, from one a little shorter; and there may be several maxima.
    """
    assert rows.residual is not None
    structure = model.residual.structure
    if not isinstance(structure, ByDistance) or structure.places != "coordinates":
        return []
    psi = model.residual.starts(_least_squares(model, rows), rows.residual, rows.weights)[0]
    line = _along_ranges(model.residual, structure, psi, rows.residual)
    share = SHARES[0] if model.layouts else 0.0
    return _lowest_along(model, [evaluate(_sharing(model, share, one)) for one in line])


def _lowest_along(model: BlockModel, line: list[End]) -> list[FloatArray]:
    """φ of points along a line that are lower than those beside them, overall variances at their best, lowest first."""
    scaled = [at_best_scale(model, point) for point in line]
    low = [scaled[k] for k in lows(np.array([deviance for deviance, _ in scaled]))]
    return [phi for _, phi in sorted(low, key=lambda one: one[0])]


def lows(values: FloatArray) -> np.ndarray:
    """Places of values that none of their neighbours is below, the first of those that are equal."""
    before, after = np.append(np.inf, values[:-1]), np.append(values[1:], np.inf)
    return np.flatnonzero((values < before) & (values <= after))


def _along_ranges(residual: Residual, structure: ByDistance, psi: FloatArray, rows: ResidualRows) -> list[FloatArray]:
    """ψ with ranges from below the smallest distance to beyond the largest in the place of its own."""
    d, found = by_distance(np.zeros(len(rows.codes)), rows.codes, rows.where)[0], []
    for r in np.geomspace(0.5 * d.min(), 2 * d.max(), ALONG) if len(d) else ():
        found.append(psi.copy())
        for own in residual.slices[0]:
            found[-1][own] = np.concatenate([psi[own][:1], structure.of_range(r)])
    return found


def of_either_sign(model: BlockModel, rows: Rows) -> Iterator[FloatArray]:
    """Coordinates with correlations ρ^lag, ρ near one, middling and negative, whatever the products of residuals say.

    Of few rows those are mostly noise, and the optimum may have correlations of the other sign.
    """
    if model.residual.structure.memory != 0:
        for psi in _correlated(model, rows):
            yield _sharing(model, SHARES[0] if model.layouts else 0.0, psi)


def of_exponents(
    model: BlockModel, rows: Rows, point: End, evaluate: Callable[[FloatArray], End]
) -> Iterator[FloatArray]:
    """Coordinates where standard deviations grow or fall with a covariate otherwise than at a point, one exponent after
    another: where the deviance at the best overall variance is lower than at the exponents beside, the lowest first.

    Of few rows that all but determine each other the products of residuals may say the other sign.
    """
    residual = model.residual
    assert rows.residual is not None
    for own, function, v in zip(residual.slices[1], residual.variance, rows.residual.covariates):
        if function.kinds != ("exponent",) or function.term.of_fitted:
            continue
        line = []
        for ratio in RATIOS:
            psi = point.psi.copy()
            psi[model.n_g :][own] = ratio / np.ptp(function.exponent(v))
            line.append(evaluate(model.working(psi)))
        yield from _lowest_along(model, line)


def _correlated(model: BlockModel, rows: Rows) -> list[FloatArray]:
    """The structure's parameters, as if residuals correlated as powers of each of `CORRELATED`."""
    e = _least_squares(model, rows)
    assert rows.residual is not None
    return [model.residual.starts(e, rows.residual, rows.weights, rho=rho)[0] for rho in CORRELATED]


def _least_squares(model: BlockModel, rows: Rows) -> FloatArray:
    """Residuals of least squares, in units of s, (n,)."""
    c = np.empty((rows.n, model.p + 1))
    model.basis.rows(rows, c)
    return c[:, -1] if rows.weights is None else c[:, -1] / np.sqrt(rows.weights)


def _sharing(model: BlockModel, share: float, psi: FloatArray) -> FloatArray:
    """φ where the random effects have a share of the variance, each term as much."""
    sizes = [share / max(len(model.layouts), 1)] * len(model.layouts)
    return _start_of(model, sizes, np.where(model.residual.degree > 0, (1 - share) * psi, psi))


def _start_of(model: BlockModel, sizes: list[float], psi: FloatArray) -> FloatArray:
    """φ of variances of the terms' effects, all together of each, and of the structure's parameters."""
    of_g = [
        np.array([size]) if model.coordinates.is_signed(k) else layout.theta_of_cov(np.eye(layout.q) * size / layout.q)
        for k, (layout, size) in enumerate(zip(model.layouts, sizes))
    ]
    return model.coordinates.free(np.concatenate([*of_g, model.residual.working(psi)]))


def _shared(model: BlockModel, rows: Rows, point: End, evaluate: Callable[[FloatArray], End]) -> list[End]:
    """Beside residuals that correlate: of several shares of the variance that random effects may have the correlation
    with the lowest deviance.

    Either can stand for the other. Effects of about one row are noise: without it where less correlation explains every
    row, and with all but uncorrelated residuals, there may be minima of their own. Effects of many rows are what a
    correlation that hardly falls with the lag is: there may be one without them, and one with them and a lower
    correlation.
    """
    if model.residual.structure.memory == 0:
        return []
    noisy = np.array([2 * term.n_levels * term.n_columns > model.n for term in model.design.terms], bool)
    none = any(not layout.covariance(point.psi[g]).any() for layout, g in zip(model.layouts, model.g_of))
    kinds = [(NOISE, noisy), (WHOLE, ~noisy)] if none or model.n < SEVERAL * model.k else [(NOISE, noisy)]
    shared = [(share, own) for shares, own in kinds if own.any() for share in shares]
    degree, family, found = model.residual.degree, _correlated(model, rows) if shared else [], []
    for share, own in shared:
        sizes = np.where(own, share / own.sum(), SHARES[1] / len(own)).tolist()
        tried = [evaluate(_start_of(model, sizes, np.where(degree > 0, (1 - share) * psi, psi))) for psi in family]
        found.append(min(tried, key=lambda one: one.deviance))
    return found


def scattered(model: BlockModel, rows: Rows, point: End) -> Iterator[FloatArray]:
    """Coordinates with variances at random and nearly all else left to the effects, where independent residuals have
    hardly more rows than parameters.

    The likelihood has a peak wherever the effects come near to all rows of several strata at once, and no change of one
    stratum leads to most of them. The numbers are the same in every fit, and the strata take them in the order of their
    variances at a point: names and order of rows make no difference.
    """
    if not (model.layouts and model.residual.is_diagonal and model.n < HARDLY * model.k):
        return
    assert rows.residual is not None
    alike = model.residual.starts(_least_squares(model, rows), rows.residual, rows.weights)[-1]
    order, rng = np.argsort(point.psi[model.n_g :], kind="stable"), np.random.default_rng(0)
    for draw in range(DRAWS):
        psi = alike.copy()
        psi[order] *= np.exp(SPREADS[draw % len(SPREADS)] * rng.normal(size=len(psi)))
        yield _sharing(model, MOSTLY, psi)


def by_moments(model: BlockModel, rows: Rows) -> FloatArray:
    """Coordinates that sums by level say, and products of what they leave.

    1. Of each column z, b_j = Σze/d_j with d_j = Σz² in level j, in turns; the rest is e.
    2. e has lost what b has of it: to levels that hold few rows of a series each J parts in n of its squares, and
       twice as many of products; to those that hold whole series, of every product, the variance v̄ of a series' mean.
    3. G = (Σd_jb_j² − Σd_j Var(b_j)) / D, where d_j Var(b_j) is σ², or n_j v̄; D = Σd_j − Σd_j²/Σd_j, as the fixed
       effects have taken the mean of the b_j, and one level's share of their variances.
    """
    e = _least_squares(model, rows)
    residual = rows.residual
    assert residual is not None
    n, n_series = len(e), int(residual.codes.max()) + 1
    columns, holding = [], []
    series = TermRows(residual.codes, np.empty((n, 0)))
    for k, (term, own, T) in enumerate(zip(model.design.terms, rows.terms, model.roots)):
        assert own.codes is not None
        holding.append(series.owners(own.codes, n_series) is not None)
        for z in (own.columns @ T).T:
            at, d = Places.of(own.codes, term.n_levels), np.zeros(term.n_levels)
            at.add(d, z, z)
            columns.append((k, own.codes, at, z, d, np.zeros(term.n_levels)))
    for _ in range(SWEEPS):
        for _, codes, at, z, d, b in columns:
            more = np.zeros(len(d))
            at.add(more, z, e)
            more /= np.where(d > 0, d, 1.0)
            b += more
            e = e - z * more[codes]
    within = sum(holding[k] for k, *_ in columns)
    across = sum(np.count_nonzero(d) for k, *_, d, _ in columns if not holding[k])
    if 2 * (across + within * n_series) > n:
        across = within = 0
    psi = model.residual.starts(e, residual, rows.weights, lost=Lost(across / n, within))[0]
    of_mean, sizes = model.residual.variance_of_mean(psi, n // n_series), np.zeros(len(holding))
    for k, *_, d, b in columns:
        D = float(d.sum() - d @ d / d.sum())
        noise = D * of_mean if holding[k] else (np.count_nonzero(d) - 1) * psi[0]
        sizes[k] += max((float(d @ b**2) - noise) / D, LEAST * psi[0]) if D > 0 else LEAST * psi[0]
    return _start_of(model, list(sizes), psi)


def of_summed(summed: SummedModel, starts: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """The others: of each share what the residuals say, in order, and all but independent ones."""
    guesses = list(starts)
    yield from _in_order(summed, guesses[::2])
    yield from guesses[1::2]


def _in_order(summed: SummedModel, starts: list[FloatArray]) -> list[FloatArray]:
    """Starts with their overall variance at its best, the lowest deviance first."""
    found = [at_best_scale(summed.model, summed.at(phi)) for phi in starts]
    known = [one for one in found if np.isfinite(one[0])]
    return [phi for _, phi in sorted(known, key=lambda one: one[0])] or starts


def at_best_scale(model: BlockModel, point: End) -> tuple[float, FloatArray]:
    """Deviance and φ where all variances are s = r²/ν times a point's, their best: ν log s + ν − r² more; as they are
    where some are held."""
    if not np.isfinite(point.deviance) or model.design.constraints is not None:
        return point.deviance, point.theta
    scale = point.r2 / model.nu
    degree = np.concatenate([np.ones(model.n_g), model.residual.degree])
    phi = model.working(np.where(degree > 0, scale, 1.0) * point.psi)
    return float(point.deviance + model.nu * (np.log(scale) + 1) - point.r2), phi


def elsewhere(model: BlockModel, rows: Rows, point: End, evaluate: Callable[[FloatArray], End]) -> list[End]:
    """The lowest points of those from which a model with several minima is searched again: common factors in the
    bars, or noise and correlated residuals beside each other."""
    found = _shared(model, rows, point, evaluate)
    own, to, _ = model.coordinates.places
    for k, (layout, place, g) in enumerate(zip(model.layouts, own, to)):
        if is_fixed(model.design.constraints, k):
            continue
        G = layout.covariance(point.psi[g])
        for theta in layout.structures[0].restarts(G + LIFTED * np.diag(np.diag(G))):
            x = model.coordinates.whole(point.theta).copy()
            x[place] = theta
            found.append(evaluate(model.coordinates.free(x)))
    known = [one for one in found if np.isfinite(one.deviance)]
    return sorted(known, key=lambda one: one.deviance)[:AGAIN]
