"""Cluster-robust covariances: clubSandwich's listings, and n × n definitions for what it leaves out (weights)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

import henderson
import reference
from henderson.errors import DataError
from henderson.inference import infer
from oracle_data import cases, frame

CASES = {name: case for name, case in cases("robust").items() if "vcov" in case["CR0"]}
KINDS = ("CR0", "CR1", "CR2", "CR3")
PRINCIPAL = "CR2-mmrm"

# lme4's optimum for the listing is good to about 1e-8; small eigenvalues magnify that in HTZ of 8 rows
COV, DF, HTZ = 1e-6, 1e-6, 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_club_sandwich(name, kind):
    case = CASES[name]
    result = henderson.lmer(case["formula"], frame("robust", case["data"]), REML=case["reml"])
    inference = infer(result, cov=kind)
    listing = case[kind]
    size = np.sqrt(np.outer(np.diag(listing["vcov"]), np.diag(listing["vcov"])))
    np.testing.assert_allclose(inference.cov / size, np.array(listing["vcov"]) / size, atol=COV)
    identity = np.eye(len(inference.names))
    np.testing.assert_allclose(inference.df(identity), listing["tests"]["satterthwaite"]["df"], rtol=DF)
    wald = listing.get("wald_all_but_first")
    if wald and "F" in wald:
        test = inference.f_test(identity[1:])
        assert pytest.approx(wald["F"], rel=HTZ) == test.F
        assert test.den_df == pytest.approx(wald["den_df"], rel=HTZ)


def definition(fit, codes, kind):
    """Covariance and df of each coefficient by n × n algebra, V taken for the truth."""
    v = reference.marginal(fit, fit.g)
    x = fit.rows.X
    e = reference.response(fit) - x @ fit.beta
    vx = np.linalg.solve(v, x)
    m = np.linalg.inv(x.T @ vx)
    count = codes.max() + 1
    meat, g = 0.0, np.zeros((count, len(x), x.shape[1]))
    for i in range(count):
        rows = np.flatnonzero(codes == i)
        vi, xi = v[np.ix_(rows, rows)], x[rows]
        left = vi - xi @ m @ xi.T
        if kind == "CR2":
            d = linalg.sqrtm(vi).real
            a = d @ linalg.inv(linalg.sqrtm(d @ left @ d).real) @ d
        elif kind == PRINCIPAL:
            a = linalg.inv(linalg.sqrtm(left @ np.linalg.inv(vi)).real)
        elif kind == "CR3":
            a = np.linalg.inv(np.eye(len(rows)) - xi @ m @ xi.T @ np.linalg.inv(vi))
        else:
            a = np.eye(len(rows)) * (np.sqrt(count / (count - 1)) if kind == "CR1" else 1)
        r = a.T @ np.linalg.solve(vi, xi)
        meat = meat + np.outer(r.T @ e[rows], r.T @ e[rows])
        g[i, rows] = r @ m
    left = v - x @ m @ x.T
    p = np.einsum("ina,nm,jma->aij", g, left, g, optimize=True)
    trace = np.einsum("aii->a", p)
    return m @ meat @ m, trace**2 / np.einsum("aij,aji->a", p, p)


def clustered(weights=None):
    generator = np.random.default_rng(8)
    g = np.repeat(np.arange(9), [2, 3, 3, 4, 5, 6, 7, 8, 10])
    table = pd.DataFrame(
        {
            "g": g,
            "half": g // 2,
            "x": generator.normal(size=len(g)),
            "z": np.repeat(generator.normal(size=9), np.bincount(g)),
        }
    )
    table["y"] = table["x"] + generator.normal(size=9)[g] * (1 + table["x"]) + generator.normal(size=len(g))
    if weights == "equal":
        table["w"] = 1.0 + g % 3
    elif weights == "unequal":
        table["w"] = np.exp(generator.normal(size=len(g)) / 2)
    else:
        table["w"] = 1.0
    return table


@pytest.mark.parametrize("weights", [None, "equal", "unequal"])
@pytest.mark.parametrize("kind", [*KINDS, PRINCIPAL])
@pytest.mark.parametrize("cluster", [None, "half"])
def test_definition(weights, kind, cluster):
    table = clustered(weights)
    result = henderson.lmer("y ~ x + z + (x | g)", table, weights=table["w"])
    codes = table["g" if cluster is None else cluster].to_numpy()
    cov, df = definition(result.engine, codes, kind)
    inference = infer(result, cov=kind, cluster=None if cluster is None else table[cluster])
    np.testing.assert_allclose(inference.cov, cov, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(inference.df(np.eye(3)), df, rtol=1e-6)


def test_clusters_must_nest():
    crossed = henderson.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", henderson.datasets.load("Penicillin"))
    with pytest.raises(DataError, match="plate, sample are crossed"):
        infer(crossed, cov="CR2")
    with pytest.raises(DataError, match="'plate' are spread"):
        infer(crossed, cov="CR2", cluster="sample")
    table = pd.DataFrame(
        {"y": [2.3, 4, 7, 8, 1, 5, 6, 8.5, 1.8, 5.2, 4.1, 5], "a": list("pqrs") * 3, "b": list("qrssppqrrspq")}
    )
    members = henderson.lmer("y ~ 1 + (1 | mm(a, b))", table)
    with pytest.raises(DataError, match=r"rows share levels of mm\(a, b\) so that all depend on each other"):
        infer(members, cov="CR2")
    table = clustered()
    result = henderson.lmer("y ~ x + (1 | g)", table)
    with pytest.raises(DataError, match="'g' are spread"):
        infer(result, cov="CR0", cluster=np.arange(len(table)) % 5)
    with pytest.raises(DataError, match="not in the model"):
        infer(result, cov="CR0", cluster="village")
    with pytest.raises(ValueError, match="has no clusters"):
        infer(result, cov="model", cluster="g")


def test_cluster_labels_follow_the_rows_kept():
    table = clustered()
    table.loc[[3, 20], "x"] = np.nan
    result = henderson.lmer("y ~ x + (1 | g)", table)
    whole = infer(result, cov="CR2")
    for labels in (table["g"], table["g"].to_numpy(), table["g"].drop([3, 20]).to_numpy(), "g"):
        np.testing.assert_allclose(infer(result, cov="CR2", cluster=labels).cov, whole.cov, rtol=1e-10)
