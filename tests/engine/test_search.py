"""The search: no lower minimum elsewhere, no raw error on the way, and a survey that says what the criterion says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from henderson import datasets, lmer
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.fit import fit_design
from henderson.engine.search.basins import distinct, low_points
from henderson.engine.search.cones import _root
from henderson.engine.search.optimize import minimize
from henderson.engine.search.start import inner_estimate
from henderson.engine.search.survey import Survey

#: deviance that an end may lie above the lowest known: rounding of two descents
LOWER = 1e-6


def one_large_group():
    rng = np.random.default_rng(202)
    y = np.r_[np.round(rng.normal(size=30), 1), np.round(2.2 * rng.normal(size=10), 1)]
    return {"y": y, "g": np.r_[np.zeros(30, int), np.arange(1, 11)]}


def test_a_minimum_at_zero_is_not_taken_for_the_optimum():
    # the deviance is 160.87 at theta = 0, where a descent from the moment estimate ends, certified
    fit = lmer("y ~ 1 + (1 | g)", one_large_group(), REML=False)
    assert fit.deviance == pytest.approx(134.93632, abs=1e-4)
    assert fit.optinfo["starts"] >= 1
    assert fit.optinfo["surveyed"] > 20


@pytest.mark.parametrize("start", [0.0, 0.1, 100.0])
def test_a_given_start_does_not_hide_another_minimum(start):
    fit = lmer("y ~ 1 + (1 | g)", one_large_group(), REML=False, start=[start])
    assert fit.deviance == pytest.approx(134.93632, abs=1e-4)


def unequal(seed, formula, rows=40):
    """One large group and small ones, and variances that they disagree about."""
    rng = np.random.default_rng(seed)
    a = np.r_[np.zeros(rows - 18, int), np.repeat(np.arange(1, 10), 2)]
    data = {"a": a, "b": rng.integers(0, 5, rows), "x": rng.normal(size=rows)}
    data["y"] = (rng.normal(size=rows) + 2 * rng.normal(size=10)[a]) * np.where(a == 0, 0.3, 1.0)
    return design_from_formula(formula, data)


@pytest.mark.parametrize(
    "formula",
    ["y ~ 1 + (1 | a)", "y ~ x + (1 | a/b)", "y ~ x + (1 | a) + (1 | b)", "y ~ x + (x || a)", "y ~ 1 + (x | a)"],
)
@pytest.mark.parametrize("reml", [True, False])
def test_no_random_start_ends_lower(formula, reml):
    for seed in range(6):
        fit = fit_design(*unequal(seed, formula), reml=reml)
        rng = np.random.default_rng(seed)
        for _ in range(6):
            start = fit.criterion.at(np.exp(rng.normal(0, 1.5, size=fit.theta.size)) * rng.choice([1, 0.03]))
            assert fit.deviance < minimize(fit.criterion.at, start).point.deviance + LOWER


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (1 | a)",
        "y ~ x + (x | a)",
        "y ~ x + (x || a) + (1 | b)",
        "y ~ x + (1 | a/b)",
        "y ~ x + (x | b) + (1 | a:b)",
        "y ~ x + (x | b) + (x || a)",
    ],
)
@pytest.mark.parametrize("reml", [True, False])
def test_the_survey_sees_the_criterion(formula, reml):
    criterion = Criterion.of(*unequal(1, formula), reml=reml)
    survey = Survey.of(criterion)
    assert survey is not None
    theta = np.random.default_rng(0).normal(size=(5, criterion.blocks.n_theta))
    np.testing.assert_allclose(survey.deviances(theta), [criterion.at(one).deviance for one in theta], rtol=1e-9)


def test_where_levels_are_alike_there_is_nothing_to_survey():
    fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    assert fit.engine.criterion.system.unlike == 1.0
    assert fit.optinfo["surveyed"] == 0


@pytest.mark.parametrize(("subjects", "rows", "levels"), [(6, 5, 4), (12, 5, 3), (20, 5, 4), (40, 5, 4)])
def test_slopes_that_do_not_vary_in_the_groups(subjects, rows, levels):
    """(treat | subject) with a treatment between subjects: correlations are not identified, and nothing may crash."""
    g = np.repeat(np.arange(subjects), rows)
    t = np.array(list("abcd"))[np.arange(subjects) % levels][g]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = {"y": rng.normal(size=len(g)) + rng.normal(size=subjects)[g], "g": g, "t": t}
        fit = fit_design(*design_from_formula("y ~ t + (t | g)", data))
        assert np.isfinite(fit.deviance)
        assert fit.deviance <= fit_design(*design_from_formula("y ~ t + (1 | g)", data)).deviance + LOWER


def test_a_singular_covariance_of_three_effects_is_searched_from_many_starts():
    # designs of this kind ended up to 20 above the optimum when only two more starts were tried
    rng = np.random.default_rng(3)
    g = np.r_[np.zeros(40, int), np.repeat(np.arange(1, 12), 2)]
    data = {"g": g, "x": rng.normal(size=62), "z": rng.normal(size=62)}
    data["y"] = (rng.normal(size=62) + rng.normal(size=12)[g] * (1 + data["x"])) * np.where(g == 0, 0.3, 1.0)
    fit = fit_design(*design_from_formula("y ~ x + (x + z | g)", data), reml=False)
    for seed in range(8):
        theta = np.random.default_rng(seed).normal(size=6)
        start = fit.criterion.at(theta)
        assert fit.deviance < minimize(fit.criterion.at, start).point.deviance + 1e-4


def test_the_last_digits_take_no_iteration_where_the_last_step_brings_them():
    """The step before the last leaves 1e-13 of sleepstudy's deviance, having left 1e-5 before."""
    design, rows = design_from_formula("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    fit = fit_design(design, rows)  # at the moment estimate: the data are balanced
    beside = fit_design(design, rows, start=1.0005 * fit.theta)
    (_, before), (_, last) = beside.optimum.history
    assert 1e-14 < last < 1e-7 * before
    np.testing.assert_allclose(beside.theta, fit.theta, rtol=1e-9)


@pytest.mark.parametrize(
    ("seed", "theta"),
    [
        (67, [19.667, 15.777, 2.9557]),
        (456, [1.578, -3.5169, 0.0]),
        (513, [2.3471, -6.7297, 0.0]),
        (646, [5.1258, -7.5698, 16.1117]),
        (711, [8.0972, -2.5492, 0.0]),
        (852, [3.6643, -5.7551, 26.2257]),
    ],
)
def test_a_minimum_with_a_correlation_below_the_first_that_is_found(seed, theta):
    # the first descent ends inside, with a certificate, 0.03 to 8 above the deviance at theta
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(9), [30, 1, 2, 3, 1, 2, 3, 1, 2])
    x = rng.normal(size=len(g))
    y = (rng.normal(size=len(g)) + 2 * rng.normal(size=9)[g]) * np.where(g == 0, 0.2, 1.0)
    fit = fit_design(*design_from_formula("y ~ 1 + (x | g)", {"y": y, "x": x, "g": g}), reml=False)
    assert fit.deviance < fit.criterion.deviance(np.array(theta)) + LOWER


