"""Model matrices of formulas are R's, on the data and on new rows."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from henderson.design.from_formula import design_from_formula
from henderson.design.replay import fixed_columns

ATOL = 1e-9  # splines: R's and SciPy's recurrences differ by some rounding errors
LISTING = json.loads(gzip.decompress((Path(__file__).parent / "formulas.json.gz").read_bytes()))
DATA = pd.DataFrame(LISTING["data"]).astype({"z": "int8"}).assign(g=np.arange(60) % 6)
SAME = {"factor(z, levels = 3:0)": "factor(z, levels = c(3, 2, 1, 0))"}  # R's sequences are written out here


@pytest.mark.parametrize("case", LISTING["models"], ids=lambda case: f"{case['formula']} {case['subset'] or ''}")
def test_model_matrices_are_rs(case):
    text = SAME.get(case["formula"], case["formula"])
    more = {"contrasts": case["contrasts"]} if case["contrasts"] else {}
    subset = None if case["subset"] is None else case["subset"].replace("&", "and")
    design, rows = design_from_formula(f"y ~ {text} + (1 | g)", DATA, subset=subset, **more)
    own = np.arange(len(DATA)) if rows.positions is None else rows.positions
    np.testing.assert_array_equal(own, case["rows"])
    np.testing.assert_allclose(rows.X, np.array(case["X"], float), atol=ATOL)
    for name in ("new", "far"):
        if case[name]:
            new = fixed_columns(design, pd.DataFrame(LISTING[name]))
            np.testing.assert_allclose(new, np.array(case[name], float), atol=ATOL, rtol=1e-9)
