"""The deviance, its gradient and the moments against n × n algebra."""

from __future__ import annotations

import numpy as np
import pytest

import reference
from at_theta import deviance_and_gradient, theta_for
from designs import KINDS, design
from henderson.engine.criterion import Criterion
from henderson.engine.moments_at import moments_of

EXACT = 1e-10  # relative; two ways of computing one number
DIFFERENCES = 2e-6  # central differences with step 1e-5


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def differences(function, theta: np.ndarray, step: float = 1e-5) -> np.ndarray:
    return np.array([(function(theta + h) - function(theta - h)) / (2 * step) for h in step * np.eye(len(theta))])


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("singular", [True, False])
def test_deviance_and_gradient(kind, reml, singular):
    data = design(kind, weighted=reml)
    criterion = Criterion.of(*data, reml=reml)
    theta = theta_for(criterion, singular)
    deviance, gradient = deviance_and_gradient(criterion, theta)
    np.testing.assert_allclose(deviance, reference.deviance(data, theta, reml), rtol=1e-12)
    tolerance = DIFFERENCES * np.abs(gradient).max()
    np.testing.assert_allclose(gradient, differences(criterion.deviance, theta), atol=tolerance)


@pytest.mark.parametrize("singular", [True, False])
def test_moments(kind, singular):
    data = design(kind, weighted=not singular)
    criterion = Criterion.of(*data)
    g = reference.g_of(data, theta_for(criterion, singular))
    ours, theirs = moments_of(criterion, g), reference.moments(data, g)
    for name in ("f0", "f1", "f2", "t1", "t2"):
        expected = getattr(theirs, name)
        np.testing.assert_allclose(getattr(ours, name), expected, atol=EXACT * np.abs(expected).max(), err_msg=name)
    np.testing.assert_allclose([ours.log_det, ours.r2], [theirs.log_det, theirs.r2], rtol=EXACT)


def test_an_evaluation_does_not_change_with_later_ones():
    criterion = Criterion.of(*design("crossed slopes"))
    theta = theta_for(criterion, singular=False)
    point = criterion.at(theta)
    criterion.at(theta * 2)  # workspace shared between points once made this one's gradient wrong
    np.testing.assert_array_equal(point.gradient, criterion.at(theta).gradient)
