"""Predictions that are given responses of other new rows.

Given the rows that were fitted, y, new responses y₁ (the rows K) and what is asked for, u, are jointly normal. With
μ = Xβ̂ + C'S(y − Xβ̂), S = V⁻¹ and C their covariances with y, the joint covariance of their errors at known β is

    J = Γ − C'SC,       Γ their covariance among each other

and the best predictor of u at given variances is û = μ_u + w'(y₁ − μ₁), w = J_KK⁻¹J_Ku. Its error is that of predicting
the combination t = u − w'y₁ from y alone, so that `structured_errors` has v, ∂v and A of it: of the combinations
c_t = c_u − C₁w, x_t = x_u − X₁'w, and so on. Beside them w moves with the variances along a parameter a,

    w_a = J_KK⁻¹(∂_aJ_Ku − ∂_aJ_KK w)       ∂_aJ = Γ_a − C_a's − s'C_a + s'V_as,  s = SC

    ∂_av: − 2 w_a'D₁'Φd_t                   A_ab: + w_a'(J_KK + D₁'ΦD₁)w_b,       d = x − X'Sc

since J_tt is least at w, and the errors of best predictors, y₁ − μ₁, are uncorrelated with error contrasts of y.
β̂ is that of the rows that were fitted.

Of a fit that has let its rows go, rows of a series that it had stand in for those of its own: they are y, not y₁.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import TermRows
from henderson.design.replay import Wanted
from henderson.numerics.linalg import positive_inverse
from henderson.prediction.errors import RowVariances
from henderson.prediction.structured_errors import StructuredErrors, Sums
from henderson.prediction.targets import Asked, covariances, parts_in

FloatArray = np.ndarray

#: eigenvalue of a correlation matrix of responses that is zero but for rounding
SINGULAR = 1e-12


@dataclass(frozen=True)
class NewRows:
    """m new rows, each as what its response is, and as what is asked of it.

    Attributes
    ----------
    whole : Asked
        The response: all random terms, and the residual.
    asked : Asked
        What is to be predicted: some of the terms, or new levels of them, and the residual.
    wanted : tuple of {"known", "new", None}
        What is asked of each term.
    levels : tuple of TermRows
        Of each term, in the working basis; levels that the fit does not have are numbered, too.
    places : ResidualRows
        With series that the fit does not have numbered.
    mean : (m,) array
        Xβ̂ and the offset.
    """

    whole: Asked
    asked: Asked
    wanted: tuple[Wanted, ...]
    levels: tuple[TermRows, ...]
    places: ResidualRows
    mean: FloatArray


class Shared(NamedTuple):
    """What r targets share with a block of n rows that were observed: c (r, n) and c_a (k, r, n); of these rows
    S (n, n), V_a (k, n, n), SX (n, p) and S(y − Xβ̂) (n,), y in the user's unit."""

    c: FloatArray
    ca: FloatArray
    S: FloatArray
    va: FloatArray
    sx: FloatArray
    se: FloatArray


class Joint(NamedTuple):
    """`Sums` of r targets, those that are quadratic with all products of two: J (r, r), X'Sc (r, p), ∂_aJ (k, r, r),
    X'Sr_a (k, r, p), r_a'S(y − Xβ̂) (k, r), Σ Ω_ab r_a'Sr_b (r, r), Σ Ω_ab X'SV_bSr_a (r, p); and μ (r,)."""

    left: FloatArray
    sx: FloatArray
    slope: FloatArray
    xr: FloatArray
    moved: FloatArray
    rr: FloatArray
    rx: FloatArray
    mu: FloatArray

    def combined(self, L: FloatArray) -> Sums:
        """Of the combinations L (r, t) of targets."""
        return Sums(
            np.einsum("rt,rs,st->t", L, self.left, L, optimize=True),
            L.T @ self.sx,
            np.einsum("rt,ars,st->ta", L, self.slope, L, optimize=True),
            np.einsum("rt,arp->tap", L, self.xr, optimize=True),
            np.einsum("rt,ar->ta", L, self.moved, optimize=True),
            np.einsum("rt,rs,st->t", L, self.rr, L, optimize=True),
            L.T @ self.rx,
        )


