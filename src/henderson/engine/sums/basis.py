"""The working basis: columns shifted, scaled and whitened so that inner products lose no digits.

Inner products square the condition number, so the rows are changed before they are summed:

1. (X − shift)/scale = X̃M: columns far from zero are moved there (when the span of X has the constant), those that are
   all but combinations of earlier ones are replaced by their residuals (`straight`); a factor's Cholesky does not care
   about scale, so only extreme ones are changed. Redundant columns are left out, later ones first, as R's `lm` does.
2. ỹ = (y − offset − mean − X̃γ)/scale with γ the least-squares estimate: the model is the same with β − β₀ for β.
3. Z̃_k = Z_k T_k with unit mean squares, uncorrelated where the term's covariance is free:
   b_k = T_k b̃_k, G_k = T_k G̃_k T_k'.
4. All of it times √w.

With w such that Xw = 1, u = M scale w: X = X̃B, B = M scale + u shift', and B⁻¹ = scale⁻¹M⁻¹ − w (shift' scale⁻¹M⁻¹),
which has no digits to lose. In this basis λ = I is a natural size, whatever the units of the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.extremes import refuse_extremes
from henderson.engine.sums.gram import CHUNK, MILD, centred, constant_in, gram_of
from henderson.engine.sums.straight import Straight, straighten, upper_inverse
from henderson.engine.sums.whitening import whitening
from henderson.errors import DataError
from henderson.numerics.lapack import solve
from henderson.numerics.lazy import lazy

#: a column whose part orthogonal to the earlier ones is smaller than this is redundant (R's `lm` has the same)
RANK_TOLERANCE = 1e-7
#: the same for a column that is the product of two others, relative to its size: rounding of it
PRODUCT = 64 * np.finfo(float).eps
#: residual of y, relative to its size, that is rounding of it
EXACT = 8 * np.finfo(float).eps
#: share of y's sum of squares below which what the fixed effects leave is measured on the rows
SUBTRACTED = 1e-6


@dataclass(frozen=True)
class Basis:
    """What turns rows of a design into rows of the working basis.

    Attributes
    ----------
    kept : (p_all,) bool array
        Columns of X that are not redundant; p of them.
    shift, scale : (p,) arrays
    unmix : (p, p) longdouble array, or None
        M⁻¹; None for the identity.
    ones : (p,) array
        w with Xw = 1 (zero where the span of X has no constant, or nothing was moved).
    y_mean : float
    gamma : (p,) array
        Least-squares coefficients of y − offset − y_mean on X̃.
    y_scale : float
    roots : tuple of (q, q) arrays
        T of each block.
    extended : tuple of bool
        Whether a block's Z̃ would lose digits in double precision.
    redundant : (p, d) array, or None
        Weights of the columns kept whose sums the redundant ones are; None where nobody has looked.
    """

    kept: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    unmix: np.ndarray | None
    ones: np.ndarray
    y_mean: float
    gamma: np.ndarray
    y_scale: float
    roots: tuple[np.ndarray, ...]
    extended: tuple[bool, ...]
    redundant: np.ndarray | None = None

    @classmethod
    def of(cls, design: Design, chunks: Iterable[Rows], blocks: Blocks) -> Basis:
        """The basis of a design: two passes over X and y, one over the columns of Z; more where digits are at stake.

        Parameters
        ----------
        design : Design
        chunks : iterable of Rows
            The design's rows, in any number of chunks; gone through several times.
        blocks : Blocks
        """
        n = sum(rows.n for rows in chunks)
        mass = sum(rows.weight_sum for rows in chunks)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
            ones, means, y_mean = constant_in(chunks, n)
            shift = np.where(ones == 0, means, 0.0)
            gram = gram_of(chunks, shift, y_mean)
        all_shift = shift
        refuse_extremes([*design.x_names, design.y_name], gram.diagonal() / mass, centred(chunks, all_shift, y_mean))
        norms = np.sqrt(gram.diagonal())[:-1]
        scale = np.where(varies(norms, shift, mass), norms, np.inf)
        straight = straighten(
            lambda: (rows[:, :-1] / scale for rows in centred(chunks, all_shift, 0.0, np.longdouble)),
            gram[:-1, :-1] / (scale[:, None] * scale),
            lambda j: _tolerance(chunks, j) / scale[j],
        )
        whitenings = [whitening(design, chunks, block.terms) for block in blocks.blocks]
        roots, extended = tuple(root for root, _ in whitenings), tuple(is_extended for _, is_extended in whitenings)
        redundant = weights_of_redundant(straight, all_shift, scale, ones)
        if straight.is_plain:
            basis, is_sure = plain_basis(n, mass, ones, all_shift, scale, y_mean, gram, straight, roots, extended)
            basis = replace(basis, redundant=redundant)
            return basis if is_sure else basis._with_least_squares(chunks, design.y_name)
        kept, p = straight.kept, int(straight.kept.sum())
        rms = scale[kept] / np.sqrt(n)
        unmix, gamma = straight.unmix(), np.zeros(p)
        basis = cls(kept, shift[kept], rms, unmix, ones[kept], y_mean, gamma, 1.0, roots, extended, redundant)
        return basis._with_least_squares(chunks, design.y_name)

    def _with_least_squares(self, chunks: Iterable[Rows], y_name: str) -> Basis:
        """The same with γ and the scale of y measured on the rows, where inner products would lose them."""
        basis, p, n, residual = self, self.p, 0, 0.0
        for _ in range(3):
            gram, n = np.zeros((p + 1, p + 1)), 0
            for rows in (part for chunk in chunks for part in chunk.chunks(CHUNK)):
                out = np.empty((rows.n, p + 1))
                basis.rows(rows, out)
                gram += out.T @ out
                n += rows.n
            step = solve(gram[:-1, :-1], gram[:-1, -1])
            residual = float(gram[-1, -1] - gram[:-1, -1] @ step)
            basis = replace(basis, gamma=basis.gamma + step)
        basis.refuse_if_explained(residual, chunks, y_name)
        return replace(basis, y_scale=float(np.sqrt(residual / n)))

    def refuse_if_explained(self, residual: float, chunks: Iterable[Rows], y_name: str) -> None:
        """Raise when a residual sum of squares is rounding of the response and of what explains it."""
        size = np.zeros(self.p + 1)
        for rows in (part for chunk in chunks for part in chunk.chunks(CHUNK)):
            raw = np.column_stack([rows.X[:, self.kept], rows.response])
            size += (raw**2 if rows.weights is None else raw**2 * rows.weights[:, None]).sum(axis=0)
        rounding = EXACT * float(np.append(np.abs(self.beta0), 1.0) @ np.sqrt(size))
        if not residual > rounding**2:
            raise DataError(f"the fixed effects explain {y_name} exactly: no variance is left to estimate")

    def with_response(self, y_mean: float, gamma: np.ndarray, y_scale: float) -> Basis:
        """The same for another response: what was computed of X and Z stays."""
        other = object.__new__(Basis)
        other.__dict__.update(self.__dict__, y_mean=y_mean, gamma=gamma, y_scale=y_scale)
        other.__dict__.pop("is_as_given", None)
        return other

    @property
    def p(self) -> int:
        """Columns of X kept."""
        return len(self.scale)

    def fixed(self, rows: Rows, out: np.ndarray) -> None:
        """Write X̃ to `out` (m, p)."""
        X = rows.X if self.kept.all() else rows.X[:, self.kept]
        if self.unmix is not None:
            W = (X.astype(np.longdouble) - self.shift) / self.scale
            out[...] = W @ self.unmix
            return
        if self.shift.any():
            np.subtract(X, self.shift, out=out)
        else:
            out[...] = X
        if (self.scale != 1.0).any():
            out *= 1.0 / self.scale

    def combinations(self, X: np.ndarray) -> np.ndarray:
        """Rows of combinations of β (m, p_all) as those of β̃, L B⁻¹: (m, p). Unlike rows of X they need not have a
        constant."""
        kept = X[:, self.kept].astype(float if self.unmix is None else np.longdouble)
        turned = (kept - np.outer(kept @ self.ones, self.shift)) / self.scale
        return turned if self.unmix is None else np.asarray(turned @ self.unmix, float)

    def rows(self, rows: Rows, out: np.ndarray) -> None:
        """Write √w [X̃ ỹ] to `out` (m, p + 1); called on rows that fit the cache."""
        self.fixed(rows, out[:, :-1])
        y = rows.response - self.y_mean if self.y_mean else rows.response
        if self.gamma.any():
            residual = out[:, :-1] @ self.gamma
            y = np.subtract(y, residual, out=residual)
        np.multiply(y, 1.0 / self.y_scale, out=out[:, -1])
        if rows.weights is not None:
            out *= np.sqrt(rows.weights)[:, None]

    def columns(self, rows: Rows, terms: tuple[int, ...], block: int, out: np.ndarray) -> None:
        """Write √w Z̃ of a block to `out` (m, q); for loadings, what multiplies their rows (m, 1)."""
        root = self.roots[block]
        if rows.terms[terms[0]].codes is None:
            out[...] = root[0, 0]
        elif len(root) == 1:
            np.multiply(rows.terms[terms[0]].columns, root[0, 0], out=out)
        elif self.extended[block]:
            out[...] = stacked(rows, terms).astype(np.longdouble) @ root
        elif np.array_equal(root, np.eye(len(root))):
            out[...] = stacked(rows, terms)
        else:
            out[...] = stacked(rows, terms) @ root
        if rows.weights is not None:
            out *= np.sqrt(rows.weights)[:, None]

    @lazy
    def is_as_given(self) -> bool:
        """Whether X̃, ỹ and every Z̃ are X, y and Z as they are."""
        moved = self.shift.any() or self.gamma.any() or self.y_mean or self.y_scale != 1.0 or (self.scale != 1.0).any()
        mixed = self.unmix is not None or any(self.extended) or not self.kept.all()
        return not (moved or mixed) and all(np.array_equal(root, np.eye(len(root))) for root in self.roots)

    @lazy
    def to_beta(self) -> np.ndarray:
        """B⁻¹: coefficients of X from those of X̃, (p, p)."""
        unmix = np.eye(self.p) if self.unmix is None else self.unmix
        turned = unmix / self.scale[:, None]
        return np.asarray(turned - self.ones[:, None] * (self.shift @ turned), float)

    @lazy
    def mixed(self) -> np.ndarray:
        """M scale: X − shift = X̃ times this, (p, p)."""
        return (np.eye(self.p) if self.unmix is None else upper_inverse(self.unmix)) * self.scale

    @lazy
    def from_beta(self) -> np.ndarray:
        """B, X = X̃B: coefficients of X̃ from those of X, (p, p)."""
        return np.asarray(self.mixed + (self.mixed @ self.ones)[:, None] * self.shift, float)

    @property
    def beta0(self) -> np.ndarray:
        """Least-squares coefficients in the user's columns, (p,)."""
        return self.to_beta @ self.gamma + self.y_mean * self.ones

    @property
    def log_volume(self) -> float:
        """log|B|."""
        mixed = 0.0 if self.unmix is None else -float(np.log(np.diag(self.unmix)).sum())
        return float(np.log(self.scale).sum()) + mixed

    def to_user(self) -> np.ndarray:
        """[X y − offset] = [X̃ ỹ] times this, over the kept columns, (p + 1, p + 1)."""
        out = np.zeros((self.p + 1,) * 2)
        out[:-1, :-1], out[-1, -1] = self.from_beta, self.y_scale
        out[:-1, -1] = self.gamma + self.y_mean * (self.from_beta @ self.ones)
        return out


