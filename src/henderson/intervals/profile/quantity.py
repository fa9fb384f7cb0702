"""A shown variance parameter as a function of all variance parameters u = (G, ψ) in the user's units.

    sd        √G_rr / unit                   cor       arcsin(G_rs / √(G_rr G_ss))
    log       log ψ_i, ψ_i > 0               logit     log((ψ_i − a) / (b − ψ_i)), a < ψ_i < b
    plain     ψ_i

These are the coordinates in which its profile is followed, and on the last three Wald intervals like nlme's are
symmetric. Each is a function of a few sums w'u, with exact derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from henderson.covariance.layout import consecutive
from henderson.design.variance_parameters import VarianceParameter
from henderson.engine.residual.fit import StructuredFit
from henderson.intervals.profile.curve import Scale, scale_of_range
from henderson.numerics.jets import Jet, unary

FloatArray = np.ndarray


@dataclass(frozen=True)
class Quantity:
    """A function of u.

    Attributes
    ----------
    scale : Scale
        How the parameter is made of it.
    weights : (m, k) array
        The sums that it is a function of.
    """

    scale: Scale
    weights: FloatArray

    def at(self, u: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Its value at u (k,), and first and second derivatives, (k,) and (k, k)."""
        found = FUNCTIONS[self.scale.kind](Jet.variables(self.weights @ u), self.scale)
        first = found.first[0] @ self.weights
        return float(found.value[0]), first, self.weights.T @ found.second[0] @ self.weights


def _sd(q: Any, scale: Scale) -> Any:
    return unary(q, np.sqrt, lambda v: 0.5 / np.sqrt(v), lambda v: -0.25 * v**-1.5) * (1 / scale.unit)


def _cor(q: Any, scale: Scale) -> Any:
    shrink = unary(q[1:], lambda v: v**-0.5, lambda v: -0.5 * v**-1.5, lambda v: 0.75 * v**-2.5)
    cor = q[:1] * shrink[:1] * shrink[1:]
    return unary(cor, np.arcsin, lambda c: 1 / np.sqrt(1 - c**2), lambda c: c * (1 - c**2) ** -1.5)


def _log(q: Any, scale: Scale) -> Any:
    return unary(q, np.log, lambda v: 1 / v, lambda v: -1 / v**2)


def _logit(q: Any, scale: Scale) -> Any:
    a, b = scale.origin, scale.origin + scale.unit
    return _log(q - a, scale) - _log(-q + b, scale)


FUNCTIONS: dict[str, Callable[[Any, Scale], Any]] = {
    "sd": _sd,
    "cor": _cor,
    "log": _log,
    "logit": _logit,
    "plain": lambda q, scale: q,
}


def quantity(fit: StructuredFit, parameter: VarianceParameter) -> Quantity:
    """The function that a parameter is of (G, ψ)."""
    layouts, k, unit = fit.blocks.layouts, fit.blocks.k, float(fit.blocks.basis.y_scale)
    if parameter.kind == "sigma":  # of independent residuals
        weights = np.zeros((1, k))
        weights[0, fit.blocks.n_g] = 1.0
        return Quantity(Scale("sd", unit), weights)
    if parameter.kind == "residual":
        weights = np.zeros((1, k))
        weights[0, fit.blocks.n_g + parameter.row] = 1.0
        scale = scale_of_range(*fit.structure.ranges[parameter.row])
        return Quantity(replace(scale, power=float(fit.structure.powers[parameter.row])), weights)
    place, basis = consecutive([one.n_g for one in layouts])[parameter.term], layouts[parameter.term].basis()
    r, s = parameter.row, parameter.column
    entries = [(r, r)] if parameter.kind in ("sd", "var") else [(r, s), (r, r), (s, s)]
    weights = np.zeros((len(entries), k))
    for row, entry in zip(weights, entries):
        row[place] = basis[(slice(None), *entry)]
    if parameter.kind == "var":
        return Quantity(Scale("plain"), weights)
    return Quantity(Scale(parameter.kind, unit if parameter.kind == "sd" else 1.0), weights)