@dataclass(frozen=True)
class Conditioned:
    """Predictions of some of the new rows given the responses of others.

    Attributes
    ----------
    errors : StructuredErrors
    rows : NewRows
    stand_in : bool
        Whether rows of series that the fit has stand in for its own.
    """

    errors: StructuredErrors
    rows: NewRows
    stand_in: bool

    def __call__(
        self, given: np.ndarray, y: FloatArray, targets: np.ndarray, *, se: bool, observed: bool
    ) -> tuple[FloatArray, RowVariances | None]:
        """Estimates (t,) and errors.

        Parameters
        ----------
        given, targets : int arrays
            Rows whose responses are given, and rows that are predicted.
        y : (len(given),) array
            The responses.
        se : bool
            Whether errors are wanted.
        observed : bool
            See `StructuredErrors`.
        """
        is_own = (self.rows.whole.places.codes[given] >= 0) & self.stand_in  # type: ignore[union-attr]
        order = np.argsort(~is_own, kind="stable")
        given, y, n_own = given[order], y[order], int(is_own.sum())
        rows, omega = self.rows, self.errors.omega if se else None
        gamma, along = self._among(given, targets, derivatives=omega is not None)
        x = np.vstack([rows.whole.x[given], rows.asked.x[targets]])
        mean = np.append(rows.mean[given], rows.mean[targets])
        if n_own:
            shared = [_stand_ins(gamma, along, x, y - mean[: len(y)], n_own)]
        else:
            shared = list(self._blocks(given, targets, derivatives=omega is not None))
        gamma, along, x, mean, y = gamma[n_own:, n_own:], along[:, n_own:, n_own:], x[n_own:], mean[n_own:], y[n_own:]
        joint = _joint(gamma, along, x, mean, shared, omega)
        K = len(y)
        inverse, e = positive_inverse(joint.left[:K, :K], SINGULAR).matrix, y - joint.mu[:K]
        w = inverse @ joint.left[:K, K:]
        estimate = joint.mu[K:] + w.T @ e
        if not se:
            return estimate, None
        L = np.vstack([-w, np.eye(len(targets))])
        sums, d, phi = joint.combined(L), x - joint.sx, self.errors.phi
        if omega is not None:
            wa = inverse @ (joint.slope[:, :K, K:] - joint.slope[:, :K, :K] @ w)
            sums.slope[:] -= 2 * np.einsum("akt,kp,tp->ta", wa, d[:K], L.T @ d @ phi, optimize=True)
            sums.moved[:] += np.einsum("akt,k->ta", wa, e)
            spread = joint.left[:K, :K] + d[:K] @ phi @ d[:K].T
            sums.rr[:] += np.einsum("akt,akt->t", wa, spread @ np.tensordot(omega, wa, 1))
        return estimate, self.errors.in_user_units(*self.errors.of_sums(L.T @ x, sums, observed))

    def _among(self, given: np.ndarray, targets: np.ndarray, *, derivatives: bool) -> tuple[FloatArray, FloatArray]:
        """Γ (r, r) of the responses and of what is asked for, and Γ_a (k, r, r)."""
        model, psi, rows = self.errors.model, self.errors.psi, self.rows
        every = np.append(given, targets)
        r, is_given = len(every), np.arange(len(every)) < len(given)
        out, along = np.zeros((r, r)), np.zeros((model.k if derivatives else 0, r, r))
        for own, wanted, layout, to in zip(rows.levels, rows.wanted, model.layouts, model.g_of):
            seen = _is_shared(wanted, is_given)
            out += np.where(seen, _alike(own, every, layout.covariance(psi[to])), 0.0)
            if derivatives:
                for a, basis in zip(range(model.k)[to], layout.basis()):
                    along[a] += np.where(seen, _alike(own, every, basis), 0.0)
        single, of = np.unique(every, return_inverse=True)
        root, own_psi = np.sqrt(rows.whole.own[single]), psi[model.n_g :]
        R = np.zeros((len(single), len(single)))
        Ra = np.zeros((len(own_psi) if derivatives else 0, *R.shape))
        codes = rows.places.codes[single]
        for code in np.unique(codes):
            here = np.flatnonzero(codes == code)
            series = _as_series(rows.places[single[here]])
            scale, at = np.outer(root[here], root[here]), np.ix_(here, here)
            R[at] = model.residual.cov(own_psi, *series)[0] * scale
            if derivatives:
                Ra[np.s_[:], at[0], at[1]] = model.residual.first(own_psi, *series)[:, 0] * scale
        out += R[np.ix_(of, of)]
        along[model.n_g :] += Ra[:, of][:, :, of]
        return out, along

    def _blocks(self, given: np.ndarray, targets: np.ndarray, *, derivatives: bool) -> Iterator[Shared]:
        """What is shared with each block of rows that the fit is of."""
        errors, several = self.errors, (self.rows.whole[given], self.rows.asked[targets])
        numbers = [
            block
            for asked in several
            if asked.has_known
            for _, block in parts_in(asked, errors.fit, errors.block_of[1])
        ]
        for number in np.unique(np.concatenate([np.zeros(0, int), *numbers])).tolist():
            k = int(np.searchsorted(errors.block_of[0], number, side="right")) - 1
            block = number - int(errors.block_of[0][k])
            batch = errors.model.parts[k].batch
            u, rows = int(batch.unit_of[block]), batch.rows[block]
            c, ca = zip(*(
                covariances(one, errors.fit, errors.psi, batch, u, np.full(len(one.x), block), derivatives=derivatives)
                for one in several
            ))  # fmt: skip
            va = errors.model.first(errors.psi, batch[np.array([u])])[:, 0] if derivatives else np.zeros((0, 0, 0))
            S, forms = errors.fit.block_point.factored[k].S[u], errors.forms
            yield Shared(np.vstack(c), np.concatenate(ca, axis=1), S, va, forms.vx[rows], forms.e[rows])


