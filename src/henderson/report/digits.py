"""How many digits a printed number shows."""

from __future__ import annotations

import numpy as np

FloatArray = np.ndarray


def significant(values: FloatArray, digits: int) -> list[str]:
    """Numbers with as many decimals as the one needs that shows `digits` significant digits with the most.

    Examples
    --------
    >>> significant(np.array([612.10, 35.07]), 4)
    ['612.10', '35.07']
    """
    values = np.asarray(values, float)
    finite = values[np.isfinite(values) & (values != 0)]
    decimals = 0
    for value in finite:
        text = f"{abs(value):.{digits - 1}e}"
        mantissa, exponent = text.split("e")
        used = len(mantissa.replace(".", "").rstrip("0"))
        decimals = max(decimals, used - 1 - int(exponent))
    return ["" if np.isnan(value) else f"{value:.{min(max(decimals, 0), 15)}f}" for value in values]


def p_text(p: float) -> str:
    """A p-value with three significant digits.

    Examples
    --------
    >>> p_text(0.01234), p_text(1e-20), p_text(3.21e-6)
    ('0.0123', '<2e-16', '3.21e-06')
    """
    if np.isnan(p):
        return "NaN"
    if p < 2e-16:
        return "<2e-16"
    return f"{p:.2e}" if p < 1e-4 else f"{p:.{max(3, 2 - int(np.floor(np.log10(p))))}f}"
