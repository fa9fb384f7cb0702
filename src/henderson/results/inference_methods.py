"""The methods on results for tests of effects: thin, the work is in the modules named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from henderson.results.base import FittedModel
from henderson.typing import Ddf

if TYPE_CHECKING:
    import pandas as pd

    from henderson.inference.comparison.rlrt import ExactTest


class InferenceMethods(FittedModel):
    """anova, drop1, ranova, rlrt, variance_errors."""

    def anova(
        self, type: Literal[1, 2, 3, "1", "2", "3", "I", "II", "III"] = 3, *, ddf: Ddf | None = None
    ) -> pd.DataFrame:
        """F tests of the terms of the fixed part, as lmerTest defines the types.

        Parameters
        ----------
        type : 1, 2 or 3
            Sequential; by containment; of marginal means, whatever the contrasts.
        ddf : {"satterthwaite", "kenward-roger", "kenward-roger-2009", "kenward-roger-observed", "containment", \
"between-within", "residual", "asymptotic"}, optional
            Degrees of freedom for this table, in any case ("KR" is understood); by default the results' own.

        Returns
        -------
        DataFrame
            Index: term; columns num_df, den_df, F, p.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
        >>> fit.anova(ddf="kenward-roger")
        Type III analysis of variance (kenward-roger degrees of freedom)
        <BLANKLINE>
        term         num_df  den_df       F        p
        recipe            2   254.0   0.096   0.9088
        temp              1   222.0  94.163  <0.0001
        recipe:temp       2   222.0   0.042   0.9592
        """
        from henderson.inference.anova.anova import anova

        return anova(self.engine, type, self._inference_with(ddf))

    def drop1(self, scope: str | Sequence[str] | None = None, *, ddf: Ddf | None = None) -> pd.DataFrame:
        """F tests of the terms that no other contains, each dropped, as lmerTest's `drop1`.

        Parameters
        ----------
        scope : str or sequence of str, optional
            Only these terms.
        ddf : str, optional
            Degrees of freedom for this table, as in `anova`; by default the results' own.

        Returns
        -------
        DataFrame
            Index: term; columns num_df, den_df, F, p.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
        >>> fit.drop1(ddf="KR")["den_df"].round(2).to_dict()
        {'recipe': 42.0, 'temp': 224.0}
        """
        from henderson.inference.anova.drop1 import drop1

        return drop1(self.engine, self._inference_with(ddf), scope)

    def ranova(self) -> pd.DataFrame:
        """Likelihood-ratio tests of the random effects, one removed at a time.

        Returns
        -------
        DataFrame
            Index: what was removed; columns npar, loglik, aic, statistic, df, p, p_chibar.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.ranova()[["npar", "statistic", "df"]].round(3)
                                  npar  statistic   df
        term
        <none>                       6        NaN  NaN
        Days in (Days | Subject)     4     42.837  2.0
        """
        from henderson.inference.comparison.ranova import ranova

        return ranova(self.engine)

    def rlrt(self, term: str | None = None, *, n: int = 10_000, seed: int | None = None) -> ExactTest:
        """The exact (restricted) likelihood-ratio test of one variance.

        Parameters
        ----------
        term : str, optional
            Label of the random term; not needed when there is only one.
        n, seed : int
            Statistics to simulate, and the seed.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> found = fit.rlrt(seed=1)
        >>> round(found.statistic, 3), bool(found.p < 0.01)
        (6.369, True)
        """
        from henderson.inference.comparison.rlrt import rlrt

        return rlrt(self.engine, term, n=n, seed=seed)

    def variance_errors(self, information: Literal["observed", "expected"] = "observed") -> pd.DataFrame:
        """Standard deviations, correlations and σ with standard errors by the delta method.

        Parameters
        ----------
        information : {"observed", "expected"}

        Returns
        -------
        DataFrame
            Index: parameter; columns estimate, se.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.variance_errors().round(3)
                                      estimate     se
        parameter
        sd_(Intercept)|Subject          24.740  5.836
        cor_Days.(Intercept)|Subject     0.066  0.325
        sd_Days|Subject                  5.922  1.248
        sigma                           25.592  1.508
        """
        from henderson.intervals.variance_errors import standard_errors

        return standard_errors(self.engine, information)
