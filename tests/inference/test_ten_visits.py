"""An unstructured covariance of ten visits (55 parameters) against formulas written down patient by patient.

With M = V⁻¹ of a patient, Y = M[X y] and E_ab the matrix of ones at (a, b) and (b, a), V_ab = E_ab, so that

    c'V⁻¹V_abV⁻¹c = Σ y_a y_b' + y_b y_a'      c'V⁻¹V_abV⁻¹V_cdV⁻¹c = Σ M_bc y_a y_d' + …

In long double on all of `bcva`, they agree to 1e-12; here in doubles, on some of its patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import henderson

#: both sides are doubles
DEVIANCE, SE, DF = 1e-8, 1e-9, 1e-7


@dataclass(frozen=True)
class Sums:
    """At V: Φ (p, p), β, −2 log L_R, P_i (k, p, p), Q_ij (k, k, p, p), and ∂ and ∂² of −2 log L_R, (k,) and (k, k)."""

    phi: np.ndarray
    beta: np.ndarray
    deviance: float
    P: np.ndarray
    Q: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


def by_patient(X, y, patient, visit, V) -> Sums:
    """All sums, one patient after another."""
    T, c, p = len(V), np.column_stack([X, y]), X.shape[1]
    S, yy = np.zeros((p + 1, p + 1)), np.zeros((T, T, p + 1, p + 1))
    four, trace, traces, log_det = np.zeros((T,) * 4 + (p + 1, p + 1)), np.zeros((T, T)), np.zeros((T,) * 4), 0.0
    for one in np.unique(patient):
        own = patient == one
        at = visit[own]
        M = np.linalg.inv(V[np.ix_(at, at)])
        Y = M @ c[own]
        S += c[own].T @ Y
        pairs, quads = np.ix_(at, at), np.ix_(at, at, at, at)
        outer = np.einsum("aq,dr->adqr", Y, Y)
        yy[pairs] += outer
        four[quads] += np.multiply.outer(M, outer)
        trace[pairs] += M
        traces[quads] += np.multiply.outer(M, M)
        log_det -= np.linalg.slogdet(M)[1]
    phi = np.linalg.inv(S[:p, :p])
    beta = phi @ S[:p, p]
    v, entries = np.append(-beta, 1.0), list(zip(*np.tril_indices(T)))
    sides = [[(a, b)] if a == b else [(a, b), (b, a)] for a, b in entries]
    F = np.array([sum(yy[side] for side in own) for own in sides])
    F2 = np.array([[sum(four[b, c_, a, d] for a, b in one for c_, d in two) for two in sides] for one in sides])
    t1 = np.array([sum(trace[side] for side in own) for own in sides])
    t2 = np.array([[sum(traces[b, c_, d, a] for a, b in one for c_, d in two) for two in sides] for one in sides])
    P, Q, Fv = F[:, :p, :p], F2[..., :p, :p], F @ v
    turned = phi @ P
    both = t2 - 2 * np.einsum("pq,ijqp->ij", phi, Q) + np.einsum("ipr,jrp->ij", turned, turned)
    quadratic = np.einsum("p,ijpq,q->ij", v, F2, v) - Fv[:, :p] @ phi @ Fv[:, :p].T
    nu = len(y) - p
    deviance = log_det - np.linalg.slogdet(phi)[1] + S[p, p] - S[p, :p] @ beta + nu * np.log(2 * np.pi)
    gradient = t1 - np.trace(turned, axis1=1, axis2=2) - Fv @ v
    return Sums(phi, beta, float(deviance), P, Q, gradient, quadratic + quadratic.T - both)


@pytest.fixture(scope="module")
def trial():
    data = henderson.datasets.load("bcva")
    data = data[data["USUBJID"].isin(data["USUBJID"].unique()[:135])]
    fit = henderson.mmrm("BCVA_CHG ~ BCVA_BL + ARMCD + us(AVISIT | USUBJID)", data, ddf="kenward-roger")
    rows, V = fit.engine.observed_for("algebra"), np.zeros((10, 10))
    low = np.tril_indices(10)
    V[low] = V[low[::-1]] = fit.engine.psi
    return fit, by_patient(rows.X, rows.response, rows.residual.codes, rows.residual.where, V)


def test_the_end_is_the_optimum(trial):
    """The formulas' own Newton step from there gains nothing."""
    fit, own = trial
    assert fit.deviance == pytest.approx(own.deviance, abs=DEVIANCE)
    assert own.gradient @ np.linalg.solve(own.hessian, own.gradient) < 1e-9
    assert np.linalg.eigvalsh(own.hessian)[0] > 0
    np.testing.assert_allclose(fit.params, own.beta, rtol=SE)


def test_satterthwaite(trial):
    """2 Var² / (g'Wg), W twice the inverse of the Hessian of −2 log L_R, g of Var(β̂)."""
    fit, own = trial
    table = fit.with_inference(ddf="satterthwaite").coef_table
    g = np.einsum("cp,ipq,qc->ci", own.phi, own.P, own.phi)
    df = np.diag(own.phi) ** 2 / np.einsum("ci,ij,cj->c", g, np.linalg.inv(own.hessian), g)
    np.testing.assert_allclose(table.se, np.sqrt(np.diag(own.phi)), rtol=SE)
    np.testing.assert_allclose(table.df, df, rtol=DF)


def test_kenward_roger(trial):
    """Φ_A = Φ + 2Φ Σ W_ij (Q_ij − P_iΦP_j) Φ, and the df of one combination; V is linear in its parameters."""
    fit, own = trial
    W, phi = 2 * np.linalg.inv(own.hessian), own.phi
    middle = np.einsum("ij,ijpq->pq", W, own.Q) - np.einsum("ij,ipq,qr,jrs->ps", W, own.P, phi, own.P, optimize=True)
    adjusted = phi + 2 * phi @ middle @ phi
    table = fit.coef_table
    np.testing.assert_allclose(table.se, np.sqrt(np.diag(adjusted)), rtol=SE)
    for k, df in enumerate(table.df):
        w = phi[k]
        ratio = np.einsum("p,ipq,q->i", w, own.P, w) / phi[k, k]
        A = ratio @ W @ ratio  # A₁ and A₂ of one combination
        # in Kenward and Roger's notation, l = 1: c = g/D, (1 − g)/D, (3 − g)/D, D = 3 + 2(1 − g)
        g, B = -1.0, 3.5 * A
        D = 3 + 2 * (1 - g)
        expected, variance = 1 / (1 - A), 2 * (1 + g / D * B) / ((1 - (1 - g) / D * B) ** 2 * (1 - (3 - g) / D * B))
        rho = variance / (2 * expected**2)
        assert df == pytest.approx(4 + 3 / (rho - 1), rel=DF)
