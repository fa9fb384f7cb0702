"""statsmodels' own tests of MixedLM, run on henderson.

Its module `statsmodels.regression.tests.test_lme` is loaded as it is, its names redirected, and its tests collected
here. Left out: the 32 items on statsmodels' private Sherman-Morrison-Woodbury helpers.
"""

from __future__ import annotations

import importlib

import pytest

import henderson

suite = importlib.import_module("statsmodels.regression.tests.test_lme")

REDIRECTED = ("MixedLM", "MixedLMParams", "Summary", "SingularMatrixWarning")
for _name in REDIRECTED:
    assert hasattr(suite, _name)
    setattr(suite, _name, getattr(henderson, _name))

for _name, _value in vars(suite).items():
    if _name.startswith(("test_", "Test")) and not _name.startswith("TestSMW"):
        globals()[_name] = _value


@pytest.fixture(autouse=True)
def _redirected(monkeypatch):
    """``from statsmodels.formula.api import mixedlm`` gives henderson's too."""
    monkeypatch.setattr("statsmodels.formula.api.mixedlm", henderson.mixedlm)
