"""`Jet`: an array with its exact first and second derivatives in k variables, carried through arithmetic.

(f g)' = f'g + fg',  (f g)'' = f''g + f'g' + (f'g')' + fg'',  h(f)' = h'f',  h(f)'' = h'f'' + h''f'f'.

Functions written with +, −, ×, slices and `unary` serve plain arrays and jets alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

FloatArray = np.ndarray
T = TypeVar("T", "Jet", np.ndarray)


@dataclass(frozen=True)
class Jet:
    """An array and its derivatives.

    Attributes
    ----------
    value : (m,) array
    first : (m, k) array
    second : (m, k, k) array
    """

    value: FloatArray
    first: FloatArray
    second: FloatArray

    #: so that array + jet asks the jet
    __array_ufunc__ = None

    @classmethod
    def variables(cls, values: FloatArray) -> Jet:
        """The variables themselves, (k,)."""
        k = len(values)
        return cls(np.asarray(values, float), np.eye(k), np.zeros((k, k, k)))

    def __getitem__(self, at: Any) -> Jet:
        return Jet(self.value[at], self.first[at], self.second[at])

    def __len__(self) -> int:
        return len(self.value)

    def __neg__(self) -> Jet:
        return Jet(-self.value, -self.first, -self.second)

    def __add__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.first, self.second)
        return Jet(self.value + other.value, self.first + other.first, self.second + other.second)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Any) -> Jet:
        return (-self) + other

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            factor = np.asarray(other, float)
            return Jet(self.value * factor, self.first * factor[..., None], self.second * factor[..., None, None])
        a, b = self.value[:, None], other.value[:, None]
        cross = self.first[:, :, None] * other.first[:, None, :]
        return Jet(
            self.value * other.value,
            self.first * b + a * other.first,
            self.second * b[..., None] + a[..., None] * other.second + cross + cross.transpose(0, 2, 1),
        )

    __rmul__ = __mul__


def unary(x: T, h: Callable[[Any], Any], dh: Callable[[Any], Any], d2h: Callable[[Any], Any]) -> T:
    """h(x) with h' and h'' where `x` is a jet."""
    if not isinstance(x, Jet):
        return h(x)
    outer = x.first[:, :, None] * x.first[:, None, :]
    slope, bend = dh(x.value)[:, None], d2h(x.value)[:, None, None]
    return Jet(h(x.value), slope * x.first, slope[..., None] * x.second + bend * outer)


def joined(parts: list[T]) -> T:
    """Arrays, or jets, one after the other."""
    if not isinstance(parts[0], Jet):
        return np.concatenate(parts)
    return Jet(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("value", "first", "second")))


def total(x: T) -> T:
    """Sum of the entries, (1,)."""
    if not isinstance(x, Jet):
        return np.asarray(x).sum(keepdims=True)
    return Jet(*(getattr(x, name).sum(axis=0, keepdims=True) for name in ("value", "first", "second")))


def exp(x: T) -> T:
    """eˣ."""
    return unary(x, np.exp, np.exp, np.exp)


def tanh(x: T) -> T:
    """The hyperbolic tangent."""
    return unary(x, np.tanh, lambda v: 1 - np.tanh(v) ** 2, lambda v: -2 * np.tanh(v) * (1 - np.tanh(v) ** 2))
