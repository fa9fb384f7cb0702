"""One hypothesis Rβ = q tested in many fits of one design, from what the array engine knows at their optima.

A batch holds, for each fit and each G parameter, the parts of the deviance, their derivatives, Φ = (X'V⁻¹X)⁻¹ and
X'V⁻¹V_iV⁻¹X (`engine.many.pieces`). With them each fit's rule of degrees of freedom is the one that a single fit has
(`Satterthwaite`, `KenwardRoger`, or a rule that the design alone decides), seen from the rows of R:

Satterthwaite   H in (θ, ρ), σ² profiled out: ∂²d/∂θ∂θ' by the chain rule, ∂²d/∂θ∂ρ = −∂r²/∂θ / σ², ∂²d/∂ρ² = ν
Kenward–Roger   tr PV_iPV_j = −(log|V| + log|X'V⁻¹X|)_ij, and Q_ij along the rows of ΦR'

The residual's parameter follows from V = V_0 + Σ g_iV_i in every sum: s_0 = s − Σ g_is_i.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from henderson.engine.many.components import Components
from henderson.engine.many.coordinates import chain
from henderson.engine.many.fits import BatchFit
from henderson.engine.many.pieces import Responses, x_forms
from henderson.inference.ddf.kenward_roger import KenwardRoger, refuse_ml
from henderson.inference.ddf.satterthwaite import Satterthwaite
from henderson.inference.identified import Flat, Unidentified
from henderson.inference.inference import DdfMethod
from henderson.numerics.linalg import positive_inverse, symmetric

FloatArray = np.ndarray

#: threshold of Kenward and Roger's information, see `kenward_roger.parameter_covariance`
FLAT_INFORMATION = 1e-11
#: eigenvalue of a Hessian in natural units from which it is positive, as in `positive_inverse`
POSITIVE = 1e-8


@dataclass(frozen=True)
class Batch:
    """Many fits, seen from the rows of a hypothesis.

    Attributes
    ----------
    parts : Components
    responses : Responses
    found : BatchFit
        With second derivatives.
    rows : (r, p) array
        R over the columns kept.
    reml : bool
    """

    parts: Components
    responses: Responses
    found: BatchFit
    rows: FloatArray
    reml: bool

    @property
    def turned(self) -> FloatArray:
        """R over the orthonormal columns, (r, p)."""
        return linalg.solve_triangular(self.parts.x_basis, self.rows.T, trans="T").T

    @property
    def nu(self) -> int:
        """n − p (REML) or n."""
        return self.parts.n - (self.parts.p if self.reml else 0)

    @property
    def g(self) -> FloatArray:
        """G parameters in the basis of the components, (k, B)."""
        root = self.found.root
        return self.parts.layout.g(np.einsum("rub,sub->rsb", root, root))

    def of_residual(self, first: FloatArray, whole: FloatArray) -> FloatArray:
        """The residual's part of a sum that is linear in V_0, V_1, …: `whole` (…, B) less Σ g_i first_i, (k, …, B)."""
        return whole - np.einsum("ib,i...b->...b", self.g, first)

    def with_residual(self, second: FloatArray, first: FloatArray, whole: FloatArray) -> FloatArray:
        """A sum over pairs of V_i and V_j, (k, k, B), with the residual's: (k + 1, k + 1, B).

        `first` (k, B) has V in place of one of them, `whole` (B,) of both.
        """
        k = len(second)
        out = np.empty((k + 1, k + 1, second.shape[-1]))
        out[:k, :k] = second
        out[:k, k] = out[k, :k] = self.of_residual(second, first)
        out[k, k] = self.of_residual(out[k, :k], self.of_residual(first, whole))
        return out

    def f_tests(self, values: FloatArray, rules: list[DdfMethod], cov: FloatArray) -> tuple[FloatArray, FloatArray]:
        """F and denominator df of each fit, from its rule and the covariance of Rβ̂, (r, r, B)."""
        own = np.eye(len(self.rows))
        differences = self.found.beta @ self.rows.T - values
        tests = [rule.f_test(own, d, cov[:, :, b]) for b, (rule, d) in enumerate(zip(rules, differences))]
        out = np.array(tests, float).reshape(-1, 2)
        return out[:, 0], out[:, 1]

    def covariance(self) -> FloatArray:
        """σ² RΦR', (r, r, B)."""
        turned = self.turned
        return self.found.sigma**2 * np.einsum("rx,xyb,sy->rsb", turned, self.found.at.s_inverse, turned)