def test_where_the_deviance_is_flat_the_smallest_variance_is_reported():
    # a treatment for each group: the restricted likelihood does not know the groups' variance
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(3), [5, 3, 9])
    data = {"y": rng.normal(size=17) + g, "g": g, "t": np.array(list("ABC"))[g]}
    fit = fit_design(*design_from_formula("y ~ t + (1 | g)", data))
    assert fit.theta[0] < 0.05
    assert fit.deviance == pytest.approx(fit.criterion.deviance(np.array([2.0])), abs=1e-9)
    assert fit.optimum.starts <= 2


def test_of_equal_points_the_smallest_theta_stands_for_all():
    theta = np.array([[3.0], [1.0], [2.0], [5.0], [4.0]])
    assert distinct(theta, np.array([2.0, 2.0, 1.0, -np.inf, -np.inf])).tolist() == [4, 3, 2, 1]


def test_a_model_too_wide_to_survey_is_tried_from_other_variances():
    # 111 levels crossed with 130: the first descent ended with both variances at zero, 92 above this
    rng = np.random.default_rng(0)
    a = np.r_[np.zeros(500, int), np.arange(1, 111)]
    b = rng.integers(0, 130, size=len(a))
    y = rng.normal(size=len(a)) + (a > 0) * 2.0 * rng.normal(size=len(a))
    fit = fit_design(*design_from_formula("y ~ 1 + (1 | a) + (1 | b)", {"y": y, "a": a, "b": b}), reml=False)
    assert fit.optimum.surveyed == 0
    assert fit.optimum.starts > 1
    assert fit.deviance < fit.criterion.deviance(np.array([1.6364, 0.0])) + LOWER


