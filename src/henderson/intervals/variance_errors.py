"""Standard errors of the variance parameters, by the delta method, on the scale on which they are shown.

τ = σ²g are the entries of the covariances of the random effects and, last, σ². Their asymptotic covariance is 2σ⁴ D
H⁻¹ D', H the Hessian of the deviance in (θ, ρ) with β profiled out, observed or expected, and D = ∂g/∂(θ, ρ)
(`information`): at a singular fit what is on the boundary drops out. Then, with J of

    sd_r = √τ_rr        cor_rs = τ_rs / √(τ_rr τ_ss)        σ = √τ_0

the standard errors are the roots of the diagonal of J (2σ⁴ D H⁻¹ D') J'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.covariance.layout import consecutive, layouts_of
from henderson.covariance.structures import structure_called
from henderson.design.variance_parameters import VarianceParameter, is_held, shown, variance_parameters
from henderson.engine.boundary import lacks_variance
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.model import to_user_units
from henderson.inference.fit_moments import FitMoments
from henderson.inference.identified import flat_directions
from henderson.inference.information import coordinates_of, curvature, hessian_theta
from henderson.numerics.linalg import positive_inverse, symmetric
from henderson.tables.result_frame import ResultFrame

FloatArray = np.ndarray

#: a correlation beyond it is ±1 but for rounding, as all are where rr() has one factor
ALL_BUT_ONE = 1 - 1e-10


def variance_covariance(fit: Any, information: str = "observed") -> FloatArray:
    """Asymptotic covariance of the entries of σ²G (in the order of θ) and, last, σ², (k + 1, k + 1); of residuals
    with a structure its natural parameters are last, in their order.

    Parameters
    ----------
    fit : Fit or MixedLMResults
    information : {"observed", "expected"}
    """
    if information not in ("observed", "expected"):
        raise ValueError(f"unknown information {information!r}; there are observed, expected")
    fitted = FitMoments.of(fit).working
    at, to = curvature(fitted), coordinates_of(fitted)
    if information == "observed":
        hessian = hessian_theta(fitted, at, to)
    else:
        hessian = to.jacobian.T @ at.expected @ to.jacobian
    inverse = positive_inverse(hessian).matrix
    if isinstance(fitted.fit, StructuredFit):
        jacobian = to_user_units(fitted.fit.blocks) @ to.jacobian
        return 2 * symmetric(jacobian @ inverse @ jacobian.T)
    jacobian = fitted.to_g @ to.jacobian
    return 2 * fitted.scale**2 * symmetric(jacobian @ inverse @ jacobian.T)


def standard_errors(fit: Any, information: str = "observed") -> pd.DataFrame:
    """Standard deviations, correlations and σ, with standard errors.

    Parameters
    ----------
    fit : Fit or MixedLMResults
    information : {"observed", "expected"}

    Returns
    -------
    DataFrame
        Index: ``sd_(Intercept)|Subject``, …, ``sigma``; columns estimate, se. At a singular fit the parameters on the
        boundary have no standard error: NaN, with the reason in `attrs["notes"]`.

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> standard_errors(fit).round(3)
                                  estimate     se
    parameter
    sd_(Intercept)|Subject          24.740  5.836
    cor_Days.(Intercept)|Subject     0.066  0.325
    sd_Days|Subject                  5.922  1.248
    sigma                           25.592  1.508
    """
    fitted = FitMoments.of(fit)
    design, lam = fitted.design, fitted.fit.lam
    parameters = variance_parameters(design)
    cov = variance_covariance(fitted, information)
    own = fitted.fit
    of_psi = own.structure.slopes(own.psi) if isinstance(own, StructuredFit) else np.zeros(0)
    unseen = own.structure.are_unseen(own.psi) if isinstance(own, StructuredFit) else np.zeros(0, bool)
    jacobian = _jacobian(design, parameters, own.covariances, own.sigma**2, of_psi, len(cov))
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.einsum("ai,ij,aj->a", jacobian, cov, jacobian))
    psi = fitted.fit.shown_psi[None] if isinstance(fitted.fit, StructuredFit) else None
    values = shown(parameters, [one[None] for one in fitted.fit.covariances], np.array([fitted.fit.sigma]), psi)[0]
    frame = pd.DataFrame({"estimate": values, "se": se}, index=pd.Index([p.name for p in parameters], name="parameter"))
    held = [p.name for p in parameters if is_held(design, p)]
    lacking = lacks_variance(fitted.fit)
    boundary = [
        p.name
        for p, value in zip(parameters, values)
        if p.name not in held
        and (
            _on_boundary(design, p, lam, lacking)
            or (p.kind == "cor" and abs(value) > ALL_BUT_ONE)
            or (p.kind == "sigma" and fitted.fit.has_no_residual)
        )
    ]
    frame.loc[[*held, *boundary], "se"] = np.nan
    notes = (
        [f"on the boundary of the parameter space, without a standard error: {', '.join(boundary)}"] if boundary else []
    )
    if beyond := [p.name for p in parameters if p.kind == "residual" and unseen[p.row]]:
        frame.loc[beyond, "se"] = np.nan
        notes.append(f"nearer to 0 or 1 than a number can be, in this unit of time: {', '.join(beyond)}")
    if held:
        notes.append(f"held fixed, without a standard error: {', '.join(held)}")
    flat = flat_directions(fitted.working, curvature(fitted.working))
    if flat.note:
        turn = to_user_units(own.blocks) if isinstance(own, StructuredFit) else fitted.working.to_g
        moved = np.isfinite(jacobian).all(axis=1)  # at a variance of zero a standard deviation has no derivative
        moved[moved] = flat.touches(jacobian[moved] @ turn)
        frame.loc[moved, "se"] = np.nan
        notes.append(flat.note)
    return ResultFrame.of(frame, notes=tuple(notes))


def _jacobian(
    design: Design,
    parameters: Sequence[VarianceParameter],
    covariances: Sequence[FloatArray],
    scale: float,
    of_psi: FloatArray,
    k: int,
) -> FloatArray:
    """∂(shown)/∂τ, (len(parameters), k)."""
    layouts = layouts_of(design.terms)
    place = consecutive([layout.n_g for layout in layouts])
    out, n_g = np.zeros((len(parameters), k)), sum(layout.n_g for layout in layouts)
    with np.errstate(divide="ignore", invalid="ignore"):
        for a, p in enumerate(parameters):
            if p.kind == "sigma":
                out[a, -1] = 0.5 / np.sqrt(scale)
                continue
            if p.kind == "residual":
                out[a, n_g + p.row] = of_psi[p.row]
                continue
            tau, basis = scale * covariances[p.term], layouts[p.term].basis()
            r, s = p.row, p.column
            if p.kind == "var":
                out[a, place[p.term]] = basis[:, r, r]
                continue
            if p.kind == "sd":
                out[a, place[p.term]] = 0.5 / np.sqrt(tau[r, r]) * basis[:, r, r]
                continue
            cor = tau[r, s] / np.sqrt(tau[r, r] * tau[s, s])
            out[a, place[p.term]] = (
                basis[:, r, s] / np.sqrt(tau[r, r] * tau[s, s])
                - cor / (2 * tau[r, r]) * basis[:, r, r]
                - cor / (2 * tau[s, s]) * basis[:, s, s]
            )
    return out


def _on_boundary(design: Design, parameter: VarianceParameter, lam: Sequence[FloatArray], lacking: np.ndarray) -> bool:
    """Whether an effect of the parameter is on the boundary, as the term's structure has it; of terms that lack
    variance."""
    if parameter.kind in ("sigma", "residual", "var") or not lacking[parameter.term]:
        return False
    at_zero = structure_called(design.terms[parameter.term].structure).at_zero(lam[parameter.term])
    return bool(at_zero[parameter.row] or at_zero[parameter.column])
