"""Every structure with a correlation: derivatives, its own θ back, and what a formula calls it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from henderson.covariance.layout import Layout
from henderson.covariance.structures import structure_called
from henderson.formula.bar_kinds import KINDS, bar_text, kind_of_structure

DERIVATIVES = 1e-6  # central differences with step 1e-5
ROUNDING = 1e-14
MEMBERS = [
    ("homcs", 4),
    ("cs", 4),
    ("ar1", 4),
    ("ar1(0,1,3,4)", 4),
    ("hetar1", 4),
    ("hetar1(0,2,5)", 3),
    ("homtoep", 4),
    ("toep", 4),
    ("ou(0,1,2.5,2.9)", 4),
    ("hetou(0,1,2.5)", 3),
    ("cs", 1),
    ("homcs", 1),
    ("ar1", 1),
    ("homtoep", 2),
]


def differences(of, theta):
    h = 1e-5
    return np.stack([(of(theta + h * s) - of(theta - h * s)) / (2 * h) for s in np.eye(len(theta))])


@pytest.mark.parametrize("end", [None, 0.3, 0.0, np.pi / 2], ids=["inside", "near", "zero", "right angle"])
@pytest.mark.parametrize(("name", "q"), MEMBERS)
def test_derivatives(name, q, end):
    """Also at the angles where a correlation is 0 or ±1, and λ is singular."""
    layout, structure = Layout.of([q], [name]), structure_called(name)
    theta = np.random.default_rng(3).uniform(0.4, 1.2, layout.n_theta)
    if end is not None:
        theta[-1] = end
    curved = 1e-4 if name.startswith("hetou") and end == np.pi / 2 else DERIVATIVES  # ρ^1.5 has no third derivative

    def cov(at):
        return layout.lam(at) @ layout.lam(at).T

    np.testing.assert_allclose(
        structure.jacobian(theta, q), differences(lambda at: structure.lam(at, q), theta), atol=DERIVATIVES
    )
    np.testing.assert_allclose(layout.directions(theta), differences(cov, theta), atol=DERIVATIVES)
    np.testing.assert_allclose(layout.second_directions(theta), differences(layout.directions, theta), atol=curved)
    np.testing.assert_allclose(layout.covariance(layout.g(cov(theta))), cov(theta), atol=ROUNDING)
    np.testing.assert_allclose(cov(layout.theta_of_cov(cov(theta))), cov(theta), atol=100 * ROUNDING)


@pytest.mark.parametrize(("name", "q"), [("hetar1", 5), ("cs", 4), ("toep", 5), ("hetou(0,1,2.2)", 3)])
def test_an_effect_without_variance_leaves_the_correlations(name, q):
    structure = structure_called(name)
    theta = np.random.default_rng(1).uniform(0.3, 1.2, structure.n_theta(q))
    theta[1] = 0.0
    root = structure.lam(theta, q)
    again = structure.lam(structure.theta_of_cov(root @ root.T), q)
    np.testing.assert_allclose(again @ again.T, root @ root.T, atol=100 * ROUNDING)


def test_what_the_correlations_are():
    times = np.array([0.0, 1.0, 2.5, 2.9])
    gaps = np.abs(np.subtract.outer(times, times))
    ou = structure_called("ou(0,1,2.5,2.9)")
    root = ou.lam(np.array([1.5, 0.6]), 4)
    rho = np.cos(0.6) ** 2  # of the smallest gap, 0.4
    np.testing.assert_allclose(root @ root.T, 1.5**2 * rho ** (gaps / 0.4), rtol=1e-13)
    ar1 = structure_called("ar1(0,1,3,4)")
    root = ar1.lam(np.array([1.5, -0.4]), 4)
    steps = np.abs(np.subtract.outer([0, 1, 3, 4], [0, 1, 3, 4]))
    np.testing.assert_allclose(root @ root.T, 1.5**2 * np.sin(-0.4) ** steps, rtol=1e-13)
    cs = structure_called("cs")
    root = cs.lam(np.array([1.0, 1.2, 0.5, 0.9]), 3)
    cov = root @ root.T
    cor = cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    np.testing.assert_allclose(np.sqrt(np.diag(cov)), np.array([1.0, 1.2, 0.5]) ** 2, rtol=1e-13)
    assert np.ptp(cor[np.tril_indices(3, -1)]) < ROUNDING


def test_toeplitz_holds_all_that_is_positive_definite():
    cov = linalg.toeplitz([1.0, 0.4, -0.2, 0.1])
    assert np.linalg.eigvalsh(cov).min() > 0
    toep = structure_called("homtoep")
    root = toep.lam(toep.theta_of_cov(cov), 4)
    np.testing.assert_allclose(root @ root.T, cov, atol=ROUNDING)
    far = toep.lam(toep.theta_of_cov(cov - 0.6 * np.eye(4)), 4)  # of no member: the nearest that the recursion finds
    assert np.linalg.eigvalsh(far @ far.T).min() > -ROUNDING


def test_names_and_words():
    for word, kind in KINDS.items():
        structure = kind.homogeneous if kind.hom else kind.heterogeneous
        if kind.factors:
            assert bar_text(f"{structure}(2)", "0 + t", "g") == f"{word}(0 + t | g, 2)"
            continue
        assert bar_text(structure, "0 + t", "g") in (f"{word}(0 + t | g)", "(0 + t | g)", *_synonyms(structure))
    assert kind_of_structure("hetar1(0,1,5)") == ("hetar1", "")
    assert kind_of_structure("hetou(0,1)") == ("ou", ", hom=False")
    with pytest.raises(ValueError, match="supported: unstructured, diagonal, identity, homcs, cs, ar1"):
        structure_called("spherical")
    with pytest.raises(ValueError, match="of 3 times for 4 effects"):
        structure_called("ou(0,1,2)").n_theta(4), structure_called("ou(0,1,2)").lam(np.ones(2), 4)


def _synonyms(structure):
    return [f"{word}(0 + t | g)" for word, kind in KINDS.items() if structure in (kind.homogeneous, kind.heterogeneous)]


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("unstructured", {"diagonal", "identity", "homcs", "cs", "ar1", "hetar1", "homtoep", "toep", "ou(0,1,2)"}),
        ("toep", {"diagonal", "identity", "homcs", "cs", "ar1", "hetar1", "homtoep", "ou(0,1,2)"}),
        ("homtoep", {"identity", "homcs", "ar1", "ou(0,1,2)"}),
        ("hetar1", {"diagonal", "identity", "ar1", "ou(0,1,2)"}),
        ("ar1", {"identity", "ou(0,1,2)"}),
        ("cs", {"diagonal", "identity", "homcs"}),
        ("homcs", {"identity"}),
        ("ou(0,1,2)", {"identity"}),
    ],
)
def test_which_hold_which(name, holds):
    names = ["unstructured", "diagonal", "identity", "homcs", "cs", "ar1", "hetar1", "homtoep", "toep", "ou(0,1,2)"]
    one = structure_called(name)
    assert {each for each in names if each != name and one.holds(structure_called(each), 3)} == holds
