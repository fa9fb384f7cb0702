"""Terms with known relationships against n × n algebra and Mrode's example, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.engine.given import fit_at
from henderson.errors import DataError, FormulaError
from henderson.prediction.breeding_values import breeding_values

PRINTED = 5.1e-4  # three digits, in the book
ROUNDING = 1e-9


def relatives(n=60, seed=3):
    rng = np.random.default_rng(seed)
    sire, dam = ([None] * 8 + [f"a{rng.integers(0, i)}" for i in range(8, n)] for _ in range(2))
    return henderson.pedigree([f"a{k}" for k in range(n)], sire, dam)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Two records of most animals of a pedigree, weights, and a crossed block."""
    rng = np.random.default_rng(5)
    A = relatives()
    value = pd.Series(1.1 * A.root() @ rng.normal(size=60), index=A.ids)
    animal = rng.permutation(np.repeat([f"a{k}" for k in range(5, 55)], 2))
    table = pd.DataFrame({"animal": animal, "block": rng.integers(7, size=100), "x": rng.normal(size=100)})
    table["w"] = rng.integers(1, 4, size=100).astype(float)
    noise = 0.8 * rng.normal(size=100) / np.sqrt(table["w"])
    return table.assign(y=2 + 0.4 * table["x"] + value[animal].to_numpy() + 0.5 * (table["block"] % 3) + noise)


def dense(data, A, fit, *, weights=None, slopes=False, block=False):
    """−2 REML log-likelihood, β̂, effects of all levels, their error variances and those given β, at a fit."""
    tau = [float((lam @ lam.T)[0, 0]) * fit.engine.sigma**2 for lam in fit.engine.lam]
    n = len(data)
    Z = (data["animal"].to_numpy()[:, None] == A.index.to_numpy()).astype(float)
    V = fit.engine.sigma**2 * np.diag(1 / (np.ones(n) if weights is None else weights))
    V = V + tau[0] * Z @ A.to_numpy() @ Z.T
    if slopes:
        Zx = Z * data[["x"]].to_numpy()
        V += tau[1] * Zx @ A.to_numpy() @ Zx.T
    if block:
        V += tau[-1] * np.equal.outer(data["block"].to_numpy(), data["block"].to_numpy())
    X, y = np.column_stack([np.ones(n), data["x"]]), data["y"].to_numpy()
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    deviance = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ inverse @ X)[1] + y @ P @ y
    deviance += (n - 2) * np.log(2 * np.pi)
    beta = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
    C = tau[0] * A.to_numpy() @ Z.T
    errors, conditional = (np.diag(tau[0] * A.to_numpy() - C @ own @ C.T) for own in (P, inverse))
    return deviance, beta, C @ P @ y, errors, conditional


@pytest.mark.parametrize("options", [{}, {"weights": True}, {"block": True}, {"slopes": True}], ids=str)
def test_dense_algebra(data, options):
    A = relatives()
    formula = (
        "y ~ x + (1 | animal)" + " + (0 + x | animal)" * ("slopes" in options) + " + (1 | block)" * ("block" in options)
    )
    weights = "w" if "weights" in options else None
    fit = henderson.lmer(formula, data, relmat={"animal": A}, weights=weights)
    given = {**options, "weights": data["w"]} if weights else options
    deviance, beta, effects, errors, conditional = dense(data, A.relationship(), fit, **given)
    assert fit.deviance == pytest.approx(deviance, abs=1e-8)
    np.testing.assert_allclose(fit.params, beta, rtol=ROUNDING)
    found = fit.breeding_values(None if "slopes" not in options else "animal")
    np.testing.assert_allclose(found["value"], effects, atol=ROUNDING)
    np.testing.assert_allclose(found["se"] ** 2, errors, atol=ROUNDING)
    np.testing.assert_allclose(fit.ranef["animal"].iloc[:, 0], effects, atol=ROUNDING)
    np.testing.assert_allclose(fit.ranef_sd["animal"].iloc[:, 0] ** 2, conditional, atol=ROUNDING)
    assert fit.engine.optimum.converged
    variance = fit.varcorr["vcov"].iloc[0]
    np.testing.assert_allclose(found["reliability"], 1 - errors / (variance * np.diag(A.relationship())), atol=1e-8)


