"""Fits of many responses, or of many resampled data sets, with whatever suits the size of the model.

Where the components of the design are small, all replicates are one array computation (`engine.many.fits`); where they
are not, the engine fits one after another, from the original fit: its pattern, all sums without y, and its factor at
the optimum serve every replicate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import linalg

from henderson.covariance.layout import layout_of
from henderson.covariance.roots import triangular
from henderson.engine.boundary import SINGULAR
from henderson.engine.criterion import Evaluation
from henderson.engine.fit import Fit, refit
from henderson.engine.many.components import Components, components
from henderson.engine.many.elsewhere import Elsewhere
from henderson.engine.many.fits import BatchFit, fit_batch
from henderson.engine.many.pieces import Responses
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.search.look import Look
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: effects of a component above which fits go one by one
LARGEST = 64
#: numbers in memory for one response above which the engine, one by one, is the faster
MOST_DOUBLES = 60_000
#: the same for what the engine does not do as well: one response, resampled or profiled
MOST_DOUBLES_ALONE = 2_000_000
#: decrease of the deviance predicted at which a replicate takes its last step: about 1e-6 is left to gain, an estimate
#: is within a thousandth of its own spread, and a thousand replicates tell that to three hundredths
NEGLIGIBLE = 3e-3
#: numbers in memory for a batch
BATCH_DOUBLES = 8_000_000


@dataclass(frozen=True)
class Refits:
    """Fits of B replicates.

    Attributes
    ----------
    beta : (B, p) array
        NaN for redundant columns, and where a fit failed.
    cov : tuple of (B, q, q) arrays
        Relative covariance of each term of the design.
    sigma, deviance : (B,) arrays
    converged : (B,) bool array
    vcov : (B, p, p) array
        σ² (X'V⁻¹X)⁻¹, NaN likewise.
    lam : tuple of (B, q, q) arrays
        A root of each `cov`, which has the digits that a covariance loses where a covariate is far from zero; NaN where
        a variance is negative.
    turned : (B, p_kept, p_kept) array
        `vcov` between the coefficients of the basis of the fit, where none is lost; NaN where a column was dropped.
    psi : (B, r) array, or None
        Parameters of the residuals' structure, where they have one.
    """

    beta: FloatArray
    cov: tuple[FloatArray, ...]
    sigma: FloatArray
    deviance: FloatArray
    converged: np.ndarray
    vcov: FloatArray
    lam: tuple[FloatArray, ...]
    turned: FloatArray
    psi: FloatArray | None = None

    @classmethod
    def of_batch(cls, fit: Fit, parts: Components, batch: BatchFit) -> Refits:
        """From an array computation."""
        beta = np.full((len(batch.sigma), len(fit.kept)), np.nan)
        beta[:, fit.kept] = batch.beta
        users = np.einsum("rs,sub->bru", parts.basis, batch.root)
        to_fit = fit.basis.from_beta @ linalg.solve_triangular(parts.x_basis, np.eye(parts.p))
        return cls(
            beta,
            tuple(batch.cov[:, term, term] for term in parts.layout.terms),
            batch.sigma,
            batch.deviance,
            batch.converged,
            _among_all(batch.vcov, fit.kept),
            tuple(users[:, term, term] for term in parts.layout.terms),
            to_fit @ np.einsum("b,xub->bxu", batch.sigma**2, batch.at.s_inverse) @ to_fit.T,
        )

    @classmethod
    def of_fits(cls, fit: Fit, fits: list[Fit]) -> Refits:
        """From single fits of the design of a fit."""
        return cls(
            np.array([f.beta for f in fits]),
            tuple(np.array([f.covariances[k] for f in fits]) for k in range(len(fits[0].lam))),
            np.array([f.sigma for f in fits]),
            np.array([f.deviance for f in fits]),
            np.array([f.optimum.converged for f in fits]),
            np.array([_among_all(f.vcov, f.kept) for f in fits]),
            tuple(np.array([f.lam[k] for f in fits]) for k in range(len(fits[0].lam))),
            np.array([_turned(f, fit) for f in fits]),
            np.array([_residual_parameters(f) for f in fits]) if isinstance(fit, StructuredFit) else None,
        )

    @classmethod
    def joined(cls, parts: list[Refits]) -> Refits:
        """One after another."""
        return cls(
            np.concatenate([p.beta for p in parts]),
            tuple(np.concatenate(c) for c in zip(*(p.cov for p in parts))),
            np.concatenate([p.sigma for p in parts]),
            np.concatenate([p.deviance for p in parts]),
            np.concatenate([p.converged for p in parts]),
            np.concatenate([p.vcov for p in parts]),
            tuple(np.concatenate(lam) for lam in zip(*(p.lam for p in parts))),
            np.concatenate([p.turned for p in parts]),
            None if parts[0].psi is None else np.concatenate([p.psi for p in parts if p.psi is not None]),
        )

    def __getitem__(self, which: np.ndarray) -> Refits:
        """Some of the replicates."""
        return Refits(
            self.beta[which],
            tuple(c[which] for c in self.cov),
            self.sigma[which],
            self.deviance[which],
            self.converged[which],
            self.vcov[which],
            tuple(lam[which] for lam in self.lam),
            self.turned[which],
            None if self.psi is None else self.psi[which],
        )

    def without_failures(self) -> Refits:
        """NaN where a fit failed."""
        bad = ~self.converged
        return replace(
            self,
            beta=np.where(bad[:, None], np.nan, self.beta),
            cov=tuple(np.where(bad[:, None, None], np.nan, c) for c in self.cov),
            sigma=np.where(bad, np.nan, self.sigma),
            vcov=np.where(bad[:, None, None], np.nan, self.vcov),
            lam=tuple(np.where(bad[:, None, None], np.nan, lam) for lam in self.lam),
            turned=np.where(bad[:, None, None], np.nan, self.turned),
            psi=None if self.psi is None else np.where(bad[:, None], np.nan, self.psi),
        )


def _among_all(vcov: FloatArray, kept: np.ndarray) -> FloatArray:
    """Covariances (…, p_kept, p_kept) among all columns, (…, p, p), NaN where one was dropped."""
    out = np.full((*vcov.shape[:-2], len(kept), len(kept)), np.nan)
    out[..., kept[:, None] & kept] = vcov.reshape(*vcov.shape[:-2], -1)
    return out


def _residual_parameters(fit: Fit) -> FloatArray:
    """ψ; of independent residuals, whose variance may be zero in one fit of a design and not in another, σ²."""
    return fit.psi if isinstance(fit, StructuredFit) else np.array([fit.sigma**2])


def _turned(own: Fit, fit: Fit) -> FloatArray:
    """Var(β̂) of one fit between the coefficients of another's basis, (p_kept, p_kept)."""
    if (own.kept != fit.kept).any():
        return np.full((int(fit.kept.sum()),) * 2, np.nan)
    to_fit = np.eye(own.basis.p) if own.basis is fit.basis else fit.basis.from_beta @ own.basis.to_beta
    return np.asarray(to_fit @ own.turned_vcov @ to_fit.T)


@dataclass(frozen=True)
class Refitter:
    """How a fit's design is fitted again to other responses.

    Attributes
    ----------
    fit : Fit
    parts : Components, or None
        None: one by one.
    batch : int
        Replicates fitted together.
    """

    fit: Fit
    parts: Components | None
    batch: int

    @classmethod
    def of(cls, fit: Fit, batch: int | None = None) -> Refitter:
        """Choose by the size of the model."""
        parts = batched_components(fit, most=MOST_DOUBLES)
        if parts is None:
            return cls(fit, None, 1)
        return cls(fit, parts, batch or int(np.clip(BATCH_DOUBLES // parts.doubles(), 1, 2000)))

    @blas_threads()
    def __call__(self, y: FloatArray) -> Refits:
        """Fit the responses y (n, B)."""
        fit, parts = self.fit, self.parts
        if parts is None:
            return Refits.of_fits(fit, [self.alone(y[:, b]) for b in range(y.shape[1])])
        return Refits.of_batch(fit, parts, self.together(parts, Responses.of(parts, y))).without_failures()

    def together(self, parts: Components, responses: Responses, curvature: bool = False) -> BatchFit:
        """Fits of responses as one computation; `curvature`: with second derivatives at the optima."""
        return fit_batch(
            parts,
            responses,
            start_of(self.fit, parts),
            reml=self.fit.reml,
            curvature=curvature,
            elsewhere=Elsewhere.of(parts.layout) if self.may_have_several_minima else None,
        )

    def alone(self, y: FloatArray, tolerance: float = NEGLIGIBLE) -> Fit:
        """The fit of one response, from the original fit, with the last step at a predicted decrease of `tolerance`."""
        return refit(self.fit, y, near=self.near, tolerance=tolerance)

    @cached_property
    def may_have_several_minima(self) -> bool:
        """Whether levels are so unlike, or so few, that other minima are looked for as in a single fit."""
        return Look.of(self.fit.criterion).is_due

    @cached_property
    def near(self) -> Evaluation | None:
        """The fit's own optimum, from which all replicates begin: it is factored once. None where residuals have a
        structure, and where their variance is zero."""
        return None if self.fit.design.residual is not None else self.fit.near()


def batched_components(
    fit: Fit,
    *,
    whiten: bool = True,
    separate: bool = False,
    most: int = MOST_DOUBLES_ALONE,
    largest: int | None = None,
) -> Components | None:
    """The design taken apart, or None where it is too large to fit many together, a λ is not linear in θ, residuals
    have a structure, or levels are related."""
    if fit.design.residual is not None or fit.design.is_related or not layout_of(fit.design.terms).linear:
        return None
    effects = sum(t.n_levels * t.n_columns**2 for t in fit.design.terms)
    if effects > 100_000:  # not even worth taking apart
        return None
    if largest_component(fit) > (LARGEST if largest is None else largest):
        return None
    parts = components(fit.design, fit.rows, fit.kept, whiten=whiten, separate=separate)
    return parts if parts.doubles() - parts.n <= most else None


def largest_component(fit: Fit) -> int:
    """Effects of the largest component."""
    from henderson.engine.many.components import effects_of_components

    return int(effects_of_components(fit.design, fit.rows).max())


def start_of(fit: Fit, parts: Components) -> FloatArray:
    """A root of the fitted relative covariance of one level's effects, (Q, Q), in the basis of the components. Of a
    slope on a covariate far from zero the covariance itself has lost its digits in the user's units."""
    root = linalg.block_diag(*(triangular(lam) for lam in fit.lam))
    return np.asarray(linalg.solve_triangular(parts.basis, root))


def singular_members(parts: Components, found: BatchFit) -> np.ndarray:
    """Which fits of a batch have a combination of random effects without variance, (B,) bool."""
    roots = np.nan_to_num(found.root.transpose(2, 0, 1))
    smallest = [np.linalg.svd(roots[:, term, term], compute_uv=False).min(axis=1) for term in parts.layout.terms]
    return np.asarray(np.min(smallest, axis=0) < SINGULAR)


def refit_all(refitter: Refitter, pieces: Iterator[tuple[slice, FloatArray]], tell: Callable[[int], None]) -> Refits:
    """Fit responses piece by piece, telling how many are done."""
    out = []
    for here, y in pieces:
        out.append(refitter(y))
        tell(here.stop)
    return Refits.joined(out)
