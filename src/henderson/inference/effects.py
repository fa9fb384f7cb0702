"""Random effects as blocks of columns of Z, and the rank of [X Z] for any of them, from cross-products.

The rank of [X Z_1 … Z_m]: 1. the effects on the grouping factor with most of them fall into blocks A_j = Z_j'Z_j, one
a level; their ranks add up. 2. What the other columns R have left after these is S = R'R − Σ_j R'Z_j A_j⁺ Z_j'R,
whose rank a pivoted Cholesky factor tells. No n × n matrix is formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from henderson.contract.rows import indicator_columns
from henderson.design.random_terms import RandomSpec
from henderson.design.variance_components import ComponentSpec
from henderson.engine.fit import Fit
from henderson.formula.coding import Part

FloatArray = np.ndarray

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Effect:
    """One random effect as SAS counts them: ``Block``, ``A*Block``, ``Days*Subject``.

    Attributes
    ----------
    variables : frozenset of str
        Columns of the data in it.
    group : object
        Same for effects on one grouping factor.
    Z : (n, J k) csr_array
    width : int
        k, columns a level.
    """

    variables: frozenset[str]
    group: object
    Z: sparse.csr_array
    width: int


def variables_of_part(part: Part) -> list[tuple[frozenset[str], slice]]:
    """Columns of the data in each term of a part, and its columns."""
    return [
        (frozenset(name for expr in term for name in part.factors[expr].variables), place)
        for term, place in zip(part.terms, part.slices)
    ]


def random_effects(fit: Fit) -> list[Effect]:
    """Every random effect, those with fewest levels first (so that nested ones come after what nests them)."""
    effects, design = [], fit.design
    for k, (term, rows) in enumerate(zip(design.terms, fit.rows.terms)):
        spec = design.specs.random[k] if design.specs is not None else None
        group = frozenset(filter(None, spec.group if spec is not None else ())) or frozenset([term.group])
        if rows.codes is None:
            effects.append(Effect(group | {term.label}, ("loadings", k), rows.matrix(term.n_levels), 1))
            continue
        if isinstance(spec, RandomSpec) and spec.part is not None:
            pieces = variables_of_part(spec.part)
        elif isinstance(spec, ComponentSpec):
            pieces = [(frozenset(spec.variables), slice(0, 1))]
        else:
            pieces = [
                (frozenset() if j == 0 else frozenset([name]), slice(j, j + 1)) for j, name in enumerate(term.names)
            ]
        for variables, place in pieces:
            columns = rows.columns[:, place]
            z = indicator_columns(rows.codes, columns, term.n_levels)
            effects.append(Effect(group | variables, term.group, z, columns.shape[1]))
    return sorted(effects, key=lambda effect: effect.Z.shape[1] // effect.width)


def rank_of(X: FloatArray, effects: Sequence[Effect]) -> int:
    """Rank of [X Z_1 … Z_m]."""
    X = _centred(X)
    if not effects:
        return _rank_left(X.T @ X, np.einsum("ij,ij->j", X, X))
    sizes: dict[object, int] = {}
    for effect in effects:
        if not (isinstance(effect.group, tuple) and effect.group[0] == "loadings"):
            sizes[effect.group] = sizes.get(effect.group, 0) + effect.Z.shape[1]
    front = max(sizes, key=lambda group: sizes[group]) if sizes else None
    ahead = [effect for effect in effects if effect.group == front]
    rest = sparse.csr_array(
        sparse.hstack([*(effect.Z for effect in effects if effect.group != front), sparse.csr_array(X)])
    )
    gram = (rest.T @ rest).toarray()
    whole = np.diag(gram).copy()
    if not ahead:
        return _rank_left(gram, whole)
    root, rank = _front(ahead)
    z = sparse.hstack([effect.Z for effect in ahead], format="csr")
    half = root @ (z.T @ rest)
    return rank + _rank_left(gram - (half.T @ half).toarray(), whole)


def _front(ahead: Sequence[Effect]) -> tuple[sparse.csr_array, int]:
    """Block-diagonal B with B'B = (Z'Z)⁺, Z the columns ahead, and their rank."""
    levels = ahead[0].Z.shape[1] // ahead[0].width
    total = sum(effect.width for effect in ahead)
    gram = np.zeros((levels, total, total))
    at_a = 0
    for a in ahead:
        at_b = 0
        for b in ahead:
            block = _blocks(a, b, levels)
            gram[:, at_a : at_a + a.width, at_b : at_b + b.width] = block
            at_b += b.width
        at_a += a.width
    size = np.sqrt(np.einsum("jaa->ja", gram))
    size = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(gram / size[:, :, None] / size[:, None, :])
    good = values > TOLERANCE
    scale = np.where(good, 1 / np.sqrt(np.where(good, values, 1.0)), 0.0)
    root = (vectors * scale[:, None, :]).transpose(0, 2, 1) / size[:, None, :]
    place = np.concatenate(
        [
            offset + np.arange(levels)[:, None] * a.width + np.arange(a.width)
            for a, offset in zip(ahead, np.cumsum([0, *(a.Z.shape[1] for a in ahead)]))
        ],
        axis=1,
    )
    rows = np.broadcast_to(np.arange(levels * total).reshape(levels, total, 1), root.shape)
    columns = np.broadcast_to(place[:, None, :], root.shape)
    matrix = sparse.coo_array((root.ravel(), (rows.ravel(), columns.ravel())), shape=(levels * total, levels * total))
    return sparse.csr_array(matrix), int(good.sum())


def _blocks(a: Effect, b: Effect, levels: int) -> FloatArray:
    """Z_aj'Z_bj of each level, (J, k_a, k_b)."""
    product = (a.Z.T @ b.Z).tocoo()
    rows, columns = product.coords
    out = np.zeros((levels, a.width, b.width))
    out[rows // a.width, rows % a.width, columns % b.width] = product.data
    return out


def _rank_left(gram: FloatArray, whole: FloatArray) -> int:
    """Rank of a positive semidefinite matrix; a pivot below TOLERANCE of its column's length is nothing."""
    from scipy.linalg.lapack import dpstrf

    if not len(gram):
        return 0
    size = np.sqrt(np.where(whole > 0, whole, 1.0))
    scaled = gram / size[:, None] / size
    if np.diag(scaled).max() <= TOLERANCE:
        return 0
    _, _, rank, _ = dpstrf(np.asfortranarray(scaled), tol=TOLERANCE, lower=1)
    return int(rank)


def _centred(X: FloatArray) -> FloatArray:
    """X with means taken out of the other columns when one is constant: the same span, better conditioned."""
    constant = np.ptp(X, axis=0) == 0
    if not (constant & (X[0] != 0)).any():
        return X
    return np.where(constant, X, X - X.mean(axis=0))
