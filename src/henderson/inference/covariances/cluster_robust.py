"""Cluster-robust covariances of β̂ and their degrees of freedom: Bell–McCaffrey and Pustejovsky–Tipton.

For clusters i with working covariance V_i = W_i⁻¹ + Z_iGZ_i', M = (X'V⁻¹X)⁻¹ and e = y − Xβ̂,

    cov = M Σ_i s_i s_i' M,   s_i = R_i'e_i,   R_i = A_i'V_i⁻¹X_i

    CR0  A = I        CR1  A = I √(m/(m−1))        CR3  A_i = (I − H_i)⁻¹,  H_i = X_iMX_i'V_i⁻¹
    CR2  A_i = D'(D (V_i − X_iMX_i') D')^(−1/2) D,  D'D = V_i     (so that cov is unbiased when V is right)
    CR2-mmrm  A_i = (I − H_i)^(−1/2), the principal root: unbiased too, another root of the same

The degrees of freedom take V as the truth (Pustejovsky and Tipton 2018). With g_si = R_iMc_s, P_st,ij = g_si'(V −
XMX')_ij g_tj,

    one row:  df = (tr P)² / tr P²
    q rows:   F = (η − q + 1)/(η q) · Q ~ F(q, η − q + 1),  η = q(q+1) / Σ_st Var_st
              Var_st = Σ_ij (P_ss,ij P_tt,ij + P_st,ij P_ts,ij)

for rows turned so that Σ_i P_st,ii = I. Only R'VR, X'R (p × p a cluster) are kept; no m × m, n × n matrix is formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.inference.clusters import ClusterBlock, cluster_blocks
from henderson.inference.contrast_rows import Turned, errors_of, independent_rows, wald_f
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray


@dataclass(frozen=True)
class ClusterRobust:
    """A sandwich, and what its degrees of freedom need; m clusters.

    Attributes
    ----------
    to_beta : (p, p) array
        From the working basis, in which the others are.
    working : (p, p) array
        The covariance.
    bread : (p, p) array
        M.
    spread : (m, p, p) array
        R_i'V_iR_i.
    overlap : (m, p, p) array
        X_i'R_i.
    notes : tuple of str
    """

    to_beta: FloatArray
    working: FloatArray
    bread: FloatArray
    spread: FloatArray
    overlap: FloatArray
    notes: tuple[str, ...] = ()

    def _parts(self, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """g_si'V_ig_ti, (m, r, r), and X_i'g_si, (m, p, r), of MR' in the working basis, (p, r)."""
        return c.T @ self.spread @ c, self.overlap @ c

    def df(self, rows: FloatArray) -> FloatArray:
        """(tr P)² / tr P² of each row, (r,)."""
        out = np.empty(len(rows))
        for k, row in enumerate(rows):
            a, b = self._parts(self.bread @ (row @ self.to_beta)[:, None])
            own, cross = a[:, 0, 0], b[:, :, 0]
            joint = self.bread @ (cross.T @ cross)
            leverage = ((cross @ self.bread) * cross).sum(1)
            trace = own.sum() - np.trace(joint)
            square = (own**2).sum() - 2 * own @ leverage + np.einsum("ab,ba->", joint, joint)
            out[k] = trace**2 / square if square > 0 else np.nan
        return out

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray | Turned) -> tuple[float, float]:
        """The approximate Hotelling test (HTZ of Tipton and Pustejovsky 2015)."""
        rows, values = independent_rows(rows, values, errors_of(cov))
        q = len(rows)
        wald = q * wald_f(rows, values, Turned(self.to_beta, self.working))
        if q == 1:
            return wald, float(self.df(rows)[0])
        eta = self._eta(rows)
        if eta <= q - 1:
            return np.nan, np.nan
        return (eta - q + 1) / (eta * q) * wald, eta - q + 1

    def _eta(self, rows: FloatArray) -> float:
        m, low = self.bread, np.linalg.cholesky(self.bread)
        a, b = self._parts(low @ np.linalg.qr((rows @ self.to_beta @ low).T)[0])  # any combinations of R will do
        mean = a.sum(0) - np.einsum("ias,ab,ibt->st", b, m, b, optimize=True)
        values, vectors = np.linalg.eigh((mean + mean.T) / 2)
        turn = vectors / np.sqrt(values) @ vectors.T
        a, b = turn @ a @ turn, b @ turn
        leverage = np.einsum("ias,ab,ibt->ist", b, m, b, optimize=True)
        q = len(rows)
        s = np.einsum("ias,ibt->stab", b, b, optimize=True)
        total = 0.0
        for j in range(q):
            for k in range(q):
                total += a[:, j, j] @ a[:, k, k] - a[:, j, j] @ leverage[:, k, k] - a[:, k, k] @ leverage[:, j, j]
                total += np.trace(m @ s[j, k] @ m @ s[j, k].T)
                total += (a[:, j, k] ** 2).sum() - 2 * a[:, j, k] @ leverage[:, j, k]
                total += np.trace(m @ s[k, j] @ m @ s[k, j])
        return q * (q + 1) / total


