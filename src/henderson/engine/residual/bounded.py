"""Likelihoods without a maximum: where residual variances can go to zero since the effects fit their rows exactly.

A stratum of m rows with a variance of its own: `ident`, `diag`, each visit of us, csh, toeph, ar1h, adh. Let it go to
zero as ε², the variances of the terms K staying. With X and Z_K the columns at its rows

    d = m − rank Z_K of V's eigenvalues fall,   k = rank [X Z_K] − rank Z_K of X'V⁻¹X's grow

and y'Py stays if y lies in the span of [X Z_K] there: −2 log L is then 2d log ε (ML) or 2(d − k) log ε (REML). So

1. rank [X Z_K] = m > rank Z_K: no maximum under ML, whatever the response (`fitted_strata`, also of several strata, and
   where covariances of effects are singular). There may be a local one, unless X has effects for these rows alone
   (leverages of one): that is refused. Nor under REML, if a singular covariance has a direction at which y is fitted.
2. y in the span of X, rank X < m: none under either, for this response (a visit at which all change is zero, say).

A set S of visits whose covariances are all free (all of `us`, neighbours of `adh`), that N series have in common:
Σ_t a_t y_it = f_i with f in F = {f : X fits f at each visit alone} asks N − dim F equations of |S| − 1 ratios a_t, so

3. N − dim F < |S| (of `ad` N ≤ dim F): no maximum under ML, under REML if N > rank Σ_t a_t X_it. If the series that
   have a visit of `us` all have the same visits there is no local one: its regression on the others fits exactly.

Where rank [X Z_K] = m under REML, d = k: −2 log L has a limit as ε → 0, and may be least there. An end with no variance
left says so (`vanished`).

And of s = e^{δz} with δ → ∞, relative to the least z that X does not fit, z₀:

4. mean z < z₀: no maximum under ML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.residual.structure import ByVisit
from henderson.engine.residual.fitted_strata import DEPENDENT, FittedStrata, Stratum, rank, some
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.rows import own_variances
from henderson.errors import DataError
from henderson.sources.factors import shown_label

FloatArray = np.ndarray

#: what is left of y, which has unit variance, of rows that are fitted exactly; what a leverage lacks of one
EXACT, LEVERAGE = 1e-9, 1e-9
#: a variance, of y that has unit variance, that is on its way to zero
VANISHED = 1e-6
#: what all rows are called, whose variances have a factor in common
EVERY = "the data"
#: of strata with more rows than this times the columns of X only constant responses are looked for
SMALL = 2


@dataclass(frozen=True)
class Boundedness:
    """What is asked of a model and its rows.

    Attributes
    ----------
    model : BlockModel
    rows : Rows
    """

    model: BlockModel
    rows: Rows

    @property
    def applies(self) -> bool:
        """Whether there is a structure, and nothing held that would have to go to zero."""
        held = self.model.design.constraints
        return not self.model.residual.term.is_plain and not (held and (held.terms or held.residual is not None))

    @cached_property
    def c(self) -> FloatArray:
        """[X y] of the working basis, times √w, (n, p + 1)."""
        out = np.empty((self.rows.n, self.model.p + 1))
        self.model.basis.rows(self.rows, out)
        return out

    @property
    def X(self) -> FloatArray:
        """(n, p)."""
        return self.c[:, :-1]

    @cached_property
    def strata(self) -> list[Stratum]:
        """All that have a variance."""
        return list(_strata(self.model, self.rows))

    def check(self) -> None:
        """Refuse a likelihood that has no maximum, not even a local one, whatever the response.

        Raises
        ------
        DataError
            Naming the stratum or the visits.
        """
        if not self.applies:
            return
        label = self.model.residual.term.label
        for stratum in self.strata if not self.model.reml else ():
            if len(stratum.rows) <= self.model.p and self._has_effects_of_its_own(stratum):
                raise DataError(
                    f"{label}: the likelihood has no maximum, since the fixed effects fit the {len(stratum.rows)} rows "
                    f"of {stratum.name} exactly, and it grows for ever as their variance goes to zero. It takes fewer "
                    "effects, or more rows there"
                )
        for sets in self._sets():
            if text := next(sets.without_any(self.model.reml), ""):
                raise DataError(f"{label}: {text}")

    def reason(self, inside: bool) -> str:
        """Why there is no maximum, for this response or for any; empty where nothing is known of that.

        `inside`: of an end that is a local one: if more than two visits could have a singular covariance is not asked
        then, and of many rows only if their response is constant.
        """
        if not self.applies:
            return ""
        if names := self._exactly_fitted(every=not inside):
            return (
                f"the likelihood has no maximum: the fixed effects fit {self.model.design.y_name} exactly in all rows "
                f"of {some(names)}, and it grows for ever as the residual variance there goes to zero"
            )
        found: Iterator[str] = chain.from_iterable(sets.singular(self.model.reml, inside) for sets in self._sets())
        return self.known or next(found, "")

    @cached_property
    def known(self) -> str:
        """Why there is no maximum, as far as no search tells: cases 1 and 4."""
        if not self.applies:
            return ""
        every = Stratum(EVERY, np.arange(self.rows.n))
        of_strata = FittedStrata(self.model, self.rows, self.X, (*self.strata, every))
        found: Iterator[str] = map(str, of_strata.met(self.c[:, -1]))
        if not self.model.reml:
            found = chain(map(str, of_strata.found()), self._exponents(), found)
        return next(found, "")

    def vanished(self, psi: FloatArray) -> str:
        """Variances that REML has let go to zero since the fixed effects fit their rows whatever the response is.

        Parameters
        ----------
        psi : (r,) array
            Of the structure, in the unit of the working basis.
        """
        if not (self.applies and self.model.reml):
            return ""
        assert self.rows.residual is not None
        found = []
        for stratum in self.strata:
            own = stratum.rows
            if len(own) <= self.model.p and rank(self.X[own]) == len(own):
                left = own_variances(self.model.residual, psi, self.rows.residual[own])
                if left.max() < VANISHED:
                    found.append(f"the variance of {stratum.name}, whose {len(own)} rows the fixed effects fit exactly")
        return some(found)

    # ---- strata

    def _has_effects_of_its_own(self, stratum: Stratum) -> bool:
        """Whether each of the rows has leverage one."""
        own = self.X[stratum.rows]
        left = np.linalg.solve(self.X.T @ self.X, own.T)
        return bool((np.einsum("ip,pi->i", own, left) > 1 - LEVERAGE).all())

    def _exactly_fitted(self, *, every: bool) -> list[str]:
        """Case 2: names of the strata; `every`: of large ones, too, whose responses are not constant."""
        y, found = self.rows.response, []
        for stratum in self.strata:
            own = stratum.rows
            if not (every or len(own) <= SMALL * self.model.p or np.ptp(y[own]) == 0.0):
                continue
            X, left = self.X[own], self.c[own, -1]
            fitted = X @ np.linalg.lstsq(X, left, rcond=DEPENDENT)[0]
            if np.abs(left - fitted).max() < EXACT and rank(X) < len(own):
                found.append(stratum.name)
        return found

    # ---- exponents

    def _exponents(self) -> Iterator[str]:
        """Case 4, and the same with δ → −∞."""
        assert self.rows.residual is not None
        for function, values in zip(self.model.residual.variance, self.rows.residual.covariates):
            if function.kinds != ("exponent",) or function.term.of_fitted:
                continue
            exponent = function.exponent(values)
            for z, way, where in ((exponent, "grows", "smallest"), (-exponent, "falls", "largest")):
                fitted = _prefix(z, self.X)
                if not fitted.any() or (z - z[~fitted].min()).sum() > -EXACT * np.ptp(z):
                    continue
                several = "row" if fitted.sum() == 1 else f"{int(fitted.sum())} rows"
                yield (
                    f"the likelihood has no maximum: the fixed effects can fit the {several} with the {where} "
                    f"{function.term.name} exactly, and it grows for ever as the exponent of {function.term.label} "
                    f"{way}"
                )

    # ---- sets of visits

    def _sets(self) -> list[Sets]:
        """Of each stratum's matrix, where no variance function stands beside it."""
        structure, term, series = self.model.residual.structure, self.model.residual.term, self.rows.residual
        assert series is not None
        if self.model.residual.variance or not isinstance(structure, ByVisit) or not structure.free_pairs:
            return []
        row_of = np.full((term.n_series, term.n_visits), -1, np.intp)
        row_of[series.codes, series.where] = np.arange(self.rows.n)
        stratum_of = np.zeros(term.n_series, np.intp)
        if series.strata is not None:
            stratum_of[series.codes] = series.strata
        among = [f" with {term.stratum} {shown_label(label)}" for label in term.strata] or [""]
        return [Sets(self, structure, row_of[stratum_of == k], f"{term.group}{more}") for k, more in enumerate(among)]


