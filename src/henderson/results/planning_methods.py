"""The method on results for what a further study could find: thin, the work is in the room named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from henderson.results.base import FittedModel
from henderson.typing import ByName, ConstraintsLike, Ddf, Seed, Sizes, Variances

if TYPE_CHECKING:
    from henderson.planning.found import Power


class PlanningMethods(FittedModel):
    """power."""

    def power(
        self,
        effect: ConstraintsLike | None = None,
        *,
        contrast: ConstraintsLike | None = None,
        term: str | None = None,
        sizes: Sizes | None = None,
        n: int = 1000,
        ddf: Ddf | None = None,
        beta: ByName | None = None,
        varcorr: Variances | None = None,
        sigma: float | None = None,
        psi: ByName | None = None,
        alpha: float = 0.05,
        target: float = 0.8,
        seed: Seed | None = None,
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
