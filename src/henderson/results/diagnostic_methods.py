"""The methods on results that look at the data through the fit: thin, the work is in `diagnostics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import pandas as pd

from henderson.results.base import FittedModel
from henderson.typing import ColumnLike, Metric, ResidualKind, ResidualLevel, Seed

if TYPE_CHECKING:
    from henderson.diagnostics.check import Checks
    from henderson.diagnostics.cross_validation import CrossValidation
    from henderson.diagnostics.quantile_residuals import QuantileResiduals


class DiagnosticMethods(FittedModel):
    """residuals, influence, cross_validate, check."""

    def residuals(
        self,
        kind: ResidualKind = "raw",
        level: ResidualLevel | None = None,
        *,
        n: int = 1000,
        seed: Seed | None = None,
    ) -> pd.Series:
        """Residuals of the rows.

        Parameters
        ----------
        kind : {"raw", "pearson", "studentized", "external", "scaled", "quantile"}
            Response less mean; over the standard deviation of the response; over that of the residual, with σ of all
            rows or of the others; L⁻¹(y − Xβ̂) with Var(y) = LL'; the place of the response among simulated ones.
            "response" is another word for raw, "studentised" and "internal" for studentized, "normalized" for scaled.
        level : {"marginal", "conditional"}, optional
            The mean is Xβ̂, or Xβ̂ + Zb̂. By default conditional, and marginal for quantile residuals. (Given the effects
            the residuals alone have a covariance: conditional scaled residuals are nlme's normalized ones, and without
            ``residual=`` the Pearson ones.) Beside ``residual=`` and a pedigree that ties more than 4,000 rows together
            marginal scaled residuals are by the symmetric root of L⁻¹ Var(y) L⁻ᵀ, L that of the residuals of each
            series, which takes no matrix of all rows: uncorrelated with variance one, too.
        n : int
            Draws of quantile residuals.
        seed : int, SeedSequence or Generator, optional
            Of these.

        Returns
        -------
        Series
            With the labels of the rows. NaN where the model fits a row exactly and the kind divides by what is left.

        See Also
        --------
        quantile_residuals : The same with tests of uniformity, dispersion and outliers.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.residuals("studentized").abs().nlargest(2).round(2).to_dict()
        {56: 5.53, 59: 4.57}
        """
        if kind == "quantile":
            return self.quantile_residuals(level or "marginal", n=n, seed=seed).residuals
        from henderson.diagnostics.residuals import residuals

        return self._by_row(residuals(self.engine, kind, level or "conditional"))

    def quantile_residuals(
        self, level: ResidualLevel = "marginal", *, n: int = 1000, seed: Seed | None = None
    ) -> QuantileResiduals:
        """Simulated quantile residuals, as DHARMa has them, with tests of uniformity, dispersion and outliers.

        Parameters
        ----------
        level : {"marginal", "conditional"}
            Draw new random effects, or keep them at their conditional modes.
        n : int
            Draws.
        seed : int, SeedSequence or Generator, optional

        Returns
        -------
        QuantileResiduals
            Prints the tests; `residuals` is a Series between 0 and 1.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> fit.quantile_residuals(n=200, seed=1).tests.index.tolist()
        ['uniformity', 'dispersion', 'outliers']
        """
        from henderson.diagnostics.quantile_residuals import quantile_residuals

        return quantile_residuals(self.engine, level, n, seed)

    def influence(
        self,
        by: ColumnLike | None = None,
        exact: bool | None = None,
        *,
        progress: bool | Callable[[int, int], None] | None = None,
    ) -> pd.DataFrame:
        """What estimates are without single rows, or without the levels of a factor.

        Parameters
        ----------
        by : str or (n,) array_like, optional
            A grouping factor of the model, a variable of its fixed part, or a label for each row. None: single rows.
        exact : bool, optional
            True: the model is fitted again without each, variances and all. False: the variances stay as they are,
            which takes closed forms only; for large data. None: True, unless it would take more than a thousand fits
            one after another (the table says so).
        progress : bool or callable, optional
            Show the number of fits; None: on a terminal.

        Returns
        -------
        DataFrame
            A row for each row or level; columns leverage (of the fixed and the random effects; of a level, the mean),
            leverage_fixed, cooks (Cook's distance), mdffits, covratio, covtrace, ``dfbetas[…]`` for each fixed effect
            and, when exact, ``rvc[…]``: the relative change of each variance and covariance. For levels also n, the
            rows of each.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> table = fit.influence("Subject")
        >>> int(table["cooks"].idxmax()), int(table["rvc[sigma2]"].idxmin())
        (309, 332)
        """
        from henderson.diagnostics.influence import influence

        return influence(self.engine, by, exact=exact, progress=progress)

    def cross_validate(
        self,
        by: ColumnLike | None = None,
        k: int | Literal["leave-one-out"] | None = None,
        metric: Metric = "rmse",
        *,
        seed: Seed | None = None,
        progress: bool | Callable[[int, int], None] | None = None,
    ) -> CrossValidation:
        """Predict every row by a fit that has not seen it.

        Each fold is left out exactly, by subtracting its cross-products: everything is estimated again, variances too.

        Parameters
        ----------
        by : str or (n,) array_like, optional
            What a fold is made of: whole levels of a grouping factor, of a variable of the fixed part, or of given
            labels (new groups are predicted); None or "rows": rows (known groups are).
        k : int or "leave-one-out", optional
            Folds; by default ten, or one a level where there are fewer.
        metric : {"rmse", "mae", "log_score", "elpd"}
            Which one `score` is. The log score is the mean log density of the rows held out, elpd its sum.
        seed : int, SeedSequence or Generator, optional
            Of the folds.
        progress : bool or callable, optional

        Returns
        -------
        CrossValidation
            Prints all scores; has `score`, `scores` and, row by row, `predictions`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> round(fit.cross_validate("Batch", "leave-one-out").score, 2)
        68.31
        """
        from henderson.diagnostics.cross_validation import cross_validate

        return cross_validate(self.engine, by, k, metric, seed=seed, progress=progress)

    def check(self) -> Checks:
        """What a reviewer asks of a fit: a number, a verdict in words, and what to do.

        Is it the optimum, singular, identified; are there enough levels; does one level decide; are residuals normal,
        of one spread; are random effects normal; are fixed effects collinear; are rows missing?

        Returns
        -------
        Checks
            Prints the answers; `passed`, `table`, and each answer by the beginning of its question.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> answer = fit.check()["are residuals normal"]
        >>> answer.status, answer.verdict
        ('look', 'skewness -0.01, excess kurtosis 7.57; 3 rows beyond 4 standard deviations')
        """
        from henderson.diagnostics.check import check

        return check(self.engine)