@dataclass(frozen=True)
class Sets:
    """Series and the visits that they have in common.

    Attributes
    ----------
    of : Boundedness
    structure : ByVisit
    row_of : (N, T) intp array
        Row of each series at each visit, −1 where it has none.
    series : str
        What they are called.
    """

    of: Boundedness
    structure: ByVisit
    row_of: np.ndarray
    series: str

    @cached_property
    def present(self) -> np.ndarray:
        """(N, T) bool."""
        return self.row_of >= 0

    @property
    def all_free(self) -> bool:
        """Whether every covariance is a parameter."""
        T = self.structure.n_visits
        return self.structure.has_own_variances and 2 * len(self.structure.free_pairs) == T * (T - 1)

    def without_any(self, reml: bool) -> Iterator[str]:
        """Case 3, of a visit whose series all have the same visits: there is no local maximum."""
        for visit in range(self.structure.n_visits) if self.all_free else ():
            members = np.flatnonzero(self.present[:, visit])
            visits = np.flatnonzero(self.present[members].all(axis=0))
            if len(visits) > 1 and (self.present[members].sum(axis=1) == len(visits)).all():
                yield from self._asked(members, visits, reml, "is")

    def singular(self, reml: bool, inside: bool) -> Iterator[str]:
        """Case 3, of pairs of visits; and of all that series with a pair have in common, unless an end is `inside`."""
        counts = self.present.T.astype(float) @ self.present
        limit = self.of.model.p + self.structure.n_visits
        for one, other in self.structure.free_pairs:
            if not 0 < counts[one, other] < limit:
                continue
            members = np.flatnonzero(self.present[:, one] & self.present[:, other])
            yield from self._asked(members, np.array([one, other]), reml, "can be")
            if not inside and self.all_free:
                yield from self._asked(members, np.flatnonzero(self.present[members].all(axis=0)), reml, "can be")
        if not inside and self.all_free:
            everywhere = np.flatnonzero(self.present.all(axis=1))
            yield from self._asked(everywhere, np.arange(self.structure.n_visits), reml, "can be")

    def _asked(self, members: np.ndarray, visits: np.ndarray, reml: bool, may: str) -> Iterator[str]:
        """What is said of series and visits whose covariance may be singular, if it is so."""
        n, free = len(members), len(visits) - 1 if self.structure.has_own_variances else 0
        if not 0 < n <= self.of.model.p + free:
            return
        X = self.of.X[self.row_of[np.ix_(members, visits)]]
        fitted = common(X)
        mixed = np.einsum("t,itp->ip", np.cos(np.arange(1.0, len(visits) + 1)), X)
        if n - fitted > free or (reml and rank(mixed) == n):
            return
        labels = self.of.model.residual.term.visits
        assert labels is not None
        named = ", ".join(shown_label(labels[t]) for t in visits)
        yield (
            f"the likelihood has no maximum: {n} {self.series} have all of {named}, and the fixed effects fit {fitted} "
            f"there, so the covariance of these visits {may} singular, towards which it grows for ever. It takes "
            f"{fitted + free + 1} of them, fewer effects, or a structure with fewer parameters (ar1h, csh, ar1, cs)"
        )


