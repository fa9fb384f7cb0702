"""Data sets without some of their rows, as one computation: cross-products subtract as they add.

A member of the batch leaves out some rows D. Where c is a component that loses some,

    Σ(member) = Σ(all) − Σ(component c, whole) + Σ(component c, without D),   c'c = I − c_D'c_D

and of these only the first goes over the whole design. A component whose rows are all left out adds nothing. Large
components are not added up by pattern, so there the sums are formed of what each member has left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.engine.many.components import Components, Shape, component_of_rows
from henderson.engine.many.large_components import AtComponent, AtComponents, EffectProducts, Lost, Move
from henderson.engine.many.pieces import AtRoots, Responses, at_root
from henderson.engine.many.sums import Sums

FloatArray = np.ndarray


@dataclass(frozen=True)
class AtLost:
    """What the members' sums over small components differ by from those of all rows.

    Attributes
    ----------
    shape : Shape
    lost : Lost
        P components that lose rows.
    root : (Q, Q, B or 1) array
    batch : int
        B.
    """

    shape: Shape
    lost: Lost
    root: FloatArray
    batch: int

    @cached_property
    def both(self) -> tuple[AtComponent, AtComponent]:
        """The P components without the rows, and whole."""
        lost = self.lost
        lam = self.shape.gathered(self.root).transpose(2, 0, 1)
        lam = lam[lost.member] if len(lam) > 1 else np.repeat(lam, len(lost.member), 0)
        moves = [Move.of(e) for e in self.shape.members]
        gram = self.shape.gram[:, :, self.shape.pattern[lost.component]].transpose(2, 0, 1)
        zx = self.shape.zx[:, :, lost.component].transpose(2, 1, 0)
        left = AtComponent(gram - lost.gram, lam, zx - lost.zx, lost.whole_zy - lost.zy, moves)
        return left, AtComponent(gram, lam, zx, lost.whole_zy, moves)

    def _by_member(self, values: FloatArray) -> FloatArray:
        """Sums over the components of each member: (…, P) → (…, B)."""
        p = len(self.lost.member)
        into = sparse.csr_array((np.ones(p), (self.lost.member, np.arange(p))), shape=(self.batch, p))
        return (into @ values.reshape(-1, p).T).T.reshape(*values.shape[:-1], self.batch)

    def sums(self) -> Sums:
        """Steps 3 and 4."""
        left, whole = (vars(one.sums()) for one in self.both)
        return Sums(*(self._by_member(left[name] - whole[name]) for name in left))

    def second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Step 7."""
        member = self.lost.member
        own = None if s_inverse is None else s_inverse[..., member]
        (r2, logdet), (whole_r2, whole_logdet) = (one.second(beta[:, member], own) for one in self.both)
        return self._by_member(r2 - whole_r2), self._by_member(logdet - whole_logdet)


@dataclass(frozen=True)
class Deleted:
    """Data sets without some rows; see `pieces.OtherRows`.

    Attributes
    ----------
    lost : tuple of Lost, one a shape
    xx, xy, yy : (p, p, B), (p, B), (B,) arrays
    """

    lost: tuple[Lost, ...]
    xx: FloatArray
    xy: FloatArray
    yy: FloatArray

    def __getitem__(self, index: np.ndarray) -> Deleted:
        if len(index) == len(self.yy) and np.array_equal(index, np.arange(len(index))):
            return self
        return Deleted(tuple(one[index] for one in self.lost), self.xx[..., index], self.xy[:, index], self.yy[index])

    def at_roots(self, parts: Components, responses: Responses, root: FloatArray) -> list[AtRoots]:
        """See `OtherRows`."""
        batch, out = len(self.yy), list[AtRoots]()
        for shape, products, lost in zip(parts.shapes, responses.products, self.lost):
            if isinstance(products, EffectProducts):
                every = np.broadcast_to(root, (*root.shape[:2], batch))
                out.append(AtComponents(shape, products, every, None, lost))
                continue
            out.append(at_root(shape, products, root, None))
            if len(lost.member):
                out.append(AtLost(shape, lost, root, batch))
        return out


class Deleter:
    """Makes `Deleted` of sets of rows.

    Parameters
    ----------
    design : Design
    rows : Rows
    parts : Components
        The design taken apart.

    Attributes
    ----------
    responses : Responses
        The one response.
    """

    def __init__(self, design: Design, rows: Rows, parts: Components) -> None:
        self.parts = parts
        self.responses = Responses.of(parts, rows.y[:, None])
        y = (rows.y - parts.offset) * parts.root_weights
        self.c = np.column_stack([parts.x, y - parts.x @ self.responses.beta[:, 0]])
        self.log_weights = 2 * np.log(parts.root_weights)
        label = component_of_rows(design, rows)
        shape_of = np.zeros(int(label.max()) + 1, int)
        place_of = np.zeros(len(shape_of), int)
        for s, shape in enumerate(parts.shapes):
            shape_of[shape.label], place_of[shape.label] = s, np.arange(len(shape.label))
        self.shape_of_row, self.place_of_row = shape_of[label], place_of[label]
        self.z = [_dense(shape) for shape in parts.shapes]
        self.zy = [
            np.asarray(shape.rows @ self.c[:, -1]).reshape(shape.size, -1).T for shape in parts.shapes
        ]  # fmt: skip

    def __call__(self, rows: np.ndarray, member: np.ndarray, batch: int) -> Deleted:
        """Data sets without rows (E,), each from the data set of its member (E,), of `batch` data sets."""
        p, c = self.parts.p, self.c[rows]
        gone = _products_of(member, batch, c, c).transpose(1, 2, 0)
        whole_yy = float(self.responses.yy[0])
        lost = tuple(self._lost(s, rows, member) for s in range(len(self.parts.shapes)))
        return Deleted(lost, np.eye(p)[..., None] - gone[:p, :p], -gone[:p, p], whole_yy - gone[p, p])

    def _lost(self, s: int, rows: np.ndarray, member: np.ndarray) -> Lost:
        here = self.shape_of_row[rows] == s
        rows, member, n = rows[here], member[here], len(self.parts.shapes[s].label)
        pairs, which = np.unique(member * n + self.place_of_row[rows], return_inverse=True)
        which = which.reshape(-1)
        z, c = self.z[s][rows], self.c[rows]
        component = pairs % n
        zc = _products_of(which, len(pairs), z, c)
        gram = _products_of(which, len(pairs), z, z)
        return Lost(component, pairs // n, gram, zc[:, :, :-1], zc[:, :, -1], self.zy[s][component])


def _products_of(group: np.ndarray, n: int, left: FloatArray, right: FloatArray) -> FloatArray:
    """Σ left_e right_e' over each group, for (E, a) and (E, b): (n, a, b)."""
    into = sparse.csr_array((np.ones(len(group)), (group, np.arange(len(group)))), shape=(n, len(group)))
    return np.stack([np.asarray(into @ (column[:, None] * right)) for column in left.T], axis=1)


def _dense(shape: Shape) -> FloatArray:
    """W^½ Z of every row on the effects of its own component, (n, R); zero where that is of another shape."""
    entries = shape.rows.tocoo()
    effect, row = entries.coords
    out = np.zeros((shape.rows.shape[1], shape.size))
    out[row, effect // len(shape.pattern)] = entries.data
    return out
