"""Kenward and Roger's adjusted covariance, scaled F and degrees of freedom.

From "Small sample inference for fixed effects from restricted maximum likelihood" (Biometrics 1997), for Σ linear in
its parameters (so R_ij = 0). With W the inverse of the expected information ½ tr PV_iPV_j:

    Φ_A = Φ + 2 Φ {Σ_ij W_ij (Q_ij − P_iΦP_j)} Φ
    Θ = R'(RΦR')⁻¹R,  l = rank R
    A₁ = Σ_ij W_ij tr(ΘΦP_iΦ) tr(ΘΦP_jΦ)      A₂ = Σ_ij W_ij tr(ΘΦP_iΦΘΦP_jΦ)
    B = (A₁ + 6A₂)/(2l)     g = ((l+1)A₁ − (l+4)A₂) / ((l+2)A₂)
    c₁ = g/(3l+2(1−g))      c₂ = (l−g)/(3l+2(1−g))      c₃ = (l+2−g)/(3l+2(1−g))
    E* = (1 − A₂/l)⁻¹       V* = (2/l) (1 + c₁B) / ((1−c₂B)² (1−c₃B))
    ρ = V*/(2E*²)           m = 4 + (l+2)/(lρ − 1)      λ = m / (E*(m−2))

and λF ~ F(l, m). For one row this is λ = 1, m = 2/A₂.

The 2009 paper ("An improved approximation to the precision of fixed effects from restricted maximum likelihood",
CSDA) adds to Φ_A the term for the bias of the variance parameters, which comes from second derivatives of Σ and makes
the result the same in every parametrization. In the parameters used here, the entries of σ²G and σ², Σ is linear and
that term is zero: "kenward-roger-2009" therefore equals "kenward-roger" for every structure there is.

Random effects whose G is not linear in its parameters (`ar1`, `ou`, structures with a variance for each effect, in a
bar): W is the inverse information along the surface of their covariances (`information.tangent`), and Φ_A has their
second derivatives in SAS's parameters, variances and correlations (`information.surface_bend`), R_ij below being
Σ_a ∂²g_a/∂ψ_i∂ψ_j X'Σ⁻¹V_aΣ⁻¹X; of common factors (`fa`, `rr`) it has none.

"kenward-roger-observed" is SAS's: W the inverse of the *observed* information. Prior weights are part of Σ throughout;
pbkrtest leaves them out, so it is no judge of weighted models.

Where the residuals have a covariance structure, Σ need not be linear in its parameters (correlations). With R_ij =
X'Σ⁻¹Σ_ijΣ⁻¹X, Σ_ij its second derivatives in SAS's parameters,

    Φ_A = Φ + 2 Φ {Σ_ij W_ij (Q_ij − P_iΦP_j − ¼ R_ij)} Φ

and "kenward-roger" is what SAS (DDFM=KENWARDROGER) and mmrm compute there: with R_ij, W from the observed information.
"kenward-roger-linear" leaves R_ij out, as SAS's FIRSTORDER and mmrm's Kenward-Roger-Linear do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.inference.contrast_rows import Turned, errors_of, independent_rows, wald_f
from henderson.inference.ddf.satterthwaite import NO_SPREAD, or_infinite
from henderson.inference.fit_moments import FitMoments
from henderson.inference.identified import Unidentified, flat_directions, natural_sizes
from henderson.inference.information import curvature, surface_bend, surface_hessian, tangent
from henderson.numerics.linalg import positive_inverse, symmetric

FloatArray = np.ndarray

#: variance relative to the residual's from which sums of a model with an effect for each row are lost
MOST = 1e4
#: below it two quantities that vanish together are rounding
ZERO = 1e-7
NO_MEAN = 0.01  # pbkrtest's


@dataclass(frozen=True)
class KenwardRoger:
    """Kenward and Roger's rule at one fit: df, and the scaling of F, from W and the P_i.

    Attributes
    ----------
    to_beta : (p, p) array
        From the working basis, in which the others are (see `FitMoments`).
    phi : (p, p) array
    P : (k + 1, p, p) array
    W : (k + 1, k + 1) array
    unidentified : Unidentified
        What the data do not tell.
    notes : tuple of str
    """

    to_beta: FloatArray
    phi: FloatArray
    P: FloatArray
    W: FloatArray
    unidentified: Unidentified
    notes: tuple[str, ...] = ()

    def df(self, rows: FloatArray) -> FloatArray:
        """m of each row alone: 2 / A₂, (r,)."""
        known = ~self.unidentified.touches(rows)
        rows = rows @ self.to_beta
        half = rows @ self.phi
        variance = (half * rows).sum(1)
        u = ((half @ self.P) * half).sum(axis=2).T
        known &= variance > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(known, or_infinite(2 * variance**2 / ((u @ self.W) * u).sum(1)), np.nan)

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray | Turned) -> tuple[float, float]:
        """λF and m; `cov` is the adjusted covariance."""
        rows, values = independent_rows(rows, values, errors_of(cov))
        scaling, den_df = self.scaled_f(rows)
        return scaling * wald_f(rows, values, cov), den_df

    def scaled_f(self, rows: FloatArray) -> tuple[float, float]:
        """λ and m for rows of full rank (l, p)."""
        l = len(rows)
        if l == 1:
            return 1.0, float(self.df(rows)[0])
        if np.isnan(self.df(rows)).any():
            return 1.0, np.nan
        low = np.linalg.cholesky(self.phi)
        turned = np.linalg.qr((rows @ self.to_beta @ low).T)[0].T @ low.T  # (R Φ R')^-½ R Φ, but for a rotation
        u = turned @ self.P @ turned.T
        traces = np.einsum("iaa->i", u)
        a1 = float(traces @ self.W @ traces)
        a2 = float(np.einsum("ij,iab,jba->", self.W, u, u, optimize=True))
        if a2 < 2 / NO_SPREAD:  # nothing that was estimated moves the variances
            return 1.0, np.inf
        return scale_and_df(l, a1, a2)


def scale_and_df(l: int, a1: float, a2: float) -> tuple[float, float]:
    """λ and m from A₁ and A₂.

    Examples
    --------
    >>> scaling, m = scale_and_df(1, 0.1, 0.1)
    >>> round(scaling, 10), round(m, 10)
    (1.0, 20.0)

    Two denominator degrees of freedom: the approximating F has no mean, and λ is a quotient of two that vanish. Close
    to two it takes any value between 0 and 1, by how they vanish; the limit is taken there, as in pbkrtest.

    >>> scaling, m = scale_and_df(2, 4.0, 2.0)
    >>> round(scaling, 10), round(m, 10)
    (1.0, 2.0)
    """
    b = (a1 + 6 * a2) / (2 * l)
    g = ((l + 1) * a1 - (l + 4) * a2) / ((l + 2) * a2)
    below = 3 * l + 2 * (1 - g)
    c1, c2, c3 = g / below, (l - g) / below, (l + 2 - g) / below
    over, under = 1 - a2 / l, 1 - c2 * b  # 1/E and its twin in the variance
    with np.errstate(divide="ignore"):  # ρ has a pole at four denominator degrees of freedom
        rho = _ratio(over, under) ** 2 * np.divide(1 + c1 * b, l * (1 - c3 * b))
    m = 4 + (l + 2) / (l * rho - 1)
    return 1.0 if abs(m - 2) < NO_MEAN else float(m * over / (m - 2)), float(m)


def _ratio(above: float, below: float) -> float:
    """A quotient of two that are zero together where F has two degrees of freedom: 1 there."""
    return 1.0 if max(abs(above), abs(below)) < ZERO else above / below


def adjusted_covariance(fitted: FitMoments, information: str = "expected", curved: bool = True) -> FloatArray:
    """σ² Φ_A, (p, p), in the working basis; `curved`: with second derivatives of Σ, where it has any."""
    fitted = fitted.working
    phi, p, second, size = fitted.phi, fitted.P, fitted.moments.second, fitted.moments.p
    w = parameter_covariance(fitted, information)[0]
    middle = second.weighted(w, size + 1)[:size, :size]
    if curved:
        middle = middle + np.tensordot(surface_bend(fitted, w), p, 1) / 4
        if not isinstance(bent := second.curved_weighted(w), float):
            middle = middle - bent[:size, :size] / 4
    middle = middle - np.einsum("iab,ibc->ac", p @ phi, np.tensordot(w, p, 1), optimize=True)
    return fitted.scale * symmetric(phi + 2 * phi @ middle @ phi)


def refuse_lost(fitted: FitMoments) -> None:
    """Raise a `ValueError` where V⁻¹ = I − ZΛC⁻¹Λ'Z' is all cancellation: an effect for each row, next to no residual.

    Products of three V⁻¹, of the size 1/G³, have the error of one: at G = MOST 1e-4.
    """
    design = fitted.design
    if design.residual is not None:
        return
    for term, lam in zip(design.terms, fitted.fit.lam):
        if term.n_levels * term.n_columns >= design.n and (lam @ lam.T).diagonal().max(initial=0.0) > MOST:
            raise ValueError(
                f"Kenward-Roger: {term.label or term.group!r} has an effect for each row and the residual variance is "
                "all but zero beside it, so that its sums are lost in rounding; use ddf='satterthwaite', or give the "
                "residuals that covariance: residual='ar1(time | group)'"
            )


def refuse_ml(reml: bool) -> None:
    """Raise a `ValueError` unless a fit is by REML, for which the method is made."""
    if not reml:
        raise ValueError("Kenward-Roger is defined for REML fits; fit with REML=True, or use ddf='satterthwaite'")


def parameter_covariance(fitted: FitMoments, information: str = "expected") -> tuple[FloatArray, tuple[str, ...]]:
    """W (k + 1, k + 1) from the expected or the observed information, and notes.

    Of residuals with a structure the observed one, whatever is asked for: as SAS and mmrm.

    Raises
    ------
    ValueError
        For a fit by ML: the method is one for REML.
    """
    refuse_ml(fitted.fit.reml)
    refuse_lost(fitted)
    fitted = fitted.working
    if fitted.design.residual is not None and not fitted.design.residual.is_plain:
        information = "observed"
    at, along = curvature(fitted), tangent(fitted)
    if along is None:
        inverse = positive_inverse(getattr(at, information) / 2, 1e-11, natural_sizes(fitted))
        matrix = inverse.matrix
    else:
        inside = along.T @ getattr(at, information) @ along / 2
        if information == "observed":
            inside = inside + surface_hessian(fitted, at.gradient) / 2
        inverse = positive_inverse(inside, 1e-11, np.sqrt(np.maximum(np.diag(inside), 1e-300)))
        matrix = along @ inverse.matrix @ along.T
    if not inverse.n_flat + inverse.n_negative:
        return matrix, ()
    note = (
        f"the {information} information of the variance parameters is not positive definite; "
        "Kenward-Roger uses its pseudoinverse"
    )
    return matrix, (note,)


def kenward_roger(fitted: FitMoments, information: str = "expected") -> KenwardRoger:
    """Kenward and Roger's method at a REML fit."""
    w, notes = parameter_covariance(fitted, information)
    fitted = fitted.working
    flat = flat_directions(fitted, curvature(fitted))
    notes = (*notes, flat.note) if flat.note else notes
    return KenwardRoger(fitted.to_beta, fitted.phi, fitted.P, w, Unidentified.of(fitted, flat), notes)


def kenward_roger_linear(fitted: FitMoments) -> KenwardRoger:
    """The same: df do not depend on second derivatives of Σ; the covariance that goes with it does."""
    return kenward_roger(fitted)


def kenward_roger_observed(fitted: FitMoments) -> KenwardRoger:
    """The same with the observed information, as SAS has it."""
    return kenward_roger(fitted, "observed")