@pytest.mark.parametrize("origin", [0.0, 2005.0])
def test_slopes_that_fan_out_from_far_away_are_no_longer_a_way_than_others(origin):
    # year counts from its origin in the formula; the lines of the groups meet at year 0, so G has one large direction
    rng = np.random.default_rng(5)
    g, h, year = rng.integers(0, 20, 300), rng.integers(0, 10, 300), rng.integers(1995, 2016, 300).astype(float)
    x = rng.normal(size=300)
    y = rng.normal(size=300) + rng.normal(size=20)[g] * year + rng.normal(size=10)[h] * (1 + 0.5 * x)
    data = {"y": y, "year": year - origin, "x": x, "g": g, "h": h}
    fit = fit_design(*design_from_formula("y ~ year + (year | g) + (x | h)", data))
    assert fit.optimum.converged
    assert fit.criterion.evaluations < 50 * fit.optimum.starts  # one by one, each took hundreds in the metric of theta


def test_an_end_with_little_left_to_the_residual_is_not_taken_for_the_lowest():
    """16 rows, 20 effects: at 47.7367 the effects have all but a hundredth of the variance, elsewhere half of it."""
    rows = (
        "0.734 0.03 1.399 -3.252 0.296 -0.605 1.28 -1.521 -2.407 -0.293 -1.637 -2.383 -2.245 -1.345 -1.376 1.491",
        "0.781 0.067 -1.176 1.167 -0.235 -0.649 -0.953 -0.697 0.455 -1.465 0.557 -0.598 -0.104 0.136 -0.718 -1.315",
    )
    y, x = (np.array(one.split(), float) for one in rows)
    data = {"y": y, "x": x, "g": list("abbbbbbcddeefffg"), "h": list("abbcbcaabbcaabab")}
    assert lmer("y ~ 1 + (x | g) + (x | h)", data).deviance == pytest.approx(47.490589, abs=1e-5)


def test_a_frame_where_effects_are_far_larger_than_what_is_seen():
    """λλ' + I/a had lost I/a to rounding, and a fit ended in NumPy's LinAlgError."""
    found = _root(np.array([[[1e10, 0.0], [3e9, 0.0]]]), 1.0)[0]
    assert found[0] == pytest.approx([1e10, 0.0])
    assert found[1] == pytest.approx([3e9, np.sqrt(1.09)])


@dataclass
class Cliff:
    """(θ − 1)² with a wall behind θ = 3, and half its curvature as a model of it."""

    theta: np.ndarray

    @property
    def deviance(self):
        return float((self.theta[0] - 1) ** 2 + 1e20 * max(self.theta[0] - 3, 0.0) ** 2)

    @property
    def gradient(self):
        return 2 * (self.theta - 1) + 2e20 * np.maximum(self.theta - 3, 0.0)

    @property
    def hessian_model(self):
        return np.array([[0.1]])

    def lighten(self):
        pass


def test_nothing_is_learned_from_a_step_onto_another_function():
    """A covariance that is singular to rounding is 1e20 above one that is not: the curvature learned between them kept
    a Gaussian correlation of BodyWeight from moving, 500 evaluations long and 20 above its optimum."""
    found = minimize(Cliff, Cliff(np.zeros(1)), radius=8.0)
    assert found.converged
    assert found.evaluations < 20
    assert found.point.theta == pytest.approx([1.0], abs=1e-6)


def test_a_parabola_that_lies_far_above_a_skewed_basin_does_not_hide_it():
    """At a = 0 the grid's parabola was 0.63 above the bottom of its basin; a fit ended in another, 0.17 above that."""
    rng = np.random.default_rng([301, 120, 6])
    rng.random()
    sizes = np.r_[rng.integers(8, 60), rng.integers(1, 4, size=rng.integers(2, 15))]
    a = np.repeat(np.arange(len(sizes)), sizes)
    b = rng.integers(0, rng.integers(2, 6), size=len(a))
    y = rng.normal(size=len(a)) * (1 if rng.random() < 0.7 else rng.uniform(0.2, 1))
    for code in (a, a * 10 + b):
        y = y + rng.choice([0.0, 0.3, 1.0, 3.0]) * rng.normal(size=code.max() + 1)[code]
    rng.random()
    y = y * np.where(a == 0, rng.uniform(0.1, 1), 1.0)
    data = {"y": y, "a": a, "b": b, "x": rng.normal(size=len(a))}
    fit = fit_design(*design_from_formula("y ~ x + (1 | a/b)", data), reml=False)
    assert fit.theta == pytest.approx([0.0, 5.92341517], rel=1e-6)
    assert fit.deviance == pytest.approx(215.3009638, abs=LOWER)