def test_mrodes_weaning_weights():
    """Mrode's example 3.1: eight animals, five records, residual variance 40 and additive variance 20."""
    calves = henderson.pedigree([4, 5, 6, 7, 8], [1, 3, 1, 4, 3], [None, 2, 2, 5, 6])
    weights = {
        "calf": [4, 5, 6, 7, 8],
        "sex": ["male", "female", "female", "male", "male"],
        "gain": [4.5, 2.9, 3.9, 3.5, 5],
    }
    model = design_from_formula("gain ~ 0 + sex + (1 | calf)", weights, relmat={"calf": calves})
    fit = replace(fit_at(*model, np.array([np.sqrt(20 / 40)])), sigma=np.sqrt(40.0))
    np.testing.assert_allclose(fit.beta, [3.404, 4.358], atol=PRINTED)
    found = breeding_values(fit).loc[range(1, 9)]
    np.testing.assert_allclose(
        found["value"], [0.098, -0.019, -0.041, -0.009, -0.186, 0.177, -0.249, 0.183], atol=PRINTED
    )
    np.testing.assert_allclose(
        found["se"] ** 2 / 40, [0.471, 0.492, 0.456, 0.428, 0.428, 0.442, 0.442, 0.422], atol=PRINTED
    )
    assert found["observed"].tolist() == [False] * 3 + [True] * 5


def test_any_spelling_of_a_matrix(data):
    A = relatives().relationship()
    shuffled = A.sample(frac=1, random_state=1)
    fits = [
        henderson.lmer("y ~ x + (1 | animal)", table, relmat={"animal": given})
        for table, given in [
            (data, relatives()),
            (data, A),
            (data, shuffled[shuffled.index[::-1]]),
            (data, (A.to_numpy(), A.index)),
            (data, (sparse.csr_matrix(A.to_numpy()), list(A.index))),
            (data.assign(animal=pd.Categorical(data["animal"], categories=A.index)), A.to_numpy()),
            (data.assign(animal=pd.Categorical(data["animal"], categories=A.index)), sparse.csr_array(A.to_numpy())),
        ]
    ]
    labels = A.index
    for fit in fits[1:]:
        assert fit.deviance == pytest.approx(fits[0].deviance, abs=1e-8)
        np.testing.assert_allclose(
            fit.breeding_values()["value"].loc[labels], fits[0].breeding_values()["value"].loc[labels], atol=1e-6
        )


def test_a_singular_matrix_will_do(data):
    """Genomic relationships of fewer markers than animals."""
    markers = np.random.default_rng(0).normal(size=(60, 20))
    G = pd.DataFrame(markers @ markers.T / 20, index=[f"a{k}" for k in range(60)], columns=[f"a{k}" for k in range(60)])
    fit = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": G})
    deviance, _, effects, errors, _ = dense(data, G, fit)
    assert fit.deviance == pytest.approx(deviance, abs=1e-8)
    np.testing.assert_allclose(fit.breeding_values()["value"], effects, atol=1e-8)
    np.testing.assert_allclose(fit.breeding_values()["se"] ** 2, errors, atol=1e-8)


def test_unrelated_levels_are_a_plain_term(data):
    levels = sorted(data["animal"].unique())
    plain = henderson.lmer("y ~ x + (1 | animal)", data)
    eye = pd.DataFrame(np.eye(len(levels)), index=levels, columns=levels)
    known = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": eye})
    assert known.deviance == pytest.approx(plain.deviance, abs=1e-8)
    np.testing.assert_allclose(known.coef_table, plain.coef_table, rtol=1e-6)
    np.testing.assert_allclose(known.ranef["animal"].loc[levels], plain.ranef["animal"].loc[levels], atol=1e-7)
    np.testing.assert_allclose(known.ranef_sd["animal"].loc[levels], plain.ranef_sd["animal"].loc[levels], atol=1e-7)
    kr = [fit.anova(ddf="kenward-roger") for fit in (known, plain)]
    np.testing.assert_allclose(kr[0], kr[1], rtol=1e-6)
    np.testing.assert_allclose(known.predict(data, re="all"), plain.predict(data, re="all"), atol=1e-7)


