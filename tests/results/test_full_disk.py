"""A disk that is full while a file is written: an error that names the file, and what stood there before stays."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import henderson
from henderson.app.cli import main

#: bytes that a file may have
ROOM = 600

DATA = henderson.datasets.load("Dyestuff")
FIT = henderson.lmer("Yield ~ 1 + (1 | Batch)", DATA)
SUMMED = henderson.lmer("Yield ~ 1 + (1 | Batch)", lambda: iter([DATA]))


@contextmanager
def _full() -> Iterator[None]:
    """Files end after `ROOM` bytes: the system says so as it does of a disk without space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITERS: dict[str, Callable[[Path], object]] = {
    "model.henderson": FIT.save,
    "model.pickle": FIT.save,
    "sums.henderson": SUMMED.crossproducts.save,
    "rows.parquet": lambda path: SUMMED.augment(lambda: iter([DATA] * 50), path=path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_stood_there_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("of last month")
    with pytest.raises((OSError, henderson.DataError), match=name), _full():
        WRITERS[name](path)
    assert path.read_text() == "of last month"
    assert [one.name for one in tmp_path.iterdir()] == [name]
    WRITERS[name](path)
    assert path.stat().st_size > ROOM


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, model, out = (str(tmp_path / name) for name in ("rows.csv", "model.henderson", "predicted.csv"))
    DATA.to_csv(rows, index=False)
    FIT.save(model)
    with _full():
        assert main(["predict", model, rows, "--out", out]) == 2
    assert "predicted.csv" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_link_and_a_pipe(tmp_path: Path) -> None:
    """A link goes on leading to the file; what is no file is written to itself."""
    (tmp_path / "link").symlink_to(tmp_path / "model.henderson")
    FIT.save(tmp_path / "link", format="henderson")
    assert (tmp_path / "link").is_symlink()
    assert henderson.load(tmp_path / "model.henderson").deviance == FIT.deviance
    FIT.save("/dev/null", format="pickle")
    assert not Path("/dev/null").is_file()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        FIT.save(pipe, format="pickle")
        assert read.result(60)[:1] == b"\x80"
