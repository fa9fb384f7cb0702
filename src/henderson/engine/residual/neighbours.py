"""What R makes of the columns of a model, T = [Z c], by neighbours: for crossed effects of any pattern.

S = R⁻¹ and its derivatives are tridiagonal by series, hence T'ST, T'S_aT and T'S_abT products of sparse matrices, and
R = L⁻¹W⁻¹L⁻ᵀ (`recursion`). Of some series at a time, in the columns on which they load, Y_a = L⁻ᵀS_aT, and

    T'R⁻¹R_aR⁻¹T = −T'S_aT      T'R⁻¹R_aR⁻¹R_bR⁻¹T = Q_ab = Y_a'W⁻¹Y_b      T'R⁻¹R_abR⁻¹T = Q_ab + Q_ba − T'S_abT
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows
from henderson.engine.residual.cliques import Coefficients, Precision
from henderson.engine.residual.recursion import Recursion, place_in_series
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: rows of the series that are taken at a time, about
AT_ONCE = 1000


class Neighbours:
    """What does not change with ψ.

    Parameters
    ----------
    precision : Precision
        Of neighbours.
    rows : Rows
    T : (n, Q + p + 1) csr_array
        In the order of the rows.
    """

    def __init__(self, precision: Precision, rows: Rows, T: sparse.csr_array) -> None:
        self.precision, self.rows, self.T = precision, rows, T
        precision.part(rows.n)

    def at(self, psi: FloatArray) -> OfNeighbours:
        """At ψ of the residuals."""
        return OfNeighbours(self, psi)

    def times(self, weights: FloatArray) -> sparse.csr_array:
        """AT, of A that is given by the weights of rows and pairs."""
        n, alike = self.rows.n, self.precision.alike
        at, values, first = [(np.arange(n), np.arange(n))], [weights[:n]], n
        for own in alike.entries[1:]:
            one, other, w = alike.rows[own.row], alike.rows[own.column], weights[first : first + own.n_classes]
            assert one is not None
            assert other is not None
            at += [(one, other), (other, one)]
            values += [w, w]
            first += own.n_classes
        rows, columns = (np.concatenate(parts) for parts in zip(*at))
        return sparse.csr_array((np.concatenate(values), (rows, columns)), shape=(n, n)) @ self.T

    def form(self, weights: FloatArray) -> FloatArray:
        """T'AT."""
        return (self.T.T @ self.times(weights)).toarray()

    @lazy
    def groups(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of some series at a time their rows, series by series, and which series of these each is in."""
        assert self.rows.residual is not None
        order = self.rows.residual.order
        series = np.cumsum(np.diff(self.rows.residual.codes[order], prepend=-1) != 0) - 1
        starts = np.flatnonzero(np.diff(series, prepend=-1))
        ends = np.append(starts[1:], len(order))
        out, first = [], 0
        for k, end in enumerate(ends.tolist()):
            if end - first >= AT_ONCE or k == len(ends) - 1:
                out.append((order[first:end], series[first:end] - series[first]))
                first = end
        return out


class OfNeighbours:
    """The same at one ψ; see `of_series`.

    Parameters
    ----------
    of : Neighbours
    psi : (r,) array
        Of the residuals.
    """

    def __init__(self, of: Neighbours, psi: FloatArray) -> None:
        self.of, self.psi = of, psi
        self._known = of.precision.values(psi)
        self.M, self.log_r = of.form(self._known[0]), self._known[1]

    @lazy
    def f(self) -> Coefficients:
        """The weights, with derivatives."""
        return self.of.precision.coefficients(self.psi, self._known)

    @lazy
    def first(self) -> list[FloatArray]:
        """T'R⁻¹R_aR⁻¹T."""
        return [-self.of.form(weights) for weights in self.f.first]

    def between(self, a: int, b: int) -> FloatArray:
        """T'R⁻¹R_aR⁻¹R_bR⁻¹T."""
        return self._through[a, b]

    def curved(self, a: int, b: int) -> FloatArray:
        """T'R⁻¹R_abR⁻¹T."""
        return self._through[a, b] + self._through[b, a] - self.of.form(self.f.second[a, b])

    @property
    def traces(self) -> tuple[FloatArray, FloatArray]:
        """tr R⁻¹R_a (r,) and tr R⁻¹R_aR⁻¹R_b (r, r)."""
        return self.f.log_first, self.f.squares

    @property
    def curved_traces(self) -> FloatArray:
        """tr R⁻¹R_ab, (r, r)."""
        return self.f.traces

    @lazy
    def _through(self) -> FloatArray:
        """Q, (r, r, Q + p + 1, Q + p + 1)."""
        rows, r = self.of.rows, len(self.psi)
        assert rows.residual is not None
        recursion, place = Recursion.of(self.of.precision, self.psi, rows), place_in_series(rows.residual)
        slope = np.zeros(rows.n)
        slope[recursion.right] = recursion.slope
        turned = [self.of.times(weights) for weights in self.f.first]
        out = np.zeros((r, r, self.of.T.shape[1], self.of.T.shape[1]))
        for own, series in self.of.groups:
            parts = [one[own] for one in turned]
            columns = np.unique(np.concatenate([one.indices for one in parts]))
            shape, at = (int(series[-1]) + 1, int(place[own].max()) + 1), (series, place[own])
            step, root = np.zeros(shape), np.zeros(shape)
            step[at], root[at] = slope[own], recursion.weight[own] ** -0.5
            Y = np.zeros((r, *shape, len(columns)))
            for y, one in zip(Y, parts):
                y[at] = one[:, columns].toarray()
            for p in range(shape[1] - 1, 0, -1):
                Y[:, :, p - 1] += step[:, p, None] * Y[:, :, p]
            Y *= root[:, :, None]
            flat = Y.reshape(r, -1, len(columns))
            for a, b in np.ndindex(r, r):
                out[a, b][np.ix_(columns, columns)] += flat[a].T @ flat[b]
        return out
