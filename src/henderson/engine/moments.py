"""Traces and quadratic forms of V⁻¹ and of its derivatives: all that inference needs from the data, at one G.

Var(y) = σ² V, V = W⁻¹ + Σ_i G_i V_i (see ARCHITECTURE.md for the order of the G parameters). With c = [X y]:

    F0 = c'V⁻¹c    F1_i = c'V⁻¹V_iV⁻¹c    F2_ij = c'V⁻¹V_iV⁻¹V_jV⁻¹c    t1_i = tr V⁻¹V_i    T2_ij = tr V⁻¹V_iV⁻¹V_j

Gradients, Hessians and informations of ML and REML, Satterthwaite's and Kenward and Roger's formulas are functions of
these. F2 and T2 are formed when they are asked for, and F2 by vector: most formulas need v'F2_ijv for one v, or
tr ΦF2_ij, (k, k) numbers, where F2 itself has (k (p + 1))².

They are computed in the working basis (`basis`), where a covariate far from zero (a calendar year) loses no digits: its
intercept's variance, extrapolated to year 0, and the year's are all but collinear parameters in the user's units. What
can be computed there should be, and its results turned; `turned` turns the moments themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from henderson.numerics.linalg import sizes

FloatArray = np.ndarray


class Second(Protocol):
    """F2 and T2 at one G, by what they are asked for; B are columns (p + 1, s).

    Where V is not linear in its parameters (correlations), V_ij = ∂²V/∂g_i∂g_j adds C_ij = c'V⁻¹V_ijV⁻¹c and
    tr V⁻¹V_ij: zero here, and for every model of G alone.
    """

    def forms(self, B: FloatArray) -> FloatArray:
        """B'F2_ijB, (k, k, s, s)."""

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """tr B'F2_ijB, (k, k)."""

    def traces(self) -> FloatArray:
        """T2, (k, k)."""

    def weighted(self, w: FloatArray, width: int) -> FloatArray:
        """Σ_ij w_ij F2_ij for symmetric w (k, k), (width, width) with width = p + 1."""
        return np.tensordot(w, self.forms(np.eye(width)), 2)

    def curved_traces(self) -> FloatArray | float:
        """tr V⁻¹V_ij, (k, k)."""
        return 0.0

    def curved_forms(self, Q: FloatArray) -> FloatArray | float:
        """tr QC_ij for symmetric Q (p + 1, p + 1): (k, k)."""
        return 0.0

    def curved_weighted(self, w: FloatArray) -> FloatArray | float:
        """Σ_ij w_ij C_ij for symmetric w (k, k): (p + 1, p + 1)."""
        return 0.0


@dataclass(frozen=True)
class Known(Second):
    """F2 and T2 as numbers, see `Second`.

    Attributes
    ----------
    f2 : (k, k, p + 1, p + 1) array
    t2 : (k, k) array
    """

    f2: FloatArray
    t2: FloatArray

    def forms(self, B: FloatArray) -> FloatArray:
        """B'F2_ijB, (k, k, s, s)."""
        return B.T @ self.f2 @ B

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """tr B'F2_ijB, (k, k)."""
        return np.einsum("ijss->ij", self.forms(B))

    def traces(self) -> FloatArray:
        """T2, (k, k)."""
        return self.t2


