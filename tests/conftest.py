"""What all tests share: how many threads they have, and a cluster.

Workers of pytest-xdist share the cores: BLAS has one thread in each. The oracles' dense algebra is made of small
products. With two workers of two threads each on two cores the threads wait for each other spinning, and the same tests
take ten times as long. Without xdist the threads stay as they are.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest


def pytest_configure() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
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
