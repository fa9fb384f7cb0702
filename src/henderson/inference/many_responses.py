"""One design, many responses: estimates, standard errors, degrees of freedom and variances of each, as arrays.

Where the array engine fits the design, blocks of responses are one computation (`engine.many`): each goes to its own
optimum, and the degrees of freedom of every coefficient and contrast follow from the same derivatives (`ddf.many`). A
response that does not end with a certificate there, and every response of a design that is too large for it, is fitted
by itself, from the design's sums and factor.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.design.variance_parameters import shown, variance_parameters
from henderson.engine.boundary import is_singular
from henderson.engine.fit import Fit, fit_design, refit
from henderson.engine.many.components import Components
from henderson.engine.many.pieces import Responses
from henderson.engine.many.refits import Refits, Refitter, singular_members
from henderson.errors import DataError
from henderson.inference.choose import infer
from henderson.inference.ddf.many import Batch, Sensitivity
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: what a design may decide by itself, and what depends on the response
DDF = ("satterthwaite", "asymptotic", "residual")
#: numbers of one response that a block is made for: two million of all, which the cache holds or nearly
BLOCK_DOUBLES, MOST = 2_000_000, 2000
#: responses that are tried for a first fit
TRIES = 20


@dataclass(frozen=True)
class ManyArrays:
    """Fits of B responses.

    Attributes
    ----------
    estimate, se, df : (B, r) arrays
        Of the rows asked for; NaN where one cannot be estimated, or a fit failed.
    variances : (B, k) array
        Standard deviations, correlations and σ, as `design.variance_parameters` lists them.
    deviance : (B,) array
    converged, singular : (B,) bool arrays
    """

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    variances: FloatArray
    deviance: FloatArray
    converged: np.ndarray
    singular: np.ndarray

    @classmethod
    def failed(cls, many: int, r: int, k: int) -> ManyArrays:
        """Of responses that could not be fitted."""
        estimate, se, df = (np.full((many, r), np.nan) for _ in range(3))
        no = np.zeros(many, bool)
        return cls(estimate, se, df, np.full((many, k), np.nan), np.full(many, np.nan), no, no.copy())

    def put(self, where: np.ndarray, other: ManyArrays, columns: Any = slice(None)) -> None:
        """Write other responses' fits in their places; `columns` says where their variances belong."""
        for field in fields(self):
            own, new = getattr(self, field.name), getattr(other, field.name)
            if field.name == "variances":
                own[np.ix_(where, np.arange(own.shape[1])[columns])] = new
            else:
                own[where] = new


@dataclass(frozen=True)
class ManyFitter:
    """Fits responses of one design.

    Attributes
    ----------
    fit : Fit
        Of one of them.
    rows : (r, p) array
        What is estimated of each: combinations of coefficients.
    ddf : str
    refitter : Refitter
    """

    fit: Fit
    rows: FloatArray
    ddf: str
    refitter: Refitter

    @classmethod
    def of(cls, design: Design, rows: Rows, y: FloatArray, wanted: FloatArray, reml: bool, ddf: str) -> ManyFitter:
        """For a design and its rows; y (n, B) has responses of which one is fitted first.

        Raises
        ------
        DataError
            When none of them can be fitted.
        """
        for b in range(min(y.shape[1], TRIES)):
            try:
                fit = fit_design(design, rows.with_response(y[:, b]), reml=reml, progress=False)
            except DataError as error:
                first = error
                continue
            return cls(fit, wanted, ddf, Refitter.of(fit))
        raise first

    @property
    def batch(self) -> int:
        """Responses fitted together."""
        parts = self.refitter.parts
        return MOST if parts is None else int(np.clip(BLOCK_DOUBLES // parts.doubles(), 1, MOST))

    @blas_threads()
    def __call__(self, y: FloatArray) -> ManyArrays:
        """Fit responses y, (n, B)."""
        parts = self.refitter.parts
        k = len(variance_parameters(self.fit.design))
        out = ManyArrays.failed(y.shape[1], len(self.rows), k)
        rest = np.arange(y.shape[1])
        if parts is not None:
            found = self._together(parts, y)
            out.put(rest, found)
            rest = np.flatnonzero(~found.converged)
        for b in rest:
            out.put(np.array([b]), self._alone(y[:, b], k))
        return out

    def _together(self, parts: Components, y: FloatArray) -> ManyArrays:
        responses = Responses.of(parts, y)
        satterthwaite = self.ddf == "satterthwaite"
        with np.errstate(all="ignore"):  # a response that cannot be fitted is said to have failed
            found = self.refitter.together(parts, responses, curvature=satterthwaite)
        refits = Refits.of_batch(self.fit, parts, found)
        kept = self.fit.kept
        able = ~(self.rows[:, ~kept] != 0).any(axis=1)
        R = self.rows[able][:, kept]
        many, r = y.shape[1], len(self.rows)
        estimate, se, df = (np.full((many, r), np.nan) for _ in range(3))
        with np.errstate(invalid="ignore", over="ignore"):
            estimate[:, able] = found.beta @ R.T
            se[:, able] = np.sqrt(np.einsum("rx,bxy,ry->br", R, found.vcov, R))
        if satterthwaite:
            batch = Batch(parts, responses, found, R, self.fit.reml)
            known = Sensitivity.of(batch, among=found.converged)
            for at, row in zip(np.flatnonzero(able), batch.turned):
                df[found.converged, at] = known.variance_and_df(row)[1]
        else:
            df[:, able] = np.inf if self.ddf == "asymptotic" else float(parts.n - parts.p)
        variances = shown(variance_parameters(self.fit.design), refits.cov, refits.sigma)
        good = found.converged & np.isfinite(se[:, able]).all(axis=1) & np.isfinite(refits.deviance)
        return ManyArrays(estimate, se, df, variances, refits.deviance, good, singular_members(parts, found))

    def _alone(self, y: FloatArray, k: int) -> ManyArrays:
        """One response by itself; from the beginning where the descent from the first fit finds no certificate."""
        try:
            fit = refit(self.fit, y, near=self.refitter.near)
            if not fit.optimum.converged and not self.fit.has_no_residual:
                fit = fit_design(self.fit.design, self.fit.rows.with_response(y), reml=self.fit.reml, progress=False)
        except DataError:
            return ManyArrays.failed(1, len(self.rows), k)
        found = infer(fit, ddf=self.ddf)
        able = found.estimable(self.rows)
        estimate, se, df = (np.full((1, len(self.rows)), np.nan) for _ in range(3))
        R = self.rows[able]
        estimate[0, able] = R @ np.nan_to_num(fit.beta)
        se[0, able], df[0, able] = found.se(R), found.df(R)
        variances = shown(
            variance_parameters(fit.design), [(lam @ lam.T)[None] for lam in fit.lam], np.array([fit.sigma])
        )
        return ManyArrays(
            estimate, se, df, variances, np.array([fit.deviance]), np.array([fit.optimum.converged]),
            np.array([is_singular(fit)]),
        )  # fmt: skip
