"""Pedigrees: who descends from whom, and the relationships that follow, without ever forming A where A⁻¹ will do.

With parents before their offspring, breeding values follow a = Ta_0: a_i = ½ a_sire + ½ a_dam + m_i, Var(m) = D, so

    A = TDT',   T⁻¹ = I − ½ (sires + dams),   d_i = ½ − ¼ (F_sire + F_dam),   d_i = ¾ − ¼ F of one parent, 1 of none
    A⁻¹ = T⁻¹'D⁻¹T⁻¹

(Henderson 1976; Quaas 1976). The inbreeding F_i = A_ii − 1 is that of Meuwissen and Luo (1992): row i of T is traced
back from i through its ancestors, the youngest first, and A_ii = Σ_j t_ij² d_j.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.errors import DataError
from henderson.typing import Labels

FloatArray = np.ndarray

#: d below which it is a rounding error
NO_SAMPLING = 1e-12


@dataclass(frozen=True, eq=False)
class Pedigree:
    """Animals, each after its parents.

    Attributes
    ----------
    ids : pandas.Index of length J
    sire, dam : (J,) intp arrays
        Places of the parents among `ids`, −1 for unknown ones.
    """

    ids: pd.Index
    sire: np.ndarray
    dam: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        founders = int(((self.sire < 0) & (self.dam < 0)).sum())
        return f"<pedigree of {len(self)}, {founders} without known parents>"

    @cached_property
    def _own(self) -> tuple[FloatArray, FloatArray]:
        return _inbreeding(self.sire, self.dam)

    @property
    def mendelian(self) -> FloatArray:
        """d, (J,): the variance of what an animal has not from its known parents, relative to the additive variance."""
        return self._own[1]

    @property
    def inbreeding(self) -> pd.Series:
        """F of each animal.

        Examples
        --------
        >>> pedigree(["a", "b", "c", "d"], [None, None, "a", "a"], [None, None, "b", "c"]).inbreeding.tolist()
        [0.0, 0.0, 0.0, 0.25]
        """
        return pd.Series(self._own[0], index=self.ids, name="F")

    @cached_property
    def _descent(self) -> sparse.csr_array:
        """T⁻¹."""
        J = len(self)
        own = np.arange(J)
        rows = np.concatenate([own, own[self.sire >= 0], own[self.dam >= 0]])
        columns = np.concatenate([own, self.sire[self.sire >= 0], self.dam[self.dam >= 0]])
        values = np.concatenate([np.ones(J), np.full(len(rows) - J, -0.5)])
        return sparse.csr_array(sparse.coo_array((values, (rows, columns)), shape=(J, J)))

    @property
    def is_regular(self) -> bool:
        """Whether every animal has something of its own, so that A has an inverse."""
        return bool((self.mendelian >= NO_SAMPLING).all())

    @cached_property
    def inverse_root(self) -> sparse.csr_array:
        """D^{-1/2}T⁻¹, lower triangular, (J, J): R with A⁻¹ = R'R.

        Examples
        --------
        >>> pedigree(["a", "b"], [None, "a"], [None, None]).inverse_root.toarray().round(3)
        array([[ 1.   ,  0.   ],
               [-0.577,  1.155]])
        """
        self._refuse_singular()
        return sparse.csr_array(sparse.diags_array(1 / np.sqrt(self.mendelian)) @ self._descent)

    def _refuse_singular(self) -> None:
        if not self.is_regular:
            lost = self.ids[int(np.argmax(self.mendelian < NO_SAMPLING))]
            raise DataError(
                f"A has no inverse: the parents of {lost!r} are inbred so far that it has nothing of its own"
            )

    @cached_property
    def inverse(self) -> sparse.csr_array:
        """A⁻¹ by Henderson's rules, (J, J).

        Examples
        --------
        >>> pedigree(["a", "b", "c"], [None, None, "a"], [None, None, "b"]).inverse.toarray()
        array([[ 1.5,  0.5, -1. ],
               [ 0.5,  1.5, -1. ],
               [-1. , -1. ,  2. ]])
        """
        self._refuse_singular()
        return sparse.csr_array(self._descent.T @ sparse.diags_array(1 / self.mendelian) @ self._descent)

    def root(self) -> FloatArray:
        """L = T√D with LL' = A, dense and lower triangular, (J, J)."""
        T = np.zeros((len(self), len(self)))
        for i, (sire, dam) in enumerate(zip(self.sire, self.dam)):
            for parent in (sire, dam):
                if parent >= 0:
                    T[i, :i] += 0.5 * T[parent, :i]
            T[i, i] = 1.0
        return T * np.sqrt(self.mendelian)

    def relationship(self) -> pd.DataFrame:
        """A, with the animals as labels.

        Examples
        --------
        >>> pedigree(["a", "b", "c"], [None, None, "a"], [None, None, "b"]).relationship()
             a    b    c
        a  1.0  0.0  0.5
        b  0.0  1.0  0.5
        c  0.5  0.5  1.0
        """
        root = self.root()
        return pd.DataFrame(root @ root.T, index=self.ids, columns=self.ids)


