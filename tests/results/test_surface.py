"""What a user sees of results and of the package: names, help, types; any member can be asked for."""

from __future__ import annotations

import inspect
import typing
import warnings

import numpy as np
import pytest

import henderson
from henderson import MixedLM, MixedLMResults, MixedModelResults, datasets, lmer, mixedlm


def fits():
    rng = np.random.default_rng(0)
    y, X, g = rng.normal(size=40), np.ones((40, 1)), np.repeat(np.arange(8), 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
        yield mixedlm("Reaction ~ Days", datasets.load("sleepstudy"), groups="Subject").fit()
        yield mixedlm("diameter ~ 1 + (1 | plate) + (1 | sample)", datasets.load("Penicillin")).fit()
        yield MixedLM(y, X, g).fit()
        yield MixedLM(y, X, g).fit_regularized(alpha=0.1)


@pytest.mark.parametrize("light", [False, True])
def test_every_member_can_be_asked_for(light):
    """hasattr says no where a property does not apply: crossed factors have no groups, light results no rows."""
    for fit in fits():
        if light:
            fit.remove_data()
        for thing in (fit, fit.model):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                members = dict(inspect.getmembers(thing))
            assert "nobs" in members
        assert hasattr(fit, "fittedvalues") is not light


def test_crossed_factors_have_no_effects_by_group():
    *_, crossed, _, _ = fits()
    assert not hasattr(crossed, "random_effects")
    with pytest.raises(ValueError, match="crossed"):
        crossed.random_effects  # noqa: B018 - a property that raises


def test_the_package_lists_what_it_exports():
    assert dir(henderson) == sorted(henderson.__all__)


@pytest.mark.parametrize("results", [MixedModelResults, MixedLMResults])
def test_methods_list_their_options(results):
    """No **options but statsmodels' own for optimisers; no Any from what a user calls first; a sentence for each."""
    for name, member in inspect.getmembers(results):
        if name.startswith("_"):
            continue
        assert inspect.getdoc(member), name
        if inspect.isfunction(member):
            kinds = {p.name for p in inspect.signature(member).parameters.values() if p.kind is p.VAR_KEYWORD}
            assert kinds <= ({"fit_kwargs"} if results is MixedLMResults else set()), name
    for member in (results.summary, results.predict, results.conf_int, MixedLM.fit, lmer):
        assert member.__annotations__["return"] not in ("Any", typing.Any)
