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


def decimals_by_row(se: FloatArray, values: FloatArray | None = None) -> np.ndarray:
    """Decimal place of the third digit of each standard error, (r,) int; negative above 1000.

    A row without one has the finest place of the others, or that of its own value's fourth digit where they share none
    or it shows nothing.

    Examples
    --------
    >>> decimals_by_row(np.array([6.8, 1.5])), decimals_by_row(np.array([6.8, 1.5e-7]))
    (array([2, 2]), array([2, 9]))
    """
    se = np.abs(np.asarray(se, float))
    usable = np.isfinite(se) & (se > 0)
    own, shared = np.full(len(se), 3), True
    if usable.any():
        own[usable] = 2 - np.floor(np.log10(se[usable])).astype(int)
        finest, coarsest = own[usable].max(), own[usable].min()
        shared = finest - coarsest <= SHARED
        own[~usable] = finest
        if shared:
            own[:] = finest
    if values is not None:
        size = np.abs(np.asarray(values, float))
        alone = ~usable & np.isfinite(size) & (size > 0) & ((size < 0.5 * 10.0**-own) | (not shared))
        own[alone] = 3 - np.floor(np.log10(size[alone])).astype(int)
    return own


def at_least(values: FloatArray, decimals: int, se: float = np.nan) -> list[str]:
    """Numbers of one unit with so many decimals, or to the third digit of the standard error where those would not show
    it (of each number, where there is none); blank for NaN.

    Examples
    --------
    >>> at_least(np.array([8.6075, 0.2387]), 3, 0.2387), at_least(np.array([3.659e-9, 9.1e-10]), 3, 9.1e-10)
    (['8.607', '0.239'], ['3.659e-09', '9.10e-10'])
    >>> at_least(np.array([2.5e-7, 0.0, np.nan]), 3)
    ['2.50e-07', '0.000', '']
    """
    values = np.asarray(values, float)
    out = []
    for value in values:
        unit = se if np.isfinite(se) and se > 0 else abs(value)
        hidden = np.isfinite(unit) and 0 < unit < 0.5 * 10.0**-decimals
        places = 2 - int(np.floor(np.log10(unit))) if hidden else decimals
        out.append(to_place(value, places) if hidden else f"{value:.{decimals}f}" if np.isfinite(value) else "")
    return out


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


def p_three(p: float) -> str:
    """A p-value in the five characters that statsmodels' tables have for it, never 0.000.

    Examples
    --------
    >>> p_three(0.0321), p_three(0.0006), p_three(1e-6), p_three(np.nan)
    ('0.032', '0.001', '<.001', '')
    """
    if np.isnan(p):
        return ""
    return f"{p:.3f}" if p >= 5e-4 else "<.001"


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