def pedigree(id: Labels, sire: Labels, dam: Labels, *, unknown: Labels = ()) -> Pedigree:
    """A pedigree from columns, in any order.

    Parameters
    ----------
    id, sire, dam : (n,) array_like
        Each animal and its parents; a missing value (None, NaN) is an unknown parent. Parents that have no row of their
        own are founders.
    unknown : sequence, optional
        Further labels of unknown parents: ``[0]``, ``["."]``.

    Returns
    -------
    Pedigree
        Parents before their offspring; `inbreeding`, `inverse` (A⁻¹), `relationship()` (A). For ``relmat`` of `lmer`.

    Raises
    ------
    DataError
        For an animal that occurs twice, has no name, or is its own ancestor; it is named.

    Examples
    --------
    >>> found = pedigree(["c", "a"], ["a", None], ["b", None])
    >>> found.ids.tolist(), found.inverse.toarray().tolist()
    (['b', 'a', 'c'], [[1.5, 0.5, -1.0], [0.5, 1.5, -1.0], [-1.0, -1.0, 2.0]])
    """
    given = [pd.Series(list(values), dtype=object) for values in (id, sire, dam)]
    if len({len(one) for one in given}) > 1:
        sizes = ", ".join(str(len(one)) for one in given)
        raise DataError(f"id, sire and dam of a pedigree have one length, not {sizes}")
    names, *parents = (one.where(one.notna() & ~one.isin(list(unknown)), None) for one in given)
    if names.isna().any():
        raise DataError(f"row {int(np.argmax(names.isna()))} of the pedigree has no id")
    if names.duplicated().any():
        raise DataError(f"{names[names.duplicated()].iloc[0]!r} occurs twice as id of the pedigree")
    own = set(names)
    founders = [one for one in pd.unique(pd.concat(parents).dropna()) if one not in own]
    labels = [*founders, *names]
    place = {label: k for k, label in enumerate(labels)}
    sires, dams = (
        np.concatenate([np.full(len(founders), -1), [-1 if one is None else place[one] for one in side]]).astype(
            np.intp
        )
        for side in parents
    )
    order = _parents_first(sires, dams, labels)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    moved = [np.where(own[order] < 0, -1, rank[own[order]]) for own in (sires, dams)]
    return Pedigree(pd.Index([labels[k] for k in order]), *moved)


def _parents_first(sire: np.ndarray, dam: np.ndarray, labels: Sequence[Any]) -> np.ndarray:
    """An order in which parents come before their offspring: by generation, then as given."""
    generation = np.where((sire < 0) & (dam < 0), 0, -1)
    for step in range(1, len(sire) + 1):
        waiting = np.flatnonzero(generation < 0)
        if not len(waiting):
            break
        older = [(own[waiting] < 0) | (generation[own[waiting]] >= 0) for own in (sire, dam)]
        ready = waiting[older[0] & older[1]]
        if not len(ready):
            raise DataError(f"{labels[_in_a_circle(sire, dam, waiting)]!r} is an ancestor of itself in the pedigree")
        generation[ready] = step
    return np.argsort(generation, kind="stable")


def _in_a_circle(sire: np.ndarray, dam: np.ndarray, waiting: np.ndarray) -> int:
    """An animal that is its own ancestor, among those that wait for their parents."""
    waits, seen, here = set(waiting.tolist()), set(), int(waiting[0])
    while here not in seen:
        seen.add(here)
        here = int(sire[here]) if int(sire[here]) in waits else int(dam[here])
    return here


def _inbreeding(sire: np.ndarray, dam: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """F and d, (J,) each; parents come before their offspring. Full sibs are traced once."""
    J = len(sire)
    F, d = [0.0] * J, [1.0] * J
    sires, dams = sire.tolist(), dam.tolist()
    known: dict[tuple[int, int], float] = {}
    for i, (s, t) in enumerate(zip(sires, dams)):
        own_s, own_t = F[s] if s >= 0 else -1.0, F[t] if t >= 0 else -1.0
        d[i] = 0.5 - 0.25 * (own_s + own_t)
        if s < 0 or t < 0:
            continue
        pair = (s, t) if s < t else (t, s)
        if pair not in known:
            known[pair] = _squared_row(s, t, sires, dams, d)
        F[i] = known[pair] + d[i] - 1.0
    return np.array(F), np.array(d)


def _squared_row(s: int, t: int, sire: list[int], dam: list[int], d: list[float]) -> float:
    """Σ_j t_ij² d_j over the ancestors j of an animal with parents s and t."""
    weight: dict[int, float] = {}
    queue: list[int] = []
    for parent in (s, t):
        if parent in weight:
            weight[parent] += 0.5
        else:
            weight[parent] = 0.5
            queue.append(-parent)
    heapq.heapify(queue)
    total = 0.0
    while queue:  # the youngest first: its weight is complete
        j = -heapq.heappop(queue)
        w = weight.pop(j)
        total += w * w * d[j]
        half = 0.5 * w
        for parent in (sire[j], dam[j]):
            if parent < 0:
                continue
            if parent in weight:
                weight[parent] += half
            else:
                weight[parent] = half
                heapq.heappush(queue, -parent)
    return total
