"""Arrays as statsmodels takes them."""

import numpy as np
import pandas as pd
import pytest

from henderson.design.from_arrays import design_from_arrays
from henderson.errors import DataError
from henderson.sources.factors import encode


class Spec:
    """What statsmodels calls VCSpec."""

    def __init__(self, names, colnames, mats):
        self.names, self.colnames, self.mats = names, colnames, mats


def arrays(n=24):
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.normal(size=n), np.ones(n), rng.normal(size=n)])
    return rng.normal(size=n), X, np.repeat(list("cabd"), n // 4)


def test_arrays_get_statsmodels_names():
    y, X, groups = arrays()
    design, rows = design_from_arrays(y, X, groups)
    assert (design.y_name, design.x_names) == ("y", ("x1", "const", "x2"))
    assert design.terms[0].names == ("Intercept",)
    assert design.terms[0].levels.tolist() == list("abcd")
    design, rows = design_from_arrays(y, X, groups, X[:, :2])
    assert design.terms[0].names == ("x_re1", "x_re2")
    frame = pd.DataFrame(X, columns=list("pqr"), index=np.zeros(24))
    design, rows = design_from_arrays(pd.Series(y, frame.index, name="out"), frame, groups, frame["p"])
    assert (design.y_name, design.x_names, design.terms[0].names) == ("out", ("p", "q", "r"), ("p",))
    assert rows.index.equals(frame.index)


@pytest.mark.parametrize("how", ["dict", "spec", "frames"])
def test_array_components(how):
    y, X, groups = arrays()
    where = {label: np.flatnonzero(groups == label) for label in "abcd"}
    blocks = {label: X[at][:, [0, 2]] for label, at in where.items()}
    if how == "frames":
        blocks = {label: pd.DataFrame(block, columns=["s", "t"]) for label, block in blocks.items()}
    vc = {"two": blocks}
    if how == "spec":
        vc = Spec(["two"], [[["s", "t"]] * 4], [list(blocks.values())])
    design, rows = design_from_arrays(y, X, groups, exog_vc=vc)
    (term,) = design.terms
    assert (term.label, term.n_levels, term.loaded) == ("two", 8, True)
    wanted = np.zeros((24, 8))
    for k, label in enumerate("abcd"):
        wanted[where[label], 2 * k : 2 * k + 2] = X[where[label]][:, [0, 2]]
    np.testing.assert_allclose(rows.terms[0].loadings.toarray(), wanted)
    assert term.levels[3] == ("b", "1" if how == "dict" else "t")


def test_array_components_of_one_column_become_codes():
    y, X, groups = arrays()
    X[3, 0] = 0.0
    vc = {"v": {label: X[groups == label, :1] for label in "abcd"}}
    (own,) = design_from_arrays(y, X, groups, exog_vc=vc)[1].terms
    assert own.codes.tolist() == encode(groups)[0].tolist()
    np.testing.assert_array_equal(own.columns, X[:, :1])


def test_arrays_lose_missing_rows_together():
    y, X, groups = arrays()
    vc = {"v": {label: X[groups == label][:, [0, 2]].copy() for label in "abcd"}}
    labels = groups.astype(object)
    y[0], X[7, 0], labels[13] = np.nan, np.nan, None
    vc["v"]["b"] = vc["v"]["b"][:]
    vc["v"]["d"][2, 1] = np.nan  # row 20
    with pytest.raises(
        DataError,
        match=r"endog \(1 rows\), exog \(1 rows\), groups \(1 rows\), exog_re \(1 rows\), exog_vc 'v'",
    ):
        design_from_arrays(y, X, labels, X[:, :1] * 0 + 1, exog_vc=without(vc, groups, 13), missing="raise")
    design, rows = design_from_arrays(y, X, labels, np.ones(24), exog_vc=without(vc, groups, 13), missing="drop")
    kept = np.delete(np.arange(24), [0, 7, 13, 20])
    np.testing.assert_array_equal(rows.y, y[kept])
    assert design.n_missing == 4
    np.testing.assert_array_equal(design.terms[0].levels[rows.terms[0].codes], groups[kept])
    found = rows.terms[1].loadings.toarray()
    np.testing.assert_allclose(found.sum(axis=1), X[kept][:, [0, 2]].sum(axis=1))


def without(vc, groups, row):
    """The components of a table in which `row` has no label."""
    label = groups[row]
    at = int(np.flatnonzero(np.flatnonzero(groups == label) == row)[0])
    blocks = dict(vc["v"])
    blocks[label] = np.delete(blocks[label], at, axis=0)
    return {"v": blocks}
