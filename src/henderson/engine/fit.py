"""From a design to a fitted model as numbers: what the engine hands to results and inference.

The rows are summed (`Criterion.of`), the optimum is searched in the working basis (`search`), and its numbers are
turned back into the user's units here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.digest import Digest
from henderson.contract.rows import Rows, present
from henderson.covariance.roots import triangular
from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.moments import Moments
from henderson.engine.moments_at import moments_at, working_moments
from henderson.engine.search.search import Certified, search, working_theta
from henderson.errors import DataError
from henderson.numerics.lapack import eigen
from henderson.numerics.matrices import block_diagonal
from henderson.numerics.threads import blas_threads
from henderson.progress import progress_bar

#: relative error of r², by rounding, from which it is no number to be shown
LOST = 1e-4


@dataclass(frozen=True)
class Search:
    """How an optimum was found and how sure it is.

    Attributes
    ----------
    evaluations : int
        Points at which the deviance was computed.
    gradient_norm : float
        Largest |∂d/∂θ| before the last step, in the working basis (unit mean-square columns), by the number of rows.
    predicted_decrease : float
        Deviance that a Newton step would still gain.
    boundary_gain : float
        Deviance that stepping off the boundary would gain: half the squared most negative eigenvalue of N = ∂d/∂G over
        the information along its vector. Zero inside the parameter space.
    smallest_curvature : float
        Smallest eigenvalue of N over the singular blocks; nonnegative (to rounding) at a boundary optimum.
    converged : bool
        Whether both are too small to matter: the certificate.
    seconds : float
    message : str
    history : tuple of (deviance, predicted decrease)
    starts : int
        Descents that were tried, the lowest end of which this is.
    surveyed : int
        Points of the grid on which the deviance was looked at before them (0: too large a model for that).
    flattest : float
        Smallest eigenvalue of the model of the Hessian in the working θ, each in units of max(|θ|, 1): a deviance.
        As good as zero where the data do not identify the variances.
    """

    evaluations: int
    gradient_norm: float
    predicted_decrease: float
    boundary_gain: float
    smallest_curvature: float
    converged: bool
    seconds: float
    message: str
    history: tuple[tuple[float, float], ...]
    starts: int = 1
    surveyed: int = 0
    flattest: float = np.inf


@dataclass(frozen=True)
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

    @property
    def n(self) -> int:
        """Rows that were fitted, whether or not they are still there."""
        return self.design.n

    @property
    def n_parameters(self) -> int:
        """Fixed effects kept, covariance parameters, and σ."""
        return int(self.kept.sum()) + len(self.theta) + 1

    @property
    def rows(self) -> Rows:
        """The rows that were fitted.

        Raises
        ------
        DataError
            When they were let go.
        """
        return self.rows_for("not possible any more")

    def rows_for(self, what: str) -> Rows:
        """The rows, for `what` (a method's name, say), which an error names when they were let go."""
        return present(self._rows, what)

    @property
    def has_rows(self) -> bool:
        """Whether the rows are still there."""
        return self._rows is not None

    @cached_property
    def digest(self) -> Digest:
        """What tables need of the rows."""
        return self._kept.get("digest") or Digest(self._rows, self.design.x_names)

    @cached_property
    def residual_quantiles(self) -> np.ndarray:
        """Minimum, quartiles and maximum of √w (y − ŷ) / σ, (5,)."""
        if "residual_quantiles" in self._kept:
            return self._kept["residual_quantiles"]
        rows = self.rows_for("residuals")
        residuals = rows.y - rows.mean(self.beta, self.kept) - rows.random_part(self.b)
        return np.quantile(residuals / self.sigma * np.sqrt(rows.unit_weights), [0, 0.25, 0.5, 0.75, 1])

    def remembered(self, name: str) -> Any:
        """What was computed under a name before the rows were let go; None when nothing was."""
        return self._kept.get(name)

    def without_rows(self, remember: Mapping[str, Any] | None = None) -> Fit:
        """The same fit, light: estimates, sums over rows, and what else is to be remembered."""
        if not self.has_rows:
            return self
        kept = {
            "digest": self.digest.complete(),
            "residual_quantiles": self.residual_quantiles,
            **(remember or {}),
        }
        light = replace(self, design=self.design.without_rows(), _near=None, _point=None)
        return replace(light, _rows=None, _built=self.criterion, _kept=kept)

    def without_sums(self) -> Fit:
        """A light fit without cross-products: tests at the estimates stay, the likelihood elsewhere does not."""
        if self.has_rows or not self.criterion.has_sums:
            return self
        kept = {**self._kept, "moments": self.moments.complete(), "b_cov": self.b_cov()}
        return replace(self, _built=self.criterion.without_sums(), _near=None, _point=None, _kept=kept)

    @cached_property
    def criterion(self) -> Criterion:
        """The function that was minimised; summed again from the rows after unpickling."""
        return self._built or Criterion.of(self.design, self.rows_for("this likelihood"), reml=self.reml)

    @cached_property
    def moments(self) -> Moments:
        """What inference needs of the data at this fit, in the working basis; kept while the fit lives."""
        if "moments" in self._kept:
            return self._kept["moments"]
        return working_moments(self.criterion, self.theta) if self._point is None else moments_at(self._point)

    @property
    def g(self) -> np.ndarray:
        """The G parameters, (n_g,): of most structures the free entries of λλ'."""
        blocks = self.criterion.blocks
        return blocks.g([one @ one.T for one in blocks.lam(self.theta)])

    @property
    def working_lam(self) -> list[np.ndarray]:
        """λ of every block in the working basis, but for a rotation of its columns."""
        return self.criterion.lam_of(self.theta) if self._point is None else self._point.lam

    def near(self) -> Evaluation:
        """The criterion at the optimum, or a step from it: the last point with all derivatives, where that is light."""
        return self._near or self.criterion.at(working_theta(self.criterion, self.theta))

    def at_optimum(self) -> Evaluation:
        """The criterion at the optimum itself."""
        return self._point or self.criterion.at_lam(self.criterion.lam_of(self.theta), self.theta)

    def b_cov(self) -> tuple[np.ndarray, ...]:
        """Conditional covariances Var(b_j | y), given β and θ: σ² Λ C⁻¹ Λ', (J, q, q) a term."""
        if "b_cov" in self._kept:
            return self._kept["b_cov"]
        criterion = self.criterion
        out: list[Any] = [None] * len(self.design.terms)
        with blas_threads(criterion.order):
            covariances = self.at_optimum().factor.conditional_covariances()
        for block, T, cov in zip(criterion.blocks.blocks, criterion.basis.roots, covariances):
            user = block.unranked(self.sigma**2 * np.einsum("ab,bcj,dc->jad", T, cov, T, optimize=True))
            for i, part in zip(block.terms, block.layout.terms):
                out[i] = user[:, part, part]
        return tuple(out)

    def __getstate__(self) -> dict[str, Any]:
        fields = {name: self.__dict__[name] for name in self.__dataclass_fields__}
        return {**fields, "_built": self._built if self._rows is None else None, "_near": None, "_point": None}


def fit_design(
    design: Design, rows: Rows, *, reml: bool = True, start: np.ndarray | None = None, progress: bool | None = None
) -> Fit:
    """Fit a design by REML or ML.

    Parameters
    ----------
    design : Design
    rows : Rows
    reml : bool
    start : (k,) array, optional
        A θ to begin from, in the user's units.
    progress : bool, optional
        Show the number of evaluations. None: on a terminal, when the fit takes longer than a second.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        When `reml` is neither: text such as "ML" would pass for True.
    """
    if not isinstance(reml, bool | int | np.bool_):
        raise ValueError(f"REML must be True or False, not {reml!r}")
    began = time.perf_counter()
    products = _products(design)
    with blas_threads(products=products):
        criterion = Criterion.of(design, rows, reml=bool(reml))
        with (
            blas_threads(criterion.order, products=products),
            progress_bar("Fitting, evaluations", None, progress) as tell,
        ):
            ended = search(criterion, start, tell)
        return in_user_units(design, rows, criterion, ended, began)


def refit(
    fit: Fit,
    y: np.ndarray | None = None,
    *,
    reml: bool | None = None,
    near: Evaluation | None = None,
    tolerance: float = 0.0,
    progress: bool | None = None,
) -> Fit:
    """The same model fitted to another response, or by the other likelihood.

    Parameters
    ----------
    fit : Fit
    y : (n,) array, optional
        The response of the fit's rows. Default: the fit's own; then its sums serve as they are.
    reml : bool, optional
        Default: as the fit.
    near : Evaluation, optional
        A point of the fit's criterion to begin from, whose factor is used again. Default: the fit's optimum.
    tolerance : float
        Predicted decrease of the deviance at which the search takes its last step, where less precision will do.
    progress : bool, optional

    Returns
    -------
    Fit
    """
    began, design, rows = time.perf_counter(), fit.design, fit._rows
    with blas_threads(fit.criterion.order, products=_products(design)):
        criterion = fit.criterion if reml is None else replace(fit.criterion, reml=reml)
        if y is not None:
            rows = fit.rows_for("refit").with_response(y)
            criterion = criterion.with_response(rows)
        criterion.evaluations = 0
        with progress_bar("Fitting, evaluations", None, progress) as tell:
            ended = search(criterion, tell=tell, near=near or fit.near(), tolerance=tolerance)
        found = in_user_units(design, rows, criterion, ended, began)
    still = {name: value for name, value in fit._kept.items() if name not in ("residual_quantiles", "moments", "b_cov")}
    return replace(found, _kept=still)


def _products(design: Design) -> int | None:
    """Multiply-adds of the largest product where there is but the front; None where LAPACK works on a rest, too."""
    one_factor = all(not term.loaded and term.group == design.terms[0].group for term in design.terms)
    width = len(design.x_names) + 1 + sum(term.n_columns for term in design.terms)
    return design.n * width**2 if one_factor else None


def in_user_units(
    design: Design,
    rows: Rows | None,
    criterion: Criterion,
    ended: Certified,
    began: float,
) -> Fit:
    """The end of a search, in the working basis, as a `Fit` in the user's units: λ = Tλ̃, β = B⁻¹β̃ + β₀, b = Tb̃."""
    point, basis, blocks = ended.optimum.point, criterion.basis, criterion.blocks
    check_residual(criterion, point, design.y_name)
    lam: list[np.ndarray] = [np.zeros(0)] * len(design.terms)
    b: list[np.ndarray] = [np.zeros(0)] * len(design.terms)
    by_block = point.modes()
    point.lighten()
    for block, T, one, modes in zip(blocks.blocks, basis.roots, point.lam, by_block):
        root, effects = T @ one, block.unranked(basis.y_scale * (T @ modes).T)
        for i, part in zip(block.terms, block.layout.terms):
            lam[i], b[i] = triangular(root[part, part]), np.ascontiguousarray(effects[:, part])
    theta = blocks.theta([block_diagonal([lam[i] for i in block.terms]) for block in blocks.blocks])
    sigma = basis.y_scale * np.sqrt(point.r2 / criterion.nu)
    to_beta = basis.to_beta  # X = X̃B, so β = B⁻¹β̃ + β₀
    beta = np.full(len(basis.kept), np.nan)
    beta[basis.kept] = basis.beta0 + basis.y_scale * (to_beta @ point.beta)
    found = Search(
        criterion.evaluations,
        ended.optimum.gradient_norm / criterion.system.cross.n,
        ended.optimum.predicted_decrease,
        ended.gain,
        ended.smallest,
        ended.converged,
        time.perf_counter() - began,
        ended.message,
        ended.history,
        ended.starts,
        ended.surveyed,
        np.inf if (full := ended.optimum.full) is None else _flattest(full),
    )
    return Fit(
        design,
        criterion.reml,
        theta,
        tuple(lam),
        beta,
        basis.kept,
        float(sigma),
        sigma**2 * to_beta @ point.phi @ to_beta.T,
        tuple(b),
        point.deviance,
        found,
        rows,
        criterion,
        None if full is None or "factor" not in full.__dict__ else full,
        point,
    )


def check_residual(criterion: Criterion, point: Evaluation, y_name: str) -> None:
    """r² is a difference of sums as large as y'y: refuse where little of it but their rounding is left."""
    rounding = np.finfo(float).eps * float(criterion.system.cross.xy[-1, -1])
    if point.r2 * LOST < rounding:
        raise DataError(
            f"the fixed and random effects explain {y_name} all but exactly: the residual variance is "
            "lost in rounding, and the likelihood has no maximum that could be told"
        )


def _flattest(point: Evaluation) -> float:
    unit = np.maximum(np.abs(point.theta), 1.0)
    return float(eigen(point.hessian_model * (unit[:, None] * unit))[0].min(initial=np.inf))
