"""A fit of rows that come in parts is the fit of the same rows in memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import DataError, FormulaError, lmer
from henderson.design import learning
from henderson.engine.sums import blocks
from henderson.errors import NotAvailable
from henderson.sources.streams import source as source_module
from henderson.sources.streams.files import Files
from henderson.sources.streams.source import Part

#: issue's tolerance: sums in another order and another basis differ by rounding, which the optimum does not amplify
CLOSE = 1e-10
#: rows of a part of these tests, so that small tables come in several
SMALL = 500


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PART", SMALL)


def table(n: int = 3000, seed: int = 3) -> pd.DataFrame:
    """Three factors, covariates near and far from zero, missing values, groups nested and crossed."""
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 40, n) * 7 - 100, rng.integers(0, 9, n)
    x, year = rng.normal(5, 2, n), rng.integers(1990, 2021, n)
    a = rng.choice(list("wuv"), n)
    b, c = rng.normal(size=(400, 2)), rng.normal(size=9)
    y = (
        1
        + 2 * x
        + (a == "v") * 0.5
        + b[g + 100, 0]
        + 0.3 * b[g + 100, 1] * x
        + c[h]
        + (0.1 + 0.2 * b[g + 100, 1]) * (year - 2000)
    )
    data = pd.DataFrame(
        {"y": y + rng.normal(size=n), "x": x, "year": year, "a": a, "g": g, "h": h, "two": rng.integers(0, 2, n)}
    )
    data["text"] = pd.Series([f"s{k:02d}" for k in h])
    data["cat"] = pd.Categorical(data["a"], categories=["v", "w", "u", "none"])
    data["w"] = rng.uniform(0.5, 2, n)
    data.loc[rng.choice(n, 60, replace=False), "x"] = np.nan
    data.loc[rng.choice(n, 60, replace=False), "text"] = None
    return data


def written(data: pd.DataFrame, folder: Path, n_files: int = 3) -> str:
    """Parquet files of a table, and the glob that matches them."""
    for k, part in enumerate(np.array_split(np.arange(len(data)), n_files)):
        data.iloc[part].to_parquet(folder / f"part-{k}.parquet")
    return str(folder / "*.parquet")


def assert_same(memory: henderson.MixedModelResults, streamed: henderson.MixedModelResults) -> None:
    """Two fits agree in all that a table shows."""
    assert streamed.nobs == memory.nobs
    assert streamed.design.n_missing == memory.design.n_missing
    assert list(streamed.params.index) == list(memory.params.index)
    assert streamed.deviance == pytest.approx(memory.deviance, rel=CLOSE)
    for name in ("params", "bse"):
        one, other = getattr(memory, name).to_numpy(), getattr(streamed, name).to_numpy()
        np.testing.assert_allclose(other, one, rtol=CLOSE, atol=CLOSE * np.nanmax(np.abs(one)))
    np.testing.assert_allclose(streamed.sigma, memory.sigma, rtol=CLOSE)
    near = 1e-7 if memory.is_singular else CLOSE  # where a variance is rounding, its root is of that size
    np.testing.assert_allclose(streamed.theta, memory.theta, rtol=CLOSE, atol=near * np.abs(memory.theta).max())
    for one, other, term, same in zip(memory.engine.b, streamed.engine.b, memory.design.terms, streamed.design.terms):
        assert list(same.levels) == list(term.levels)
        np.testing.assert_allclose(other, one, atol=CLOSE * np.abs(one).max())
    rows = np.eye(len(memory.params))[memory.engine.kept]
    np.testing.assert_allclose(
        streamed.inference.t_test(rows)["df"], memory.inference.t_test(rows)["df"], rtol=10 * CLOSE
    )


FORMULAS = [
    "y ~ x + a + (x | g)",
    "y ~ x + a * two + year + (1 | g)",
    "y ~ x + (x | g) + (1 | h)",
    "y ~ cat * x + (1 | g/h)",
    "y ~ text + (1 | a:h)",
    "y ~ scale(x) + center(year) + (1 | text)",
    "y ~ poly(x, 2) + ns(year, 3) + bs(x, df=5) + C(a, Sum) + (1 | g)",
    "y ~ 0 + a + x + (0 + x | g)",
    "log(y + 100) ~ x + I(x > 5) + cut(year, 3) + (1 | h)",
    "y ~ x + year + I(year**2) + (x || g)",
    "y ~ a:x + factor(h) + (x | g)",
    "y ~ x + I((x - mean(x)) / sd(x)) + (1 | g)",
    "y ~ log(x - 3) + offset(two) + (1 | g)",
    "y ~ interaction(a, two) + (1 | g)",
    "y ~ x + I(2 * x) + (1 | g)",
    "y ~ year + (year | g)",
    "y ~ two + cs(0 + a | g)",
    "y ~ x + ar1(0 + h | g)",
    "y ~ x + (a || g)",
    "y ~ I(x > 5) + (I(x > 5) | g) + (1 | h)",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parts_are_the_whole(formula: str, tmp_path: Path) -> None:
    data = table()
    assert_same(lmer(formula, data), lmer(formula, written(data, tmp_path)))


def test_with_weights_offset_contrasts_and_ml(tmp_path: Path) -> None:
    data, options = table(), {"weights": "w", "offset": "two", "contrasts": {"a": "sum"}, "REML": False}
    files = written(data, tmp_path)
    memory, streamed = lmer("y ~ x + a + (x | g)", data, **options), lmer("y ~ x + a + (x | g)", files, **options)
    assert_same(memory, streamed)
    np.testing.assert_allclose(
        streamed.engine.digest.x_triangle.T @ streamed.engine.digest.x_triangle,
        memory.engine.digest.x_triangle.T @ memory.engine.digest.x_triangle,
        rtol=1e-10,
    )


@pytest.mark.parametrize("order", ["y", "year", "g", "a"])
def test_sorted_files(order: str, tmp_path: Path) -> None:
    """The first rows say nothing of the others."""
    data = table().sort_values(order)
    assert_same(
        lmer("y ~ x + a + year + (x | g)", data), lmer("y ~ x + a + year + (x | g)", written(data, tmp_path, 7))
    )


@pytest.mark.parametrize("unit", [1e-9, 1e9])
@pytest.mark.parametrize("far", [0.0, 1e7])
def test_unusual_scales(unit: float, far: float, tmp_path: Path) -> None:
    data = table()
    data["x"], data["y"] = (data["x"] + far) * unit, data["y"] * unit
    assert_same(lmer("y ~ x + (x | g)", data), lmer("y ~ x + (x | g)", written(data, tmp_path)))


@pytest.mark.parametrize("in_parts", [False, True])
def test_numbers_read_as_text(in_parts: bool) -> None:
    """A slope of a covariate in which "." is a missing value: 400 effects a level, whose G would take 96 GB."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": rng.integers(0, 20, 400), "x": rng.normal(size=400), "y": rng.normal(size=400)})
    data = data.assign(x=data["x"].astype(str).where(data.index != 7, "."))
    with pytest.raises(DataError, match=r"400 correlated effects a level have 80,200 .*read as text"):
        lmer("y ~ 1 + (x | g)", (lambda: iter([data])) if in_parts else data)