def cluster_robust(kind: str, fitted: FitMoments, labels: object = None) -> ClusterRobust:
    """The sandwich of a kind, by clusters with `labels` (n,), by default the top grouping factor.

    Raises
    ------
    DataError
        When clusters do not nest the grouping factors.
    """
    fitted = fitted.working
    p, m = fitted.moments.p, fitted.phi
    meat = np.zeros((p, p))
    spreads, overlaps = [], []
    for block in cluster_blocks(fitted, labels):
        r, e = _adjusted(block, m, kind)
        score = np.einsum("ina,in->ia", r, e)
        meat += score.T @ score
        spreads.append(r.transpose(0, 2, 1) @ block.V @ r)
        overlaps.append(block.X.transpose(0, 2, 1) @ r)
    spread, overlap = np.concatenate(spreads), np.concatenate(overlaps)
    count = len(spread)
    scale = count / (count - 1) if kind == "CR1" else 1.0
    return ClusterRobust(fitted.to_beta, scale * m @ meat @ m, m, spread, overlap)


def _adjusted(block: ClusterBlock, m: FloatArray, kind: str) -> tuple[FloatArray, FloatArray]:
    """R_i = A_i'V_i⁻¹X_i (B, r, p), and e (B, r)."""
    weighted = np.linalg.solve(block.V, block.X)
    if kind in ("CR0", "CR1"):
        return weighted, block.e
    projected = block.X @ m @ block.X.transpose(0, 2, 1)
    if kind == "CR3":
        # A'V⁻¹X with A' = (I − V⁻¹XMX')⁻¹: solve (V − XMX') R = X
        return _solve_psd(block.V - projected, block.X), block.e
    low = np.linalg.cholesky(block.V)
    up = low.transpose(0, 2, 1)
    if kind == "CR2-mmrm":
        # I − H = LTL⁻¹ with V = LL', T symmetric: A'V⁻¹X = L'⁻¹T^(−1/2)L⁻¹X
        half = np.linalg.solve(low, block.X)
        root = _inverse_root(np.eye(block.V.shape[-1]) - half @ m @ half.transpose(0, 2, 1))
        return np.linalg.solve(up, root @ half), block.e
    root = _inverse_root(up @ (block.V - projected) @ low)
    return low @ (root @ (up @ weighted)), block.e


def _inverse_root(matrix: FloatArray) -> FloatArray:
    """(B, r, r) symmetric: the pseudoinverse's square root."""
    values, vectors = np.linalg.eigh(matrix)
    good = values > 1e-10 * values[:, -1:]
    return (vectors * np.where(good, 1 / np.sqrt(np.where(good, values, 1.0)), 0.0)[:, None]) @ vectors.transpose(
        0, 2, 1
    )


def _solve_psd(matrix: FloatArray, rhs: FloatArray) -> FloatArray:
    """Pseudoinverse of symmetric (B, r, r) times rhs (B, r, p)."""
    values, vectors = np.linalg.eigh(matrix)
    good = values > 1e-10 * values[:, -1:]
    inner = vectors.transpose(0, 2, 1) @ rhs
    return vectors @ (inner * np.where(good, 1 / np.where(good, values, 1.0), 0.0)[:, :, None])
