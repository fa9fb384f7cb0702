"""What the components of one shape add to the likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray


@dataclass(frozen=True)
class Sums:
    """Sums over components, at B roots; X is orthonormal, y what X leaves of the response.

    Attributes
    ----------
    logdet : (B,) array
        log|C|.
    t1 : (k, B) array
        tr NE_i.
    f_xx, f_xy, f_yy : (p, p, B), (p, B), (B,) arrays
        c'WZ M Z'Wc, which F lacks of c'c.
    d_xx, d_xy, d_yy : (k, p, p, B), (k, p, B), (k, B) arrays
        F_i.
    """

    logdet: FloatArray
    t1: FloatArray
    f_xx: FloatArray
    f_xy: FloatArray
    f_yy: FloatArray
    d_xx: FloatArray
    d_xy: FloatArray
    d_yy: FloatArray

    @classmethod
    def total(cls, parts: list[Sums]) -> Sums:
        """Added up."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.sum([vars(part)[name] for part in parts], axis=0) for name in vars(parts[0])))