def nothing_flat(gradient: FloatArray) -> Unidentified:
    """Everything is identified, for ∂Φ/∂g (k + 1, p, p)."""
    k, p = gradient.shape[:2]
    return Unidentified(np.eye(p), gradient, Flat(np.zeros((0, k)), np.ones(k), ""))


@dataclass(frozen=True)
class Sensitivity:
    """What Satterthwaite's df of any contrast follow from, B fits.

    Attributes
    ----------
    phi : (p, p, B) array
        (X'V⁻¹X)⁻¹.
    gradient : (k + 1, p, p, B) array
        Its derivatives, and itself: those of σ²Φ in (θ, ρ), by σ².
    spread : (B, k + 1, k + 1) array
        Covariance of (θ, ρ).
    """

    phi: FloatArray
    gradient: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, batch: Batch, among: np.ndarray | None = None) -> Sensitivity:
        """At the optima of a batch; `among`: of some of its members, (B,) bool."""
        at, layout, scale = batch.found.at, batch.parts.layout, batch.found.sigma**2
        root = batch.found.root
        if among is not None and not among.all():
            at, scale, root = at[among], scale[among], root[..., among]
        directions = layout.root_directions(np.zeros(layout.n_theta))[..., None]
        d_r2 = at.d_r2 / scale
        _, hessian, jacobian = chain(layout, root, directions, at.d_logdet + d_r2, at.dd_logdet + at.dd_r2 / scale)
        n = layout.n_theta
        whole = np.empty((n + 1, n + 1, len(scale)))
        whole[:n, :n] = hessian
        whole[n, :n] = whole[:n, n] = -np.einsum("gib,gb->ib", jacobian, d_r2)
        whole[n, n] = batch.nu
        phi = at.s_inverse
        by_g = np.einsum("xub,iuvb,vyb->ixyb", phi, at.d_xx, phi, optimize=True)
        gradient = np.concatenate([np.einsum("gib,gxyb->ixyb", jacobian, by_g), phi[None]])
        return cls(phi, gradient, _spread(whole.transpose(2, 0, 1)))

    def variance_and_df(self, row: FloatArray) -> tuple[FloatArray, FloatArray]:
        """l'Φl and df = 2v²/(∇v'A∇v) of one row l over the orthonormal columns (p,), all fits at once: (B,) both."""
        variance = np.einsum("x,xyb,y->b", row, self.phi, row)
        slope = np.einsum("x,ixyb,y->ib", row, self.gradient, row, optimize=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            return variance, 2 * variance**2 / np.einsum("ib,bij,jb->b", slope, self.spread, slope, optimize=True)


def _spread(hessian: FloatArray) -> FloatArray:
    """Twice the inverse of the positive part of each of many symmetric matrices, (B, m, m); see `positive_inverse`."""
    if not np.isfinite(hessian).all():
        return np.array([2 * positive_inverse(one).matrix for one in hessian])
    size = np.sqrt(np.abs(np.einsum("bii->bi", hessian)))
    size = np.where(size > 0, size, 1.0)
    both = size[:, :, None] * size[:, None]
    values, vectors = np.linalg.eigh((hessian + hessian.transpose(0, 2, 1)) / 2 / both)
    weights = np.where(values > POSITIVE, 2 / np.where(values > POSITIVE, values, 1.0), 0.0)
    return (vectors * weights[:, None]) @ vectors.transpose(0, 2, 1) / both


def satterthwaite_tests(batch: Batch, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """F and Satterthwaite's (Fai and Cornelius') denominator df of each fit, (B,) both."""
    known = Sensitivity.of(batch)
    if len(batch.rows) == 1:
        variance, df = known.variance_and_df(batch.turned[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            F = (batch.found.beta @ batch.rows[0] - values[0]) ** 2 / (batch.found.sigma**2 * variance)
        return F, df
    rules: list[DdfMethod] = []
    for b, covariance in enumerate(known.spread):
        slopes = np.ascontiguousarray(known.gradient[..., b])
        rules.append(Satterthwaite(batch.turned, known.phi[:, :, b], slopes, covariance, nothing_flat(slopes)))
    return batch.f_tests(values, rules, batch.covariance())


def kenward_roger_tests(batch: Batch, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Kenward and Roger's scaled F and denominator df of each fit by REML, (B,) both."""
    refuse_ml(batch.reml)
    at, scale, turned = batch.found.at, batch.found.sigma**2, batch.turned
    phi, r = at.s_inverse, len(turned)
    trace = np.full(len(scale), float(batch.nu))
    expected = batch.with_residual(-at.dd_logdet, at.d_logdet, trace)
    inverse = np.linalg.inv(phi.transpose(2, 0, 1)).transpose(1, 2, 0)
    P = -np.concatenate([at.d_xx, batch.of_residual(at.d_xx, inverse)[None]])
    v = np.einsum("xyb,ry->rxb", phi, turned)  # ΦR', one combination a row
    form = {}
    for s in range(r):
        for t in range(s, r):
            form[s, t] = _form(batch, inverse, v[s] if s == t else v[s] + v[t])
    rules: list[DdfMethod] = []
    cov = np.empty((r, r, len(scale)))
    for b in range(len(scale)):
        w = positive_inverse(expected[:, :, b] / 2, FLAT_INFORMATION).matrix
        own, middle = np.ascontiguousarray(P[..., b]), v[:, :, b]
        single = np.array([np.sum(w * form[s, s][:, :, b]) for s in range(r)])
        twice = np.diag(single)
        for s in range(r):
            for t in range(s + 1, r):
                twice[s, t] = twice[t, s] = (np.sum(w * form[s, t][:, :, b]) - single[s] - single[t]) / 2
        half = middle @ own
        twice -= np.einsum("ij,irx,xy,jsy->rs", w, half, phi[:, :, b], half, optimize=True)
        cov[:, :, b] = scale[b] * symmetric(turned @ middle.T + 2 * twice)
        slopes = -(phi[:, :, b] @ own @ phi[:, :, b])
        rules.append(KenwardRoger(turned, phi[:, :, b], own, w, nothing_flat(slopes)))
    return batch.f_tests(values, rules, cov)


def _form(batch: Batch, inverse: FloatArray, v: FloatArray) -> FloatArray:
    """v'Q_ijv with the residual's parameter, (k + 1, k + 1, B); `inverse` X'V⁻¹X, v (p, B)."""
    second = x_forms(batch.parts, batch.responses, batch.found.root, v)
    first = np.einsum("xb,ixyb,yb->ib", v, batch.found.at.d_xx, v, optimize=True)
    return batch.with_residual(second, first, np.einsum("xb,xyb,yb->b", v, inverse, v, optimize=True))


def by_design(method: DdfMethod) -> Callable[[Batch, FloatArray], tuple[FloatArray, FloatArray]]:
    """Tests whose denominator df are the same for every response, such as containment's."""

    def tests(batch: Batch, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        solve = linalg.solve_triangular(batch.parts.x_basis, np.eye(batch.parts.p))
        cov = batch.found.sigma**2 * np.einsum("ux,xyb,vy->uvb", solve, batch.found.at.s_inverse, solve)
        differences = batch.found.beta @ batch.rows.T - values
        both = [method.f_test(batch.rows, d, cov[:, :, b]) for b, d in enumerate(differences)]
        out = np.array(both, float).reshape(-1, 2)
        return out[:, 0], out[:, 1]

    return tests


#: methods whose df depend on the response -> their tests in a batch
MANY: dict[str, Callable[[Batch, FloatArray], tuple[FloatArray, FloatArray]]] = {
    "satterthwaite": satterthwaite_tests,
    "kenward-roger": kenward_roger_tests,
    "kenward-roger-2009": kenward_roger_tests,
}
#: methods whose df only the design decides
BY_DESIGN = ("asymptotic", "residual", "containment", "between-within")