def test_what_tables_need_of_the_rows(tmp_path: Path) -> None:
    data = table()
    files = written(data, tmp_path)
    formula = "y ~ x * a + two + (x | g)"
    memory, streamed = lmer(formula, data), lmer(formula, files)
    np.testing.assert_allclose(streamed.anova()["F"], memory.anova()["F"], rtol=1e-8)
    np.testing.assert_allclose(streamed.anova(type=1)["F"], memory.anova(type=1)["F"], rtol=1e-8)
    one, other = memory.emmeans("a"), streamed.emmeans("a")
    np.testing.assert_allclose(other.frame["estimate"], one.frame["estimate"], rtol=1e-9)
    terms, same = memory.design.specs.terms, streamed.design.specs.terms
    assert list(same.cells.values) == list(terms.cells.values) == ["a", "two"]
    assert same.cells.counts.tolist() == terms.cells.counts.tolist()
    assert all(same.cells.codes[name].tolist() == terms.cells.codes[name].tolist() for name in terms.cells.codes)
    assert same.ranges == pytest.approx(terms.ranges)
    np.testing.assert_allclose(streamed.engine.digest.sketch, memory.engine.digest.sketch, atol=1e-9)
    assert streamed.engine.digest.fingerprints["response"] == memory.engine.digest.fingerprints["response"]
    new = {"x": [4.0], "a": ["v"], "two": [1], "g": [-100]}
    np.testing.assert_allclose(streamed.predict(new), memory.predict(new), rtol=1e-9)
    small = lmer("y ~ x + a + two + (x | g)", files, REML=False)
    large = lmer(formula, files, REML=False)
    wanted = henderson.compare(lmer("y ~ x + a + two + (x | g)", data, REML=False), lmer(formula, data, REML=False))
    np.testing.assert_allclose(henderson.compare(small, large)["deviance"], wanted["deviance"], rtol=1e-9)
    assert "Scaled residuals" not in str(streamed.summary())


