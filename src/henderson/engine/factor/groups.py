"""Effects of one component of the rest that meet in small groups, apart but for the others: they are eliminated first.

Of lecturers rated by students most are known in one department only: their effects meet each other and those of
lecturers who are known everywhere, the *core*. With the groups g first,

        [ C_1            ]
    C = [      ⋱         ]     C_g and C_rg are small: a factor of C takes Σ b(b + r)² and the cube of the core
        [ C_r1  …   C_cc ]

for groups of b effects that meet r of the core, where it takes the cube of all effects without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: effects of a group at the most, and of a component from which groups are looked for; share of its pairs that meet
#: beyond which they are not
LARGEST, MANY, FULL = 32, 500, 0.4
#: multiplications that are made in the time of a group's calls, and of an entry that it changes in the core; the share
#: of those of one matrix up to which groups are worth it
CALL, MOVED, WORTH = 1e6, 150.0, 0.8


@dataclass(frozen=True, eq=False)
class Groups:
    """Which effects are eliminated first, and where the pattern's entries stand then.

    A group's *front* is C at its own effects and the core's that they meet, by its own effects, (b + r, b) in Fortran
    order; all fronts are one flat array, one after another.

    Attributes
    ----------
    own : list of (b,) int arrays
        Effects of each group.
    rows : list of (r,) int arrays
        The core's effects that it meets, as places in the core.
    squares : list of (r r,) int arrays
        Where those stand by each other in a matrix of the core (c, c), Fortran order.
    core : (c,) int array
        The other effects.
    row, column : int arrays
        Effects of each entry of the pattern, the row not before the column.
    front_size : int
        Numbers of all fronts.
    in_core, core_flat : int arrays
        Entries of the pattern within the core, and where they stand in its lower triangle (c, c), Fortran order.
    in_fronts, fronts_flat : int arrays
        The others, and where they stand in the fronts: of two effects of one group below the diagonal.
    """

    own: list[np.ndarray]
    rows: list[np.ndarray]
    squares: list[np.ndarray]
    core: np.ndarray
    row: np.ndarray
    column: np.ndarray
    front_size: int
    in_core: np.ndarray
    core_flat: np.ndarray
    in_fronts: np.ndarray
    fronts_flat: np.ndarray

    @classmethod
    def of(cls, row: np.ndarray, column: np.ndarray, n: int) -> Groups | None:
        """Groups of n effects with the entries (row, column) of a lower triangle; None where they do not pay.

        Examples
        --------
        >>> of = np.repeat(np.arange(31), [30] * 30 + [60])  # thirty groups, and sixty who meet all
        >>> found = Groups.of(*np.nonzero(np.tril((of[:, None] == of) | (of[:, None] == 30))), 960)
        >>> len(found.core), {len(own) for own in found.own}, {len(rows) for rows in found.rows}
        (60, {30}, {60})
        """
        if n < MANY or len(row) > FULL * n**2 / 2:
            return None
        meets = np.zeros((n, n), bool)
        meets[row, column] = meets[column, row] = True
        np.fill_diagonal(meets, False)
        own = _apart(meets)
        in_group = np.zeros(n, bool)
        in_group[np.concatenate([np.zeros(0, np.intp), *own])] = True
        core = np.flatnonzero(~in_group)
        rows = [np.flatnonzero(meets[np.ix_(core, one)].any(axis=1)) for one in own]
        if not own or not all(map(len, rows)):  # of what is in one piece a group meets some of the core
            return None
        sizes = [(len(one), len(met)) for one, met in zip(own, rows)]
        taken = sum(b * (b + r) ** 2 + CALL + MOVED * r**2 for b, r in sizes) + len(core) ** 3 / 3
        if taken > WORTH * n**3 / 3 or sum(r**2 for _, r in sizes) > n**2:
            return None
        fronts = [np.concatenate([one, core[met]]) for one, met in zip(own, rows)]
        depth, width = np.array([len(one) for one in fronts]), np.array([len(one) for one in own])
        of_group = np.zeros(n, np.intp)
        of_group[np.concatenate(own)] = np.repeat(np.arange(len(own)), width)
        local = np.zeros(n, np.intp)
        local[core] = np.arange(len(core))
        inside = ~(in_group[row] | in_group[column])
        of_core, of_fronts = np.flatnonzero(inside), np.flatnonzero(~inside)
        # where an effect stands in a front: found by the key group · n + effect
        keys = np.repeat(np.arange(len(own)), depth) * n + np.concatenate(fronts)
        order = np.argsort(keys)
        place = np.concatenate([np.arange(m) for m in depth])[order]
        one, other = row[of_fronts], column[of_fronts]
        one, other = np.where(in_group[other], other, one), np.where(in_group[other], one, other)
        group = of_group[one]
        along, down = (place[np.searchsorted(keys[order], group * n + each)] for each in (one, other))
        return cls(
            own,
            rows,
            [(met + len(core) * met[:, None]).ravel() for met in rows],
            core,
            row,
            column,
            int(depth @ width),
            of_core,
            local[row[of_core]] + len(core) * local[column[of_core]],
            of_fronts,
            (np.cumsum(depth * width) - depth * width)[group] + along * depth[group] + down,
        )

    @cached_property
    def on_diagonal(self) -> np.ndarray:
        """Which entries of the pattern are."""
        return self.row == self.column

    def fronts(self, flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Views of each front in an array of all: its own effects (b, b), and what they meet (r, b)."""
        start = 0
        for one, met in zip(self.own, self.rows):
            b, m = len(one), len(one) + len(met)
            front = flat[start : start + m * b].reshape(b, m).T
            start += m * b
            yield front[:b], front[b:]


def _apart(meets: np.ndarray) -> list[np.ndarray]:
    """Groups of effects none of which meets another group's: taken up by how few others they meet, each joins the
    groups that it meets, or is of the core where these would be too large together."""
    packed = np.packbits(meets, axis=1, bitorder="little")
    met_by = [int.from_bytes(one.tobytes(), "little") for one in packed]
    groups: list[tuple[int, list[int]]] = []  # as bits of a number, and as a list
    for effect in np.argsort(meets.sum(axis=0), kind="stable").tolist():
        met = met_by[effect]
        joined = [one for one in groups if one[0] & met]
        if sum(len(members) for _, members in joined) >= LARGEST:
            continue
        bits, members = 1 << effect, [effect]
        for more, others in joined:
            bits, members = bits | more, members + others
        groups = [one for one in groups if not one[0] & met] + [(bits, members)]
    return [np.sort(members) for _, members in groups]
