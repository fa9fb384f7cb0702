"""The rest by iteration: against dense algebra, against the factored rest, and its derivatives against differences."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, sparse

import henderson
from henderson.engine.deletion import fit_without
from henderson.engine.factor.front import eliminate, per_effect, shrink
from henderson.engine.factor.iterative.by_level import level_variances
from henderson.engine.factor.iterative.choice import system_of
from henderson.engine.factor.iterative.pairs import Pairs
from henderson.engine.factor.iterative.rest import IterativeRest, Probes
from henderson.engine.factor.iterative.squares import squares_by_probes
from henderson.engine.factor.squares import squares
from henderson.engine.many.deletions import Sets, fits_without
from henderson.engine.row_forms import row_forms
from henderson.errors import ApproximationWarning, NotAvailable

#: conjugate gradients stop at a remainder of 1e-11
SOLVED = 1e-9
#: central differences of a log-determinant of size 50, steps of 1e-5
DIFFERENCES = 2e-6
#: Monte-Carlo standard errors within which the estimate is to be: seeds are fixed, so this does not fail by chance
SIGMAS = 5.0

#: effects a level of the front; effects a level and levels of every block of the rest
SHAPES = {
    "intercepts": (1, [(1, 20)]),
    "slopes": (2, [(2, 20)]),
    "three factors": (1, [(2, 12), (1, 9)]),
    "slopes in front": (2, [(1, 12), (2, 9)]),
    "no front": (0, [(1, 14), (2, 8)]),
}
N_FRONT, N_ROWS = 30, 300


class Crossed:
    """Rows on crossed factors as dense Z, and the rest that iterates at some θ."""

    def __init__(self, q_front: int, sizes: list[tuple[int, int]]) -> None:
        rng = np.random.default_rng(1)
        self.q, self.sizes = q_front, sizes
        self.front = self._columns(rng, q_front, N_FRONT)
        self.rest = np.hstack([self._columns(rng, q, n) for q, n in sizes])
        zr = [sparse.csr_array(self.front[:, a::q_front].T @ self.rest) for a in range(q_front)]
        parts = [self.front[:, a::q_front] for a in range(q_front)]
        self.zz = np.array([[(one * other).sum(0) for other in parts] for one in parts]).reshape(
            q_front, q_front, N_FRONT if q_front else 0
        )
        self.pairs = Pairs(zr, sparse.csr_array(self.rest.T @ self.rest), sizes)
        self.places = [np.tril_indices(q) for q in (q_front, *(q for q, _ in sizes))]
        self.theta = rng.uniform(0.3, 1.0, sum(len(rows) for rows, _ in self.places))

    @staticmethod
    def _columns(rng: np.random.Generator, q: int, n_levels: int) -> np.ndarray:
        out, codes = np.zeros((N_ROWS, q * n_levels)), rng.integers(0, n_levels, N_ROWS)
        for a in range(q):
            out[np.arange(N_ROWS), codes * q + a] = rng.normal(size=N_ROWS) if a else 1.0
        return out

    def lam(self, theta: np.ndarray) -> list[np.ndarray]:
        """λ of the front and of the blocks of the rest."""
        out, start = [], 0
        for rows, columns in self.places:
            q = int(rows.max(initial=-1)) + 1
            own = np.zeros((q, q))
            own[rows, columns] = theta[start : start + len(rows)]
            start += len(rows)
            out.append(own)
        return out

    def at(self, theta: np.ndarray, count: int = 8, slow: np.ndarray | None = None) -> IterativeRest:
        """The rest at θ."""
        front, *rest = self.lam(theta)
        own = eliminate(self.zz, np.zeros((self.q, 1, self.zz.shape[2])), front)
        M = np.einsum("kaj,kbj->abj", own.T, own.T)
        probes = Probes(count, tolerance=1e-12, slow=slow)
        return IterativeRest(self.pairs, M, shrink(own, self.zz, per_effect(self.zz)), rest, N_ROWS, probes)

    def dense(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """S, Λ, C and W of the rest."""
        front, *rest = self.lam(theta)
        V = np.eye(N_ROWS)
        if self.q:
            V = V + self.front @ np.kron(np.eye(N_FRONT), front @ front.T) @ self.front.T
        S = self.rest.T @ np.linalg.solve(V, self.rest)
        root = linalg.block_diag(*(one for one, (_, n) in zip(rest, self.sizes) for _ in range(n)))
        C = root.T @ S @ root + np.eye(len(S))
        return S, root, C, root @ np.linalg.solve(C, root.T)


@pytest.fixture(params=list(SHAPES))
def crossed(request: pytest.FixtureRequest) -> Crossed:
    return Crossed(*SHAPES[request.param])


def test_solutions_are_those_of_dense_algebra(crossed: Crossed) -> None:
    S, root, C, W = crossed.dense(crossed.theta)
    rest = crossed.at(crossed.theta)
    B = np.random.default_rng(2).normal(size=(len(S), 5))
    H = rest.half(B)
    np.testing.assert_allclose(rest.multiply(B), S @ B, atol=1e-11)
    np.testing.assert_allclose(rest.back(H), W @ B, atol=SOLVED)
    np.testing.assert_allclose(rest.back(H, spherical=True), np.linalg.solve(C, root.T @ B), atol=SOLVED)
    np.testing.assert_allclose(rest.inner(H), B.T @ W @ B, atol=SOLVED)
    np.testing.assert_allclose(rest.weigh(B), W @ B, atol=SOLVED)
    np.testing.assert_allclose(rest.unscale(root.T @ B), B, atol=1e-12)
    (rows,) = rest.weigh_rows([sparse.csr_array(B.T)])
    np.testing.assert_allclose(rows, B.T @ W, atol=SOLVED)


def test_the_log_determinant_is_within_its_error(crossed: Crossed) -> None:
    *_, C, _ = crossed.dense(crossed.theta)
    rest = crossed.at(crossed.theta, 64)
    error = rest.probed.log_det.std(ddof=1) / 8
    assert abs(rest.log_det - np.linalg.slogdet(C)[1]) < SIGMAS * error
    assert error < 0.1


@pytest.mark.parametrize("deflated", [False, True])
def test_the_gradient_is_that_of_the_estimate_itself(crossed: Crossed, deflated: bool) -> None:
    """Probes and slow directions held, value and derivative belong to one smooth function."""
    slow = crossed.at(crossed.theta).refreshed().slow
    assert slow is not None
    slow = slow[:, : 4 if deflated else 1]
    rest = crossed.at(crossed.theta, slow=slow)
    front, *_ = crossed.lam(crossed.theta)
    parts = [-rest.borrowed_sum() @ front, *rest.traces()[0]]
    gradient = np.concatenate([2 * part[place] for part, place in zip(parts, crossed.places)])
    differences = [
        crossed.at(crossed.theta + step, slow=slow).log_det - crossed.at(crossed.theta - step, slow=slow).log_det
        for step in 1e-5 * np.eye(len(gradient))
    ]
    np.testing.assert_allclose(gradient, np.array(differences) / 2e-5, rtol=DIFFERENCES, atol=DIFFERENCES)


def test_traces_are_within_their_error(crossed: Crossed) -> None:
    """Σ_l (SΛC⁻¹)_ll and Σ_l (S − SWS)_ll, where λ may be divided by and where it may not."""
    for theta in (crossed.theta, 1e-3 * crossed.theta):
        S, root, C, W = crossed.dense(theta)
        rest, start = crossed.at(theta, 64), 0
        exact = S @ root @ np.linalg.inv(C), S - S @ W @ S
        assert all(rest.divisible()) == (theta is crossed.theta)
        for k, (q, n) in enumerate(crossed.sizes):
            for found, whole in zip(rest.traces(), exact):
                own = sum(whole[start + q * j : start + q * j + q, start + q * j : start + q * j + q] for j in range(n))
                np.testing.assert_allclose(found[k], own, atol=0.02 * np.abs(own).max())
            start += q * n


def test_variances_by_level(crossed: Crossed) -> None:
    """Hutchinson's estimator: a few percent of what is left when the identity and the slow directions are exact, and
    errors over those stated have a mean square of about one (levels share their probes, so that it varies)."""
    *_, W = crossed.dense(crossed.theta)
    found = level_variances(crossed.at(crossed.theta).operator)
    front, start, squares = found.front, 0, []
    for (q, n), own, error in zip(crossed.sizes, found.own, found.own_error):
        exact = np.stack([W[start + q * j : start + q * j + q, start + q * j : start + q * j + q] for j in range(n)])
        np.testing.assert_allclose(own.transpose(2, 0, 1), exact, atol=0.1 * np.abs(exact).max())
        squares.append(((own.transpose(2, 0, 1) - exact) / error.transpose(2, 0, 1)).ravel() ** 2)
        start += q * n
    assert 0.25 < np.concatenate(squares).mean() < 4.0
    if crossed.q:
        a = crossed.front.T @ crossed.rest
        whole = a @ W @ a.T
        q = crossed.q
        exact = np.stack([whole[q * j : q * j + q, q * j : q * j + q] for j in range(N_FRONT)])
        np.testing.assert_allclose(front.transpose(2, 0, 1), exact, atol=0.1 * np.abs(exact).max())
        assert 0.25 < np.mean(((front - exact.transpose(1, 2, 0)) / found.front_error) ** 2) < 4.0


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 4000
    data = pd.DataFrame({
        "u": rng.integers(0, 300, n), "i": rng.integers(0, 150, n), "c": rng.integers(0, 40, n),
        "x": rng.normal(size=n), "w": rng.uniform(0.5, 2.0, n),
    })  # fmt: skip
    mean = (
        1 + 0.3 * data["x"] + 0.6 * rng.normal(size=300)[data["u"]] + 0.3 * rng.normal(size=300)[data["u"]] * data["x"]
    )
    mean += 0.5 * rng.normal(size=150)[data["i"]] + 0.3 * rng.normal(size=40)[data["c"]]
    data["y"] = mean + rng.normal(size=n)
    return data


FORMULAS = [
    "y ~ x + (1 | u) + (1 | i)",
    "y ~ x + (x | u) + (x | i)",
    "y ~ x + (x || u) + (1 | i) + (1 | c)",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("reml", [True, False])
def test_it_agrees_with_the_factored_rest(table: pd.DataFrame, formula: str, reml: bool) -> None:
    options = {"REML": reml, "weights": "w"}
    exact = henderson.lmer(formula, table, rest="exact", **options)
    found = henderson.lmer(formula, table, rest="iterative", **options)
    said = found.optinfo["monte_carlo"]
    assert found.converged
    assert found.optinfo["rest"] == "iterative"
    assert exact.optinfo["monte_carlo"] is None
    assert abs(found.deviance - exact.deviance) < SIGMAS * said["deviance"]
    assert said["share"] < 0.1
    for one, other, error in zip(found.engine.lam, exact.engine.lam, found.engine.optimum.monte_carlo.covariances):
        gap = found.sigma**2 * one @ one.T - exact.sigma**2 * other @ other.T
        assert (np.abs(gap) < SIGMAS * error + 1e-6).all()
    for name, error in said["bse"].items():
        assert abs(found.bse[name] - exact.bse[name]) < SIGMAS * error + 1e-7
    np.testing.assert_allclose(found.params, exact.params, atol=1e-5)
    for one, other in zip(found.engine.b, exact.engine.b):
        np.testing.assert_allclose(one, other, atol=1e-3)
    df = [fit.inference.method.df(np.eye(2)) for fit in (found, exact)]
    np.testing.assert_allclose(df[0], df[1], rtol=0.02)  # probes in the Hessian: see `squares_by_probes`
    assert "Monte-Carlo error" in str(found.summary())
    assert "Monte-Carlo" not in str(exact.summary())


def test_sums_of_squares(table: pd.DataFrame) -> None:
    formula = FORMULAS[2]
    exact, found = (henderson.lmer(formula, table, rest=rest).engine.at_optimum() for rest in ("exact", "iterative"))
    one, other = squares(exact.factor), squares_by_probes(found.factor)
    for key, value in one.items():
        allowed = 0.02 if key[0] == key[1] else 0.3
        np.testing.assert_allclose(other[key], value, atol=allowed * np.abs(value).max())


def test_the_same_numbers_again(table: pd.DataFrame) -> None:
    one, other = (henderson.lmer(FORMULAS[0], table, rest="iterative") for _ in range(2))
    assert one.deviance == other.deviance
    np.testing.assert_array_equal(one.theta, other.theta)


def test_variances_of_zero_and_very_large_ones(table: pd.DataFrame) -> None:
    rng = np.random.default_rng(5)
    data = table.assign(flat=rng.normal(size=len(table)), steep=30 * rng.normal(size=150)[table["i"]] + table["y"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", henderson.SingularMatrixWarning)
        for response in ("flat", "steep"):
            formula = f"{response} ~ x + (1 | u) + (1 | i)"
            exact, found = (henderson.lmer(formula, data, rest=rest) for rest in ("exact", "iterative"))
            assert found.converged
            said = found.optinfo["monte_carlo"]
            assert abs(found.deviance - exact.deviance) < SIGMAS * said["deviance"] + 1e-6
            np.testing.assert_allclose(found.theta, exact.theta, rtol=1e-4, atol=1e-3)


def test_other_starts_where_variances_end_at_zero_and_where_one_was_given(table: pd.DataFrame) -> None:
    data = table.assign(flat=np.random.default_rng(5).normal(size=len(table)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", henderson.SingularMatrixWarning)
        flat = henderson.lmer("flat ~ x + (1 | u) + (1 | i)", data, rest="iterative")
    assert min(flat.theta) == 0
    assert (flat.optinfo["starts"], flat.optinfo["elsewhere"]) == (3, "searched")
    plain = henderson.lmer(FORMULAS[0], table, rest="iterative")
    assert (plain.optinfo["starts"], plain.optinfo["elsewhere"]) == (1, "not searched")
    for start in ([50.0, 0.0], [0.0, 0.0]):
        found = henderson.lmer(FORMULAS[0], table, rest="iterative", start=start)
        np.testing.assert_allclose(found.theta, plain.theta, rtol=1e-4)
        assert found.optinfo["starts"] == 2


def test_fits_without_some_rows_keep_the_probes(table: pd.DataFrame) -> None:
    """What moves is what the data say, and not that other signs were drawn."""
    gone, moved = np.flatnonzero(table["u"] == 5), []
    for rest in ("exact", "iterative"):
        fit = henderson.lmer(FORMULAS[0], table, rest=rest).engine
        without = fit_without(fit, gone)
        moved.append(without.theta - fit.theta)
    np.testing.assert_allclose(moved[1], moved[0], rtol=0.01)
    together = fits_without(fit, Sets(gone, np.array([0, len(gone)])))
    assert together.sigma[0] == without.sigma
    assert without.optimum.monte_carlo is not None


def test_auto_announces_that_it_iterates(monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ApproximationWarning)
        assert henderson.lmer(FORMULAS[0], table).optinfo["rest"] == "exact"
    for name in ("SMALL", "LONG"):
        monkeypatch.setattr(f"henderson.engine.factor.iterative.choice.{name}", 10)
    monkeypatch.setattr("henderson.engine.factor.iterative.choice.CUBE", 1e-7)
    with pytest.warns(ApproximationWarning, match="150 crossed effects were solved by iteration"):
        found = henderson.lmer(FORMULAS[0], table)
    assert found.optinfo["rest"] == "iterative"
    with warnings.catch_warnings():
        warnings.simplefilter("error", ApproximationWarning)
        asked = henderson.lmer(FORMULAS[0], table, rest="iterative")
    assert asked.deviance == found.deviance
    nested = table.assign(i=table["u"] * 3 + table["c"] % 3)
    assert henderson.lmer("y ~ x + (1 | u/c)", nested.assign(c=nested["c"] % 5)).optinfo["rest"] == "exact"


def test_a_model_without_crossed_effects_has_nothing_to_iterate_on(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="crossed or nested grouping factors"):
        henderson.lmer("y ~ x + (x | u)", table, rest="iterative")
    with pytest.raises(ValueError, match="rest is one of 'auto', 'exact', 'iterative', not 'cholesky'"):
        henderson.lmer("y ~ x + (x | u)", table, rest="cholesky")
    with pytest.raises(ValueError, match="does not go with residual"):
        henderson.lmer("y ~ x", table.head(200), residual="ar1(i | u)", rest="iterative")
    with pytest.raises(ValueError, match="does not go with residual"):
        henderson.mixedlm("y ~ x", table.head(200), residual="ar1(i | u)", rest="iterative")
    with pytest.raises(ValueError, match="not 'cholesky'"):
        henderson.mixedlm("y ~ x + (x | u)", table, rest="cholesky")


def test_the_door_of_statsmodels(table: pd.DataFrame) -> None:
    model = henderson.mixedlm(FORMULAS[0], table, rest="iterative")
    found, exact = model.fit(), henderson.mixedlm(FORMULAS[0], table, rest="exact").fit()
    assert found.engine.rest == "iterative"
    assert exact.engine.rest == "exact"
    np.testing.assert_allclose(found.params, exact.params, rtol=1e-4)
    assert abs(found.llf - exact.llf) < SIGMAS * found.engine.optimum.monte_carlo.deviance
    mask = henderson.MixedLMParams.from_components(np.ones(2), vcomp=np.zeros(2))
    with pytest.raises(ValueError, match="rest='iterative' does not go with free="):
        model.fit(free=mask)


def test_rows_in_parts(table: pd.DataFrame, tmp_path) -> None:
    path = tmp_path / "rows.csv"
    table.to_csv(path, index=False)
    found = henderson.lmer(FORMULAS[0], str(path), rest="iterative")
    memory = henderson.lmer(FORMULAS[0], table, rest="iterative")
    np.testing.assert_allclose(found.theta, memory.theta, rtol=1e-6)
    sums = found.crossproducts
    again = henderson.lmer(FORMULAS[0], sums, rest="iterative")
    np.testing.assert_allclose(again.theta, found.theta, rtol=1e-8)


def test_it_is_kept(table: pd.DataFrame, tmp_path) -> None:
    fit = henderson.lmer(FORMULAS[0], table, rest="iterative")
    again = pickle.loads(pickle.dumps(fit))
    assert again.optinfo["monte_carlo"] == fit.optinfo["monte_carlo"]
    assert again.engine.criterion.system.rest == "iterative"
    deviance = fit.engine.at_optimum().deviance
    np.testing.assert_allclose(again.engine.at_optimum().deviance, deviance, rtol=1e-13)  # the same probes
    fit.save(tmp_path / "model.henderson")
    loaded = henderson.load(tmp_path / "model.henderson")
    np.testing.assert_allclose(loaded.engine.at_optimum().deviance, deviance, rtol=1e-13)
    assert loaded.optinfo["monte_carlo"] == fit.optinfo["monte_carlo"]
    np.testing.assert_allclose(loaded.bse, fit.bse)


def test_refits_keep_iterating(table: pd.DataFrame) -> None:
    fit = henderson.lmer(FORMULAS[0], table, rest="iterative")
    again = fit.refit(2 * table["y"])
    assert again.engine.rest == "iterative"
    np.testing.assert_allclose(again.theta, fit.theta, rtol=1e-5)


def test_what_needs_the_inverse_as_a_matrix_refuses(table: pd.DataFrame) -> None:
    factor = henderson.lmer(FORMULAS[0], table, rest="iterative").engine.at_optimum().factor
    for ask in (factor.rest.weight_stacks, factor.rest.schur_stacks):
        with pytest.raises(NotAvailable, match="rest='exact'"):
            ask()


@pytest.mark.parametrize("formula", FORMULAS)
def test_forms_by_row(table: pd.DataFrame, formula: str) -> None:
    """Leverages to a percent or two (Hutchinson), forms between rows to what is solved for; and what stands on them."""
    exact, found = (henderson.lmer(formula, table, rest=rest, weights="w") for rest in ("exact", "iterative"))
    one, other = row_forms(exact.engine), row_forms(found.engine)
    np.testing.assert_allclose(other.leverage, one.leverage, rtol=0.03)
    rows = np.flatnonzero(table["u"].to_numpy() < 3)
    np.testing.assert_allclose(other.p_block(rows), one.p_block(rows), atol=2e-5)
    hat = exact.augment()[".hat"].to_numpy(float)
    np.testing.assert_allclose(found.augment()[".hat"].to_numpy(float), hat, rtol=0.03)


def test_what_probes_say_of_levels_and_rows_is_told(table: pd.DataFrame, tmp_path: Path) -> None:
    """By the fit and by its file; and standard deviations are as near to the exact ones as is told."""
    exact, fit = (henderson.lmer(FORMULAS[0], table, rest=rest) for rest in ("exact", "iterative"))
    with pytest.warns(ApproximationWarning, match=r"leverages of rows \(4,000\) were estimated from 64 probes, to"):
        fit.augment()
    fit.save(tmp_path / "fit", crossproducts=False)
    for one in (fit, henderson.load(tmp_path / "fit")):
        with pytest.warns(ApproximationWarning, match="conditional standard deviations") as told:
            found = one.ranef_sd
        median, largest = (float(share) / 100 for share in re.findall(r"([\d.]+)%", str(told[0].message)))
        off = np.concatenate([(found[g] / exact.ranef_sd[g] - 1).abs().to_numpy().ravel() for g in ("u", "i")])
        assert np.median(off) < 3 * median < largest
        assert off.max() < 5 * largest


def test_the_reviewers_checks(table: pd.DataFrame) -> None:
    part = table.head(150).assign(u=lambda rows: rows["u"] % 12, i=lambda rows: rows["i"] % 8)
    answers = [henderson.lmer(FORMULAS[0], part, rest=rest).check() for rest in ("exact", "iterative")]
    assert len(str(answers[0]).splitlines()) == len(str(answers[1]).splitlines())


def test_more_probes_leave_the_first_as_they_are(table: pd.DataFrame) -> None:
    fit = henderson.lmer(FORMULAS[0], table, rest="exact").engine
    system = system_of(fit.criterion.system.cross, fit.criterion.blocks, "iterative")
    lam = fit.working_lam
    few, many = (system.with_probes(Probes(count)).factor(lam).rest.probed.log_det for count in (8, 24))
    np.testing.assert_allclose(many[:8], few, rtol=1e-12)
