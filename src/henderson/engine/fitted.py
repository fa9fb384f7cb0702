"""`Fit`: one fit as numbers in the user's units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from henderson.contract.design import Design
from henderson.contract.digest import Digest
from henderson.contract.rows import Rows, present
from henderson.covariance.structures import structure_called
from henderson.engine import iterated_levels
from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.moments import Moments
from henderson.engine.moments_at import in_user_units, moments_at, working_moments
from henderson.engine.search.start import working_theta
from henderson.engine.searched import Search
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.gram import CHUNK
from henderson.engine.sums.response import Columns
from henderson.errors import NotAvailable
from henderson.numerics.threads import blas_threads


class Penalty(NamedTuple):
    """What information criteria count: parameters, and observations as BIC and as AICc take them."""

    parameters: int
    n_bic: int
    n_aicc: int


@dataclass(frozen=True, eq=False)
class Fit:
    """One fit, in the user's units and column order.

    Attributes
    ----------
    design : Design
    reml : bool
    theta : (k,) array
        Free entries of every term's λ, term after term, diagonals ≥ 0.
    lam : tuple of (q, q) arrays
        Relative covariance factor of each term (in the design's order): Var(b_j) = σ² λλ'.
    beta : (p,) array
        Fixed effects; NaN where a redundant column was dropped.
    kept : (p,) bool array
        Columns of X that were kept.
    sigma : float
        Residual standard deviation σ (REML: r²/(n−p), ML: r²/n).
    vcov : (p_kept, p_kept) array
        σ² (X'V⁻¹X)⁻¹ over the columns kept.
    b : tuple of (J, q) arrays
        Conditional modes of the random effects, one array a term.
    deviance : float
        −2 log-likelihood, or −2 log restricted likelihood (lme4's REML criterion), at the optimum.
    optimum : Search
        How the optimum was found: evaluations, gradient norm, certificate, seconds, message.
    rest : str
        How the equations of crossed effects were solved, "exact" or "iterative".
    """

    design: Design
    reml: bool
    theta: np.ndarray
    lam: tuple[np.ndarray, ...]
    beta: np.ndarray
    kept: np.ndarray
    sigma: float
    vcov: np.ndarray
    b: tuple[np.ndarray, ...]
    deviance: float
    optimum: Search
    _rows: Rows | None = field(default=None, repr=False, compare=False)
    _built: Criterion | None = field(default=None, repr=False, compare=False)
    _near: Evaluation | None = field(default=None, repr=False, compare=False)
    _point: Evaluation | None = field(default=None, repr=False, compare=False)
    _kept: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _streamed: Any = field(default=None, repr=False, compare=False)
    rest: str = "exact"

    @property
    def n(self) -> int:
        """Rows that were fitted, whether or not they are still there."""
        return self.design.n

    @property
    def n_parameters(self) -> int:
        """Fixed effects kept, covariance parameters, and σ."""
        return int(self.kept.sum()) + self.n_variances

    @property
    def n_variances(self) -> int:
        """Covariance parameters, the residual's among them."""
        return self.n_covariances + 1

    @property
    def n_covariances(self) -> int:
        """Covariance parameters of the random effects: no more of a term than its covariance has entries."""
        terms, constraints = self.design.terms, self.design.constraints
        free = range(len(terms)) if constraints is None else constraints.free_terms(len(terms))
        return sum(structure_called(terms[k].structure).n_free(terms[k].n_columns) for k in free)

    @property
    def covariances(self) -> tuple[np.ndarray, ...]:
        """G of each term, (q, q), relative to σ²; where a variance may be negative, it may be here."""
        return tuple(one @ one.T for one in self.lam)

    def mean_variances(self, which: Sequence[np.ndarray] = ()) -> np.ndarray:
        """Mean over the rows of z_i'Gz_i, relative to σ², of each term, (m,); `which`: of some of its effects."""
        return self.digest.sizes_of(self.lam, which) / self.n

    @property
    def penalty(self) -> Penalty:
        """What information criteria count."""
        return Penalty(self.n_parameters, self.n, self.n)

    @property
    def scale(self) -> float:
        """The variance to which `moments` are relative: σ²."""
        return float(self.sigma) ** 2

    @property
    def residual_variance(self) -> float:
        """Variance of the residual of a row of weight one, on average over the rows."""
        return float(self.sigma) ** 2

    @property
    def rows(self) -> Rows:
        """The rows that were fitted, for what takes their residuals to be independent.

        Raises
        ------
        DataError
            When they were let go, or their residuals have a structure.
        """
        return self.rows_for("not possible any more" if self._rows is None else "this")

    def rows_for(self, what: str) -> Rows:
        """The same, for `what` (a method's name, say), which an error names."""
        self.refuse_structure(what)
        self._refuse_parts(what)
        return present(self._rows, what)

    @property
    def observed(self) -> Rows:
        """The rows that were fitted, however their residuals vary: for what minds that, or does not need to."""
        return self.observed_for("not possible any more")

    def observed_for(self, what: str) -> Rows:
        """The same, for `what`, which an error names when they are not there."""
        self._refuse_parts(what)
        return present(self._rows, what)

    def _refuse_parts(self, what: str) -> None:
        if self._streamed is not None:
            raise NotAvailable(
                f"{what}: this needs all rows in memory, and the fit read them in parts, from "
                f"{self._streamed.source.title}; augment() reads them again"
            )

    @property
    def streamed(self) -> Any:
        """What reads the rows again of a fit that read them in parts; None for one that has, or had, them in memory."""
        return self._streamed

    def refuse_structure(self, what: str) -> None:
        """Raise a `NotAvailable` for `what` when the residuals have a covariance structure: the one place where what
        was not made for that is kept from giving a number."""
        if (residual := self.design.residual) is not None:
            if self.has_no_residual:
                raise NotAvailable(f"{what}: not available where the residual variance is zero")
            if residual.is_plain:
                raise NotAvailable(f"{what}: not available for a model with constraints on its variances")
            raise NotAvailable(f"{what}: not available for a model with the residual structure {residual.label}")

    def refuse_constraints(self, what: str) -> None:
        """Raise a `NotAvailable` for `what`, which takes terms out, where variances are held, equal, or not bounded."""
        if self.design.constraints is not None:
            raise NotAvailable(
                f"{what}: not available for a model with constraints on its variances (fix=, same=, bound=); fit the "
                "smaller model and compare()"
            )

    def refuse_negative(self, what: str) -> None:
        """Raise a `NotAvailable` for `what` where a variance of random effects is negative: then they are no variables,
        and have no standard deviation."""
        negative = [
            term.label or term.group
            for term, own in zip(self.design.terms, self.covariances)
            if np.diag(own).min(initial=0.0) < 0
        ]
        if negative:
            raise NotAvailable(f"{what}: the variance of {', '.join(negative)} is negative, so its effects have none")

    @property
    def has_no_residual(self) -> bool:
        """Whether the residual variance is zero, since correlated effects explain every row: only `StructuredFit`s."""
        return False

    @property
    def has_rows(self) -> bool:
        """Whether the rows are still there."""
        return self._rows is not None

    @cached_property
    def digest(self) -> Digest:
        """What tables need of the rows."""
        return self._kept.get("digest") or Digest(
            self._rows,
            self.design.x_names,
            diagonals=[None if term.related is None else term.related.diagonal for term in self.design.terms],
        )

    @cached_property
    def residual_quantiles(self) -> np.ndarray:
        """Minimum, quartiles and maximum of √w (y − ŷ) / σ, (5,)."""
        if "residual_quantiles" in self._kept:
            return self._kept["residual_quantiles"]
        rows = self.observed_for("residuals")
        residuals = rows.y - rows.mean(self.beta, self.kept) - rows.random_part(self.b)
        return np.quantile(residuals / self.sigma * np.sqrt(rows.unit_weights), [0, 0.25, 0.5, 0.75, 1])

    def remembered(self, name: str) -> Any:
        """What was computed under a name before the rows were let go; None when nothing was."""
        return self._kept.get(name)

    def without_rows(self, remember: Mapping[str, Any] | None = None) -> Fit:
        """The same fit, light: estimates, sums over rows, and what else is to be remembered."""
        if self._streamed is not None:
            known = {**self._kept, "digest": self.digest.complete()}
            return replace(self, _streamed=None, _kept=known, _near=None, _point=None)
        if not self.has_rows:
            return self
        kept = {
            "digest": self.digest.complete(),
            "residual_quantiles": self.residual_quantiles,
            "working_triangle": self.working_triangle,
            **(remember or {}),
        }
        light = replace(self, design=self.design.without_rows(), _near=None, _point=None)
        return replace(light, _rows=None, _built=self.criterion, _kept=kept)

    def without_sums(self) -> Fit:
        """A light fit without cross-products: tests at the estimates stay, the likelihood elsewhere does not."""
        if self.has_rows or not self.criterion.has_sums:
            return self
        levels = {} if "b_cov" in self._kept else self._level_covariances()
        kept = {**self._kept, "moments": self.moments.complete(), **levels}
        return replace(self, _built=self.criterion.without_sums(), _near=None, _point=None, _kept=kept)

    @cached_property
    def criterion(self) -> Criterion:
        """The function that was minimised; summed again from the rows after unpickling."""
        self.refuse_structure("the likelihood as a function of theta")
        return self._built or Criterion.of(
            self.design, self.rows_for("this likelihood"), reml=self.reml, rest=self.rest
        )

    @cached_property
    def response_columns(self) -> Columns | None:
        """What the sums of another response read of the rows, where these are few."""
        return Columns.of(self.rows, self.criterion.blocks, self.criterion.basis)

    @cached_property
    def moments(self) -> Moments:
        """What inference needs of the data at this fit, in the working basis; kept while the fit lives."""
        if "moments" in self._kept:
            return self._kept["moments"]
        return working_moments(self.criterion, self.theta) if self._point is None else moments_at(self._point)

    @property
    def moments_in_user_units(self) -> Moments:
        """The same in the user's units and columns."""
        return replace(in_user_units(self.criterion, self.moments), g=self.g)

    @property
    def basis(self) -> Basis:
        """The working basis."""
        return self.criterion.basis

    @property
    def turned_vcov(self) -> np.ndarray:
        """`vcov` between the coefficients of the working basis, where no digits are lost, (p_kept, p_kept)."""
        return self.scale * self.at_optimum().phi

    @cached_property
    def working_triangle(self) -> np.ndarray:
        """R with R'R = X̃'X̃ of the rows without weights, (r, p_kept); of rows that came in parts, in X's digits."""
        if "working_triangle" in self._kept:
            return self._kept["working_triangle"]
        if self._rows is None:
            return np.asarray(self.digest.x_triangle[:, self.kept] @ self.basis.to_beta)
        found = np.zeros((0, self.basis.p))
        for rows in self._rows.chunks(CHUNK):
            here = np.empty((rows.n, self.basis.p))
            self.basis.fixed(rows, here)
            found = np.asarray(np.linalg.qr(np.vstack([found, here]), mode="r"))
        return found

    @property
    def to_user_g(self) -> np.ndarray:
        """M with g = M g̃: the G parameters in the user's units from those of the working basis, (k, k)."""
        return self.criterion.to_user_g

    @property
    def roots(self) -> tuple[np.ndarray, ...]:
        """T of each term, G = T G̃ T'."""
        found: list[Any] = [None] * len(self.lam)
        for block, T in zip(self.criterion.blocks.blocks, self.criterion.basis.roots):
            for i, part in zip(block.terms, block.layout.terms):
                found[i] = T[part, part]
        return tuple(found)

    @property
    def g(self) -> np.ndarray:
        """The G parameters, (n_g,): of most structures the free entries of λλ'."""
        blocks = self.criterion.blocks
        return blocks.g([one @ one.T for one in blocks.lam(self.theta)])

    @property
    def working_lam(self) -> list[np.ndarray]:
        """λ of every block in the working basis, but for a rotation of its columns."""
        return self.criterion.lam_of(self.theta) if self._point is None else self._point.lam

    @property
    def working_terms(self) -> list[np.ndarray]:
        """The same of every term of the design."""
        found: list[Any] = [None] * len(self.lam)
        for block, lam in zip(self.criterion.blocks.blocks, self.working_lam):
            for i, part in zip(block.terms, block.layout.terms):
                found[i] = lam[part, part]
        return found

    def near(self) -> Evaluation:
        """The criterion at the optimum, or a step from it: the last point with all derivatives, where that is light."""
        return self._near or self.criterion.at(working_theta(self.criterion, self.theta))

    def at_optimum(self) -> Evaluation:
        """The criterion at the optimum itself."""
        return self._point or self.criterion.at_lam(self.criterion.lam_of(self.theta), self.theta)

    def b_cov(self) -> tuple[np.ndarray, ...]:
        """Conditional covariances Var(b_j | y), given β and θ: σ² Λ C⁻¹ Λ', (J, q, q) a term.

        Warns
        -----
        ApproximationWarning
            Where probes gave part of them: of their Monte-Carlo error.
        """
        kept = self._kept if "b_cov" in self._kept else self._level_covariances()
        if "b_cov_error" in kept:
            iterated_levels.tell("conditional standard deviations", kept["b_cov_error"])
        return kept["b_cov"]

    def _level_covariances(self) -> dict[str, Any]:
        """`b_cov`, and what `iterated_levels.tell` needs of those from probes."""
        criterion, point = self.criterion, self.at_optimum()
        out: list[Any] = [None] * len(self.design.terms)
        with blas_threads(criterion.order):
            covariances = point.factor.conditional_covariances()
        for block, T, cov in zip(criterion.blocks.blocks, criterion.basis.roots, covariances):
            user = block.unranked(self.sigma**2 * np.einsum("ab,bcj,dc->jad", T, cov, T, optimize=True))
            for i, part in zip(block.terms, block.layout.terms):
                out[i] = user[:, part, part]
        if self.rest != "iterative":
            return {"b_cov": tuple(out)}
        errors = iterated_levels.relative_sd_errors(point, criterion.basis.roots, covariances)
        return {"b_cov": tuple(out), "b_cov_error": iterated_levels.summary_of(errors)}

    def __getstate__(self) -> dict[str, Any]:
        fields = {name: self.__dict__[name] for name in self.__dataclass_fields__}
        built = self._built if self._rows is None else None
        return {**fields, "_built": built, "_near": None, "_point": None, "_streamed": None}