def _strata(model: BlockModel, rows: Rows) -> Iterator[Stratum]:
    """All strata that have a variance, with their names."""
    term, residual, series = model.residual.term, model.residual, rows.residual
    assert series is not None
    kinds: list[tuple[np.ndarray, list[str]]] = []
    structure = residual.structure
    if isinstance(structure, ByVisit) and structure.has_own_variances:
        assert term.visits is not None
        visits = [f"{' and '.join(term.places)} {shown_label(label)}" for label in term.visits]
        among = [f" with {term.stratum} {shown_label(label)}" for label in term.strata] or [""]
        own = np.zeros(rows.n, np.intp) if series.strata is None else series.strata
        kinds.append((own * term.n_visits + series.where, [visit + more for more in among for visit in visits]))
    for own_term, covariate in zip(term.variance, series.covariates):
        if own_term.kind == "ident":
            kinds.append((covariate, [f"{own_term.name} {shown_label(label)}" for label in own_term.strata]))
    for codes, names in kinds:
        order = np.argsort(codes, kind="stable")
        ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
        for name, start, stop in zip(names, ends, ends[1:]):
            if stop > start:
                yield Stratum(name, order[start:stop])


def _prefix(z: FloatArray, X: FloatArray) -> np.ndarray:
    """The rows with the least z that X fits exactly whatever the response, whole sets of equal ones, (n,) bool."""
    order = np.argsort(z, kind="stable")
    found = 0
    for m in range(1, min(X.shape[1], len(z) - 1) + 1):
        if rank(X[order[:m]]) < m:
            break
        if z[order[m]] > z[order[m - 1]]:
            found = m
    out = np.zeros(len(z), bool)
    out[order[:found]] = True
    return out


def common(X: FloatArray) -> int:
    """Dimension of the f (N,) that X (N, S, p) fits at each of the visits alone."""
    n, size, p = X.shape
    left, values, _ = np.linalg.svd(X.reshape(n * size, p), full_matrices=False)
    U = left[:, values > DEPENDENT * values.max(initial=0.0)].reshape(n, size, -1)
    gram = size * np.eye(n) - np.einsum("itr,jtr->ij", U, U)
    return int((np.linalg.eigvalsh(gram) < DEPENDENT).sum())
