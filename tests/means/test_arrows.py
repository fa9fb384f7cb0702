"""The property that defines comparison arrows: two overlap where the difference is not significant, and only there."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog

from henderson import datasets, lmer
from henderson.means.arrows import comparison_arrows
from henderson.means.pictures import _arrows, limits


def wrong_pairs(mean, left, right, significant):
    """Pairs whose arrows say otherwise than their tests."""
    out = []
    for i, j in combinations(range(len(mean)), 2):
        low, high = (i, j) if mean[i] <= mean[j] else (j, i)
        overlap = mean[low] + right[low] > mean[high] - left[high]
        if overlap == significant[i, j]:
            out.append((low, high))
    return out


def can_be_shown(mean, significant, room=0.02):
    """Whether there are arrows that show all pairs, with some room."""
    k, rows, right = len(mean), [], []
    for i, j in combinations(range(k), 2):
        low, high = (i, j) if mean[i] <= mean[j] else (j, i)
        row = np.zeros(2 * k)
        row[low] = row[k + high] = 1.0
        gap, sign = mean[high] - mean[low], 1.0 if significant[i, j] else -1.0
        rows.append(sign * row)
        right.append(sign * gap - room * np.ptp(mean))
    return linprog(np.zeros(2 * k), A_ub=rows, b_ub=right, bounds=(0, None)).status == 0


@pytest.mark.parametrize("seed", range(30))
def test_equal_standard_errors_have_halves(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 9))
    mean, half = rng.normal(size=k), 0.9
    first, second = np.triu_indices(k, 1)
    significant = np.abs(mean[:, None] - mean) > half
    found = comparison_arrows(mean, first, second, np.full(len(first), half), significant[first, second])
    assert found.wrong == () == tuple(wrong_pairs(mean, found.left, found.right, significant))
    lengths = np.concatenate([found.left, found.right])
    np.testing.assert_allclose(lengths[np.isfinite(lengths)], half / 2, rtol=2e-2)
    assert np.isnan(found.left[np.argmin(mean)])
    assert np.isnan(found.right[np.argmax(mean)])


@pytest.mark.parametrize("seed", range(60))
def test_unequal_standard_errors(seed):
    """Independent means: c_ij = z √(s_i² + s_j²), from 3 to 12 of them, variances over a factor of 16."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(3, 13))
    mean, sd = 2 * rng.normal(size=k), np.exp(rng.uniform(-1.4, 1.4, k)) / 2
    half = 1.96 * np.hypot(sd[:, None], sd)
    significant = np.abs(mean[:, None] - mean) > half
    first, second = np.triu_indices(k, 1)
    found = comparison_arrows(mean, first, second, half[first, second], significant[first, second])
    assert sorted(found.wrong) == sorted(wrong_pairs(mean, found.left, found.right, significant))
    if can_be_shown(mean, significant):
        assert found.wrong == ()
    else:
        assert len(found.wrong) <= 0.1 * len(first)


def test_p_decides_where_the_interval_says_otherwise():
    mean = np.array([0.0, 1.0])
    for significant in (True, False):
        found = comparison_arrows(mean, np.array([0]), np.array([1]), np.array([1.0]), np.array([significant]))
        assert (found.right[0] + found.left[1] > 1.0) is not significant


def test_what_no_arrows_can_show_is_told():
    # a–b and c–d differ, a–d and c–b do not, though the gaps are the other way round: r_a + l_b < 1 and r_c + l_d < 1,
    # r_a + l_d > 1.2 and r_c + l_b > 0.8 + … sum to a contradiction
    mean = np.array([0.0, 1.0, 0.1, 1.15])
    first, second = np.triu_indices(4, 1)
    significant = np.array([(i, j) in {(0, 1), (2, 3)} for i, j in zip(first, second)])
    found = comparison_arrows(mean, first, second, np.where(significant, 0.5, 2.0), significant)
    table = np.zeros((4, 4), bool)
    table[first, second] = table[second, first] = significant
    assert sorted(found.wrong) == sorted(wrong_pairs(mean, found.left, found.right, table))
    assert len(found.wrong) == 1


def test_missing_means_are_left_out():
    mean = np.array([0.0, 1.0, 3.0])
    found = comparison_arrows(mean, np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0.5, np.nan, 0.5]),
                              np.array([True, False, True]))  # fmt: skip
    assert found.wrong == ()


@pytest.mark.parametrize("adjust", ["tukey", "none", "holm", "mvt", "fdr"])
@pytest.mark.parametrize("at", [{"temp": [175, 200, 225]}, {}])
def test_arrows_of_a_model(adjust, at):
    cake = datasets.load("cake")
    fit = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", cake)
    means = fit.emmeans(["recipe", "temp"] if at else "recipe", at=at)
    compared = means.pairs(adjust=adjust)
    estimate = limits(means)[0]
    found = _arrows(compared, slice(0, len(compared)), estimate, 0.05)
    significant = np.zeros((len(means), len(means)), bool)
    first, second = np.triu_indices(len(means), 1)
    significant[first, second] = significant[second, first] = compared.frame["p"] < 0.05
    assert sorted(found.wrong) == sorted(wrong_pairs(estimate, found.left, found.right, significant))
    if can_be_shown(estimate, significant):
        assert found.wrong == ()
    else:
        assert len(found.wrong) <= 8
