"""The method on results for what a further study could find: thin, the work is in the room named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from henderson.results.base import FittedModel

if TYPE_CHECKING:
    from henderson.planning.found import Power


class PlanningMethods(FittedModel):
    """power."""

    def power(
        self,
        effect: Any = None,
        *,
        contrast: Any = None,
        term: str | None = None,
        sizes: Mapping[str, Any] | None = None,
        n: int = 1000,
        ddf: str | None = None,
        beta: Any = None,
        varcorr: Any = None,
        sigma: float | None = None,
        psi: Any = None,
        alpha: float = 0.05,
        target: float = 0.8,
        seed: Any = None,
        progress: bool | Callable[[int, int], None] | None = None,
    ) -> Power:
        """The power of a test in a study like this one, or larger.

        Parameters
        ----------
        effect, contrast, term, sizes, n, ddf, beta, varcorr, sigma, psi, alpha, target, seed, progress
            As for `henderson.power`, which has more: what is tested, the numbers of levels to try by grouping factor,
            data sets for each, and parameters that differ from the estimates.

        Returns
        -------
        Power

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.power("Days", beta={"Days": 5.0}, sizes={"Subject": [10, 20]}, n=100, seed=1).smallest
        {'Subject': 20}
        """
        from henderson.planning.power import power

        return power(
            self,
            effect,
            contrast=contrast,
            term=term,
            sizes=sizes,
            n=n,
            ddf=ddf,
            beta=beta,
            varcorr=varcorr,
            sigma=sigma,
            psi=psi,
            alpha=alpha,
            target=target,
            seed=seed,
            progress=progress,
        )
