"""Many responses on one design: each is the fit that `lmer` makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pytest

import henderson
from henderson import DataError, FormulaError, ManyFits, fit_many, lmer
from henderson.inference import many_responses

#: both searches end where the deviance has 1e-8 or less to gain, which moves an estimate by 1e-5 of its error or less
CLOSE = 2e-5
#: the deviance itself is flat there
DEVIANCE = 1e-7


def table(n_levels: int = 24, each: int = 5, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = n_levels * each
    data = pd.DataFrame({"g": np.repeat(np.arange(n_levels), each), "x": rng.normal(size=n)})
    data["a"], data["h"] = rng.choice(list("uvw"), n), np.tile(np.arange(each), n_levels)
    data["w"] = rng.uniform(0.5, 2, n)
    return data


def responses(data: pd.DataFrame, many: int, seed: int = 4) -> np.ndarray:
    """Some with variances between levels, some without, on scales that differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(size=(data["g"].nunique(), 2, many)) * rng.choice([0.0, 0.5, 2.0], (1, 2, many))
    g, x = data["g"].to_numpy(), data["x"].to_numpy()
    Y = 1 + 0.5 * x[:, None] + levels[g, 0] + levels[g, 1] * x[:, None] + rng.normal(size=(len(g), many))
    return Y * 10.0 ** rng.integers(-6, 7, many)


def assert_same(found: ManyFits, b: int, fit: henderson.MixedModelResults) -> None:
    p = len(fit.params)
    size = fit.bse.to_numpy()
    np.testing.assert_allclose(found.estimate[b, :p], fit.params, atol=CLOSE * np.nanmax(size), rtol=0)
    np.testing.assert_allclose(found.se[b, :p], size, rtol=CLOSE)
    assert found.deviance[b] == pytest.approx(fit.deviance, abs=DEVIANCE * max(abs(fit.deviance), 1.0))
    np.testing.assert_allclose(found.df[b, :p], fit.inference.df(np.eye(p)), rtol=1e-3)
    names = fit.variance_errors().index if hasattr(fit, "variance_errors") else found.variance_names
    assert len(names) == len(found.variance_names)
    assert found.variances[b, -1] == pytest.approx(fit.sigma, rel=CLOSE)
    assert found.nobs[b] == fit.nobs


