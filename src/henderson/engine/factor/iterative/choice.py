"""Which rest serves a model: the Cholesky factor wherever it is cheaper, else iteration; related levels have their own.

    exact       Σ m³ over the rest's connected components of m effects, and 8m² bytes a few times over
    iterative   (nonzeros of the pairs) × (columns of a block) × (steps), both ways, and no matrix

Measured on one core: 2.2 s of an evaluation with all derivatives at 4,000 crossed effects in the rest and 690,000 pairs
by the first, 0.2 s by the second.
"""

from __future__ import annotations

from henderson.engine.factor.connected import components
from henderson.engine.factor.iterative.system import IterativeSystem
from henderson.engine.factor.sparse.system import SparseSystem
from henderson.engine.factor.system import System
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts

#: what may be asked for, and what "auto" chooses between
RESTS = ("auto", "exact", "iterative")
#: effects of the rest up to which the factor serves whatever it costs, half a second an evaluation at most: such models
#: are compared with other programs' digits, which a Monte-Carlo error would hide
SMALL = 2_600
#: seconds of one m³ of an evaluation, of one stored pair in a product with one column, and of an effect in a step
CUBE, PAIR, EFFECT = 3.5e-11, 2.5e-9, 40e-9
#: columns times steps of an evaluation
COLUMNS_STEPS = 12 * 6
#: bytes of the dense matrices of an evaluation beyond which they are not formed
ROOM = 8e9
#: how many times cheaper iteration must be: the factor's numbers have no Monte-Carlo error
MUCH = 2.0


def check_rest(rest: str) -> None:
    """Raise for a choice that there is not."""
    if rest not in RESTS:
        raise ValueError(f"rest is one of {', '.join(map(repr, RESTS))}, not {rest!r}")


def system_of(cross: CrossProducts, blocks: Blocks, rest: str = "auto") -> System:
    """The equations with the rest that was asked for; "auto": the one that is cheaper.

    Raises
    ------
    ValueError
        When iteration is asked for and all random effects are of one grouping factor: there is nothing to iterate on.
    """
    check_rest(rest)
    if blocks.are_related:
        if rest == "iterative":
            raise ValueError("rest='iterative' does not go with relmat: its equations have a sparse factor")
        return SparseSystem(cross, blocks)
    if rest == "iterative":
        if not blocks.n_rest:
            raise ValueError(
                "rest='iterative' is for models with crossed or nested grouping factors: this one has a single factor, "
                "whose levels are eliminated one by one"
            )
        return IterativeSystem(cross, blocks)
    if rest == "auto" and blocks.n_rest > SMALL and _iteration_is_cheaper(cross, blocks):
        return IterativeSystem(cross, blocks)
    return System(cross, blocks)


def _iteration_is_cheaper(cross: CrossProducts, blocks: Blocks) -> bool:
    sizes = [(blocks.blocks[k].q, blocks.blocks[k].n_levels) for k in blocks.rest]
    cubes = squares = 0.0
    for place in components(cross.zr, cross.rr, sizes):
        count = float(place.columns.shape[1]) if place.is_batch else 1.0
        cubes += count * float(place.shape.size) ** 3
        squares += count * float(place.shape.size) ** 2
    pairs = sum(one.nnz for one in cross.zr) + cross.rr.nnz
    iterating = COLUMNS_STEPS * (2 * PAIR * pairs + EFFECT * (blocks.n_rest + cross.zz.shape[2]))
    return 5 * 8 * squares > ROOM or CUBE * cubes > MUCH * iterating
