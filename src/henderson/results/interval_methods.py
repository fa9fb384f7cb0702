"""The methods on results for intervals, profiles, bootstraps and draws: thin, the work is in the modules named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from henderson.arguments import probability
from henderson.results.coefficients import CoefficientMethods
from henderson.typing import BootstrapInterval, BootstrapKind, IntervalMethod, Seed

if TYPE_CHECKING:
    from henderson.intervals.bootstrap.bootstrap import Bootstrap
    from henderson.intervals.profile import Profile

FloatArray = np.ndarray


class IntervalMethods(CoefficientMethods):
    """conf_int, profile, bootstrap."""

    def conf_int(
        self,
        alpha: float = 0.05,
        cols: Sequence[int] | None = None,
        *,
        method: IntervalMethod | None = None,
        level: float | None = None,
        parameters: str | Sequence[str] | None = None,
        transform: bool | None = None,
        reml: bool | None = None,
        n: int | None = None,
        interval: BootstrapInterval | None = None,
        kind: BootstrapKind | None = None,
        statistic: Callable[..., object] | None = None,
        seed: Seed | None = None,
        within: bool | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Intervals: of the fixed effects, in the rows of `params`; or by a method, of all parameters.

        Parameters
        ----------
        alpha : float
            One less the level.
        cols : sequence of int, optional
            Which fixed effects, by position.
        method : {"wald", "profile", "boot"}, optional
            With a method the rows are standard deviations, correlations, sigma, and the fixed effects, as in lme4's
            `confint`. Without one, Wald intervals of the fixed effects.
        level : float, optional
            In place of `alpha`.
        parameters : str or sequence of str, optional
            Which rows, by name; ``"theta_"`` and ``"beta_"`` are all parameters of the covariance and all fixed
            effects, and lme4's ``".sig01"``, ``".sigma"`` are understood.
        transform : bool, optional
            For "wald": limits of variance parameters that are symmetric on a scale without bounds, as those of nlme's
            ``intervals()``: of logarithms, and of log((1 + ρ)/(1 − ρ)).
        reml : bool, optional
            For "profile": profile the restricted likelihood.
        n, interval, kind, statistic, seed, within, progress : optional
            For "boot": replicates (1000), {"percentile", "basic", "bca"}, {"parametric", "residual", "cases"}, and
            as in `bootstrap`.

        Returns
        -------
        DataFrame
            Columns lower, upper.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.conf_int().loc["Days"].round(3).tolist()
        [7.206, 13.729]
        >>> fit.conf_int(method="profile", parameters="sigma").round(2).to_numpy()
        array([[22.9 , 28.86]])
        """
        from henderson.intervals.table import interval_table

        given = {
            "transform": transform, "reml": reml, "n": n, "interval": interval, "kind": kind, "statistic": statistic,
            "seed": seed, "within": within, "progress": progress,
        }  # fmt: skip
        options = {name: value for name, value in given.items() if value is not None}
        level = 1 - probability(alpha, "alpha") if level is None else level
        wanted = parameters
        if method is None and parameters is None and not transform:
            wanted = "beta_"
        if cols is not None:
            wanted = [self._names[int(c)] for c in np.atleast_1d(cols)]
        return interval_table(self.engine, self.inference, method or "wald", level, parameters=wanted, **options)

    def profile(self, which: str | Sequence[str] | None = None, *, level: float = 0.99, reml: bool = False) -> Profile:
        """Likelihood profiles of the parameters.

        Parameters
        ----------
        which : str or sequence of str, optional
            Names of parameters, ``"theta_"`` or ``"beta_"``; all by default.
        level : float
            How far the profiles go: as a joint region of this level of all parameters.
        reml : bool
            Profile the restricted likelihood (of the parameters of the covariance only).

        Returns
        -------
        Profile
            With `interval(level)`, `plot()` and the curves.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> found = fit.profile()
        >>> found.interval().round(2)
                                lower    upper
        parameter
        sd_(Intercept)|Batch    12.20    84.06
        sigma                   38.23    67.66
        (Intercept)           1486.45  1568.55
        """
        from henderson.intervals.profile import profile_fit

        return profile_fit(self.engine, which, level=level, reml=reml)

    def bootstrap(
        self,
        n: int = 1000,
        *,
        kind: BootstrapKind = "parametric",
        statistic: Callable[..., object] | None = None,
        seed: Seed | None = None,
        batch: int | None = None,
        within: bool = False,
        progress: bool | Callable[[int, int], None] | None = None,
    ) -> Bootstrap:
        """Refit to simulated or resampled responses.

        Parameters
        ----------
        n : int
            Replicates.
        kind : {"parametric", "residual", "cases"}
            Responses from the model; from its residuals and modes; or whole groups drawn with replacement.
        statistic : callable, optional
            A function of a `Replicate` that returns a number, a sequence, a dict or a Series. By default all
            parameters.
        seed : int, SeedSequence or Generator, optional
        batch : int, optional
            Replicates fitted together.
        within : bool
            For cases: draw rows within the groups, too.
        progress : bool or callable, optional
            Show the number of replicates; None: on a terminal.

        Returns
        -------
        Bootstrap
            With `frame`, `interval(kind, level)`, `se`, `bias`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> found = fit.bootstrap(200, seed=1)
        >>> found.interval("percentile").shape
        (3, 2)
        """
        from henderson.intervals.bootstrap.bootstrap import bootstrap_fit

        return bootstrap_fit(
            self.engine, n, kind=kind, statistic=statistic, seed=seed, batch=batch, within=within, progress=progress
        )
