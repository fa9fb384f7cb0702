"""Markers that statsmodels' tests use."""


def pytest_configure(config):
    for name in ("slow", "smoke", "high_memory"):
        config.addinivalue_line("markers", f"{name}: statsmodels' marker; nothing is slow here")
