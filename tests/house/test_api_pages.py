"""The pages of the API list every public name and every member of the results; each has an example."""

from __future__ import annotations

import inspect
from pathlib import Path
from pkgutil import resolve_name

import pytest

import henderson
from henderson.results.plot_accessor import PlotAccessor
from public_names import LISTED


def members(owner: type, beyond: type = object) -> list[str]:
    """Public members of a class, those left out that `beyond` has from the same place."""
    return [
        name
        for name in dir(owner)
        if not name.startswith("_")
        and inspect.getattr_static(owner, name) is not inspect.getattr_static(beyond, name, None)
    ]


#: what `MixedLM` has for other modules of the library
INTERNAL = ("from_design", "with_setup")
#: every name that must be listed, as the pages write it
NAMES = [
    *(name for name in henderson.__all__ if name not in ("__version__", "datasets")),
    *(f"datasets.{name}" for name in henderson.datasets.__all__),
    *(f"MixedModelResults.{name}" for name in members(henderson.MixedModelResults)),
    *(f"MixedLMResults.{name}" for name in members(henderson.MixedLMResults, henderson.MixedModelResults)),
    *(f"MixedLM.{name}" for name in members(henderson.MixedLM) if name not in INTERNAL),
    *(f"results.plot_accessor.PlotAccessor.{name}" for name in members(PlotAccessor)),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_listed(name):
    assert name in LISTED


@pytest.mark.parametrize("name", sorted(LISTED))
def test_what_is_listed_has_an_example(name):
    """The examples are doctests: they run with the tests of `src`."""
    assert ">>>" in (inspect.getdoc(resolve_name(f"henderson.{name}")) or "")


@pytest.mark.parametrize("name", [name for name in henderson.__all__ if name != "datasets"])
def test_no_module_has_the_name_of_a_function(name):
    """`henderson.fit_many` was a module for whoever had imported from `henderson/fit_many.py`, and no function."""
    assert not (Path(henderson.__file__).parent / f"{name}.py").exists()