def varies(norms: np.ndarray, shift: np.ndarray, mass: float) -> np.ndarray:
    """Whether columns are more than rounding of what they are moved by, (p,) bool.

    Parameters
    ----------
    norms, shift : (p,) arrays
        Lengths of √w(x − shift).
    mass : float
        Σw.
    """
    return norms > 1e-13 * (np.sqrt(mass) * np.abs(shift) + norms)


def weights_of_redundant(straight: Straight, shift: np.ndarray, scale: np.ndarray, ones: np.ndarray) -> np.ndarray:
    """Weights of the columns kept whose sums the redundant ones are, (p, d), from W_j = W̃c_j, (X − shift)/scale = W.

    Parameters
    ----------
    straight : Straight
    shift, scale, ones : (p_all,) arrays
        As for `Basis`; the scale of a column that does not vary is infinite.
    """
    kept, lost = straight.kept, ~straight.kept
    own = straight.unmix() @ straight.mix[np.ix_(kept, lost)] / scale[kept, None]
    weights = own * np.where(np.isfinite(scale[lost]), scale[lost], 0.0)
    return np.asarray(weights + np.outer(ones[kept], shift[lost] - shift[kept] @ weights), float)


def plain_basis(
    n: int,
    mass: float,
    ones: np.ndarray,
    all_shift: np.ndarray,
    scale: np.ndarray,
    y_mean: float,
    gram: np.ndarray,
    straight: Straight,
    roots: tuple[np.ndarray, ...],
    extended: tuple[bool, ...],
) -> tuple[Basis, bool]:
    """A basis in which no column is a combination of others, and whether the inner products tell γ and y's scale.

    Parameters
    ----------
    n : int
    mass : float
        Σw.
    ones : (p_all,) array
        w with Xw = 1.
    all_shift, scale : (p_all,) arrays
        What the columns are moved by in `gram`, and their lengths then.
    y_mean : float
    gram : (p_all + 1, p_all + 1) array
        [X − all_shift, y − offset − y_mean]'W[…].
    straight : Straight
        Which is plain.
    roots, extended
        As for `Basis`.
    """
    kept = straight.kept
    rms = scale[kept] / np.sqrt(mass)
    shift = np.where(np.abs(all_shift[kept]) > MILD * rms, all_shift[kept], 0.0)
    rms = np.where((rms > 1e-50) & (rms < 1e50), 1.0, rms)
    basis = Basis(kept, shift, rms, None, ones[kept], y_mean, np.zeros(len(rms)), 1.0, roots, extended)
    inner = straight.gram if kept.all() else straight.gram[np.ix_(kept, kept)]
    along = solve(inner, gram[:-1, -1][kept] / scale[kept]) / scale[kept]
    residual = float(gram[-1, -1] - gram[:-1, -1][kept] @ along)
    moved = float((shift - all_shift[kept]) @ along)
    gamma = rms * along + moved * (basis.from_beta @ basis.ones)
    if not residual > SUBTRACTED * gram[-1, -1]:
        return replace(basis, gamma=gamma), False
    return replace(basis, gamma=gamma, y_scale=float(np.sqrt(residual / n))), True


