"""Models whose effects explain every row: refused when the likelihood has no maximum, whatever the rows' order.

The verdict is known from ranks: with rank [X Z] = n > rank Z the likelihood grows for ever.
"""

from __future__ import annotations

import numpy as np
import pytest

from henderson import lmer
from henderson.errors import DataError

#: deviance of one model, its rows in another order
AGREE = 1e-7


def far_covariate(rng: np.random.Generator) -> tuple[str, dict[str, np.ndarray]]:
    """14 rows, x about 2e6; levels of h, levels of g with slopes, and x z explain them all."""
    z = rng.normal(size=14)
    data = {"x": 2e6 + 1e4 * rng.normal(size=14), "z": z, "g": np.arange(14) % 5, "h": np.arange(14) // 2 % 4}
    data["y"] = 1000 + 10 * rng.normal(size=14)
    return "y ~ x + I(x * z) + (1 | h) + (z | g)", data


def nested(rng: np.random.Generator) -> tuple[str, dict[str, np.ndarray]]:
    """16 rows in 13 cells of g and h; three columns explain what is left."""
    cells = np.r_[np.arange(13), 0, 4, 8]
    data = {"g": cells // 4, "h": cells, "x": rng.normal(size=16), "z": rng.normal(size=16), "y": rng.normal(size=16)}
    return "y ~ x + z + I(x * z) + (1 | g/h)", data


def columns(data: dict[str, np.ndarray], formula: str) -> tuple[np.ndarray, np.ndarray]:
    """Fixed columns, shifted and scaled, and those of the effects."""
    x, z = ((data[name] - data[name].mean()) / data[name].std() for name in "xz")
    G, H = (np.eye(data[name].max() + 1)[data[name]] for name in "gh")
    if "I(" in formula and "(z | g)" in formula:
        xz = data["x"] / data["x"].mean() * data["z"]
        return np.column_stack([np.ones(14), x, xz]), np.column_stack([H, G, G * data["z"][:, None]])
    return np.column_stack([np.ones(16), x, z, data["x"] * data["z"]]), np.column_stack([H, G])


@pytest.mark.parametrize("draw", [far_covariate, nested])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 37.0])
def test_a_likelihood_without_a_maximum_is_refused_in_every_order_of_the_rows(draw, scale):
    formula, data = draw(np.random.default_rng(3))
    X, Z = columns(data, formula)
    n = len(X)
    assert np.linalg.matrix_rank(Z) < np.linalg.matrix_rank(np.column_stack([X, Z])) == n
    data["y"], data["x"] = data["y"] * scale, data["x"] * scale
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(n)
        with pytest.raises(DataError, match=r"the likelihood has no maximum: .* explain any y of these"):
            lmer(formula, {name: column[order] for name, column in data.items()}, REML=False)


def test_reml_of_the_same_rows_is_bounded():
    rng = np.random.default_rng(3)
    formula, data = nested(rng)
    data["y"] += 2 * rng.normal(size=4)[data["g"]]
    one = lmer(formula, data)
    order = np.random.default_rng(1).permutation(16)
    other = lmer(formula, {name: column[order] for name, column in data.items()})
    assert one.sigma > 0.1 * np.std(data["y"])
    assert one.theta.max() > 0.1
    assert abs(other.deviance - one.deviance) < AGREE


def test_nothing_left_to_the_residual_is_refused_and_not_where_a_descent_stopped():
    rng = np.random.default_rng(0)
    formula, data = nested(rng)
    cells = 3 * rng.normal(size=13)[data["h"]]
    data["y"] = cells + data["x"] - 2 * data["z"] + 1e-3 * rng.normal(size=16)  # as if no noise had been
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(16)
        with pytest.raises(DataError, match="highest with no residual variance"):
            lmer(formula, {name: column[order] for name, column in data.items()})


def test_rows_that_effects_do_not_explain_are_fitted_however_many_effects_there_are():
    rng = np.random.default_rng(2)
    g, h = np.repeat(np.arange(9), 2), np.tile(np.arange(9), 2)
    data = {
        "y": rng.normal(size=18) + rng.normal(size=9)[g] + rng.normal(size=9)[h],
        "g": g,
        "h": h,
    }  # 18 effects, of rank 17
    assert lmer("y ~ 1 + (1 | g) + (1 | h)", data, REML=False).sigma > 0.1


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("reml", [True, False])
def test_a_response_that_is_one_number_a_group_is_refused_wherever_the_descent_stops(seed, reml):
    # at points whose r² was lost in rounding the descent died on what there is no number of
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 12, 100)
    data = {"y": rng.normal(size=12)[g], "x": rng.normal(size=100), "z": g + 0.0, "g": g}
    for formula in ("y ~ z + (1 | g)", "y ~ x + (x | g)"):
        with pytest.raises(DataError, match="explain y all but exactly"):
            lmer(formula, data, REML=reml)
