"""Errors of predictions where residuals correlate: quadratic forms block by block, and their derivatives.

A target u of a row (random effects z'b, the residual of a series' new visit, or both) has the covariance c with y and
the variance g. All is relative to the square s² of the working response's unit, in ψ = (G, residual's). With S = V⁻¹,
d = x − X'Sc, δ = Φd, the best predictor x'β̂ + c'S(y − Xβ̂) = m'y has m = Sc + SXδ, and

    v    = g − c'Sc + d'Φd                                        the variance of its error
    ∂_av = g_a − 2c_a'm + m'V_am                                  along a parameter
    A_ab = q_a'Pq_b,  q_a = c_a − V_am,                           of its derivatives q_a'Py (Kackar and Harville 1984)

c is zero outside the blocks that the target has a part in. With s = Sc and r_a = c_a − V_as there, q_a = r_a − V_aSXδ
and, F1_a = X'SV_aSX, F2_ab = X'SV_aSV_bSX, h_a = X'Sr_a − F1_aδ,

    A_ab = r_a'Sr_b − r_a'SV_bSXδ − r_b'SV_aSXδ + δ'F2_abδ − h_a'Φh_b

of which tr(AΩ) is asked for, Ω the covariance of the estimates of ψ. The parts of c are

    random term k      √w_i z_i'G z      for rows i of the target's level       g: z'Gz
    residual           R_i,new / √w_new  for rows i of its series               g: R_new,new / w_new
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.design.replay import NewTerm
from henderson.engine.boundary import is_singular
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.row_forms import StructuredForms, structured_forms
from henderson.engine.residual.units import Batch
from henderson.inference.fit_moments import FitMoments
from henderson.inference.identified import Flat, not_identified
from henderson.prediction.errors import RowVariances, Rule

FloatArray = np.ndarray

#: rows whose errors are computed together
CHUNK = 2048
#: doubles of the derivatives of a chunk's covariances with a block
AT_ONCE = 1 << 22
#: variance left of a target, relative to its own, that is zero but for rounding: a row that was observed
OBSERVED = 1e-10


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
        terms = tuple(
            None
            if one is None
            else NewTerm(
                None if one.codes is None else one.codes[rows],
                one.columns[rows],
                None if one.loadings is None else one.loadings[rows],
            )
            for one in self.terms
        )
        places = None if self.places is None else self.places[rows]
        return Asked(self.x[rows], terms, places, self.own[rows], self.known)


class _Sums(NamedTuple):
    """Sums over the blocks of m targets: g − c'Sc, X'Sc (m, p), and of the derivatives g_a − 2c_a's + s'V_as (m, k),
    X'Sr_a (m, k, p), r_a'Sy (m, k), Σ Ω_ab r_a'Sr_b (m,), Σ Ω_ab X'SV_bSr_a (m, p)."""

    left: FloatArray
    sx: FloatArray
    slope: FloatArray
    xr: FloatArray
    moved: FloatArray
    rr: FloatArray
    rx: FloatArray


class StructuredErrors:
    """The joint covariance of (β̂, b̂ − b, ε̂ − ε) at a fit, by what rows ask of it.

    Parameters
    ----------
    fit : StructuredFit
    rule : Rule, or None
        What a method of degrees of freedom says of predictions; None: the variance parameters are taken as known.
    """

    def __init__(self, fit: StructuredFit, rule: Rule | None) -> None:
        self.fit, self.rule = fit, rule
        self.model = fit.blocks

    @cached_property
    def _fitted(self) -> FitMoments:
        return FitMoments.of(self.fit).working

    @cached_property
    def _psi(self) -> FloatArray:
        return self.fit.psi_working

    @cached_property
    def _forms(self) -> StructuredForms:
        return structured_forms(self.model, self.fit.block_point, self.fit.observed)

    @cached_property
    def _covariance(self) -> FloatArray | None:
        """Ω by which degrees of freedom go, (k, k)."""
        return None if self.rule is None else self.rule.covariance(self._fitted)

    @cached_property
    def _omega(self) -> FloatArray | None:
        """Ω by which is added, (k, k)."""
        if self.rule is not None and self.rule.singular is not None and is_singular(self.fit):
            return self.rule.singular(self._fitted)
        return self._covariance

    @cached_property
    def _flat(self) -> Flat | None:
        found = None if self.rule is None else not_identified(self.fit)
        return None if found is None else found.flat

    @cached_property
    def _first(self) -> FloatArray:
        """F1_a of [X y], (k, p + 1, p + 1)."""
        return self._fitted.relative.f1

    @cached_property
    def _second(self) -> FloatArray:
        """Σ Ω_ab (F2_ab − F1_aΦF1_b), (p, p)."""
        omega, p, first = self._omega, self.model.p, self._first
        assert omega is not None
        whole = self._fitted.relative.second.weighted(omega, p + 1)[:p, :p]
        own = first[:, :p, :p]
        return whole - np.einsum("aij,jk,akl->il", own, self._fitted.phi, np.tensordot(omega, own, 1), optimize=True)

    @cached_property
    def _block_of(self) -> tuple[np.ndarray, np.ndarray]:
        """First number of each part's blocks, and the number of each row's block, (parts + 1,) and (n,)."""
        self.fit.observed_for("standard errors of predictions with random effects, or given a series' own rows")
        first = np.cumsum([0, *(len(part.batch.rows) for part in self.model.parts)])
        rows = np.empty(self.fit.n, np.intp)
        for start, part in zip(first, self.model.parts):
            rows[part.batch.rows] = start + np.arange(len(part.batch.rows))[:, None]
        return first, rows

    def __call__(
        self,
        X: FloatArray,
        terms: Sequence[NewTerm | None],
        own: FloatArray,
        *,
        places: ResidualRows | None = None,
        known: bool = False,
        observed: bool = False,
    ) -> RowVariances:
        """Errors of m rows.

        Parameters
        ----------
        X : (m, p) array
        terms : sequence of NewTerm or None
            What each term of the design says of the rows; None: it has no part.
        own : (m,) array
            1/w of each row.
        places : ResidualRows, optional
            Where the rows stand in their series, when their residuals have a part.
        known : bool
            Whether what was observed of its series tells of a row's residual.
        observed : bool
            Take a prediction's derivatives along the parameters at these data, and not their mean square.
        """
        scaled = tuple(
            None if one is None else NewTerm(one.codes, one.columns @ T if one.loadings is None else one.columns,
                                             None if one.loadings is None else one.loadings * T[0, 0])
            for one, T in zip(terms, self.model.roots)
        )  # fmt: skip
        asked = Asked(self.model.basis.combinations(X), scaled, places, own, known)
        m, k = len(X), self.model.k if self.rule is not None else 0
        variance, slope, added = np.empty(m), np.empty((m, k)), np.zeros(m)
        order = np.argsort(self._main_block(asked), kind="stable")
        for start in range(0, m, CHUNK):
            here = order[start : start + CHUNK]
            variance[here], slope[here], added[here] = self._errors(asked[here], observed)
        scale = self.fit.scale
        times = 0.0 if self.rule is None else self.rule.times
        return RowVariances(scale * variance, scale * times * np.maximum(added, 0.0), self._df(variance, slope))

    def _main_block(self, asked: Asked) -> np.ndarray:
        """A block that each target has a part in, (m,); −1 for none."""
        out = np.full(len(asked.x), -1)
        for target, block in self._parts_in(asked):
            out[target] = block
        return out

    def _parts_in(self, asked: Asked) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Targets and a block that each has a part in."""
        if not (asked.known or any(one is not None and _has_known(one) for one in asked.terms)):
            return
        _, of_row = self._block_of
        rows = self.fit.observed
        for term, new, own in zip(self.fit.design.terms, asked.terms, rows.terms):
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
        series, residual = rows.residual, self.fit.design.residual
        if asked.known and asked.places is not None and series is not None and residual is not None:
            at = np.full(residual.n_series, -1)
            at[series.codes] = of_row
            target = np.flatnonzero(asked.places.codes >= 0)
            yield target, at[asked.places.codes[target]]

    def _errors(self, asked: Asked, observed: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """v (m,), ∂v (m, k) and tr(AΩ) (m,) of some rows."""
        sums, p = self._sums(asked), self.model.p
        d = asked.x - sums.sx
        delta = d @ self._fitted.phi
        variance = sums.left + (d * delta).sum(1)
        if self.rule is None:
            return variance, sums.slope, np.zeros(len(d))
        first = self._first[:, :p, :p]
        along = np.einsum("aij,mj->mai", first, delta, optimize=True)
        slope = sums.slope - 2 * np.einsum("mai,mi->ma", sums.xr, delta) + np.einsum("mai,mi->ma", along, delta)
        omega = self._omega
        assert omega is not None
        if observed:
            shift = self._first[:, :p] @ self._fitted.residual_direction
            moved = (sums.moved - delta @ shift.T) / np.sqrt(self.fit.scale)
            return variance, slope, ((moved @ omega) * moved).sum(1)
        # δ'(F2 − F1ΦF1)δ is in `_second`; what remains of h'Φh has X'Sr
        added = sums.rr - 2 * (sums.rx * delta).sum(1) + ((delta @ self._second) * delta).sum(1)
        turned = np.einsum("ab,mbi->mai", omega, sums.xr, optimize=True) @ self._fitted.phi
        added -= np.einsum("mai,mai->m", turned, sums.xr - 2 * along)
        return variance, slope, added

    # ---- what targets share with the blocks that they have a part in

    def _sums(self, asked: Asked) -> _Sums:
        """Sums over blocks."""
        m, p = asked.x.shape
        k = self.model.k if self.rule is not None else 0
        out = _Sums(
            np.zeros(m), np.zeros((m, p)), np.zeros((m, k)), np.zeros((m, k, p)), np.zeros((m, k)), np.zeros(m),
            np.zeros((m, p)),
        )  # fmt: skip
        self._add_own(asked, out)
        found = list(self._parts_in(asked))
        if not found:
            return out
        first, _ = self._block_of
        targets, blocks = (np.concatenate(one) for one in zip(*found))
        pairs = np.unique(np.column_stack([blocks, targets]), axis=0)
        part_of = np.searchsorted(first, pairs[:, 0], side="right") - 1
        for number in np.unique(part_of):
            batch = self.model.parts[number].batch
            inside = pairs[part_of == number]
            block = inside[:, 0] - first[number]
            unit = batch.unit_of[block]
            for u in np.unique(unit):
                here = unit == u
                step = max(1, AT_ONCE // (max(k, 1) * (batch.n + 1) ** 2))
                own_targets, own_blocks = inside[here, 1], block[here]
                for start in range(0, len(own_targets), step):
                    some = slice(start, start + step)
                    self._add(out, asked, number, int(u), own_targets[some], own_blocks[some])
        return out

    def _add_own(self, asked: Asked, out: _Sums) -> None:
        """g, and its derivatives."""
        model, has_slope = self.model, out.slope.shape[1] > 0
        for new, layout, to in zip(asked.terms, model.layouts, model.g_of):
            if new is None:
                continue
            z = new.columns
            if new.loadings is not None:
                z = np.sqrt(np.asarray(new.loadings.power(2).sum(axis=1)).ravel())[:, None]
            out.left[:] += np.einsum("ma,ab,mb->m", z, layout.covariance(self._psi[to]), z, optimize=True)
            if has_slope:
                out.slope[:, to] += np.einsum("ma,iab,mb->mi", z, layout.basis(), z, optimize=True)
        if asked.places is None:
            return
        alone = _alone(asked.places)
        own = self._psi[model.n_g :]
        out.left[:] += model.residual.cov(own, *alone)[:, 0, 0] * asked.own
        if has_slope:
            out.slope[:, model.n_g :] += model.residual.first(own, *alone)[:, :, 0, 0].T * asked.own[:, None]

    def _add(self, out: _Sums, asked: Asked, number: int, u: int, targets: np.ndarray, blocks: np.ndarray) -> None:
        """What targets share with blocks (t,) of one unit."""
        model, forms, k = self.model, self._forms, out.slope.shape[1]
        part, factored = model.parts[number], self.fit.block_point.factored[number]
        rows, S = part.batch.rows[blocks], factored.S[u]
        c, ca = self._shared(asked[targets], part.batch, u, blocks, k > 0)
        vx = forms.vx[rows]
        s = c @ S
        np.subtract.at(out.left, targets, (c * s).sum(1))
        np.add.at(out.sx, targets, np.einsum("tn,tnp->tp", c, vx))
        if not k:
            return
        assert self._omega is not None
        Va = model.first(self._psi, part.batch[np.array([u])])[:, 0]
        Vs = np.einsum("anm,tm->atn", Va, s, optimize=True)
        r = ca - Vs
        np.add.at(out.slope, targets, np.einsum("atn,tn->ta", Vs - 2 * ca, s))
        np.add.at(out.xr, targets, np.einsum("atn,tnp->tap", r, vx, optimize=True))
        np.add.at(out.moved, targets, np.einsum("atn,tn->ta", r, forms.e[rows]))
        weighted = np.tensordot(self._omega, r @ S, 1)
        np.add.at(out.rr, targets, np.einsum("atn,atn->t", r, weighted))
        inner = np.einsum("anm,atm->tn", Va, weighted, optimize=True)
        np.add.at(out.rx, targets, np.einsum("tn,tnp->tp", inner, vx))

    def _shared(
        self, asked: Asked, batch: Batch, u: int, blocks: np.ndarray, derivatives: bool
    ) -> tuple[FloatArray, FloatArray]:
        """c (t, n) of targets with a block each, and c_a (k, t, n)."""
        model, rows, at = self.model, self.fit.observed, batch.rows[blocks]
        c, ca = np.zeros(at.shape), np.zeros((model.k if derivatives else 0, *at.shape))
        for j, (new, own, layout, to) in enumerate(zip(asked.terms, rows.terms, model.layouts, model.g_of)):
            if new is None:
                continue
            G = layout.covariance(self._psi[to])
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
        places, own_psi = asked.places, self._psi[model.n_g :]
        same = (rows.residual.codes[at] == places.codes[:, None]) & (places.codes >= 0)[:, None]
        together = _with_block(places, batch, u)
        root = np.sqrt(asked.own)[:, None]
        c += np.where(same, model.residual.cov(own_psi, *together)[:, -1, :-1] * root, 0.0)
        if derivatives:
            first = model.residual.first(own_psi, *together)[:, :, -1, :-1]
            ca[model.n_g :] += np.where(same, first * root, 0.0)
        return c, ca

    def _df(self, variance: FloatArray, slope: FloatArray) -> FloatArray:
        if self.rule is None:
            return np.full(len(variance), np.inf)
        assert self._covariance is not None
        unknown = np.zeros(len(variance), bool) if self._flat is None else self._flat.touches(slope)
        if self.rule.df is not None:
            df = np.full(len(variance), self.rule.df(self.fit))
        else:
            spread = np.einsum("mi,mi->m", slope @ self._covariance, slope)
            with np.errstate(divide="ignore", invalid="ignore"):
                df = 2 * variance**2 / spread
        return np.where(unknown, np.nan, df)


def _has_known(term: NewTerm) -> bool:
    """Whether some row has a level that the fit has."""
    if term.loadings is not None:
        return bool((term.loadings.tocoo().coords[1] < term.loadings.shape[1] - 1).any())
    return term.codes is not None and bool((term.codes >= 0).any())


def _alone(places: ResidualRows) -> tuple[np.ndarray, np.ndarray | None, tuple[np.ndarray, ...]]:
    """Rows as series of one row each, as `Residual.cov` takes them."""
    strata = None if places.strata is None else places.strata[:, None]
    return places.where[:, None], strata, tuple(v[:, None] for v in places.covariates)


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
