"""What lme4 calls the parts of a fit: methods of `MixedLMResults`."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.covariance.structures import STRUCTURES
from henderson.engine.boundary import smallest_sd

FloatArray = np.ndarray

#: a standard deviation of a term's scaled effects, relative to σ, below which it is zero
SINGULAR = 1e-4


class Lme4Results:
    """Methods of `MixedLMResults` with lme4's names."""

    engine: Any
    scale: float
    converged: bool
    message: str

    @property
    def sigma(self) -> float:
        """Residual standard deviation."""
        return float(np.sqrt(self.scale))

    @property
    def theta(self) -> FloatArray:
        """Free entries of the relative covariance factors, term after term, column by column."""
        return self.engine.theta

    @property
    def deviance(self) -> float:
        """−2 log-likelihood; under REML the REML criterion."""
        return float(self.engine.deviance)

    @cached_property
    def fixef(self) -> pd.Series:
        """Fixed effects."""
        return pd.Series(np.array(self.engine.beta), index=pd.Index(self.engine.design.x_names), name="fixef")

    @cached_property
    def varcorr(self) -> pd.DataFrame:
        """Variances and covariances: columns grp, var1, var2, vcov, sdcor; the residual's last.

        sdcor is a standard deviation, and in rows with a var2 a correlation.
        """
        return varcorr_frame(self.engine.design, self.engine.lam, self.scale)

    @cached_property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes of the random effects: grouping factor → table of levels × effects."""
        return by_factor(self.engine.design, list(self.engine.b))

    @cached_property
    def ranef_sd(self) -> dict[str, pd.DataFrame]:
        """Conditional standard deviations of the random effects, as `ranef`."""
        sds = [np.sqrt(np.maximum(np.einsum("jaa->ja", cov), 0.0)) for cov in self.engine.b_cov()]
        return by_factor(self.engine.design, sds)

    @cached_property
    def ranef_cov(self) -> tuple[FloatArray, ...]:
        """Conditional covariances of the random effects, (J, q, q) for each term of the design."""
        return self.engine.b_cov()

    @cached_property
    def coef(self) -> dict[str, pd.DataFrame]:
        """Coefficients of each level: fixed effects plus random effects, by grouping factor."""
        out = {}
        for factor, effects in self.ranef.items():
            fixed = self.fixef.rename(index={"Intercept": "(Intercept)"})
            table = pd.DataFrame(np.tile(fixed.to_numpy(), (len(effects), 1)), index=effects.index, columns=fixed.index)
            for name in effects.columns:
                table[name] = table[name] + effects[name] if name in table else effects[name]
            out[factor] = table
        return out

    @cached_property
    def is_singular(self) -> bool:
        """Whether some combination of a term's effects has no variance.

        Columns are scaled to unit mean square, so that the answer does not depend on their units.
        """
        terms = zip(self.engine.design.terms, self.engine.lam)
        return any(smallest_sd(term, lam) < SINGULAR for term, lam in terms)

    @property
    def optinfo(self) -> dict[str, Any]:
        """How the optimum was found: evaluations, certificate, seconds."""
        search = self.engine.optimum
        return {
            "evaluations": search.evaluations,
            "gradient_norm": search.gradient_norm,
            "predicted_decrease": search.predicted_decrease,
            "boundary_gain": search.boundary_gain,
            "smallest_curvature": search.smallest_curvature,
            "converged": self.converged,
            "seconds": search.seconds,
            "message": self.message,
        }

    @cached_property
    def ngrps(self) -> dict[str, int]:
        """Levels of each grouping factor."""
        return {term.group: term.n_levels for term in ordered_terms(self.engine.design)}


def ordered_terms(design: Design) -> list[Any]:
    """The terms as lme4 lists them: those with most levels first."""
    order = np.argsort([-term.n_levels for term in design.terms], kind="stable")
    return [design.terms[k] for k in order]


def varcorr_frame(design: Design, lam: tuple[FloatArray, ...], scale: float) -> pd.DataFrame:
    """Variances, then covariances column by column, of each term; terms with most levels first.

    Parameters
    ----------
    design : Design
    lam : tuple of (q, q) arrays
        Relative covariance factors.
    scale : float
        Residual variance.
    """
    rows: list[tuple[Any, ...]] = []
    for k in np.argsort([-term.n_levels for term in design.terms], kind="stable"):
        term, cov = design.terms[k], scale * lam[k] @ lam[k].T
        sd = np.sqrt(np.diag(cov))
        label = term.label or term.group
        place, shared = STRUCTURES[term.structure]
        entries = [tuple(entry) for entry in place(term.n_columns).tolist()][: 1 if shared else None]
        rows += [(label, term.names[r], None, cov[r, r], sd[r]) for r, s in entries if r == s]
        for r, s in entries:
            if r != s:
                size = sd[r] * sd[s]
                correlation = cov[r, s] / size if size > 0 else np.nan
                rows.append((label, term.names[s], term.names[r], cov[r, s], correlation))
    rows.append(("Residual", None, None, scale, np.sqrt(scale)))
    names = ["grp", "var1", "var2", "vcov", "sdcor"]
    table = pd.DataFrame(rows, columns=pd.Index(names), dtype=object)
    return table.astype({"vcov": float, "sdcor": float})


def by_factor(design: Design, values: list[FloatArray]) -> dict[str, pd.DataFrame]:
    """(J, q) arrays of the terms as tables, those on one factor side by side, most levels first."""
    out: dict[str, pd.DataFrame] = {}
    for k in np.argsort([-term.n_levels for term in design.terms], kind="stable"):
        term = design.terms[k]
        table = pd.DataFrame(values[k], index=term.levels, columns=pd.Index(term.names))
        out[term.group] = pd.concat([out[term.group], table], axis=1) if term.group in out else table
    return out