def test_the_third_difference_says_what_a_parabola_misses():
    axes, steps = [np.exp(0.6 * np.arange(9.0))], np.arange(9.0)
    for bottom in np.linspace(2.6, 5.4, 29):
        values = (steps - bottom) ** 2 + 0.1 * (steps - bottom) ** 3
        _, promised, askew = low_points(values, axes, [False])
        best = int(np.argmin(promised))
        assert abs(promised[best]) <= askew[best]


@dataclass
class Bowl:
    """(θ − 1)²."""

    theta: np.ndarray

    @property
    def deviance(self):
        return float((self.theta[0] - 1) ** 2)

    @property
    def gradient(self):
        return 2 * (self.theta - 1)

    @property
    def hessian_model(self):
        return np.array([[2.0]])

    def lighten(self):
        pass


def test_a_search_whose_steps_are_cut_short_is_not_over():
    """Within 1e-12 nothing is promised, which says nothing about what is left."""
    for frame in (None, lambda theta: np.eye(1)):
        found = minimize(Bowl, Bowl(np.zeros(1)), radius=1e-12, frame=frame)
        assert found.converged
        assert found.point.theta == pytest.approx([1.0])


@dataclass
class Walled(Bowl):
    """A slope of which every step away from zero is refused, as where a covariance is singular to rounding."""

    @property
    def deviance(self):
        return 1e3 * float(self.theta[0] != 0)

    @property
    def gradient(self):
        return np.array([11.0])

    @property
    def hessian_model(self):
        return np.array([[1e-6]])


def test_a_slope_that_no_step_follows_is_no_optimum():
    """The radius fell until nothing was promised within it, and an end with a gradient of 11 was said to be one."""
    found = minimize(Walled, Walled(np.zeros(1)))
    assert not found.converged
    assert found.gradient_norm == 11.0


@dataclass
class NearBowl(Bowl):
    """With a model of the Hessian that is a thousandth too large."""

    @property
    def hessian_model(self):
        return np.array([[2.002]])


@dataclass
class Lifted(NearBowl):
    """And 1e-7 above the bowl in its last hundred-thousandth, of which no derivative tells."""

    @property
    def deviance(self):
        return super().deviance + 1e-7 * (abs(self.theta[0] - 1) < 1e-5)


def test_a_gradient_is_spared_where_the_value_falls_as_promised():
    """A step that leaves a millionth is the last without another gradient, unless the value is another than it said."""
    start = np.array([0.7])
    assert len(minimize(NearBowl, NearBowl(start)).history) == 3
    found = minimize(NearBowl, NearBowl(start), dear=True)
    assert (len(found.history), found.converged) == (2, True)
    assert found.point.deviance < 1e-12
    assert len(minimize(Lifted, Lifted(start), dear=True).history) > 3


def test_a_gradient_is_spared_where_less_than_asked_for_is_left():
    """The step before left a millionth of what was promised, and 9e-8 is promised: as much is left as that says."""
    start, left = np.array([0.7]), 9e-8 * 1e-6
    assert len(minimize(NearBowl, NearBowl(start), left=left / 2).history) == 3
    found = minimize(NearBowl, NearBowl(start), left=2 * left)
    assert (len(found.history), found.converged) == (2, True)
    assert found.point.deviance < 2 * left
    assert len(minimize(Lifted, Lifted(start), left=2 * left).history) > 3


@dataclass
class Askew:
    """A parabola far above zero, and a model of its Hessian that lacks what stands across most steps."""

    theta: np.ndarray

    @property
    def deviance(self):
        return 617.0 + float(self.theta @ self.gradient) / 2

    @property
    def gradient(self):
        return np.array([40.0, 4.0]) * self.theta

    @property
    def hessian_model(self):
        return np.array([[39.5, -3.0], [-3.0, 4.3]])

    def lighten(self):
        pass


