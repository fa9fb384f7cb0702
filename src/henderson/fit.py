"""A fitted model as numbers: what the engine hands to results and inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .design import Design


@dataclass(frozen=True)
class Fit:
    """One fit, in the user's units and column order.

    Attributes
    ----------
    design : Design
    reml : bool
    theta : (k,) array
        Free entries of every term's λ, term after term, diagonals ≥ 0.
    lam : tuple of (q, q) arrays
        Relative covariance factor of each term (in the design's order): Var(b_j) = σ² λλ'.
    beta : (p,) array
        Fixed effects; NaN where a redundant column was dropped.
    kept : (p,) bool array
        Columns of X that were kept.
    sigma : float
        Residual standard deviation σ (REML: r²/(n−p), ML: r²/n).
    vcov : (p_kept, p_kept) array
        σ² (X'V⁻¹X)⁻¹ over the columns kept.
    b : tuple of (J, q) arrays
        Conditional modes of the random effects, one array a term.
    deviance : float
        −2 log-likelihood, or −2 log restricted likelihood (lme4's REML criterion), at the optimum.
    criterion : Any
        The function that was minimised: evaluates deviance, gradient and moments at other parameters.
    optimum : Any
        How the optimum was found: evaluations, gradient norm, certificate, seconds, message.
    """

    design: Design
    reml: bool
    theta: np.ndarray
    lam: tuple[np.ndarray, ...]
    beta: np.ndarray
    kept: np.ndarray
    sigma: float
    vcov: np.ndarray
    b: tuple[np.ndarray, ...]
    deviance: float
    criterion: Any
    optimum: Any

    def b_cov(self) -> tuple[np.ndarray, ...]:
        """Conditional covariances Var(b_j | y), given β and θ: σ² Λ C⁻¹ Λ', (J, q, q) a term."""
        raise AssertionError("the engine defines this")


def fit_design(design: Design, *, reml: bool = True, start: np.ndarray | None = None) -> Fit:
    """Fit a design by REML or ML. `start` is a θ to begin from."""
    raise AssertionError("the engine defines this")
