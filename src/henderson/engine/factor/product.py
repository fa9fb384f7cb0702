"""The front's part of the Schur complement, S = Z_r'Z_r − Σ_j a_j' M_j a_j with M_j = T_j'T_j and a_j = Z_j'Z_r (q, R).

S has the same nonzeros at every θ. There are three ways to form it, with one interface; `choose` takes the cheapest.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from henderson.engine.factor.dense_product import DenseProduct
from henderson.engine.factor.pattern_product import PatternProduct
from henderson.engine.factor.places import ComponentColumns
from henderson.engine.factor.split_product import SplitProduct

#: stored products of a pattern: 12 bytes each
PATTERN_LIMIT = 30_000_000
#: doubles of a dense front
DENSE_LIMIT = 8_000_000
#: cost of one stored product against one dense multiply-add
PATTERN_COST = 25.0
#: multiply-adds that are made in the time that sparse products take to begin
CALLS = 150_000.0

Product = PatternProduct | DenseProduct | SplitProduct


def choose(zr: list[sparse.csr_array], rr: sparse.csr_array, places: list[ComponentColumns]) -> Product:
    """Stored products where they are few or where S falls apart, else BLAS, split where the front is large."""
    if not zr or len(places) > 1 or places[0].is_batch:
        return PatternProduct(zr, rr, places)
    q, (n_levels, R) = len(zr), zr[0].shape
    counts = np.diff(zr[0].indptr).astype(float)
    stored = float((counts * (counts + 1)).sum()) / 2 * (q * (q + 1) // 2)
    if stored <= PATTERN_LIMIT and CALLS + stored * PATTERN_COST <= n_levels * q * R**2 / 2:
        return PatternProduct(zr, rr, places)
    return DenseProduct.of_sparse(zr, rr) if n_levels * q * R <= DENSE_LIMIT else SplitProduct(zr, rr)
