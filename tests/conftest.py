"""What all tests share: how many threads they have, which worker runs them, and a cluster.

Workers of pytest-xdist share the cores: BLAS has one thread in each. The oracles' dense algebra is made of small
products. With two workers of two threads each on two cores the threads wait for each other spinning, and the same tests
take ten times as long. Without xdist the threads stay as they are.

A file is one worker's: fits and tables that its tests share are made once. The files that take longest begin, so that
the end finds no worker with one of them before it; files that start a cluster are one worker's, one after the other.

While tests are collected no cycles are looked for: of the half million objects that are made all stay, and looking
through them again and again takes a fifth of the time.
"""

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ
#: each starts a cluster, for which there is not room twice
CLUSTERS = (
    "tests/sources/streams/test_spark_frames.py",
    "tests/sources/streams/test_dask_frames.py",
    "tests/engine/test_sharded.py",
)
#: longest first
FIRST = (
    "tests/app/test_site.py",
    "tests/house/test_mypy.py",
    *CLUSTERS,
    "tests/app/test_readme.py",
    "tests/fuzz/test_random_models.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = _file(nodeid)
            return "clusters" if file in CLUSTERS else file

    config.option.loadscopereorder = False  # in the order of `pytest_collection_modifyitems`
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if IN_WORKER:
        places = {file: place for place, file in enumerate(FIRST)}
        items.sort(key=lambda item: places.get(_file(item.nodeid), len(FIRST)))


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def _file(nodeid: str) -> str:
    return nodeid.split("::")[0]


def pytest_configure() -> None:
    if IN_WORKER:
        import scipy.linalg  # noqa: F401  # NumPy and SciPy bring a BLAS each: both have to be loaded to be found
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, user_api="blas")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of a cluster of Dask of two worker processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client
