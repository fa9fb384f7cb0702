"""The exact (restricted) likelihood-ratio test of one variance: Crainiceanu and Ruppert (2004).

Model y = Xβ + Zb + ε, b ~ N(0, σ²λ I): H₀ λ = 0. With μ_s the eigenvalues of Z'P₀Z (P₀ projects off X), ξ_s those of
Z'Z, and w independent standard normal,

    RLRT = sup_λ (n − p) log(1 + N/D) − Σ_s log(1 + λμ_s)        LRT = sup_λ n log(1 + N/D) − Σ_s log(1 + λξ_s)
    N = Σ_s λμ_s/(1 + λμ_s) w_s²        D = Σ_s w_s²/(1 + λμ_s) + χ²_{n−p−K}

are simulated: eigenvalues once, then a few products of arrays. Eigenvalues that agree share one χ². Where a row has one
level Z'Z is diagonal: of m levels with one sum of squares d, Z'P₀Z = dI − AA' with A (m, p) has m − p eigenvalues d,
and in the span of A, A = QR, it is dI − RR'. So any number of levels takes no more than their sizes do. With other
random effects in the model this is the approximation of Greven et al. (2008): the null distribution is that of the
model with the tested effect alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.arguments import whole
from henderson.contract.design import Design
from henderson.covariance.structures import structure_called
from henderson.engine.fit import Fit
from henderson.errors import DataError, NotAvailable
from henderson.inference.comparison.chibar import ChiBar
from henderson.inference.comparison.ranova import without_columns
from henderson.inference.comparison.submodels import fit_from, likelihood_of, likelihood_ratio, likelihood_without
from henderson.tables.exports import TableExports
from henderson.tables.table import Table

FloatArray = np.ndarray

#: eigenvalues that differ of the tested term, above which they are not computed
LARGEST = 5000

#: statistics simulated together
CHUNK = 4096


@dataclass(frozen=True)
class ExactTest(TableExports):
    """A test of one variance.

    Attributes
    ----------
    term : str
    statistic : float
    p : float
        Share of simulated statistics at or above the observed.
    p_se : float
        Its Monte Carlo standard error.
    p_chibar : float
        ½χ²_0 + ½χ²_1, which supposes many independent groups.
    n : int
        Statistics simulated.
    restricted : bool
    notes : tuple of str
    """

    term: str
    statistic: float
    p: float
    p_se: float
    p_chibar: float
    n: int
    restricted: bool
    notes: tuple[str, ...] = ()

    def as_table(self) -> Table:
        """One row."""
        columns = ("statistic", "p", "p_se", "p_chibar", "n")
        frame = pd.DataFrame(
            [{name: getattr(self, name) for name in columns}], index=pd.Index([self.term], name="term")
        )
        kind = "restricted likelihood-ratio" if self.restricted else "likelihood-ratio"
        return Table(frame, f"Exact {kind} test", self.notes)

    def __str__(self) -> str:
        name = "restricted likelihood-ratio" if self.restricted else "likelihood-ratio"
        p = f"p = {self.p:.4g}" if self.p > 0 else f"p < {1 / self.n:.4g}"
        return f"Exact {name} test of {self.term}: statistic {self.statistic:.4f}, {p} ({self.n} simulated)"


def rlrt(model: Any, term: str | None = None, *, n: int = 10_000, seed: int | None = None) -> ExactTest:
    """Test one variance.

    Parameters
    ----------
    model : Fit or MixedLMResults
        By REML: the restricted test. By ML: the likelihood-ratio test of λ = 0.
    term : str, optional
        Label of the tested term, a random intercept or one uncorrelated slope; not needed when there is only one.
    n : int
        Statistics to simulate.
    seed : int, optional

    Returns
    -------
    ExactTest

    Raises
    ------
    ValueError
        When the term has several effects, or there is none of that name.

    Examples
    --------
    >>> import henderson
    >>> test = rlrt(henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff")), seed=1)
    >>> round(test.statistic, 3), test.p < 0.01, round(test.p_chibar, 4)
    (6.369, True, 0.0058)
    """
    fit, n = fit_from(model), whole(n, "n")
    fit.refuse_constraints("rlrt()")
    if fit.has_no_residual:
        raise NotAvailable("rlrt(): the exact distribution is that of one variance beside residuals that have one")
    if (residual := fit.design.residual) is not None:
        raise NotAvailable(
            f"rlrt(): the exact distribution is that of independent residuals, and theirs is {residual.label}; "
            "ranova() has the test against a mixture of chi-squares, and compare(smaller, larger, method='bootstrap') "
            "simulates it"
        )
    if fit.design.is_related:
        raise NotAvailable(
            "rlrt(): the exact distribution takes a spectrum that many levels with known relationships (more than "
            "1,000, or bars with several effects) do not give; ranova() has the test against a mixture of chi-squares, "
            "and compare(smaller, larger, method='bootstrap') simulates it"
        )
    place = _find(fit.design, term)
    tested = fit.design.terms[place]
    rows = fit.rows_for("rlrt()")
    others = len(fit.design.terms) > 1
    less = likelihood_without(fit, *without_columns(fit.design, rows, place, range(tested.n_columns)))
    statistic = likelihood_ratio(less, likelihood_of(fit))
    drawn = null_distribution(fit, place, n, np.random.default_rng(None if seed is None else whole(seed, "seed", 0)))
    p = float((drawn >= statistic - 1e-9).mean()) if statistic else 1.0
    return ExactTest(
        term=tested.label or tested.group,
        statistic=statistic,
        p=p,
        p_se=float(np.sqrt(p * (1 - p) / n)),
        p_chibar=ChiBar((0, 1), (0.5, 0.5)).pvalue(statistic),
        n=n,
        restricted=fit.reml,
        notes=("null distribution of the model with this effect alone (Greven et al. 2008)",) if others else (),
    )


def _find(design: Design, label: str | None) -> int:
    """The place of the term that is asked for."""
    labels = [term.label or term.group for term in design.terms]
    if label is None:
        if len(labels) > 1:
            raise ValueError(f"which variance? There are {', '.join(labels)}")
        label = labels[0]
    if label not in labels:
        raise ValueError(f"no random term is called {label!r}; there are {', '.join(labels)}")
    term = design.terms[labels.index(label)]
    if structure_called(term.structure).n_theta(term.n_columns) > 1:
        raise ValueError(f"{label!r} has {term.n_columns} effects; the exact test is of one variance. See ranova")
    return labels.index(label)


def null_distribution(fit: Fit, place: int, n: int, generator: np.random.Generator) -> FloatArray:
    """Statistics of the term at a place simulated under λ = 0, (n,)."""
    term, p, rows = fit.design.terms[place], int(fit.kept.sum()), fit.n
    root = np.sqrt(fit.rows.unit_weights)
    q, _ = np.linalg.qr(fit.rows.X[:, fit.kept] * root[:, None])
    z = fit.rows.terms[place].matrix(term.n_levels)
    weighted = z.multiply(root[:, None]).tocsr()
    scale = float(weighted.power(2).sum()) / z.shape[1]
    mu, count = _distinct(*_spectrum(weighted, q, term.group))
    xi, xi_count = (mu, count) if fit.reml else _distinct(*_spectrum(weighted, q[:, :0], term.group))
    degrees = rows - p
    lam = np.concatenate([[0.0], np.exp(np.linspace(-12, 12, 241))]) / scale
    rest = degrees - int(count.sum())
    shrunk = 1 / (1 + np.outer(mu, lam))
    penalty = xi_count @ np.log1p(np.outer(xi, lam))
    drawn = []
    for start in range(0, n, CHUNK):
        m = min(CHUNK, n - start)
        w = generator.chisquare(count, (m, len(count)))
        remainder = generator.chisquare(rest, m) if rest > 0 else np.zeros(m)
        d = w @ shrunk + remainder[:, None]
        drawn.append(_refined((degrees if fit.reml else rows) * np.log(d[:, :1] / d) - penalty))
    return np.concatenate(drawn)


def _spectrum(z: sparse.csr_array, q: FloatArray, group: str) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues of z'z − z'qq'z, and how often each occurs.

    Raises
    ------
    DataError
        Where too many differ.
    """
    plain, along = sparse.csr_array(z.T @ z), np.asarray(z.T @ q)
    d = plain.diagonal()
    same, often = np.arange(len(d)), np.zeros(len(d))
    if abs(plain).sum() == np.abs(d).sum():  # each row has one level
        found, owner, count = np.unique(d, return_inverse=True, return_counts=True)
        order = np.split(np.argsort(owner.ravel(), kind="stable"), np.cumsum(count)[:-1])
        turned = [along[own] if len(own) <= q.shape[1] else np.linalg.qr(along[own], mode="r") for own in order]
        often = np.maximum(count - [len(own) for own in turned], 0)
        same, along = np.repeat(np.arange(len(found)), [len(own) for own in turned]), np.concatenate(turned)
        plain, d = sparse.diags_array(found[same]), found
    if len(same) > LARGEST:
        raise DataError(
            f"{group!r} has effects with {len(same)} eigenvalues that differ; the exact test takes up to {LARGEST}: "
            "with so many use p_chibar of ranova()"
        )
    inside = np.linalg.eigvalsh(plain.toarray() - along @ along.T)
    return np.concatenate([inside, d]), np.concatenate([np.ones(len(inside)), often])


def _refined(value: FloatArray) -> FloatArray:
    """Maximum over the grid (n, m), with a parabola through the best point and its neighbours."""
    best = value.argmax(axis=1)
    rows = np.arange(len(value))
    inner = np.clip(best, 2, value.shape[1] - 2)
    below, at, above = value[rows, inner - 1], value[rows, inner], value[rows, inner + 1]
    bend = below - 2 * at + above
    slope = (above - below) / 2
    peak = at - np.where(bend < 0, slope**2 / (2 * np.where(bend < 0, bend, 1.0)), 0.0)
    return np.where((best == inner) & (bend < 0), peak, value[rows, best])


def _distinct(values: FloatArray, often: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues above zero that differ, and how often each occurs."""
    top = max(float(values.max(initial=0.0)), 1e-300)
    there = np.flatnonzero((values > 1e-9 * top) & (often > 0))
    if not len(there):
        return np.zeros(1), np.ones(1)
    there = there[np.argsort(values[there], kind="stable")]
    start = np.flatnonzero(np.append(True, np.diff(values[there]) > 1e-9 * top))
    count = np.add.reduceat(often[there], start)
    return np.add.reduceat(values[there] * often[there], start) / count, count
