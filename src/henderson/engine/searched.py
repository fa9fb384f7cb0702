"""`Search`: how an optimum was found, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.search.monte_carlo import MonteCarlo


@dataclass(frozen=True)
class Search:
    """How an optimum was found and how sure it is.

    Attributes
    ----------
    evaluations : int
        Points at which the deviance was computed.
    gradient_norm : float
        Largest |∂d/∂θ| before the last step, in the working basis (unit mean-square columns), by the number of rows.
    predicted_decrease : float
        Deviance that a Newton step would still gain.
    boundary_gain : float
        Deviance that stepping off the boundary would gain: half the squared most negative eigenvalue of N = ∂d/∂G over
        the information along its vector. Zero inside the parameter space.
    smallest_curvature : float
        Smallest eigenvalue of N over the singular blocks; nonnegative (to rounding) at a boundary optimum.
    converged : bool
        Whether both are too small to matter: the certificate.
    seconds : float
    message : str
    history : tuple of (deviance, predicted decrease)
    starts : int
        Descents that were tried, the lowest end of which this is.
    surveyed : int
        Points of the grid on which the deviance was looked at before them (0: too large a model for that).
    flattest : float
        Smallest eigenvalue of the model of the Hessian in the working θ, each in units of max(|θ|, 1): a deviance.
        As good as zero where the data do not identify the variances.
    monte_carlo : MonteCarlo, or None
        Monte-Carlo errors, where log|C| was estimated from probes (``rest="iterative"``).
    """

    evaluations: int
    gradient_norm: float
    predicted_decrease: float
    boundary_gain: float
    smallest_curvature: float
    converged: bool
    seconds: float
    message: str
    history: tuple[tuple[float, float], ...]
    starts: int = 1
    surveyed: int = 0
    flattest: float = np.inf
    monte_carlo: MonteCarlo | None = None

    @property
    def help(self) -> str:
        """What may be done where there is no certificate: where the likelihood has no maximum, no search finds one."""
        return "no other start can help" if "no maximum" in self.message else "another start or method may help"
