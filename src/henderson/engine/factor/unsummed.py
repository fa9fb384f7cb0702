"""The equations of a fit that keeps no cross-products: their sizes, and an error for whoever asks for more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from henderson.engine.factor.system import Factor, System
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import Counts


class Unsummed(System):
    """In place of a `System`: the cross-products were let go, but for their sizes.

    Parameters
    ----------
    counts : Counts
    blocks : Blocks
    """

    def __init__(self, counts: Counts, blocks: Blocks) -> None:
        self.cross = counts  # type: ignore[assignment]  # which says so when more than sizes is asked of it
        self.blocks = blocks

    def factor(self, lam: Sequence[np.ndarray]) -> Factor:
        """There is none; the error says why."""
        raise self.cross.refusal  # type: ignore[attr-defined]  # of `Counts`
