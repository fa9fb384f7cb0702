"""The design of a formula whose response is not there yet: of a study that is planned, or of data to be simulated.

The response is replaced by a column that no model looks at; rows that lack it in the data are not missing rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.design.from_formula import design_from_formula
from henderson.errors import FormulaError
from henderson.formula.bars import parse
from henderson.formula.environment import Env, Environment, capture
from henderson.formula.terms import plain_column
from henderson.sources.frames import read_table
from henderson.sources.table import Table

#: name of the column that stands for the response
STAND_IN = "response_"


def design_without_response(
    formula: str, data: Any, *, env: Env | Environment = 0, **options: Any
) -> tuple[Design, Rows]:
    """A design and its rows, of a table that need not have the response.

    Parameters
    ----------
    formula : str
        ``"y ~ x + (x | g)"``; ``"~ x + (x | g)"`` is understood.
    data : table
    env, **options
        As for `design_from_formula`.

    Returns
    -------
    Design
        With the response's name and the formula as they were given.
    Rows
        `y` is of no meaning.

    Examples
    --------
    >>> design, rows = design_without_response("log(rt) ~ x + (1 | g)", {"x": [0, 1, 0, 1], "g": list("aabb")})
    >>> design.y_name, rows.X.shape
    ('log(rt)', (4, 2))
    """
    if not isinstance(formula, str):
        raise FormulaError(f"a formula is text such as 'y ~ x + (x | g)', not {type(formula).__name__}")
    given = f"y {formula.strip()}" if formula.strip().startswith("~") else formula
    response = parse(given).response
    table = read_table(data)
    name = STAND_IN
    while name in table:
        name += "_"
    own = (plain_column(response) or (None,))[0]  # which “.” must not take for a covariate
    names = (*(one for one in table.names if one != own), name)
    made_up = np.linspace(0.0, 1.0, table.n)

    def read(wanted: str) -> Any:
        return made_up if wanted == name else table[wanted]

    beside = Table(names, table.n, table.index, read, table.labelled)
    text = f"{name} ~{given.split('~', 1)[1]}"
    design, rows = design_from_formula(text, beside, env=capture(env), **options)
    return replace(design, formula=formula, y_name=response), rows