def test_what_follows(data):
    A = relatives()
    fit = henderson.lmer("y ~ x + (1 | animal) + (1 | block)", data, relmat={"animal": A})
    before = fit.breeding_values()["se"].copy()
    assert fit.coef_table.shape[0] == 2
    np.testing.assert_array_equal(fit.breeding_values()["se"], before)  # inference once wrote into the factor's weights
    share = fit.heritability()
    assert share["ratio"].sum() == pytest.approx(1)
    total, tau = fit.varcorr["vcov"].sum(), fit.varcorr.set_index("grp")["vcov"]
    assert share["ratio"]["animal"] == pytest.approx(tau["animal"] / total)
    unseen = fit.predict(pd.DataFrame({"animal": ["a0"], "block": [1], "x": [0.5]}), re="all", se=True)
    value = fit.params.to_numpy() @ [1, 0.5] + fit.breeding_values()["value"]["a0"] + fit.ranef["block"].iloc[1, 0]
    assert unseen["estimate"].iloc[0] == pytest.approx(value)
    with pytest.raises(DataError, match="stranger"):
        fit.predict(pd.DataFrame({"animal": ["stranger"], "block": [1], "x": [0.5]}), re="all")


def test_heritability_by_the_delta_method(data):
    fit = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": relatives()})
    errors = fit.variance_errors()
    sd, sigma = errors["estimate"]
    h2 = sd**2 / (sd**2 + sigma**2)
    assert fit.heritability()["ratio"].iloc[0] == pytest.approx(h2)
    assert 0 < fit.heritability()["se"].iloc[0] < 0.5


@pytest.mark.parametrize(
    ("formula", "relmat", "error", "said"),
    [
        (
            "y ~ x + (1 | animal)",
            {"cow": 1},
            FormulaError,
            "relmat names 'cow', which no bar is on; there are 'animal'",
        ),
        ("y ~ x + (1 | animal)", [1], FormulaError, "relmat is a dict of factors"),
        ("y ~ x + (1 | animal)", {"animal": 3.0}, DataError, "is a matrix, a DataFrame, a pair"),
        ("y ~ x + (1 | animal)", {"animal": np.eye(60)}, DataError, "says nothing of which level is which"),
        ("y ~ x + (1 | animal)", {"animal": (np.eye(60), ["a1"])}, DataError, "has 60 rows and 1 labels"),
        ("y ~ x + (1 | animal)", {"animal": (np.ones((2, 3)), ["a", "b"])}, DataError, "is square, not 2 × 3"),
        (
            "y ~ x + (1 | animal)",
            {"animal": "small"},
            DataError,
            r"lacks levels of the data: 'a\d' \(row \d+\) and 4 more",
        ),
        ("y ~ x + (1 | animal)", {"animal": "crooked"}, DataError, "is not symmetric: see the row of 'a0'"),
        (
            "y ~ x + (1 | animal)",
            {"animal": "indefinite"},
            DataError,
            "is no covariance matrix: it has the eigenvalue -",
        ),
        ("y ~ x + (1 | animal)", {"animal": "missing"}, DataError, "entries that are not finite, in the row of 'a3'"),
        ("y ~ x + (1 | animal)", {"animal": "twice"}, DataError, "has a label twice"),
        ("y ~ x + (1 | animal)", {"animal": "other"}, DataError, "rows and columns of .* have the same labels"),
    ],
)
def test_refused_by_name(data, formula, relmat, error, said):
    A = relatives().relationship()
    crooked, indefinite, missing = A.copy(), A.copy(), A.copy()
    crooked.loc["a0", "a1"] = 0.7
    indefinite.loc["a0", "a1"] = indefinite.loc["a1", "a0"] = 3.0
    missing.loc["a3", "a3"] = np.nan
    made = {
        "A": A,
        "small": A.iloc[10:, 10:],
        "crooked": crooked,
        "indefinite": indefinite,
        "missing": missing,
        "twice": pd.concat([A, A]),
        "other": A.rename(columns={"a0": "b0"}),
    }
    if isinstance(relmat, dict):
        relmat = {name: made.get(one, one) if isinstance(one, str) else one for name, one in relmat.items()}
    with pytest.raises(error, match=said):
        henderson.lmer(formula, data, relmat=relmat)


