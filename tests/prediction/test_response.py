"""Predictions, means and slopes back on the scale of a response that the formula transformed."""

from __future__ import annotations

import numpy as np
import pytest

import henderson
from henderson import lmer, mixedlm


@pytest.fixture(scope="module")
def data():
    table = henderson.datasets.load("sleepstudy")
    return table.assign(share=(table["Reaction"] - 150) / 400, half=np.where(table["Days"] > 4, "b", "a"))


WAYS = {
    "log(Reaction)": np.exp,
    "np.log(Reaction)": np.exp,
    "log10(Reaction)": lambda eta: 10**eta,
    "np.log2(Reaction)": lambda eta: 2**eta,
    "np.log1p(Reaction)": lambda eta: np.exp(eta) - 1,
    "sqrt(Reaction)": lambda eta: eta**2,
    "log(Reaction - 100)": lambda eta: np.exp(eta) + 100,
    "log(Reaction / 100)": np.exp,
    "logit(share)": lambda eta: 1 / (1 + np.exp(-eta)),
    "qlogis(share)": lambda eta: 1 / (1 + np.exp(-eta)),
}


@pytest.mark.parametrize("response", WAYS)
def test_predictions_go_back(data, response):
    back, new = WAYS[response], data.iloc[[0, 15, 99]]
    fit = lmer(f"{response} ~ Days + (1 | Subject)", data)
    for options in ({"se": True}, {"re": "all", "interval": "prediction"}):
        link = fit.predict(new, **options)
        found = fit.predict(new, type="response", **options)
        for name in ("estimate", "lower", "upper"):
            np.testing.assert_allclose(found[name], back(link[name]), rtol=1e-10)
        step = 1e-5 * link["se"]
        slope = (back(link["estimate"] + step) - back(link["estimate"] - step)) / (2 * step)
        np.testing.assert_allclose(found["se"], slope * link["se"], rtol=1e-6)
        np.testing.assert_allclose(found["df"], link["df"])
    np.testing.assert_allclose(fit.predict(new, type="response"), back(fit.predict(new)))
    assert any("Back-transformed" in note for note in found.attrs["notes"])
    door = mixedlm(f"{response} ~ Days", data, groups="Subject").fit()
    np.testing.assert_allclose(door.predict(new, type="response"), fit.predict(new, type="response"), rtol=1e-6)


def test_the_correction_is_for_what_is_not_predicted(data):
    fit = lmer("log(Reaction) ~ Days + (Days | Subject)", data)
    new = data.head(2)
    s2, G = fit.sigma**2, fit.engine.sigma**2 * fit.engine.lam[0] @ fit.engine.lam[0].T
    z = np.column_stack([np.ones(180), data["Days"]])
    for re, variance in (("all", s2), ("none", s2 + np.einsum("ia,ab,ib->i", z, G, z).mean())):
        plain = fit.predict(new, re=re, type="response")
        adjusted = fit.predict(new, re=re, type="response", bias_adjust=True)
        np.testing.assert_allclose(adjusted / plain, 1 + variance / 2, rtol=1e-9)
    # limits of a new observation are its quantiles, whatever the mean
    options = {"re": "all", "interval": "prediction", "type": "response"}
    one, other = fit.predict(new, **options), fit.predict(new, bias_adjust=True, **options)
    np.testing.assert_allclose(one[["lower", "upper"]], other[["lower", "upper"]])


def test_a_response_as_it_is_stays(data):
    fit = lmer("Reaction ~ half + (1 | Subject)", data)
    np.testing.assert_allclose(fit.predict(type="response"), fit.predict())
    assert fit.emmeans("half", type="response").frame.equals(fit.emmeans("half").frame)


def test_what_there_is_no_way_back_from_is_refused(data):
    fit = lmer("np.arcsinh(Reaction) ~ half + Days + (1 | Subject)", data)
    for ask in (
        lambda: fit.predict(type="response"),
        lambda: fit.emmeans("half", type="response").frame,
        lambda: fit.emmeans("half").summary(type="response").frame,
        lambda: fit.emtrends("half", "Days", type="response"),
    ):
        with pytest.raises(
            ValueError, match=r"no way back from 'np.arcsinh\(Reaction\)'; there is one from log, log10"
        ):
            ask()
    assert "Results are given on the scale of np.arcsinh(Reaction)" in fit.emmeans("half").notes

    def log(x):
        return np.log(x) / 3

    other = lmer("log(Reaction) ~ Days + (1 | Subject)", data, env={"log": log})
    if np.isclose(other.fixef.iloc[0], lmer("np.log(Reaction) ~ Days + (1 | Subject)", data).fixef.iloc[0] / 3):
        with pytest.raises(ValueError, match="not the function that its name says"):
            other.predict(type="response")


def test_options_that_do_not_go_together_are_refused(data):
    fit = lmer("log(Reaction) ~ half + (1 | Subject)", data)
    for ask, message in (
        (lambda: fit.predict(type="mean"), "type must be"),
        (lambda: fit.predict(bias_adjust=True), "goes with type='response'"),
        (lambda: fit.emmeans("half", type="mean"), "type must be"),
        (lambda: fit.emmeans("half", bias_adjust=True), "goes with type='response'"),
        (lambda: fit.emmeans("half", type="response", sigma=-1), "sigma must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


def test_the_scale_can_be_changed_afterwards(data):
    fit = lmer("log(Reaction) ~ half + (1 | Subject)", data)
    there, here = fit.emmeans("half", type="response"), fit.emmeans("half")
    assert here.summary(type="response").frame.equals(there.frame)
    assert there.summary(type="link").frame.equals(here.frame)
    assert here.pairs(type="response").frame.equals(there.pairs().frame)
    assert there.pairs().frame["contrast"].tolist() == ["a / b"]
    assert here.pairs().frame["contrast"].tolist() == ["a - b"]
    np.testing.assert_allclose(there.pairs().frame["estimate"], np.exp(here.pairs().frame["estimate"]))
    assert there.joint() == here.joint()
    one = there.summary(side="less").frame
    assert (one["lower"] == 0).all()
