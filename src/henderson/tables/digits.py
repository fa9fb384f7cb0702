"""How many digits a printed number shows: those that its standard error vouches for, whatever the unit.

A number with standard error s is written to the decimal place of the third digit of s: 2 − ⌊log10 s⌋ decimals. Rows
whose places differ little share the finest; where they differ much each row has its own, and very small and very large
numbers are written with an exponent.
"""

from __future__ import annotations

import numpy as np

FloatArray = np.ndarray

#: rows whose decimals differ by no more than this share the finest
SHARED = 3
#: decimals above which, and size above which, a number is written with an exponent
MOST_DECIMALS, LARGEST = 8, 1e9
#: decimals to which numbers of one column are padded before all of them get an exponent
MOST_PADDED = 12


def decimals_by_row(se: FloatArray) -> np.ndarray:
    """Decimal place of the third digit of each standard error, (r,) int; negative above 1000.

    Examples
    --------
    >>> decimals_by_row(np.array([6.8, 1.5])), decimals_by_row(np.array([6.8, 1.5e-7]))
    (array([2, 2]), array([2, 9]))
    """
    se = np.abs(np.asarray(se, float))
    usable = np.isfinite(se) & (se > 0)
    if not usable.any():
        return np.full(len(se), 3)
    own = np.full(len(se), 0)
    own[usable] = 2 - np.floor(np.log10(se[usable])).astype(int)
    finest, coarsest = own[usable].max(), own[usable].min()
    own[~usable] = finest
    return np.full(len(se), finest) if finest - coarsest <= SHARED else own


def to_place(value: float, decimals: int) -> str:
    """A number to a decimal place; blank for NaN.

    Examples
    --------
    >>> to_place(251.4051, 2), to_place(1.2345e-12, 14), to_place(3.2e12, -8), to_place(np.nan, 2)
    ('251.41', '1.23e-12', '3.2000e+12', '')
    """
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    size = abs(value)
    if decimals > MOST_DECIMALS or size >= LARGEST:
        digits = int(np.floor(np.log10(size))) + decimals if size > 0 else 0
        return f"{value:.{min(max(digits, 0), 15)}e}"
    return f"{value:.{max(decimals, 0)}f}"


def four_digits(value: float) -> str:
    """Four significant digits, no exponent between 1e-4 and 1e9; blank for NaN.

    Examples
    --------
    >>> four_digits(612.0902), four_digits(0.0655512), four_digits(123456.7), four_digits(1e-12)
    ('612.1', '0.06555', '123457', '1e-12')
    """
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    return f"{value:.0f}" if 1e3 <= abs(value) < LARGEST else f"{value:.4g}"


def significant(values: FloatArray, digits: int) -> list[str]:
    """Numbers with as many decimals as the one needs that shows `digits` significant digits with the most.

    Examples
    --------
    >>> significant(np.array([612.10, 35.07]), 4)
    ['612.10', '35.07']
    >>> significant(np.array([2.5e-29, 0.0]), 4)
    ['2.500e-29', '0.000e+00']
    """
    values = np.asarray(values, float)
    finite = values[np.isfinite(values) & (values != 0)]
    decimals = 0
    for value in finite:
        text = f"{abs(value):.{digits - 1}e}"
        mantissa, exponent = text.split("e")
        used = len(mantissa.replace(".", "").rstrip("0"))
        decimals = max(decimals, used - 1 - int(exponent))
    if decimals > MOST_PADDED:
        return ["" if np.isnan(value) else f"{value:.{digits - 1}e}" for value in values]
    return ["" if np.isnan(value) else f"{value:.{max(decimals, 0)}f}" for value in values]


def p_text(p: float) -> str:
    """A p-value with three significant digits.

    Examples
    --------
    >>> p_text(0.01234), p_text(1e-20), p_text(3.21e-6)
    ('0.0123', '<2e-16', '3.21e-06')
    """
    if np.isnan(p):
        return ""
    if p < 2e-16:
        return "<2e-16"
    return f"{p:.2e}" if p < 1e-4 else f"{p:.{max(3, 2 - int(np.floor(np.log10(p))))}f}"


def p_four(p: float) -> str:
    """A p-value with four decimals, never 0.0000.

    Examples
    --------
    >>> p_four(0.0321), p_four(1e-6), p_four(0.0)
    ('0.0321', '<0.0001', '<0.0001')
    """
    if np.isnan(p):
        return ""
    return f"{p:.4f}" if p >= 1e-4 else "<0.0001"