@pytest.mark.parametrize(
    "formula",
    ["~ x + (x | g)", "~ x * a + (1 | g)", "~ x + (x || g) + (1 | h)", "~ a + (1 | g/a)", "~ 0 + a + (1 | h)"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("reml", [True, False])
def test_each_is_its_own_fit(formula: str, reml: bool) -> None:
    data = table()
    Y = responses(data, 12)
    found = fit_many(formula, data, Y, REML=reml)
    assert found.converged.all()
    for b in range(12):
        assert_same(found, b, lmer(f"y {formula}", data.assign(y=Y[:, b]), REML=reml))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_designs_that_are_too_large_for_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crossed factors in one component go one by one, from the design's sums."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": rng.integers(0, 90, 900), "h": rng.integers(0, 40, 900), "x": rng.normal(size=900)})
    Y = rng.normal(size=90)[data["g"]][:, None] + rng.normal(size=(900, 4))
    found = fit_many("~ x + (1 | g) + (1 | h)", data, Y)
    for b in range(4):
        assert_same(found, b, lmer("y ~ x + (1 | g) + (1 | h)", data.assign(y=Y[:, b])))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_weights_offset_contrasts_of_coding_and_contrasts_of_coefficients() -> None:
    data = table()
    Y = responses(data, 5)
    options = {"weights": "w", "offset": "x", "contrasts": {"a": "sum"}}
    found = fit_many("~ a + (1 | g)", data, Y, contrast=["a[S.u] - a[S.v] = 0", "a[S.u] = 2"], **options)
    assert found.names[:3] == ("(Intercept)", "a[S.u]", "a[S.v]")
    for b in range(5):
        fit = lmer("y ~ a + (1 | g)", data.assign(y=Y[:, b]), **options)
        assert_same(found, b, fit)
        L = np.array([[0.0, 1.0, -1.0], [0.0, 1.0, 0.0]])
        tests = fit.inference.t_test(L, np.array([0.0, 2.0]))
        np.testing.assert_allclose(found.df[b, 3:], tests["df"], rtol=1e-3)
        np.testing.assert_allclose(found.statistic[b, 3:], tests["statistic"], rtol=1e-4)
        np.testing.assert_allclose(found.p[b, 3:], tests["p"], rtol=1e-3, atol=1e-12)


def test_y_of_any_make(tmp_path: Path) -> None:
    data = table()
    Y = responses(data, 40)
    wanted = fit_many("~ x + (1 | g)", data, Y)
    np.save(tmp_path / "Y.npy", Y)
    frame = pd.DataFrame(Y, columns=[f"gene{b}" for b in range(40)])
    mixed = frame.sample(frac=1, random_state=1)
    makes = {
        "file": str(tmp_path / "Y.npy"),
        "memory map": np.load(tmp_path / "Y.npy", mmap_mode="r"),
        "Fortran": np.asfortranarray(Y),
        "pandas": frame,
        "pandas in another order": mixed,
        "polars": polars.from_pandas(frame),
        "arrow": polars.from_pandas(frame).to_arrow(),
        "lists": Y.tolist(),
    }
    for name, make in makes.items():
        found = fit_many("~ x + (1 | g)", data, make)
        np.testing.assert_allclose(found.estimate, wanted.estimate, rtol=1e-12, err_msg=name)
        if hasattr(make, "columns"):
            assert list(found.responses) == list(frame.columns)


def test_written_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_responses, "MOST", 16)
    data = table()
    Y = responses(data, 50)
    told: list[int] = []
    place = fit_many(
        "~ x + (x | g)", data, Y, path=tmp_path / "out.parquet", progress=lambda done, total: told.append(done)
    )
    found = fit_many("~ x + (x | g)", data, Y)
    assert place == tmp_path / "out.parquet"
    assert told == [16, 32, 48, 50]
    pd.testing.assert_frame_equal(pd.read_parquet(place), found.to_frame(), check_index_type=False)
    assert [one.name for one in tmp_path.iterdir()] == ["out.parquet"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_missing_values_are_of_one_response_alone() -> None:
    data = table()
    data.loc[7, "x"] = np.nan
    Y = responses(data, 9)
    Y[3:9, 1] = np.nan
    Y[3:9, 2] = np.nan
    Y[data["a"] == "w", 3] = np.nan
    Y[:118, 4] = np.nan
    Y[:, 5] = np.nan
    Y[:, 6] = 3.0
    found = fit_many("~ x + a + (1 | g)", data, Y, contrast="a[T.w] = 0")
    assert found.converged.tolist() == [True] * 4 + [False] * 3 + [True] * 2
    assert np.isnan(found.estimate[4:7]).all()
    for b in (0, 1, 2, 7):
        assert_same(found, b, lmer("y ~ x + a + (1 | g)", data.assign(y=Y[:, b])))
    assert np.isnan(found.estimate[3, 3:]).all(), "the level w is not there"
    own = lmer("y ~ x + a + (1 | g)", data.assign(y=Y[:, 3]))
    np.testing.assert_allclose(found.estimate[3, :3], own.params, atol=CLOSE * own.bse.max())
    assert found.nobs.tolist()[:5] == [119, 114, 114, int((data["a"] != "w").sum()) - int(data["a"][7] != "w"), 2]


@pytest.mark.parametrize(
    ("formula", "Y", "options", "said"),
    [
        ("y ~ x + (1 | g)", np.zeros((120, 2)), {}, "the formula begins with ~"),
        ("~ x", np.zeros((120, 2)), {}, "no random effects"),
        ("~ z + (1 | g)", np.zeros((120, 2)), {}, "no column 'z'"),
        ("~ x + (1 | g)", np.zeros((119, 2)), {}, "Y has 119 rows, the data 120"),
        ("~ x + (1 | g)", np.zeros(120), {}, "two dimensions; this has 1"),
        ("~ x + (1 | g)", np.zeros((120, 0)), {}, "Y has no responses"),
        ("~ x + (1 | g)", np.full((120, 2), "a"), {}, "Y must hold numbers"),
        ("~ x + (1 | g)", {"one": np.arange(120), "two": ["a"] * 120}, {}, "'two' holds text"),
        ("~ x + (1 | g)", "nowhere.npy", {}, "cannot read Y from nowhere.npy"),
        ("~ x + (1 | g)", "nowhere.csv", {}, "a .npy file or an open array"),
        ("~ x + (1 | g)", np.zeros((120, 2)), {"ddf": "KR"}, "ddf must be one of"),
        ("~ x + (1 | g)", np.zeros((120, 2)), {"contrast": "z = 0"}, "z"),
        ("~ x + (1 | g)", pd.DataFrame(np.zeros((120, 1)), index=range(5, 125)), {}, "the index of Y is not that"),
        ("~ x + (1 | g)", np.zeros((120, 2)), {"REML": "ML"}, "REML must be True or False"),
    ],
)
def test_bad_input_is_named_before_any_fit(formula: str, Y: object, options: dict[str, object], said: str) -> None:
    with pytest.raises((FormulaError, DataError, ValueError), match=said):
        fit_many(formula, table(), Y, **options)


@pytest.mark.parametrize("bar", ["(1 | g)", "(x | g)"])
def test_levels_that_are_unlike_without_fixed_effects(bar):
    # arrays of no columns could not be flattened; refits of the bootstrap are the same arithmetic
    rng = np.random.default_rng(4)
    data = {"g": np.repeat(np.arange(9), 2 + np.arange(9)), "x": rng.normal(size=54)}
    Y = rng.normal(size=(9, 2))[data["g"]] + rng.normal(size=(54, 2))
    found = henderson.fit_many(f"~ 0 + {bar}", data, Y)
    fits = [henderson.lmer(f"y ~ 0 + {bar}", data | {"y": y}) for y in Y.T]
    np.testing.assert_allclose(found.deviance, [fit.deviance for fit in fits], atol=1e-6)
    assert np.isfinite(fits[0].bootstrap(5, seed=1).frame).all(axis=None)
