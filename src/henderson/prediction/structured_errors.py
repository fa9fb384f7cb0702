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

of which tr(AΩ) is asked for, Ω the covariance of the estimates of ψ (`rules`). The parts of c are in `targets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.design.replay import NewTerm
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.related_rows import RelatedForms
from henderson.engine.residual.row_forms import StructuredForms, structured_forms
from henderson.prediction.errors import RowVariances
from henderson.prediction.rules import Rule, RuleAtFit
from henderson.prediction.targets import Asked, alone, covariances, in_basis, parts_in

FloatArray = np.ndarray

#: rows whose errors are computed together
CHUNK = 2048
#: doubles of the derivatives of a chunk's covariances with a block
AT_ONCE = 1 << 22
#: variance left of a target, relative to its own, that is zero but for rounding: a row that was observed
OBSERVED = 1e-10


class Sums(NamedTuple):
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
        self.fit, self.rule, self._at = fit, rule, RuleAtFit(fit, rule)
        self.model = fit.blocks

    @cached_property
    def psi(self) -> FloatArray:
        """(G, ψ) of the working basis, (k,)."""
        return self.fit.psi_working

    @property
    def phi(self) -> FloatArray:
        """Φ, (p, p)."""
        return self._at.fitted.phi

    @property
    def omega(self) -> FloatArray | None:
        """Ω by which is added what the estimation of the parameters adds; None where they are known."""
        return self._at.added_by

    @cached_property
    def forms(self) -> StructuredForms | RelatedForms:
        return structured_forms(self.model, self.fit.block_point, self.fit.observed)

    @cached_property
    def _first(self) -> FloatArray:
        """F1_a of [X y], (k, p + 1, p + 1)."""
        return self._at.fitted.relative.f1

    @cached_property
    def _second(self) -> FloatArray:
        """Σ Ω_ab (F2_ab − F1_aΦF1_b), (p, p)."""
        omega, p, first = self._at.added_by, self.model.p, self._first
        assert omega is not None
        whole = self._at.fitted.relative.second.weighted(omega, p + 1)[:p, :p]
        own = first[:, :p, :p]
        return whole - np.einsum("aij,jk,akl->il", own, self._at.fitted.phi, np.tensordot(omega, own, 1), optimize=True)

    @cached_property
    def block_of(self) -> tuple[np.ndarray, np.ndarray]:
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
        asked = self.asked(X, terms, own, places, known)
        m, k = len(X), self.model.k if self.rule is not None else 0
        variance, slope, added = np.empty(m), np.empty((m, k)), np.zeros(m)
        order = np.argsort(self._main_block(asked), kind="stable")
        for start in range(0, m, CHUNK):
            here = order[start : start + CHUNK]
            variance[here], slope[here], added[here] = self._errors(asked[here], observed)
        return self.in_user_units(variance, slope, added)

    def asked(
        self, X: FloatArray, terms: Sequence[NewTerm | None], own: FloatArray, places: ResidualRows | None, known: bool
    ) -> Asked:
        """What rows ask for, in the working basis."""
        return Asked(self.model.basis.combinations(X), in_basis(terms, self.model.roots), places, own, known)

    def in_user_units(self, variance: FloatArray, slope: FloatArray, added: FloatArray) -> RowVariances:
        """Of v (m,), ∂v (m, k) and tr(AΩ) (m,), with degrees of freedom."""
        scale = self.fit.scale
        times = 0.0 if self.rule is None else self.rule.times
        return RowVariances(scale * variance, scale * times * np.maximum(added, 0.0), self._at.df(variance, slope))

    def _main_block(self, asked: Asked) -> np.ndarray:
        """A block that each target has a part in, (m,); −1 for none."""
        out = np.full(len(asked.x), -1)
        for target, block in self._parts_in(asked):
            out[target] = block
        return out

    def _parts_in(self, asked: Asked) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Targets and a block that each has a part in."""
        return parts_in(asked, self.fit, self.block_of[1]) if asked.has_known else iter(())

    def _errors(self, asked: Asked, observed: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """v (m,), ∂v (m, k) and tr(AΩ) (m,) of some rows."""
        return self.of_sums(asked.x, self._sums(asked), observed)

    def of_sums(self, x: FloatArray, sums: Sums, observed: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The same of targets with the fixed columns x (m, p), from what they share with the rows."""
        p = self.model.p
        d = x - sums.sx
        delta = d @ self.phi
        variance = sums.left + (d * delta).sum(1)
        if self.rule is None:
            return variance, sums.slope, np.zeros(len(d))
        first = self._first[:, :p, :p]
        along = np.einsum("aij,mj->mai", first, delta, optimize=True)
        slope = sums.slope - 2 * np.einsum("mai,mi->ma", sums.xr, delta) + np.einsum("mai,mi->ma", along, delta)
        omega = self._at.added_by
        assert omega is not None
        if observed:
            shift = self._first[:, :p] @ self._at.fitted.residual_direction
            moved = (sums.moved - delta @ shift.T) / np.sqrt(self.fit.scale)
            return variance, slope, ((moved @ omega) * moved).sum(1)
        # δ'(F2 − F1ΦF1)δ is in `_second`; what remains of h'Φh has X'Sr
        added = sums.rr - 2 * (sums.rx * delta).sum(1) + ((delta @ self._second) * delta).sum(1)
        turned = np.einsum("ab,mbi->mai", omega, sums.xr, optimize=True) @ self._at.fitted.phi
        added -= np.einsum("mai,mai->m", turned, sums.xr - 2 * along)
        return variance, slope, added

    # ---- what targets share with the blocks that they have a part in

    def _sums(self, asked: Asked) -> Sums:
        """Sums over blocks."""
        out = self._no_sums(asked)
        k = out.slope.shape[1]
        self._add_own(asked, out)
        found = list(self._parts_in(asked))
        if not found:
            return out
        first, _ = self.block_of
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

    def _no_sums(self, asked: Asked) -> Sums:
        """Zeros."""
        m, p = asked.x.shape
        k = self.model.k if self.rule is not None else 0
        return Sums(
            np.zeros(m), np.zeros((m, p)), np.zeros((m, k)), np.zeros((m, k, p)), np.zeros((m, k)), np.zeros(m),
            np.zeros((m, p)),
        )  # fmt: skip

    def _add_own(self, asked: Asked, out: Sums) -> None:
        """g, and its derivatives."""
        model, has_slope = self.model, out.slope.shape[1] > 0
        for new, layout, to in zip(asked.terms, model.layouts, model.g_of):
            if new is None:
                continue
            z = new.columns
            if new.loadings is not None:
                z = np.sqrt(np.asarray(new.loadings.power(2).sum(axis=1)).ravel())[:, None]
            out.left[:] += np.einsum("ma,ab,mb->m", z, layout.covariance(self.psi[to]), z, optimize=True)
            if has_slope:
                out.slope[:, to] += np.einsum("ma,iab,mb->mi", z, layout.basis(), z, optimize=True)
        if asked.places is None:
            return
        places = alone(asked.places)
        own = self.psi[model.n_g :]
        out.left[:] += model.residual.cov(own, *places)[:, 0, 0] * asked.own
        if has_slope:
            out.slope[:, model.n_g :] += model.residual.first(own, *places)[:, :, 0, 0].T * asked.own[:, None]

    def _add(self, out: Sums, asked: Asked, number: int, u: int, targets: np.ndarray, blocks: np.ndarray) -> None:
        """What targets share with blocks (t,) of one unit."""
        model, forms, k = self.model, self.forms, out.slope.shape[1]
        part, factored = model.parts[number], self.fit.block_point.factored[number]
        rows, S = part.batch.rows[blocks], factored.S[u]
        c, ca = covariances(asked[targets], self.fit, self.psi, part.batch, u, blocks, derivatives=k > 0)
        vx = forms.vx[rows]
        s = c @ S
        np.subtract.at(out.left, targets, (c * s).sum(1))
        np.add.at(out.sx, targets, np.einsum("tn,tnp->tp", c, vx))
        if not k:
            return
        assert self._at.added_by is not None
        Va = model.first(self.psi, part.batch[np.array([u])])[:, 0]
        Vs = np.einsum("anm,tm->atn", Va, s, optimize=True)
        r = ca - Vs
        np.add.at(out.slope, targets, np.einsum("atn,tn->ta", Vs - 2 * ca, s))
        np.add.at(out.xr, targets, np.einsum("atn,tnp->tap", r, vx, optimize=True))
        np.add.at(out.moved, targets, np.einsum("atn,tn->ta", r, forms.e[rows]))
        weighted = np.tensordot(self._at.added_by, r @ S, 1)
        np.add.at(out.rr, targets, np.einsum("atn,atn->t", r, weighted))
        inner = np.einsum("anm,atm->tn", Va, weighted, optimize=True)
        np.add.at(out.rx, targets, np.einsum("tn,tnp->tp", inner, vx))