def test_what_needs_rows_says_so(tmp_path: Path) -> None:
    fit = lmer("y ~ x + (1 | g)", written(table(), tmp_path))
    with pytest.raises(NotAvailable, match=r"bootstrap\(\): this needs all rows in memory.*augment"):
        fit.bootstrap(n=2)


def test_kept_on_disk(tmp_path: Path) -> None:
    fit = lmer("y ~ x + a + (1 | g)", written(table(), tmp_path))
    fit.save(tmp_path / "fit.henderson")
    for again in (henderson.load(tmp_path / "fit.henderson"), pickle.loads(pickle.dumps(fit))):
        assert again.deviance == fit.deviance
        assert str(again.summary()) == str(fit.summary())
        np.testing.assert_allclose(again.anova()["F"], fit.anova()["F"])


def test_levels_only_where_another_column_is_missing(tmp_path: Path) -> None:
    """Groups and categories are learned without looking at the covariates: those without a complete row go again."""
    data = table()
    data.loc[data["g"] == -100, "x"] = np.nan
    data.loc[data["a"] == "w", "x"] = np.nan
    data.loc[(data["h"] == 3) & (data["g"] == -93), "x"] = np.nan
    files = written(data, tmp_path)
    for formula in ("y ~ x + a + (1 | g)", "y ~ x + C(a, Sum) + (1 | g/h)"):
        memory, streamed = lmer(formula, data), lmer(formula, files)
        assert_same(memory, streamed)
        assert streamed.design.specs.terms.levels["a"].tolist() == ["u", "v"]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The columns of every way through files that went to their end."""
    seen: list[tuple[str, ...]] = []
    parts = Files.parts

    def counted(self: Files, columns: Sequence[str]) -> Iterator[Part]:
        yield from parts(self, columns)
        seen.append(tuple(columns))

    monkeypatch.setattr(Files, "parts", counted)
    return seen


@pytest.mark.parametrize("many", [4, 1024])
@pytest.mark.parametrize("formula", ["y ~ x + (1 + x | g)", "y ~ x + (1 | g) + (1 + x | h)", "y ~ x + (1 | g/h)"])
def test_levels_without_a_complete_row_are_left_out_of_the_sums(formula, many, tmp_path, passes, monkeypatch):
    """The rows are not read again for them; levels in order of frequency, too."""
    monkeypatch.setattr(blocks, "MANY", many)
    data = table()
    data.loc[data["g"].isin([-100, -94]), "x"] = np.nan
    data.loc[(data["h"] == 3) | ((data["h"] == 2) & (data["g"] == -93)), "y"] = np.nan
    memory, streamed = lmer(formula, data), lmer(formula, written(data, tmp_path))
    assert len([names for names in passes if "y" in names]) == 1
    assert_same(memory, streamed)
    assert streamed.ngrps == memory.ngrps
    one = data[data["g"] == -79]
    more = lmer(formula, iter([pd.concat([one, data[:1000]])]))
    both = lmer(formula, streamed.crossproducts + more.crossproducts)
    assert both.deviance == pytest.approx(lmer(formula, pd.concat([data, one, data[:1000]])).deviance, rel=CLOSE)


@pytest.mark.parametrize("dtype", ["int64", "int16", "uint8"])
def test_groups_of_which_files_say_the_numbers_are_not_read_to_be_learned(dtype, tmp_path, passes, monkeypatch):
    """Numbers between that no row has are none of the groups."""
    monkeypatch.setattr(learning, "EACH", 10)
    data = table()
    codes = (data["g"].to_numpy() - data["g"].min()) // 7
    data["g"] = (3 * codes + (codes == codes.max()) * (255 - 3 * codes.max() if dtype == "uint8" else 0)).astype(dtype)
    data = data.sample(frac=1, random_state=1, ignore_index=True)
    files = written(data, tmp_path)
    for formula in ("y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)"):
        passes.clear()
        memory, streamed = lmer(formula, data), lmer(formula, files)
        assert not [names for names in passes if "y" not in names]
        assert len(passes) == 1
        assert_same(memory, streamed)
        assert streamed.ngrps == memory.ngrps
    data.loc[5, "g"] = np.nan if dtype == "int64" else 7  # then the file does not say it, or one more is a group
    files = written(data, tmp_path)
    assert_same(lmer("y ~ x + (x | g)", data), lmer("y ~ x + (x | g)", files))


def test_partition_whose_groups_and_categories_are_nowhere_else(tmp_path: Path) -> None:
    data = table()
    other = table(600, seed=8).assign(a="new", g=lambda d: d["g"] + 1000, cat=pd.NA)
    both = pd.concat([data, other], ignore_index=True)
    data.to_parquet(tmp_path / "a.parquet")
    other.drop(columns="cat").to_parquet(tmp_path / "b.parquet")
    files = str(tmp_path / "*.parquet")
    assert_same(lmer("y ~ x + a + (x | g)", both), lmer("y ~ x + a + (x | g)", files))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ mine(x) + (1 | g)", r"'mine\(x\)' uses the function mine\(\), whose value in one row may depend"),
        ("y ~ x.rank() + (1 | g)", r"x\.rank"),
        ("y ~ np.cumsum(x) + (1 | g)", r"np\.cumsum"),
        ("y ~ xx + (1 | g)", "no column 'xx'"),
        ("y ~ x + (1 | gg)", "no column 'gg'"),
    ],
)
def test_formulas_that_are_refused(formula: str, said: str, tmp_path: Path) -> None:
    def mine(x: np.ndarray) -> np.ndarray:
        return x - x.mean()

    with pytest.raises(FormulaError, match=said):
        lmer(formula, written(table(), tmp_path), env={"mine": mine, "np": np})


def test_arguments_that_are_refused(tmp_path: Path) -> None:
    files = written(table(), tmp_path)
    with pytest.raises(DataError, match="subset is of a table in memory"):
        lmer("y ~ x + (1 | g)", files, subset="x > 3")
    with pytest.raises(DataError, match="weights must name a column"):
        lmer("y ~ x + (1 | g)", files, weights=np.ones(3000))
    with pytest.raises(DataError, match="weights must name a column"):  # before the rows of an iterator are gone
        lmer("y ~ x + (1 | g)", iter([table()]), weights=pd.Series(np.ones(3000)))
    for makes in (lambda: table(), lambda: 3):
        with pytest.raises(DataError, match="not an iterator of tables"):
            lmer("y ~ x + (1 | g)", makes)
    with pytest.raises(DataError, match="missing values in 60 rows"):
        lmer("y ~ x + (1 | g)", files, missing="raise")
    with pytest.raises(DataError, match="constant"):
        lmer("two ~ x + (1 | g)", written(table().assign(two=1), tmp_path))
    with pytest.raises(DataError, match="has one level"):
        lmer("y ~ x + (1 | g)", written(table().assign(g=1), tmp_path))
    bad = table()
    bad.loc[1500, "w"] = -1.0
    bad.loc[2900, "x"] = np.inf
    written(bad, tmp_path)
    with pytest.raises(DataError, match=r"part-1\.parquet.*weights must be positive"):
        lmer("y ~ a + (1 | g)", files, weights="w")
    with pytest.raises(DataError, match=r"part-2\.parquet.*inf"):
        lmer("y ~ x + (1 | g)", files)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ a + year", {"groups": "g"}),
        ("y ~ two + x", {"groups": "g", "re_formula": "~ x", "missing": "drop"}),
        ("y ~ scale(x) + (x | g)", {"missing": "drop"}),
        ("y ~ x + (1 | g) + (1 | h)", {"missing": "drop", "weights": "w"}),
    ],
)
@pytest.mark.parametrize("reml", [True, False])
def test_the_door_of_statsmodels(formula: str, options: dict[str, str], reml: bool, tmp_path: Path) -> None:
    data = table()
    memory = henderson.mixedlm(formula, data, **options).fit(reml=reml)
    fit = henderson.mixedlm(formula, written(data, tmp_path), **options).fit(reml=reml)
    assert fit.llf == pytest.approx(memory.llf, rel=CLOSE)
    np.testing.assert_allclose(fit.params, memory.params, rtol=1e-8)
    np.testing.assert_allclose(fit.bse, memory.bse, rtol=1e-7)
    assert list(fit.params.index) == list(memory.params.index)
    assert str(fit.summary()) == str(memory.summary())
    np.testing.assert_allclose(np.asarray(fit.fittedvalues), memory.fittedvalues, rtol=1e-8)
    if "h)" not in formula:
        assert list(fit.random_effects) == list(memory.random_effects)
        pd.testing.assert_series_equal(fit.random_effects[-100], memory.random_effects[-100], rtol=1e-7)
    with pytest.raises(NotAvailable, match="read in parts"):
        fit.model.endog  # noqa: B018 - the property raises


def test_what_the_door_of_statsmodels_refuses(tmp_path: Path) -> None:
    files = written(table(), tmp_path)
    with pytest.raises(ValueError, match="vc_formula is for a table in memory"):
        henderson.mixedlm("y ~ x", files, groups="g", vc_formula={"h": "0 + C(h)"})
    with pytest.raises(DataError, match="missing values in 60 rows"):
        henderson.mixedlm("y ~ x", files, groups="g")
