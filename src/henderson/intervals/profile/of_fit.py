"""From a fit to its profiles.

lme4's convention: profiles are of the *maximum likelihood* deviance, whatever the fit was; the optimum is found anew.
With ``reml=True`` the restricted likelihood is profiled, over the parameters of the covariance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, ndtri

from henderson.arguments import probability
from henderson.contract.plain_residual import with_plain_residual
from henderson.covariance.layout import layout_of, layouts_of
from henderson.covariance.structures import structure_called
from henderson.design.intercept import other_spelling
from henderson.design.variance_parameters import find, is_held, variance_parameters
from henderson.engine.fit import Fit
from henderson.engine.given import GIVEN
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.fitting import structured_at
from henderson.errors import DataError
from henderson.intervals.profile.curve import Curve, Scale
from henderson.intervals.profile.level import levelled
from henderson.intervals.profile.path import Trace, bounds, trace
from henderson.intervals.profile.profiles import Profile
from henderson.intervals.profile.refine import OfSurface
from henderson.intervals.profile.source import Origin, origin_of
from henderson.intervals.profile.structured import profile_structured
from henderson.intervals.profile.surface import Target, coordinates, has_paths, surface
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: deviance by which a profile must come lower than the fit for that to be said
LOWER = 1e-4


@dataclass(frozen=True)
class FixedEffects:
    """The fixed effects among the targets, in units of their standard errors.

    Attributes
    ----------
    rows : (B, p) array
        h of `Surface`, zero for other targets.
    scales : tuple of B Scale
        β_j = least squares estimate + standard error × coordinate.
    at : (B,) array
        The coordinates of the estimates.
    """

    rows: FloatArray
    scales: tuple[Scale, ...]
    at: FloatArray


@blas_threads()
def profile_fit(
    fit: Fit,
    which: Sequence[str] | str | None = None,
    *,
    level: float = 0.99,
    reml: bool = False,
    alone: bool = False,
) -> Profile:
    """Profile the likelihood of a fit.

    Parameters
    ----------
    fit : Fit
    which : sequence of str, optional
        Parameters by name; ``"theta_"`` and ``"beta_"`` are, as in lme4, those of the covariance with σ, and the
        fixed effects. Default: all.
    level : float
        The profiles go as far as a joint region of this level of all parameters needs: |ζ| = √χ²_npar(level).
    reml : bool
        Profile the restricted likelihood (of the parameters of the covariance only).
    alone : bool
        Of a model with a residual covariance: the profiles go as far as an interval of this level of each parameter.

    Examples
    --------
    >>> from henderson import datasets
    >>> from henderson.design.from_formula import design_from_formula
    >>> from henderson.engine.fit import fit_design
    >>> model = design_from_formula("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    >>> profile = profile_fit(fit_design(*model))
    >>> profile.interval(0.95).round(3)
                                    lower    upper
    parameter
    sd_(Intercept)|Subject         14.381   37.716
    cor_Days.(Intercept)|Subject   -0.481    0.685
    sd_Days|Subject                 3.801    8.753
    sigma                          22.898   28.858
    (Intercept)                   237.681  265.130
    Days                            7.359   13.576
    """
    design, level = fit.design, probability(level, "level")
    variances = [Target.of(p) for p in variance_parameters(design) if not is_held(design, p)]
    fixed = [Target(name, other_spelling(name), "beta", row=j) for j, name in enumerate(design.x_names) if fit.kept[j]]
    targets = _chosen(variances, [] if reml else fixed, which)
    cutoff = float(np.sqrt(chdtri(len(variances) + len(fixed), 1 - level)))
    if not isinstance(fit, StructuredFit) and not has_paths(layout_of(design.terms), targets):
        fit = as_structured(fit)
    if isinstance(fit, StructuredFit):
        cutoff = float(ndtri((1 + level) / 2)) if alone else cutoff
        estimate, curves, likelihood = profile_structured(fit, targets, reml=reml, cutoff=cutoff)
        notes = _notes(fit, targets, curves, reml)
        if (gain := likelihood.minimum - likelihood.lowest) > LOWER:
            notes += (f"the deviance is {gain:.3g} lower elsewhere than at the fit, which is at another minimum",)
        return Profile(tuple(targets), curves, estimate, level, cutoff, notes, likelihood)
    origin = origin_of(fit, reml=reml)
    effects = _fixed_effects(fit, origin, targets)
    s = surface(origin.likelihood, targets, reml=reml, beta_rows=effects.rows)
    x = coordinates(s, origin.cov, 0.0, effects.at)
    minimum = float(s.evaluate(x[:, :1], np.array([0]))[0][0])
    traces = levelled(s, x, minimum, trace(s, x, cutoff))
    scales = [_scale(t, origin, effects.scales[b]) for b, t in enumerate(targets)]
    curves = tuple(Curve(scale, t, _ends(scale, t, *end)) for scale, t, end in zip(scales, traces, zip(*bounds(s))))
    estimate = np.array([float(c.scale.value(x[s.path[b], b])) for b, c in enumerate(curves)])
    notes = _notes(fit, targets, curves, reml)
    return Profile(tuple(targets), curves, estimate, level, cutoff, notes, OfSurface(s, minimum))


def as_structured(fit: Fit) -> StructuredFit:
    """The fit as one whose residuals have a structure, of which every parameter has a profile.

    Raises
    ------
    DataError
        With common factors: their loadings turn, and a standard deviation is a sum of their squares.
    """
    if names := [term.structure for term in fit.design.terms if structure_called(term.structure).redundant]:
        raise DataError(f"there are no profiles with {names[0]} covariance; there are method='boot' and 'wald'")
    design, rows = with_plain_residual(fit.design, fit.rows_for("profile()"))
    scale, layouts = fit.sigma**2, layouts_of(design.terms)
    g = [layout.g(scale * lam @ lam.T) for layout, lam in zip(layouts, fit.lam)]
    found = structured_at(design, rows, np.concatenate([*g, [scale]]), GIVEN, reml=fit.reml)
    return replace(found, optimum=fit.optimum)


def _ends(scale: Scale, t: Trace, low: float, high: float) -> tuple[float, float]:
    """The ends of the range that a profile reaches."""
    reached = [np.isfinite(end) and abs(at - end) < 1e-6 for at, end in ((t.s[0], low), (t.s[-1], high))]
    lower, upper = (float(scale.value(np.array(end))) if on else np.nan for on, end in zip(reached, (low, high)))
    return lower, upper


def _scale(target: Target, origin: Origin, fixed: Scale) -> Scale:
    if target.kind == "beta":
        return fixed
    if target.kind == "sd":
        row = origin.likelihood.layout.terms[target.term].start + target.row
        return Scale("sd", float(origin.units[row]) * origin.sigma)
    return Scale(target.kind, origin.sigma if target.kind == "sigma" else 1.0)


def _chosen(variances: list[Target], fixed: list[Target], which: Sequence[str] | str | None) -> list[Target]:
    targets = variances + fixed
    if which is None:
        return targets
    groups = {"theta_": variances, "beta_": fixed}
    out: list[Target] = []
    for name in [which] if isinstance(which, str) else which:
        found = groups.get(name) or [targets[i] for i in find(name, [(t.name, t.alias) for t in targets])]
        out += [t for t in found if t not in out]
    return out


def _fixed_effects(fit: Fit, origin: Origin, targets: Sequence[Target]) -> FixedEffects:
    column, sigma, turn = np.cumsum(fit.kept) - 1, origin.sigma, origin.coefficients
    values, vectors = np.linalg.eigh(origin.cov)
    root = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, :, None]
    s_inverse = origin.likelihood.pieces(root, reml=False).s_inverse[:, :, 0]
    errors = sigma * np.sqrt(np.einsum("jx,xy,jy->j", turn, s_inverse, turn))
    rows, at, scales = np.zeros((len(targets), len(turn))), np.zeros(len(targets)), []
    for b, target in enumerate(targets):
        scales.append(Scale(target.kind))
        if target.kind == "beta":
            j = column[target.row]
            rows[b] = turn[j] * sigma / errors[j]
            at[b] = (origin.beta[j] - origin.base[j]) / errors[j]
            scales[b] = Scale("beta", float(errors[j]), float(origin.base[j]))
    return FixedEffects(rows, tuple(scales), at)


def _notes(fit: Fit, targets: Sequence[Target], curves: Sequence[Curve], reml: bool) -> tuple[str, ...]:
    notes = ["profiles of the restricted likelihood" if reml else "profiles of the likelihood (ML), as in lme4"]
    if fit.reml and not reml:
        notes[0] += "; the fit is by REML"
    for target, curve in zip(targets, curves):
        if not curve.trace.good.all():
            notes.append(f"{target.name}: some points of the profile did not converge")
        if not curve.monotone:
            notes.append(f"{target.name}: the profile is not monotone, so its interval may not be one piece")
    return tuple(notes)