def test_nothing_is_learned_from_a_step_that_rounding_hides():
    """A step of 1e-6 at the optimum of (x | g) stood across what the model lacked: the correction, a quotient of the
    two, was seven times the Hessian, promised a decrease of 100, and took seven evaluations to forget."""
    for phi in np.linspace(0.0, np.pi, 60):
        found = minimize(Askew, Askew(1e-6 * np.array([np.cos(phi), np.sin(phi)])), fine=1e-17)
        assert found.converged
        assert max(promised for _, promised in found.history) < 1e-9


def test_where_levels_are_alike_moments_are_the_start():
    """Of balanced data of one factor that is the optimum; not where a variance is near zero, or factors are crossed."""
    balanced = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy")).engine
    np.testing.assert_allclose(inner_estimate(balanced.criterion), balanced.at_optimum().theta, rtol=1e-8)
    without = [("Yield ~ 1 + (1 | Batch)", "Dyestuff2"), ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin")]
    for formula, name in without:
        assert inner_estimate(lmer(formula, datasets.load(name)).engine.criterion) is None


@pytest.mark.parametrize(("number", "reml", "lowest"), [(34, False, 62.6860254), (48, False, 187.7743881)])
def test_a_minimum_between_the_points_of_a_lattice_with_wide_steps(number, reml, lowest):
    """(x | g) + (1 | b) on 348 and 588 points: the one low point led to another minimum, 0.06 and 0.23 above."""
    rng = np.random.default_rng([303, number, 17])
    if rng.random() < 0.6:
        sizes = np.r_[rng.integers(8, 60), rng.integers(1, 4, size=rng.integers(2, 15))]
    else:
        sizes = rng.geometric(1 / rng.uniform(1.5, 8), size=rng.integers(3, 20))
    g = np.repeat(np.arange(len(sizes)), sizes)
    y = rng.normal(size=len(g)) * (1 if rng.random() < 0.7 else rng.uniform(0.2, 1))
    y = y + rng.choice([0.0, 0.3, 1.0, 3.0]) * rng.normal(size=g.max() + 1)[g]
    y = y * np.where(g == 0, rng.uniform(0.1, 1), 1.0) if rng.random() < 0.7 else y
    x = rng.normal(size=len(g))
    rng.choice(["1", "x"])
    y = y + rng.choice([0.0, 0.5, 2.0]) * rng.normal(size=len(sizes))[g] * x
    rng.choice(["1", "x"])
    b = rng.integers(0, rng.integers(2, 9), size=len(g))
    y = y + rng.choice([0.0, 1.0]) * rng.normal(size=10)[b]
    fit = fit_design(*design_from_formula("y ~ 1 + (x | g) + (1 | b)", {"y": y, "x": x, "g": g, "b": b}), reml=reml)
    assert fit.deviance == pytest.approx(lowest, abs=LOWER)


def test_a_minimum_on_the_boundary_right_beside_one_inside():
    """Of (c | s) + (c | i): items' correlation is -1 at the lowest end, -0.71 at another that is 0.043 above."""
    rng = np.random.default_rng(1227)
    S, I, n = rng.integers(4, 16), rng.integers(4, 14), 104
    rng.integers(30, 140)
    subjects, items = (
        rng.dirichlet(np.full(S, rng.choice([0.3, 1, 5]))),
        rng.dirichlet(np.full(I, rng.choice([0.3, 1, 5]))),
    )
    s, i, c = rng.choice(S, n, p=subjects), rng.choice(I, n, p=items), rng.choice([-0.5, 0.5], n)
    rng.normal(size=n)
    by_s = rng.normal(size=(S, 2)) * rng.choice([0, 0.3, 1, 3], 2)
    by_i = rng.normal(size=(I, 2)) * rng.choice([0, 0.3, 1], 2)
    y = 1 + 0.3 * c + by_s[s, 0] + by_s[s, 1] * c + by_i[i, 0] + by_i[i, 1] * c
    y = y + rng.standard_t(rng.choice([2, 30]), size=n)
    data = {name: np.delete(column, 83) for name, column in {"y": y, "c": c, "s": s, "i": i}.items()}
    assert lmer("y ~ c + (c | s) + (c | i)", data, REML=False).deviance == pytest.approx(309.1005392, abs=LOWER)
