"""Errors of predictions where residuals correlate beside levels with known relationships: all rows are one block.

What `structured_errors` sums over blocks are products with V⁻¹ by the sparse factor (`engine.residual.related`) here.
The effects u = z'b of a target have c = Cov(y, u) = Σ Z(A ⊗ G)z and, along a parameter of G, c_a = Z(A ⊗ E_a)z; where
what was observed of its series is to tell of a row's residual, R_i,new and its derivatives are added there (`targets`).
"""

from __future__ import annotations

import numpy as np

from henderson.engine.residual.fit import StructuredFit, by_relatives
from henderson.engine.residual.related import RelatedModel
from henderson.prediction.rules import Rule
from henderson.prediction.structured_errors import StructuredErrors, Sums
from henderson.prediction.targets import Asked, together

FloatArray = np.ndarray

#: doubles of the columns that are worked on together
AT_ONCE = 1 << 23


class RelatedErrors(StructuredErrors):
    """See `StructuredErrors`."""

    def _main_block(self, asked: Asked) -> np.ndarray:
        """All rows are one block, (m,)."""
        return np.zeros(len(asked.x), int)

    def _add_own(self, asked: Asked, out: Sums) -> None:
        """The variance of an inbred animal is more than that of others."""
        super()._add_own(asked, out)
        for term, new, layout, to in zip(self.model.design.terms, asked.terms, self.model.layouts, self.model.g_of):
            if new is None or term.related is None or new.codes is None:
                continue
            more = np.where(new.codes >= 0, term.related.diagonal[new.codes] - 1.0, 0.0)
            z = new.columns
            out.left[:] += more * np.einsum("ma,ab,mb->m", z, layout.covariance(self.psi[to]), z, optimize=True)
            if out.slope.shape[1]:
                own = np.einsum("ma,iab,mb->mi", z, layout.basis(), z, optimize=True)
                out.slope[:, to] += more[:, None] * own

    def _sums(self, asked: Asked) -> Sums:
        """A few targets at a time."""
        out = self._no_sums(asked)
        self._add_own(asked, out)
        if asked.has_known:
            step = max(1, AT_ONCE // (self.fit.n * (self.model.k + 1)))
            for start in range(0, len(asked.x), step):
                here = np.arange(start, min(start + step, len(asked.x)))
                self._add_columns(asked[here], out, here)
        return out

    def _add_columns(self, asked: Asked, out: Sums, here: np.ndarray) -> None:
        """What targets share with the rows."""
        point, m, k = by_relatives(self.fit), len(here), out.slope.shape[1]
        related, p, n_g = point.related, self.model.p, self.model.n_g
        X, e = point.U[:, :p], point.U @ point.v
        along = list(related.along(loads(related, asked)))  # Z(A ⊗ E_a)z'
        c = sum((g * one for g, one in zip(point.psi[:n_g], along)), np.zeros((self.fit.n, m)))
        own = self._own_series(asked)
        c += own[0]
        s = point.solve(c)
        out.left[here] -= (c * s).sum(0)
        out.sx[here] = c.T @ X
        if not k:
            return
        omega = self._at.added_by
        assert omega is not None
        moved = list(point.moved(s))
        ca = [*along, *own[1:]]
        r = np.stack([one - other for one, other in zip(ca, moved)])  # (k, n, m)
        out.slope[here] += np.stack([((v - 2 * one) * s).sum(0) for v, one in zip(moved, ca)], axis=1)
        out.xr[here] = np.einsum("anm,np->map", r, X, optimize=True)
        out.moved[here] = np.einsum("anm,n->ma", r, e, optimize=True) * self.model.basis.y_scale
        weighted = np.tensordot(omega, r, 1)
        Sw = point.solve(weighted.transpose(1, 0, 2).reshape(self.fit.n, k * m)).reshape(self.fit.n, k, m)
        out.rr[here] = np.einsum("anm,nam->m", r, Sw, optimize=True)
        XV = np.stack(list(point.moved(X)))  # X'SV_b
        out.rx[here] += np.einsum("nam,anp->mp", Sw, XV, optimize=True)

    def _own_series(self, asked: Asked) -> FloatArray:
        """What targets' residuals share with the rows of their series, and its derivatives, (1 + r, n, m)."""
        residual, psi = self.model.residual, self.psi[self.model.n_g :]
        out = np.zeros((1 + residual.n_parameters, self.fit.n, len(asked.x)))
        places, series = asked.places, self.fit.observed.residual
        if not asked.known or places is None or series is None:
            return out
        for t in np.flatnonzero(places.codes >= 0):
            seen = np.flatnonzero(series.codes == places.codes[t])
            both = together(places[np.array([t])], series[seen])
            found = np.concatenate([residual.cov(psi, *both)[None], residual.first(psi, *both)])
            out[:, seen, t] = np.sqrt(asked.own[t]) * found[:, 0, 1:]
        return out


def loads(related: RelatedModel, asked: Asked) -> FloatArray:
    """The z of targets on the effects that the fit knows, (R, m)."""
    blocks, m = related.blocks, len(asked.x)
    out = np.zeros((blocks.n_rest, m))
    for k, block in enumerate(blocks.blocks):
        for i, part in zip(block.terms, block.layout.terms):
            new, effects = asked.terms[i], np.arange(block.q)[part]
            if new is None:
                continue
            if new.loadings is not None:
                out[blocks.offsets[k] : blocks.offsets[k] + block.size] += new.loadings[:, : block.size].T
                continue
            assert new.codes is not None
            known = np.flatnonzero(new.codes >= 0)
            first = blocks.offsets[k] + block.ranked(new.codes[known]) * block.q
            out[first[:, None] + effects, known[:, None]] = new.columns[known]
    return out


def errors_of(fit: StructuredFit, rule: Rule | None) -> StructuredErrors:
    """What serves a fit."""
    return RelatedErrors(fit, rule) if fit.design.is_related else StructuredErrors(fit, rule)
