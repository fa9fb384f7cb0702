"""What a fit says of rows in parts is what it says of the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

import henderson
from henderson import DataError, lmer
from henderson.sources.streams import source as source_module

#: one number a row: sums of a few products
CLOSE = 1e-9


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PART", 200)


def table() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 900
    data = pd.DataFrame({"x": rng.normal(size=n), "a": rng.choice(list("uv"), n), "g": rng.integers(0, 20, n)})
    data["h"] = rng.integers(0, 5, n)
    data["w"], data["o"] = rng.uniform(1, 2, n), rng.normal(size=n)
    data["y"] = 5 + data["x"] + rng.normal(size=20)[data["g"]] + data["o"] + rng.normal(size=n)
    for name in ("x", "y", "a"):
        data.loc[rng.choice(n, 10), name] = np.nan
    return data


FORMULA = "y ~ scale(x) * a + offset(o) + (x | g) + (1 | g:h)"


def files_of(data: pd.DataFrame, folder: Path) -> str:
    data.iloc[:500].to_parquet(folder / "0.parquet")
    data.iloc[500:].to_parquet(folder / "1.parquet")
    return str(folder / "*.parquet")


def test_augment_gives_tables_and_files(tmp_path: Path) -> None:
    data = table()
    files = files_of(data, tmp_path)
    wanted = lmer(FORMULA, data, weights="w").augment(data).reset_index(drop=True)
    wanted = wanted.drop(columns=[".hat", ".cooksd"])  # leverages are of rows that are held
    fit = lmer(FORMULA, files, weights="w")
    parts = list(fit.augment())
    assert all(isinstance(part, pyarrow.Table) for part in parts)
    assert len(parts) > 2
    assert fit.augment(path=tmp_path / "out.parquet") == tmp_path / "out.parquet"
    for found in (pyarrow.concat_tables(parts).to_pandas(), pd.read_parquet(tmp_path / "out.parquet")):
        pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_dtype=False, rtol=CLOSE)
    assert [name.name for name in tmp_path.iterdir() if name.name.startswith(".")] == []
    polar = list(fit.augment(polars.from_pandas(data).lazy()))
    np.testing.assert_allclose(polars.concat(polar)[".resid"].to_numpy(), wanted[".resid"], rtol=CLOSE)
    pandas = list(fit.augment(files, backend="pandas"))
    assert all(isinstance(part, pd.DataFrame) for part in pandas)


def test_fitted_values_and_residuals_are_streams(tmp_path: Path) -> None:
    data = table()
    memory, fit = lmer(FORMULA, data), lmer(FORMULA, files_of(data, tmp_path))
    assert len(list(fit.fittedvalues)) > 2
    np.testing.assert_allclose(np.asarray(fit.fittedvalues), memory.fittedvalues, rtol=CLOSE)
    np.testing.assert_allclose(np.asarray(fit.resid), memory.resid, rtol=1e-8, atol=1e-10)
    assert "880 rows" in repr(fit.resid) or "rows, read again" in repr(fit.resid)


def test_any_fit_and_any_source(tmp_path: Path) -> None:
    """A fit in memory, and one from a file, say it of a source; levels that they do not know are an error."""
    data = table()
    files = files_of(data, tmp_path)
    memory = lmer(FORMULA, data)
    memory.save(tmp_path / "fit.henderson")
    wanted = memory.augment(data)[".fitted"].to_numpy()
    for fit in (memory, henderson.load(tmp_path / "fit.henderson")):
        found = pyarrow.concat_tables(list(fit.augment(files)))
        np.testing.assert_allclose(found[".fitted"].to_numpy(), wanted, rtol=CLOSE)
    data.assign(g=99).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"1\.parquet: 'g' has the level 99"):
        list(memory.augment(files))
    with pytest.raises(DataError, match="weights and an offset that are columns"):
        list(lmer("y ~ x + (1 | g)", data, weights=np.ones(len(data))).augment(files))
    with pytest.raises(ValueError, match="path= goes with a source"):
        memory.augment(data, path=tmp_path / "out.parquet")


def test_nothing_is_left_of_what_ends_early(tmp_path: Path) -> None:
    data, out = table(), tmp_path / "out"
    out.mkdir()
    fit = lmer(FORMULA, data)

    def stopped(error: BaseException) -> Iterator[pd.DataFrame]:
        yield data
        raise error

    with pytest.raises(KeyboardInterrupt):
        fit.augment(stopped(KeyboardInterrupt()), path=out / "rows.parquet")
    with pytest.raises(DataError, match=r"cannot write .*rows\.parquet: .*No space left"):
        fit.augment(stopped(OSError(28, "No space left on device")), path=out / "rows.parquet")
    with pytest.raises(DataError, match="no such folder"):
        fit.augment(files_of(data, tmp_path), path=tmp_path / "none" / "rows.parquet")
    assert list(out.iterdir()) == []
