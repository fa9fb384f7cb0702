"""Random effects as blocks of columns of Z, and the rank of [X Z] for any of them, from cross-products.

The rank of [X Z_1 … Z_m]: 1. the effects on the grouping factor with most of them fall into blocks A_j = Z_j'Z_j, one
a level; their ranks add up. 2. What the other columns R have left after these is S = R'R − Σ_j R'Z_j A_j⁺ Z_j'R,
whose rank a pivoted Cholesky factor tells. No n × n matrix is formed. Products of two factors' columns are counted by
cell, as a table of both where that has not many more cells than there are rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from henderson.contract.rows import indicator_columns
from henderson.design.random_terms import RandomSpec
from henderson.design.variance_components import ComponentSpec
from henderson.engine.fit import Fit
from henderson.formula.coding import Part

FloatArray = np.ndarray

TOLERANCE = 1e-9
#: cells of a table of two factors, a row of the data
CELLS_PER_ROW = 4


@dataclass(frozen=True, eq=False)
class Effect:
    """One random effect as SAS counts them: ``Block``, ``A*Block``, ``Days*Subject``.

    Attributes
    ----------
    variables : frozenset of str
        Columns of the data in it.
    group : object
        Same for effects on one grouping factor.
    codes : (n,) intp array, or None
        Level of each row; None where rows may load on several, see `loadings`.
    columns : (n, k) array
        What varies; (n, 1) with `loadings`, which alone counts then.
    n_levels : int
        J.
    loadings : (n, J) csr_array, or None
    """

    variables: frozenset[str]
    group: object
    codes: np.ndarray | None
    columns: FloatArray
    n_levels: int
    loadings: sparse.csr_array | None = None

    @property
    def width(self) -> int:
        """k, columns a level."""
        return self.columns.shape[1]

    @property
    def n_columns(self) -> int:
        """J k."""
        return self.n_levels * self.width

    @cached_property
    def Z(self) -> sparse.csr_array:
        """(n, J k)."""
        if self.codes is None:
            return sparse.csr_array(self.loadings)
        return indicator_columns(self.codes, self.columns, self.n_levels)


def variables_of_part(part: Part) -> list[tuple[frozenset[str], slice]]:
    """Columns of the data in each term of a part, and its columns."""
    return [
        (frozenset(name for expr in term for name in part.factors[expr].variables), place)
        for term, place in zip(part.terms, part.slices)
    ]


def random_effects(fit: Fit) -> list[Effect]:
    """Every random effect, those with fewest levels first (so that nested ones come after what nests them)."""
    effects, design = [], fit.design
    for k, (term, rows) in enumerate(zip(design.terms, fit.observed.terms)):
        spec = design.specs.random[k] if design.specs is not None else None
        group = frozenset(filter(None, spec.group if spec is not None else ())) or frozenset([term.group])
        if rows.codes is None:
            ones, Z = np.ones((fit.n, 1)), rows.given_loadings
            effects.append(Effect(group | {term.label}, ("loadings", k), None, ones, term.n_levels, Z))
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
            effects.append(Effect(group | variables, term.group, rows.codes, rows.columns[:, place], term.n_levels))
    return sorted(effects, key=lambda effect: effect.n_levels)


def near_zero(effects: Sequence[Effect]) -> list[Effect]:
    """Effects that span the same in turn, columns far from zero about their means where the effect of a constant on
    their grouping factor comes before: of slopes on time stamps the products have digits left."""
    out, constant = [], set()
    for effect in effects:
        if effect.codes is None:
            out.append(effect)
            continue
        means, spread = effect.columns.mean(axis=0), np.ptp(effect.columns, axis=0)
        if effect.group in constant and (np.abs(means) > spread).any():
            columns = effect.columns - np.where(np.abs(means) > spread, means, 0.0)
            effect = replace(effect, columns=columns)
        if ((spread == 0) & (means != 0)).any():
            constant.add(effect.group)
        out.append(effect)
    return out


class Ranks:
    """Ranks of [X Z_1 … Z_m] for one X and any effects; a product of two effects is formed once.

    Parameters
    ----------
    X : (n, p) array
    """

    def __init__(self, X: FloatArray) -> None:
        self._fixed = Effect(frozenset(), None, np.zeros(len(X), np.intp), _centred(X), 1)
        self._known: dict[tuple[Effect, Effect], FloatArray | sparse.csr_array] = {}

    def _product(self, a: Effect, b: Effect) -> FloatArray | sparse.csr_array:
        if (b, a) in self._known:
            return self._known[b, a].T
        if (a, b) not in self._known:
            self._known[a, b] = product(a, b)
        return self._known[a, b]

    def of(self, effects: Sequence[Effect]) -> int:
        """Rank of [X Z_1 … Z_m]."""
        ahead, rest = _ahead_and_rest(effects)
        rest = [*rest, self._fixed]
        gram = self._gram(rest)
        whole = np.diag(gram).copy()
        if not ahead:
            return _rank_left(gram, whole)
        root, rank = _front(ahead)
        half = root @ _beside([_above([self._product(a, b) for a in ahead]) for b in rest])
        explained = half.T @ half
        return rank + _rank_left(gram - (explained.toarray() if sparse.issparse(explained) else explained), whole)

    def _gram(self, effects: Sequence[Effect]) -> FloatArray:
        """All products of some effects, a dense matrix."""
        ends = np.cumsum([0, *(effect.n_columns for effect in effects)])
        out = np.zeros((ends[-1], ends[-1]))
        for k, a in enumerate(effects):
            for m, b in enumerate(effects[: k + 1]):
                found = self._product(a, b)
                block = found if isinstance(found, np.ndarray) else found.toarray()
                out[ends[k] : ends[k + 1], ends[m] : ends[m + 1]] = block
                out[ends[m] : ends[m + 1], ends[k] : ends[k + 1]] = block.T
        return out


def _ahead_and_rest(effects: Sequence[Effect]) -> tuple[list[Effect], list[Effect]]:
    """Effects on the grouping factor with most of them, and the others."""
    sizes: dict[object, int] = {}
    for effect in effects:
        if not (isinstance(effect.group, tuple) and effect.group[0] == "loadings"):
            sizes[effect.group] = sizes.get(effect.group, 0) + effect.n_columns
    if not sizes:
        return [], list(effects)
    front = max(sizes, key=lambda group: sizes[group])
    return [e for e in effects if e.group == front], [e for e in effects if e.group != front]


def product(a: Effect, b: Effect) -> FloatArray | sparse.csr_array:
    """Z_a'Z_b, (J_a k_a, J_b k_b): a table of all cells where there are few, else sparse.

    Examples
    --------
    >>> g = Effect(frozenset("g"), "g", np.array([0, 0, 1]), np.ones((3, 1)), 2)
    >>> x = Effect(frozenset(), None, np.zeros(3, int), np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0]]), 1)
    >>> product(g, x)
    array([[2., 5.],
           [1., 5.]])
    """
    cells = a.n_levels * b.n_levels
    if a.codes is None or b.codes is None or cells > CELLS_PER_ROW * len(a.columns) + 1000:
        return sparse.csr_array(a.Z.T @ b.Z)
    if cells == 1:
        return a.columns.T @ b.columns
    cell = a.codes if b.n_levels == 1 else b.codes if a.n_levels == 1 else a.codes * b.n_levels + b.codes
    out = np.empty((a.n_levels, a.width, b.n_levels, b.width))
    for i, one in enumerate(a.columns.T):
        for j, other in enumerate(b.columns.T):
            out[:, i, :, j] = np.bincount(cell, one * other, cells).reshape(a.n_levels, b.n_levels)
    return out.reshape(a.n_columns, b.n_columns)


def _above(blocks: Sequence[FloatArray | sparse.csr_array]) -> FloatArray | sparse.csr_array:
    """Blocks one above the other, sparse when any is."""
    if len(blocks) == 1:
        return blocks[0]
    is_sparse = any(map(sparse.issparse, blocks))
    return sparse.vstack(blocks, format="csr") if is_sparse else np.concatenate(blocks)


def _beside(blocks: Sequence[FloatArray | sparse.csr_array]) -> FloatArray | sparse.csr_array:
    """Blocks side by side, sparse when any is."""
    return sparse.hstack(blocks, format="csr") if any(map(sparse.issparse, blocks)) else np.concatenate(blocks, axis=1)


def _front(ahead: Sequence[Effect]) -> tuple[sparse.csr_array, int]:
    """Block-diagonal B with B'B = (Z'Z)⁺, Z the columns ahead, and their rank."""
    levels = ahead[0].n_levels
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
            for a, offset in zip(ahead, np.cumsum([0, *(a.n_columns for a in ahead)]))
        ],
        axis=1,
    )
    rows = np.broadcast_to(np.arange(levels * total).reshape(levels, total, 1), root.shape)
    columns = np.broadcast_to(place[:, None, :], root.shape)
    matrix = sparse.coo_array((root.ravel(), (rows.ravel(), columns.ravel())), shape=(levels * total, levels * total))
    return sparse.csr_array(matrix), int(good.sum())


def _blocks(a: Effect, b: Effect, levels: int) -> FloatArray:
    """Z_aj'Z_bj of each level, (J, k_a, k_b)."""
    assert a.codes is not None
    out = np.empty((levels, a.width, b.width))
    for i, one in enumerate(a.columns.T):
        for j, other in enumerate(b.columns.T):
            out[:, i, j] = np.bincount(a.codes, one * other, levels)
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
    constant = X.min(axis=0) == X.max(axis=0)
    if not (constant & (X[0] != 0)).any():
        return X
    return X - np.where(constant, 0.0, X.mean(axis=0))