def _is_shared(wanted: Wanted, is_given: np.ndarray) -> np.ndarray | bool:
    """Whether a term's effects are the same for two rows of one level, (r, r): what is asked for may be of new levels,
    or without the term."""
    if wanted == "known":
        return True
    return is_given[:, None] & is_given if wanted is None else is_given[:, None] == is_given


def _alike(own: TermRows, rows: np.ndarray, G: FloatArray) -> FloatArray:
    """z_i'Gz_j of rows of one level, else zero."""
    if own.codes is None:
        loads = own.given_loadings[rows]
        return G[0, 0] * (loads @ loads.T).toarray()
    z, codes = own.columns[rows], own.codes[rows]
    return np.where(codes[:, None] == codes, z @ G @ z.T, 0.0)


def _as_series(places: ResidualRows) -> tuple[np.ndarray, np.ndarray | None, tuple[np.ndarray, ...]]:
    """Rows as one series, as `Residual.cov` takes them."""
    strata = None if places.strata is None else places.strata[None]
    return places.where[None], strata, tuple(v[None] for v in places.covariates)


def _stand_ins(gamma: FloatArray, along: FloatArray, x: FloatArray, e: FloatArray, n: int) -> Shared:
    """What others share with the first n of them, which stand in for a fit's own rows."""
    S = positive_inverse(gamma[:n, :n], SINGULAR).matrix
    return Shared(gamma[n:, :n], along[:, n:, :n], S, along[:, :n, :n], S @ x[:n], S @ e[:n])


def _joint(
    gamma: FloatArray,
    along: FloatArray,
    x: FloatArray,
    mean: FloatArray,
    shared: list[Shared],
    omega: FloatArray | None,
) -> Joint:
    """Sums over blocks."""
    (r, p), k = x.shape, len(along)
    out = Joint(
        gamma.copy(), np.zeros((r, p)), along.copy(), np.zeros((k, r, p)), np.zeros((k, r)), np.zeros((r, r)),
        np.zeros((r, p)), mean.copy(),
    )  # fmt: skip
    for c, ca, S, va, sx, se in shared:
        s = c @ S
        out.left[:] -= s @ c.T
        out.sx[:] += c @ sx
        out.mu[:] += c @ se
        if omega is None:
            continue
        vs = s @ va  # (k, r, n)
        turned = (vs - ca) @ s.T
        out.slope[:] += turned - s @ ca.transpose(0, 2, 1)
        left = ca - vs
        out.xr[:] += left @ sx
        out.moved[:] += left @ se
        weighted = np.tensordot(omega, left @ S, 1)
        out.rr[:] += np.einsum("arn,aqn->rq", left, weighted, optimize=True)
        out.rx[:] += np.einsum("anm,arm,np->rp", va, weighted, sx, optimize=True)
    return out