def _tolerance(chunks: Iterable[Rows], j: int) -> float:
    """Length of what the earlier columns leave of column j of √wX, from which it is not redundant.

    It is relative to the column's spread where it is not zero, so that it does not matter how far from zero a covariate
    is, also in one group only; and more than rounding of the column itself. Of the product of covariates far from zero
    the earlier columns explain all but the product of their small deviations, however much that says: there rounding
    alone decides.
    """
    count = total = square = spread = 0.0
    for rows in chunks:
        x, w = rows.X[:, j], rows.unit_weights
        count, total, square = count + w @ (x != 0), total + w @ x, square + w @ x**2
    if _is_product(chunks, j):
        return PRODUCT * float(np.sqrt(square))
    mean = total / (count or 1.0)
    for rows in chunks:
        x = rows.X[:, j]
        spread += rows.unit_weights @ ((x - mean) * (x != 0)) ** 2
    size, spread = float(np.sqrt(square)), float(np.sqrt(spread))
    return max(RANK_TOLERANCE * (spread if spread > EXACT * size else size), EXACT * size)


def _is_product(chunks: Iterable[Rows], j: int) -> bool:
    """Whether column j of X is the product of two earlier ones, or the square of one, none of them constant."""
    first = next(iter(chunks)).X[:CHUNK, : j + 1]
    varies = np.flatnonzero(np.ptp(first[:, :j], axis=0) > 0)
    pairs = [(i, k) for i in varies for k in varies[varies >= i] if _is_close(first[:, i] * first[:, k], first[:, j])]
    return any(all(_is_close(rows.X[:, i] * rows.X[:, k], rows.X[:, j]) for rows in chunks) for i, k in pairs)


def _is_close(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.abs(one - other) <= EXACT * np.abs(other)).all())


def stacked(rows: Rows, terms: tuple[int, ...]) -> np.ndarray:
    """Columns of the terms side by side, (m, q)."""
    columns = [rows.terms[i].columns for i in terms]
    return columns[0] if len(columns) == 1 else np.hstack(columns)
