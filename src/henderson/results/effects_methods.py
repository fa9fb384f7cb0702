"""What lme4 calls the parts of a fit: the methods on results for estimates by term and by level."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from henderson.design.variance_parameters import lme4_order
from henderson.results.base import FittedModel

FloatArray = np.ndarray


class EffectsMethods(FittedModel):
    """sigma, theta, fixef, varcorr, ranef, coef, …"""

    @property
    def sigma(self) -> float:
        """Residual standard deviation.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> round(fit.sigma, 3)
        25.592
        """
        return float(self.engine.sigma)

    @property
    def theta(self) -> FloatArray:
        """Free entries of the relative covariance factors, term after term as the formula has them, column by column.

        Tables list the terms as lme4 does, whose ``getME(m, "theta")`` has them so too: the most levels first.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.theta.round(3)
        array([0.967, 0.015, 0.231])
        """
        return self.engine.theta

    @cached_property
    def fixef(self) -> pd.Series:
        """Fixed effects.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.fixef.round(3).to_dict()
        {'(Intercept)': 251.405, 'Days': 10.467}
        """
        return pd.Series(np.array(self.engine.beta), index=pd.Index(self.design.x_names), name="fixef")

    @cached_property
    def varcorr(self) -> pd.DataFrame:
        """Variances and covariances: columns grp, var1, var2, vcov, sdcor; the residual's last.

        sdcor is a standard deviation, and in rows with a var2 a correlation.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.varcorr.round(3)
                grp         var1  var2     vcov   sdcor
        0   Subject  (Intercept)  None  612.090  24.740
        1   Subject         Days  None   35.072   5.922
        2   Subject  (Intercept)  Days    9.604   0.066
        3  Residual         None  None  654.941  25.592
        """
        from henderson.report.varcorr import varcorr_frame

        return varcorr_frame(self.engine)

    @cached_property
    def loadings(self) -> pd.DataFrame:
        """Loadings of the factors of ``rr()`` and ``fa()`` terms: a row an effect.

        Columns grp, effect, factor1, … (in units of the response), specific (the effect's own variance), communality
        (the factors' share of its variance). The factors are the principal axes of the common part, effects in units
        of their standard deviations; the strongest first, with a positive sum. Empty without such a term.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("y ~ 1 + rr(0 + service | d, 1)", henderson.datasets.load("InstEval").head(2000))
        >>> list(fit.loadings.columns)
        ['grp', 'effect', 'factor1', 'specific', 'communality']
        """
        from henderson.report.loadings import loadings_frame

        return loadings_frame(self.engine)

    @cached_property
    def ranef(self) -> dict[str, pd.DataFrame]:
        """Conditional modes of the random effects: grouping factor → table of levels × effects.

        Levels are the index, whatever make the data were: tables are looked up by level.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.ranef["Subject"].head(2).round(2)
                 (Intercept)  Days
        Subject
        308             2.26  9.20
        309           -40.40 -8.62
        """
        from henderson.prediction.level_effects import modes_by_factor

        return dict(modes_by_factor(self.engine))

    @cached_property
    def ranef_sd(self) -> dict[str, pd.DataFrame]:
        """Conditional standard deviations of the random effects, as `ranef`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.ranef_sd["Subject"].head(2).round(2)
                 (Intercept)  Days
        Subject
        308            12.07   2.3
        309            12.07   2.3
        """
        from henderson.prediction.level_effects import sds_by_factor

        self.engine.refuse_negative("ranef_sd")
        return dict(sds_by_factor(self.engine))

    @cached_property
    def ranef_cov(self) -> tuple[FloatArray, ...]:
        """Conditional covariances of the random effects, (J, q, q) for each term of the design.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.ranef_cov[0].shape
        (18, 2, 2)
        >>> fit.ranef_cov[0][0].round(1)
        array([[145.7, -21.4],
               [-21.4,   5.3]])
        """
        from henderson.prediction.level_effects import covariances_of_levels

        return covariances_of_levels(self.engine)

    def breeding_values(self, group: str | None = None) -> pd.DataFrame:
        """Effects of levels with known relationships (`relmat`): value, se, reliability, accuracy, inbreeding.

        Parameters
        ----------
        group : str, optional
            The factor, or the label of its term, where several have known relationships.

        Examples
        --------
        >>> import henderson
        >>> relatives = henderson.pedigree(["c", "d", "e"], ["a", "a", "c"], ["b", "b", "d"])
        >>> data = {"y": [3.1, 2.0, 4.5, 3.9, 2.2, 4.4], "animal": ["a", "b", "c", "c", "d", "d"]}
        >>> fit = henderson.lmer("y ~ 1 + (1 | animal)", data, relmat={"animal": relatives})
        >>> fit.breeding_values()[["inbreeding", "observed"]].loc[["a", "e"]]
                inbreeding  observed
        animal
        a             0.00      True
        e             0.25     False
        """
        from henderson.prediction.breeding_values import breeding_values

        return breeding_values(self.engine, group)

    def heritability(self, group: str | None = None) -> pd.DataFrame:
        """Shares of the variance, first that of a term with known relationships, with standard errors (delta method).

        Parameters
        ----------
        group : str, optional
            The factor, or the label of its term, where several have known relationships.

        Examples
        --------
        >>> import henderson
        >>> relatives = henderson.pedigree(["c", "d", "e"], ["a", "a", "c"], ["b", "b", "d"])
        >>> data = {"y": [3.1, 2.0, 4.5, 3.9, 2.2, 4.4], "animal": ["a", "b", "c", "c", "d", "d"]}
        >>> fit = henderson.lmer("y ~ 1 + (1 | animal)", data, relmat={"animal": relatives})
        >>> fit.heritability().index.tolist()
        ['animal', 'Residual']
        """
        from henderson.prediction.breeding_values import heritability

        return heritability(self.engine, group)

    @cached_property
    def coef(self) -> dict[str, pd.DataFrame]:
        """Coefficients of each level: fixed effects plus random effects, by grouping factor; tables as `ranef`'s.

        An effect that several terms on one factor have is the sum of theirs.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.coef["Subject"].head(2).round(2)
                 (Intercept)   Days
        Subject
        308           253.66  19.67
        309           211.01   1.85
        """
        from henderson.prediction.level_effects import modes_by_factor

        fixed = self.fixef
        out = {}
        for factor, effects in modes_by_factor(self.engine).items():
            total = effects.T.groupby(level=0, sort=False).sum().T
            table = pd.DataFrame(np.tile(fixed.to_numpy(), (len(total), 1)), index=total.index, columns=fixed.index)
            for name in total.columns:
                table[name] = table[name] + total[name] if name in table else total[name]
            out[factor] = table
        return out

    @cached_property
    def is_singular(self) -> bool:
        """Whether some combination of a term's effects has no variance.

        Columns are scaled to unit mean square, so that the answer does not depend on their units.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.is_singular
        False
        """
        from henderson.engine.boundary import is_singular

        return is_singular(self.engine)

    @property
    def optinfo(self) -> dict[str, object]:
        """How the optimum was found: evaluations, certificate, starts tried, points of the grid surveyed, seconds.

        ``elsewhere`` says whether lower minima were looked for: ``"searched"``, or ``"not searched"`` where one descent
        was made and nothing else, since levels are alike, nothing ended at zero, or the model is too large.
        ``rest`` says how equations of crossed effects were solved; where by iteration, ``monte_carlo`` has the
        Monte-Carlo errors of the deviance, of every variance and of the standard errors of the fixed effects.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.optinfo["converged"], fit.optinfo["boundary_gain"], fit.optinfo["message"]
        (True, 0.0, 'converged')
        """
        from henderson.report.notes import monte_carlo_errors

        search = self.engine.optimum
        searched = search.starts > 1 or search.surveyed > 0
        return {
            "evaluations": search.evaluations,
            "gradient_norm": search.gradient_norm,
            "predicted_decrease": search.predicted_decrease,
            "boundary_gain": search.boundary_gain,
            "smallest_curvature": search.smallest_curvature,
            "converged": search.converged,
            "starts": search.starts,
            "surveyed": search.surveyed,
            "elsewhere": "searched" if searched else "not searched",
            "seconds": search.seconds,
            "message": search.message,
            "rest": self.engine.rest,
            "monte_carlo": monte_carlo_errors(self.engine),
        }

    @cached_property
    def ngrps(self) -> dict[str, int]:
        """Levels of each grouping factor.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.ngrps
        {'Subject': 18}
        """
        return {self.design.terms[k].group: self.design.terms[k].n_levels for k in lme4_order(self.design.terms)}
