"""Which rest serves a model: a Cholesky factor wherever it is cheaper, else iteration; related levels have their own.

    exact       Σ m³ over the rest's connected components of m effects, and 8m² bytes a few times over
    sparse      Σ w (w + r)² over fronts of w levels with r below them, as an order of elimination says (exact as well)
    iterative   (nonzeros of the pairs) × (columns of a block) × (steps), both ways, and no matrix

Measured on one core: 2.2 s of an evaluation with all derivatives at 4,000 crossed effects in the rest and 690,000 pairs
by the first, 0.2 s by the second.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from henderson.engine.factor.connected import components
from henderson.engine.factor.iterative.system import IterativeSystem
from henderson.engine.factor.sparse.crossed import crossed_system, elimination_order
from henderson.engine.factor.sparse.system import SparseSystem
from henderson.engine.factor.system import System
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.errors import ApproximationWarning, users_level

#: what may be asked for, and what "auto" chooses between
RESTS = ("auto", "exact", "iterative")
#: effects of the rest up to which the factor serves whatever it costs, half a second an evaluation at most: such models
#: (InstEval's lecturers with slopes have 2,256) are compared with other programs' digits, which a Monte-Carlo error
#: would hide
SMALL = 2_600
#: seconds of one m³ of an evaluation, of one stored pair in a product with one column, and of an effect in a step
CUBE, PAIR, EFFECT = 3.5e-11, 2.5e-9, 40e-9
#: columns times steps of an evaluation
COLUMNS_STEPS = 12 * 6
#: bytes of the dense matrices of an evaluation beyond which they are not formed
ROOM = 8e9
#: how many times cheaper iteration must be: the factor's numbers have no Monte-Carlo error
MUCH = 2.0
#: the same beside a sparse factor, since on sparse graphs iteration takes more steps and probes than elsewhere, and
#: seconds of an evaluation that a sparse factor may always take
SPARSE, PATIENCE = 10.0, 0.2
#: effects of the rest from which a sparse factor is looked for, and seconds that an evaluation with one takes beside
#: its multiplications: in calls, and for each effect
LONG, CALLS, LEVEL = 1_000, 0.04, 2.5e-6


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
        return SparseSystem.of_related(cross, blocks)
    if rest == "iterative":
        if not blocks.n_rest:
            raise ValueError(
                "rest='iterative' is for models with crossed or nested grouping factors: this one has a single factor, "
                "whose levels are eliminated one by one"
            )
        return IterativeSystem(cross, blocks)
    if blocks.n_rest <= LONG:
        return System(cross, blocks)
    costs = _costs(cross, blocks)
    auto = rest == "auto"
    allowed = costs.factor / MUCH if costs.has_room else float("inf")
    if auto:
        allowed = min(allowed, max(SPARSE * costs.iteration, PATIENCE))
    allowed -= CALLS + LEVEL * blocks.n_effects
    sparse = crossed_system(cross, blocks, allowed / CUBE) if allowed > 0 else None
    if sparse is not None:
        return sparse
    if auto and blocks.n_rest > SMALL and not (costs.has_room and costs.factor <= MUCH * costs.iteration):
        return IterativeSystem(cross, blocks)
    return System(cross, blocks)


def warn_if_sparse(system: System) -> None:
    """Tell who asked for iteration that a sparse factor costs no more, before a search that may take long.

    Warns
    -----
    ApproximationWarning
    """
    cross, blocks = system.cross, system.blocks
    if system.rest != "iterative" or blocks.n_rest <= LONG:
        return
    if elimination_order(cross, blocks, _iteration(cross, blocks) / CUBE) is not None:
        warnings.warn(
            "rest='iterative': these levels hardly meet, so that their equations have a sparse Cholesky factor, which "
            "costs no more and has no Monte-Carlo error, while iteration takes as many steps as chains of levels are "
            "long; rest='exact' (and 'auto') takes the factor",
            ApproximationWarning,
            stacklevel=users_level(),
        )


@dataclass(frozen=True)
class _Costs:
    """Seconds of an evaluation.

    Attributes
    ----------
    factor, iteration : float
        By the dense factor, and by iteration.
    has_room : bool
        Whether there is room for dense matrices.
    """

    factor: float
    iteration: float
    has_room: bool


def _costs(cross: CrossProducts, blocks: Blocks) -> _Costs:
    sizes = [(blocks.blocks[k].q, blocks.blocks[k].n_levels) for k in blocks.rest]
    cubes = squares = 0.0
    for place in components(cross.zr, cross.rr, sizes):
        count = float(place.columns.shape[1]) if place.is_batch else 1.0
        cubes += count * float(place.shape.size) ** 3
        squares += count * float(place.shape.size) ** 2
    return _Costs(CUBE * cubes, _iteration(cross, blocks), 5 * 8 * squares <= ROOM)


def _iteration(cross: CrossProducts, blocks: Blocks) -> float:
    """Seconds of an evaluation by iteration."""
    pairs = sum(one.nnz for one in cross.zr) + cross.rr.nnz
    return COLUMNS_STEPS * (2 * PAIR * pairs + EFFECT * (blocks.n_rest + cross.zz.shape[2]))
