"""Pictures are drawn without a screen; each test begins and ends without figures."""

import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed():
    from matplotlib import pyplot

    pyplot.close("all")  # other rooms' tests and examples leave theirs
    yield
    pyplot.close("all")
