"""How linear functions of β are tested: everything about tests and limits that a user can choose, in one object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from henderson.arguments import number, probability
from henderson.means.multiplicity.adjust import adjustment_name

SIDES = {
    0: ("two-sided", "both", "!=", "=", "equivalence", "0", "2"),
    -1: ("less", "left", "<", "-", "nonsuperiority", "-1"),
    1: ("greater", "right", ">", "+", "noninferiority", "1"),
}


def side_of(side: Any) -> int:
    """0 (two-sided), −1 (less) or 1 (greater), from any of their names."""
    for value, names in SIDES.items():
        if str(side).lower() in names:
            return value
    raise ValueError(f"unknown side {side!r}; there are {', '.join(names[0] for names in SIDES.values())}")


@dataclass(frozen=True)
class TestOptions:
    """Choices for a table of estimates.

    Attributes
    ----------
    adjust : str
        Multiplicity adjustment; a name in `multiplicity.adjust.ADJUSTMENTS` (its other names are understood too).
    level : float
        Confidence level, in (0, 1).
    side : {0, -1, 1}
        Alternative: two-sided, less, greater (or any name in `SIDES`).
    delta : float
        Margin of equivalence, non-superiority or non-inferiority; zero for an ordinary test.
    null : float
        Value under the null hypothesis.
    type : {"link", "response"}
        The scale of the model, or of its response before that was transformed.
    bias_adjust : bool
        With type="response": correct for the curvature of the way back.
    sigma : float or None
        Standard deviation for that; None: the model's.

    Raises
    ------
    ValueError
        For a value that has no meaning, naming the option.

    Examples
    --------
    >>> TestOptions().but(side="less", adjust="fdr", level=None)
    TestOptions(adjust='fdr', level=0.95, side=-1, delta=0.0, null=0.0, type='link', bias_adjust=False, sigma=None)
    """

    __test__ = False

    adjust: str = "none"
    level: float = 0.95
    side: Any = 0
    delta: float = 0.0
    null: float = 0.0
    type: str = "link"
    bias_adjust: bool = False
    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.type not in ("link", "response"):
            raise ValueError(f"type must be 'link' or 'response', not {self.type!r}")
        if self.bias_adjust and self.type != "response":
            raise ValueError("bias_adjust=True goes with type='response'")
        if self.sigma is not None:
            number(self.sigma, "sigma", at_least=0)
        changed = {
            "adjust": adjustment_name(self.adjust),
            "level": probability(self.level, "level"),
            "side": side_of(self.side),
            "delta": number(self.delta, "delta", at_least=0),
            "null": number(self.null, "null"),
        }
        for name, value in changed.items():
            object.__setattr__(self, name, value)

    def but(self, **changes: Any) -> TestOptions:
        """The same with other values of some options; those that are None stay."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


#: two-sided tests and limits at 0.95, without adjustment
PLAIN = TestOptions()