def test_more_than_a_matrix_has_room_for(data):
    """A pedigree of any size, where a variance is held, too: of unrelated animals as of independent levels; a matrix
    that is not sparse has a limit."""
    labels = [f"a{k}" for k in range(12_001)]
    many, held = henderson.pedigree(labels, [None] * 12_001, [None] * 12_001), {"fix": {"Residual": 1.0}}
    fit = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": many}, **held)
    plain = henderson.lmer("y ~ x + (1 | animal)", data, **held)
    assert fit.deviance == pytest.approx(plain.deviance, abs=1e-6)
    np.testing.assert_allclose(fit.bse, plain.bse, rtol=1e-5)
    with pytest.raises(DataError, match=r"20,000 levels"):
        henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": (sparse.eye_array(20_000), range(20_000))})


def test_which_term_is_asked_for(data):
    plain = henderson.lmer("y ~ x + (1 | animal)", data)
    with pytest.raises(ValueError, match="no term has known relationships"):
        plain.breeding_values()
    both = henderson.lmer("y ~ x + (1 | animal) + (0 + x | animal)", data, relmat={"animal": relatives()})
    with pytest.raises(ValueError, match=r"which term\? There are 'animal', 'animal.1'"):
        both.breeding_values()
    with pytest.raises(ValueError, match="depends on its covariates"):
        both.heritability("animal")
    assert len(both.breeding_values("animal.1")) == 60


