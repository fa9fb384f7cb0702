"""Transformed responses: what `log(y)` is the scale of, and the way back.

A table on the scale of η = f(y) goes back by h = f⁻¹: estimates and limits by h, standard errors by |h'(η)| (the delta
method). h of a mean is the median of y where f(y) is symmetric; its mean is, to second order and with σ² the variance
of f(y) about η, h(η) + σ² h''(η)/2. Differences of logarithms are logarithms of ratios, of log-odds those of odds
ratios.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.formula.evaluate import FactorSpec, as_number, replay
from henderson.formula.tokens import tokens

FloatArray = np.ndarray


def _expit(eta: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(np.asarray(eta) / 2))


def _square(eta: Any) -> Any:
    return np.maximum(eta, 0.0) ** 2


@dataclass(frozen=True)
class Transformation:
    """A transformation f with its way back h.

    Attributes
    ----------
    name : str
    inverse, slope, bend : callable
        h, h' and h''.
    ratio : str
        What exponentiated differences are called; empty where they are nothing.
    """

    name: str
    inverse: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    bend: Callable[[Any], Any]
    ratio: str = ""


def _logarithm(name: str, base: float) -> Transformation:
    rate = float(np.log(base))
    return Transformation(
        name,
        lambda eta: np.exp(rate * eta),
        lambda eta: rate * np.exp(rate * eta),
        lambda eta: rate**2 * np.exp(rate * eta),
        "ratio",
    )


#: what differences on the log-odds scale go back by
ODDS = _logarithm("log odds ratio", math.e)

_LOGIT = Transformation(
    "logit",
    _expit,
    lambda eta: _expit(eta) * _expit(-eta),
    lambda eta: _expit(eta) * _expit(-eta) * (1 - 2 * _expit(eta)),
    "odds ratio",
)

#: name of the function, whatever module it is from -> transformation
TRANSFORMATIONS: dict[str, Transformation] = {
    "log": _logarithm("log", math.e),
    "log10": _logarithm("log10", 10.0),
    "log2": _logarithm("log2", 2.0),
    "log1p": Transformation("log1p", np.expm1, np.exp, np.exp),
    "sqrt": Transformation(
        "sqrt", _square, lambda eta: 2.0 * np.maximum(eta, 0.0), lambda eta: np.full_like(np.asarray(eta, float), 2.0)
    ),
    "logit": _LOGIT,
    "qlogis": _LOGIT,
}

#: places at which an expression is looked at: within (0, 1), and beyond shifts
_PLACES = (np.array([0.25, 0.5, 0.75]), np.array([10.25, 10.5, 10.75]), np.array([1000.25, 1000.5, 1000.75]))


@dataclass(frozen=True)
class ResponseScale:
    """The scale of a model's response, and how its tables go back.

    Attributes
    ----------
    transformation : Transformation
    of : str
        What is transformed: ``y``, ``y / 100``; without a constant that was added to it.
    added : float
        That constant.
    sd : float
        Standard deviation of the response about what is estimated, for the correction of bias; 0 for none.
    """

    transformation: Transformation
    of: str
    added: float = 0.0
    sd: float = 0.0

    def back(self, eta: FloatArray) -> FloatArray:
        """From the scale of the model to the response's."""
        h = self.transformation
        return np.asarray(h.inverse(eta) + self.sd**2 / 2 * h.bend(eta) - self.added)

    def slope(self, eta: FloatArray) -> FloatArray:
        """∂back/∂η; the third derivative of h, which the correction would have, by differences."""
        h = self.transformation
        if not self.sd:
            return np.asarray(h.slope(eta))
        step = 1e-4
        third = (h.bend(eta + step) - h.bend(eta - step)) / (2 * step)
        return np.asarray(h.slope(eta) + self.sd**2 / 2 * third)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table that went back says of it."""
        said = f"Back-transformed from the {self.transformation.name} scale to {self.of}"
        if self.sd:
            return said, f"Bias adjustment by a standard deviation of {self.sd:.5g}: means"
        return said, "These are medians where errors are symmetric on that scale"


def response_scale(spec: FactorSpec | None, env: Any) -> ResponseScale | None:
    """How tables of a model go back to its response; None for a response that was not transformed.

    Parameters
    ----------
    spec : FactorSpec or None
        Of the response; None for a model made of arrays.
    env : Environment

    Raises
    ------
    ValueError
        For an expression that there is no way back from; the message lists those there are.

    Examples
    --------
    >>> from henderson.design.from_formula import design_from_formula
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 4.0], "g": list("aaabbb")}
    >>> for text in ("log(y)", "I(np.sqrt(y))", "log(y + 1)", "y"):
    ...     specs = design_from_formula(f"{text} ~ 1 + (1 | g)", data)[0].specs
    ...     found = response_scale(specs.response, specs.environment)
    ...     print(None if found is None else (found.transformation.name, found.of, found.added))
    ('log', 'y', 0.0)
    ('sqrt', 'y', 0.0)
    ('log', 'y', 1.0)
    None
    """
    if spec is None or spec.state is None:
        return None
    found = _called(spec.expr)
    known = ", ".join(TRANSFORMATIONS)
    if found is None:
        raise ValueError(f"there is no way back from {spec.expr!r}; there is one from {known} of an expression")
    transformation, of = found
    if len(spec.variables) != 1:
        return ResponseScale(transformation, of)
    name = spec.variables[0]
    found_at = ((places, _inner(spec, env, transformation, name, places)) for places in _PLACES)
    places, inner = next(((x, y) for x, y in found_at if y is not None), (_PLACES[0], None))
    if inner is None:
        return ResponseScale(transformation, of)
    slope = (inner[1] - inner[0]) / (places[1] - places[0])
    added = float(inner[0] - places[0])
    is_shift = np.allclose(inner - places, added, rtol=0, atol=1e-8 * (1 + abs(inner[0]))) and abs(slope - 1) < 1e-6
    if of.strip("`") == name and not (is_shift and abs(added) < 1e-6):
        raise ValueError(f"{spec.expr!r} is not the function that its name says: there is no telling the way back")
    return (
        ResponseScale(transformation, name, float(np.round(added, 9)))
        if is_shift
        else ResponseScale(transformation, of)
    )


def _called(expr: str) -> tuple[Transformation, str] | None:
    """The transformation that an expression calls, and what of; ``I(…)`` and brackets around it say nothing."""
    found = re.match(r"^\s*(?:(?:\w+\.)*(\w+))?\s*\(", expr)
    if found is None or found[1] not in (None, "I", *TRANSFORMATIONS):
        return None
    opening = found.end() - 1
    bracket = next(token for token in tokens(expr) if token.start == opening)
    if bracket.partner != len(expr.rstrip()) - 1:
        return None
    inner = expr[opening + 1 : bracket.partner].strip()
    return (TRANSFORMATIONS[found[1]], inner) if found[1] in TRANSFORMATIONS else _called(inner)


def _inner(
    spec: FactorSpec, env: Any, transformation: Transformation, name: str, places: FloatArray
) -> FloatArray | None:
    """What the transformation is of, at some values of its column; None where it has no value."""
    with np.errstate(all="ignore"):
        found = as_number(spec, replay(spec, {name: places}, len(places), env))
        if found is None or not np.isfinite(found).all():
            return None
        return np.asarray(transformation.inverse(np.asarray(found, float)))