@dataclass(frozen=True)
class KnownCurved(Known):
    """F2, T2 and V's curvature as numbers; F2 is symmetrised in its parameters.

    Attributes
    ----------
    bent : (k, k, p + 1, p + 1) array
        C_ab = c'V⁻¹V_abV⁻¹c.
    traces_of : (k, k) array
        tr V⁻¹V_ab.
    """

    bent: FloatArray
    traces_of: FloatArray

    def curved_traces(self) -> FloatArray | float:
        """See `Second.curved_traces`."""
        return self.traces_of

    def curved_forms(self, Q: FloatArray) -> FloatArray | float:
        """See `Second.curved_forms`."""
        return np.asarray(np.einsum("abxy,xy->ab", self.bent, Q))

    def curved_weighted(self, w: FloatArray) -> FloatArray | float:
        """See `Second.curved_weighted`."""
        return np.tensordot(w, self.bent, 2)


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments at one G; columns found redundant are left out of X.

    Attributes
    ----------
    n, p : int
        Rows, and columns of X kept.
    g : (k,) array
        The G parameters (relative to σ²), in the order of θ.
    f0 : (p + 1, p + 1) array
    f1 : (k, p + 1, p + 1) array
    t1 : (k,) array
    log_det : float
        log|V|.
    r2 : float
        y'Py = min over β of (y − Xβ)'V⁻¹(y − Xβ); known to more digits than `f0` tells.
    second : Second
        Where F2 and T2 come from.
    has_residual : bool
        Whether the residual's parameters are among g already, and `g` is all of Var(y)'s parameters.
    """

    n: int
    p: int
    g: FloatArray
    f0: FloatArray
    f1: FloatArray
    t1: FloatArray
    log_det: float
    r2: float
    second: Second
    has_residual: bool = False

    @cached_property
    def f2(self) -> FloatArray:
        """F2, (k, k, p + 1, p + 1): ``f2[j, i] = f2[i, j].T``."""
        return self.second.forms(np.eye(len(self.f0)))

    @cached_property
    def t2(self) -> FloatArray:
        """T2, (k, k)."""
        return self.second.traces()

    def complete(self) -> Moments:
        """The same with F2 and T2 as numbers, whatever point they come from."""
        if isinstance(self.second, Known):
            return self
        traces = self.second.curved_traces()
        if isinstance(traces, float):
            return replace(self, second=Known(self.f2, self.t2))
        return replace(self, second=KnownCurved(self.f2, self.t2, self._curved(), traces))

    def _curved(self) -> FloatArray:
        """C_ij, (k, k, p + 1, p + 1)."""
        k = len(self.g)
        out = np.empty((k, k, *self.f0.shape))
        for i in range(k):
            for j in range(i + 1):
                pair = np.zeros((k, k))
                pair[i, j] += 0.5
                pair[j, i] += 0.5
                out[i, j] = out[j, i] = self.second.curved_weighted(pair)
        return out

    def forms(self, v: FloatArray) -> FloatArray:
        """v'F2_ijv for v (p + 1,): (k, k)."""
        return self.second.trace_forms(v[:, None])

    def trace_with(self, phi: FloatArray) -> FloatArray:
        """tr ΦX'V⁻¹V_iV⁻¹V_jV⁻¹X for a covariance Φ (p, p): (k, k)."""
        size = sizes(phi)
        values, vectors = np.linalg.eigh(phi / size[:, None] / size)
        root = np.zeros((self.p + 1, self.p))
        root[: self.p] = size[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
        return self.second.trace_forms(root)

    @cached_property
    def with_residual(self) -> Moments:
        """The same with one more parameter, last: the residual's, g = 1 and V_0 = W⁻¹.

        From V = V_0 + Σ G_i V_i: V⁻¹V_0V⁻¹ = V⁻¹ − Σ G_i V⁻¹V_iV⁻¹. With it V is linear in *all* k + 1 parameters, and
        σ² g are the variance components of Var(y).
        """
        if self.has_residual:
            return self
        g = self.g
        return replace(
            self,
            g=np.append(g, 1.0),
            f1=np.concatenate([self.f1, (self.f0 - np.tensordot(g, self.f1, 1))[None]]),
            t1=np.append(self.t1, self.n - g @ self.t1),
            second=_WithResidual(self),
            has_residual=True,
        )

    def turned(self, columns: FloatArray, parameters: FloatArray) -> Moments:
        """Moments of other columns and parameters.

        Parameters
        ----------
        columns : (p + 1, p' + 1) array
            B: the new [X y] are the old times B. `r2` is left as it is.
        parameters : (k, k) array
            M: the new G parameters are M times the old, so the new V_i are Σ_a M⁻¹_ai V_a.
        """
        back = np.linalg.inv(parameters)
        return replace(
            self,
            p=columns.shape[1] - 1,
            g=parameters @ self.g,
            f0=columns.T @ self.f0 @ columns,
            f1=np.tensordot(back, columns.T @ self.f1 @ columns, (0, 0)),
            t1=back.T @ self.t1,
            second=_Turned(self, columns, back),
        )


@dataclass(frozen=True)
class _Turned(Second):
    """`Second` of other columns and parameters."""

    base: Moments
    columns: FloatArray
    back: FloatArray

    def _mixed(self, own: FloatArray) -> FloatArray:
        return np.tensordot(self.back, np.tensordot(self.back, own, (0, 1)), (0, 1))

    def forms(self, B: FloatArray) -> FloatArray:
        """See `Second.forms`."""
        return self._mixed(self.base.second.forms(self.columns @ B))

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """See `Second.trace_forms`."""
        return self._mixed(self.base.second.trace_forms(self.columns @ B))

    def traces(self) -> FloatArray:
        """See `Second.traces`."""
        return self._mixed(self.base.t2)

    def weighted(self, w: FloatArray, width: int) -> FloatArray:
        """See `Second.weighted`."""
        found = self.base.second.weighted(self.back @ w @ self.back.T, len(self.columns))
        return self.columns.T @ found @ self.columns

    def curved_traces(self) -> FloatArray | float:
        """See `Second.curved_traces`."""
        return self._curved(self.base.second.curved_traces())

    def curved_forms(self, Q: FloatArray) -> FloatArray | float:
        """See `Second.curved_forms`."""
        return self._curved(self.base.second.curved_forms(self.columns @ Q @ self.columns.T))

    def curved_weighted(self, w: FloatArray) -> FloatArray | float:
        """See `Second.curved_weighted`."""
        found = self.base.second.curved_weighted(self.back @ w @ self.back.T)
        return found if isinstance(found, float) else self.columns.T @ found @ self.columns

    def _curved(self, own: FloatArray | float) -> FloatArray | float:
        return own if isinstance(own, float) else self._mixed(own)


@dataclass(frozen=True)
class _WithResidual(Second):
    """`Second` with the residual's parameter: V⁻¹V_0V⁻¹ = V⁻¹ − Σ G_i V⁻¹V_iV⁻¹ once more."""

    base: Moments

    def _extended(self, first: FloatArray, own: FloatArray, last: FloatArray) -> FloatArray:
        """From order one (k, …), order two (k, k, …) and order one of the residual: (k + 1, k + 1, …)."""
        k, g = len(self.base.g), self.base.g
        out = np.empty((k + 1, k + 1, *first.shape[1:]))
        out[:k, :k] = own
        out[:k, k] = first - np.tensordot(own, g, (1, 0))
        out[k, :k] = np.swapaxes(out[:k, k], -1, -2) if first.ndim > 1 else out[:k, k]
        out[k, k] = last - np.tensordot(g, out[k, :k], 1)
        return out

    def forms(self, B: FloatArray) -> FloatArray:
        """See `Second.forms`."""
        base = self.base
        first = B.T @ base.f1 @ B
        return self._extended(first, base.second.forms(B), B.T @ base.f0 @ B - np.tensordot(base.g, first, 1))

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """See `Second.trace_forms`."""
        base = self.base
        first = ((base.f1 @ B) * B).sum(axis=(1, 2))
        zero = float(((base.f0 @ B) * B).sum())
        return self._extended(first, base.second.trace_forms(B), np.array(zero - base.g @ first))

    def traces(self) -> FloatArray:
        """See `Second.traces`."""
        base = self.base
        return self._extended(base.t1, base.t2, np.array(base.n - base.g @ base.t1))