def test_saved_and_read(data, tmp_path):
    fit = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": relatives()})
    fit.save(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson")
    np.testing.assert_allclose(again.breeding_values()["value"], fit.breeding_values()["value"])
    np.testing.assert_allclose(again.predict(data.iloc[:4], re="all"), fit.predict(data.iloc[:4], re="all"))


def test_rows_in_parts_are_refused(data):
    with pytest.raises(ValueError, match="relmat goes with a table in memory"):
        henderson.lmer("y ~ x + (1 | animal)", iter([data]), relmat={"animal": relatives()})


@pytest.mark.parametrize("ar1", [True, False], ids=["ar1", "strata"])
def test_residual_covariances(data, ar1):
    """Repeated records of related animals: V = σ_a² ZAZ' + R, effects of all and their error variances."""
    A = relatives()
    table = data.assign(t=data.groupby("animal").cumcount(), stratum=np.arange(100) % 2)
    formula, residual = "y ~ x + (1 | animal)", "ar1(t | animal)" if ar1 else "ident(stratum)"
    fit = henderson.lmer(formula, table, relmat={"animal": A}, residual=residual)
    assert fit.converged
    ids, g = A.ids.get_indexer(table["animal"]), fit.engine.variances
    relations = A.root() @ A.root().T
    same, apart = np.equal.outer(ids, ids), np.abs(np.subtract.outer(table["t"].to_numpy(), table["t"].to_numpy()))
    X, y = np.column_stack([np.ones(100), table["x"]]), table["y"].to_numpy()

    def inverses(psi):
        R = np.where(same, psi[1] * psi[-1] ** apart, 0.0) if ar1 else np.diag(psi[1:][table["stratum"]])
        inverse = np.linalg.inv(psi[0] * relations[np.ix_(ids, ids)] + R)
        return inverse, inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)

    def deviance(psi):
        inverse, P = inverses(psi)
        logs = np.linalg.slogdet(X.T @ inverse @ X)[1] - np.linalg.slogdet(inverse)[1]
        return logs + y @ P @ y + 98 * np.log(2 * np.pi)

    assert fit.deviance == pytest.approx(deviance(g), abs=1e-8)
    for step in 1e-3 * np.eye(len(g)):
        assert min(deviance(g + step), deviance(g - step)) > fit.deviance
    inverse, P = inverses(g)
    C = g[0] * relations[:, ids]
    bred = fit.breeding_values().loc[A.ids]
    np.testing.assert_allclose(bred["value"], C @ P @ y, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(bred["se"] ** 2, np.diag(g[0] * relations - C @ P @ C.T), rtol=1e-8)
    given = np.diag(g[0] * relations - C @ inverse @ C.T)
    np.testing.assert_allclose(fit.ranef_sd["animal"].loc[A.ids, "(Intercept)"] ** 2, given, rtol=1e-8)
    if ar1:
        shares = fit.heritability()
        assert shares["ratio"].iloc[0] == pytest.approx(g[0] / (g[0] + g[1]))
        assert shares["se"].notna().all()
    else:
        with pytest.raises(ValueError, match="one residual variance, which ident"):
            fit.heritability()


def test_a_heritability_that_is_known(data):
    """Variances held: breeding values are those of the mixed-model equations at them."""
    A = relatives()
    free = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": A})
    held = {"animal": float(free.varcorr["vcov"].iloc[0]), "Residual": free.sigma**2}
    fit = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": A}, fix=held)
    assert fit.deviance == pytest.approx(free.deviance, abs=1e-8)
    for name in ("value", "se", "reliability"):
        np.testing.assert_allclose(fit.breeding_values()[name], free.breeding_values()[name], rtol=1e-6, atol=1e-9)
    loose = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": A}, bound=False)
    pd.testing.assert_frame_equal(loose.heritability(), free.heritability(), rtol=1e-5)


def test_statsmodels_door_has_them(data):
    A = relatives()
    fit = henderson.mixedlm("y ~ x + (1 | animal)", data, relmat={"animal": A}).fit()
    wanted = henderson.lmer("y ~ x + (1 | animal)", data, relmat={"animal": A})
    assert fit.llf == pytest.approx(wanted.llf, abs=1e-9)
    np.testing.assert_allclose(fit.breeding_values()["value"], wanted.breeding_values()["value"], rtol=1e-9)
    with pytest.raises(FormulaError, match="relmat names 'cow'"):
        henderson.mixedlm("y ~ x + (1 | animal)", data, relmat={"cow": A})


def test_backquoted_names_are_those_of_the_formula():
    """As a formula writes an odd name, `relmat`, `influence` and clusters read it."""
    rng = np.random.default_rng(2)
    labels = [f"s{k}" for k in range(12)]
    table = pd.DataFrame({"my g": np.repeat(labels, 3), "x": rng.normal(size=36), "y": rng.normal(size=36)})
    A = pd.DataFrame(0.5 * np.eye(12) + 0.5, labels, labels)
    plain, quoted = (
        henderson.lmer("y ~ x + (1 | `my g`)", table, relmat={name: A}) for name in ("my g", "`my g`")
    )  # fmt: skip
    assert plain.llf == quoted.llf
    alone = henderson.lmer("y ~ x + (1 | `my g`)", table)
    pd.testing.assert_frame_equal(alone.influence(by="`my g`"), alone.influence(by="my g"))
    pd.testing.assert_series_equal(*(alone.with_inference(cov="CR0", cluster=k).bse for k in ("my g", "`my g`")))
    with pytest.raises(FormulaError, match="names a factor twice"):
        henderson.lmer("y ~ x + (1 | `my g`)", table, relmat={"my g": A, "`my g`": A})
