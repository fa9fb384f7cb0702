"""The same model without a term of its fixed part: a design of its own, with all that tests and predictions need.

The term is left out of the formula, and what remains is coded as if it had been written so: of ``0 + A + B`` without A
the term B gets a column for each level. The new columns are combinations of the old, X' = X C; C follows from the
coding alone and is found on made-up rows (`full_coding`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.design.cells import Cells
from henderson.design.fixed_terms import FixedTerms
from henderson.design.term_text import as_bar
from henderson.formula.coding import Part, fill, make_part
from henderson.inference.anova.full_coding import made_up_rows


def without_term(design: Design, rows: Rows, name: str) -> tuple[Design, Rows]:
    """A design and its rows without a term.

    Parameters
    ----------
    design : Design
        Of a formula, or of arrays: then a term is a column.
    rows : Rows
    name : str
        Of the term: ``"a:x"``.
    """
    if design.specs is None:
        keep = np.array([column != name for column in design.x_names])
        names = tuple(np.array(design.x_names)[keep])
        less = replace(design, x_names=names)
        return replace(less, formula=formula_of(less)), replace(rows, X=np.asfortranarray(rows.X[:, keep]))
    old: Part = design.specs.fixed
    left = [k for k, term in enumerate(old.terms) if ":".join(term) != name]
    terms = [old.terms[k] for k in left]
    by_degree = list(old.terms) == sorted(old.terms, key=len)
    new = make_part(terms, old.factors, order="degree" if by_degree else "patsy")
    places = {column: j for j, column in enumerate(old.columns)}
    at = [places.get(column) for column in new.columns]
    x_names = tuple(own if j is None else design.x_names[j] for j, own in zip(at, new.names))
    X = rows.X @ _combination(old, new) if None in at else rows.X[:, [j for j in at if j is not None]]
    specs = replace(design.specs, fixed=new, terms=_remaining(design.specs.terms, left, new))
    less = replace(design, x_names=x_names, specs=specs)
    return replace(less, formula=formula_of(less)), replace(rows, X=np.asfortranarray(X))


def _combination(old: Part, new: Part) -> np.ndarray:
    """C, (p, p')."""
    values, n = made_up_rows(old)
    own = fill(old, values, np.empty((n, len(old.names))))
    wanted = fill(new, values, np.empty((n, len(new.names))))
    matrix, *_ = np.linalg.lstsq(own, wanted, rcond=1e-10)
    matrix[np.abs(matrix) < 1e-11] = 0.0
    return np.asarray(matrix)


def _remaining(old: FixedTerms, left: list[int], new: Part) -> FixedTerms:
    """What is known of the terms that are left, and of their variables."""
    uses = tuple(old.variables[k] for k in left)
    used = {name for names in uses for name in names}
    used |= {column for name in used for column in old.expressions.get(name, ())}
    return replace(
        old,
        names=tuple(old.names[k] for k in left),
        slices=new.slices,
        factors=new.terms,
        variables=uses,
        levels={name: index for name, index in old.levels.items() if name in used},
        means={name: mean for name, mean in old.means.items() if name in used or name in old.offset_variables},
        ranges={name: size for name, size in old.ranges.items() if name in used or name in old.offset_variables},
        cells=_margin(old.cells, used),
        expressions={name: columns for name, columns in old.expressions.items() if name in used},
    )


def _margin(cells: Cells, used: set[str]) -> Cells:
    """Cells of some of the factors."""
    names = [name for name in cells.values if name in used]
    if not names:
        return Cells()
    codes, which = np.unique(np.column_stack([cells.codes[name] for name in names]), axis=0, return_inverse=True)
    counts = np.bincount(which.reshape(-1), cells.counts)
    values = {name: cells.values[name] for name in names}
    return Cells(values, {name: codes[:, j].astype(np.intp) for j, name in enumerate(names)}, counts)


def formula_of(design: Design) -> str:
    """A formula for a design that has lost terms: the response as written, terms as they are coded.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
    >>> formula_of(fit.design)
    'angle ~ recipe + temp + recipe:temp + (1 | recipe:replicate)'
    """
    bars = [as_bar(design, k) for k in range(len(design.terms))]
    if design.specs is None:
        return f"{design.y_name} ~ {' + '.join(['0', *design.x_names, *bars])}"
    response = design.formula.split("~")[0].strip() or design.y_name
    fixed = [":".join(term) for term in design.specs.fixed.terms if term]
    if () not in design.specs.fixed.terms:
        fixed.insert(0, "0")
    fixed += [f"offset({spec.expr})" for spec in design.specs.offsets]
    return f"{response} ~ {' + '.join([*(fixed or ['1']), *bars])}"
