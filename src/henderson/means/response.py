"""Tables of linear functions of β̂ on the scale of the response: which way there is back, and what is said of it.

Means go back by the inverse of the transformation (`formula.response`), differences of logarithms as ratios, of
log-odds as odds ratios; other contrasts have no meaning there and stay. Tests are those of the scale of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from henderson.contract.design import Design
from henderson.formula.response import ODDS, ResponseScale, response_scale
from henderson.means.options import TestOptions


@dataclass(frozen=True)
class WayBack:
    """How a table goes back to the response.

    Attributes
    ----------
    expr : str
        What the model's response is.
    scale : ResponseScale, or None
        None: there is no way back.
    why_not : str
        Why there is none.
    sd : float or None
        Standard deviation of the response about its mean in the model: the correction of bias goes by it.
    is_ratio : bool
        Whether the rows are ratios.
    """

    expr: str
    scale: ResponseScale | None
    why_not: str = ""
    sd: float | None = None
    is_ratio: bool = False

    def contrasts(self, are_differences: bool) -> WayBack:
        """The way back of contrasts among the rows, whose coefficients may sum to zero."""
        if self.scale is None:
            return self
        h, kind = self.scale.transformation, self.scale.transformation.ratio
        if kind and are_differences:
            ratio = replace(ODDS if kind == "odds ratio" else h, ratio="ratio")
            return replace(self, scale=ResponseScale(ratio, f"{kind}s"), is_ratio=True)
        return replace(self, scale=None, why_not=f"Contrasts are still on the {h.name} scale", is_ratio=False)

    def in_use(self, test: TestOptions) -> ResponseScale | None:
        """The scale of a table with these options; None: that of the model.

        Raises
        ------
        ValueError
            When the response went through something that there is no way back from.
        """
        if test.type == "link":
            return None
        if self.scale is None:
            if not self.why_not.startswith("Contrasts"):
                raise ValueError(self.why_not)
            return None
        if not test.bias_adjust or self.is_ratio:
            return self.scale
        sd = self.sd if test.sigma is None else test.sigma
        if sd is None:
            raise ValueError("bias_adjust=True needs sigma=, the standard deviation of the response about its mean")
        return replace(self.scale, sd=sd)

    def notes(self, test: TestOptions) -> tuple[str, ...]:
        """What the table says of its scale."""
        scale = self.in_use(test)
        if scale is None:
            kept = self.why_not if test.type == "response" else ""
            return (kept or f"Results are given on the scale of {self.expr}",)
        tests = f"Tests are performed on the {scale.transformation.name} scale"
        if self.is_ratio:
            adjusted = ("Ratios need no bias adjustment",) if test.bias_adjust else ()
            return (f"Back-transformed from the {scale.transformation.name} scale: {scale.of}", *adjusted, tests)
        return (*scale.notes, tests)


def way_back(design: Design) -> WayBack | None:
    """The way back of a model's means; None for a response that was not transformed."""
    response = getattr(design.specs, "response", None)
    if response is None or response.state is None:
        return None
    try:
        return WayBack(response.expr, response_scale(response, design.specs.environment), "", None)
    except ValueError as error:
        return WayBack(response.expr, None, str(error), None)


def as_ratios(keys: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """Labels of differences as those of ratios: ``a / b``."""
    text = {name: keys[name].str.replace(" - ", " / ", regex=False) for name in keys.columns
            if name not in by and pd.api.types.infer_dtype(keys[name]) == "string"}  # fmt: skip
    return keys.assign(**text)
