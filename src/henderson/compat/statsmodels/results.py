"""`MixedLMResults`: the native results, and what is statsmodels' alone.

That is packed parameters (`packed_results`), the random effects by group, profile_re, and statsmodels' text. What a
method does otherwise than the native class is an override.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from henderson.arguments import plain_options
from henderson.compat.statsmodels.packed_uncertainty import PackedUncertainty
from henderson.contract.rows import present
from henderson.engine.fit import Fit
from henderson.typing import Label

if TYPE_CHECKING:
    from henderson.compat.statsmodels.pairwise import PairwiseTests
    from henderson.tables.aligned import Summary

FloatArray = np.ndarray


@plain_options
class MixedLMResults(PackedUncertainty):
    """Results of `MixedLM.fit`.

    Attributes
    ----------
    model : MixedLM
    engine : Fit
        The fit as numbers.
    method : {"REML", "ML"}
    params : (k,) Series or array
        fe_params, then the lower triangle of cov_re and the variance components *relative to `scale`*.
    fe_params : (k_fe,) Series or array
        NaN for columns that were dropped as redundant.
    cov_re : (k_re, k_re) DataFrame or array
    cov_re_unscaled : (k_re, k_re) DataFrame or array
        Relative to `scale`.
    vcomp : (k_vc,) array
    scale : float
        Residual variance.
    converged : bool
        Whether the optimum is certified.
    hist : list, or None

    Examples
    --------
    >>> import henderson
    >>> data = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
    >>> fit.fe_params.round(2).to_dict(), fit.cov_re.shape, round(fit.scale, 2)
    ({'Intercept': 251.41, 'Days': 10.47}, (2, 2), 654.94)
    """

    # random effects by group

    @cached_property
    def random_effects(self) -> dict[Label, pd.Series]:
        """Conditional modes of the random effects: group → Series.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.random_effects[308].round(2)
        Subject    2.26
        Days       9.20
        dtype: float64
        """
        from henderson.compat.statsmodels.groups import effects_by_group

        setup = self._setup
        return effects_by_group(
            setup.design, setup.members, setup.packing, setup.groups, setup.names.exog_re_names, self.engine.b
        )

    @cached_property
    def random_effects_cov(self) -> dict[Label, pd.DataFrame]:
        """Conditional covariances of the random effects: group → DataFrame.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.random_effects_cov[308].round(1)
                 Subject  Days
        Subject    145.7 -21.4
        Days       -21.4   5.3
        """
        from henderson.compat.statsmodels.groups import covariances_by_group

        setup = self._setup
        names = setup.names.exog_re_names
        if len(setup.design.terms) == 1 and setup.packing.re_terms:
            covariances = zip(setup.groups.labels, self.engine.b_cov()[0])
            return {label: pd.DataFrame(cov, index=names, columns=names) for label, cov in covariances}
        return covariances_by_group(
            setup.design,
            present(setup.given_rows, "random_effects_cov of several terms"),
            setup.members,
            setup.packing,
            setup.groups,
            names,
            self.engine.lam,
            self.scale,
        )

    def profile_re(
        self,
        re_ix: int | str,
        vtype: Literal["re", "vc"],
        num_low: int = 5,
        dist_low: float = 1.0,
        num_high: int = 5,
        dist_high: float = 1.0,
        *,
        method: str | Sequence[str] | None = None,
        **fit_kwargs: Any,
    ) -> FloatArray:
        """Likelihood profile of a variance parameter: the model fitted again with it held at each of some values.

        Parameters
        ----------
        re_ix : int or str
            Which random effect, or the name of the variance component.
        vtype : {"re", "vc"}
        num_low, num_high : int
            Points below and above the estimate.
        dist_low, dist_high : float
            How far below and above, on the scale of `cov_re`.
        method : str or list of str, optional
            Optimiser, as in `MixedLM.fit`.
        **fit_kwargs
            For the optimiser: `maxiter`, `gtol`.

        Returns
        -------
        (num_low + num_high + 1, 2) array
            The variance, and the log-likelihood. (Held is the ratio to the residual variance; shown is that ratio times
            each fit's residual variance.)

        See Also
        --------
        profile : Profiles with intervals, in fewer evaluations.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("Dyestuff")
        >>> fit = henderson.mixedlm("Yield ~ 1", data, groups="Batch").fit()
        >>> found = fit.profile_re(0, "re", num_low=1, num_high=1, dist_low=0.1, dist_high=0.1)
        >>> found.shape  # variance relative to scale, log-likelihood
        (3, 2)
        """
        from henderson.compat.statsmodels.profile_re import profile_re

        present(self._setup.given_rows, "profile_re()")
        return profile_re(
            self._setup, self._outcome, re_ix, vtype, num_low, dist_low, num_high, dist_high, method, fit_kwargs
        )

    def t_test_pairwise(
        self,
        term_name: str,
        method: str | Sequence[str] = "hs",
        alpha: float = 0.05,
        factor_labels: Sequence[str] | None = None,
    ) -> PairwiseTests:
        """Tests of all pairs of levels of a factor, with adjusted p-values.

        Parameters
        ----------
        term_name : str
            A term of one factor, as the formula has it: ``"C(weight)"``.
        method : str or sequence of str
            statsmodels' names of adjustments: ``"hs"`` (Holm and Sidak), ``"b"``, ``"s"``, ``"h"``, ``"sh"``, ``"ho"``,
            ``"fdr_bh"``, ``"fdr_by"``, and their long forms. The stepwise ones with estimated shares of true
            hypotheses (``"fdr_tsbh"``, …) are not there.
        alpha : float
            Level of the tests, and one less that of the intervals, which are not adjusted.
        factor_labels : sequence of str, optional
            What to call the levels.

        Returns
        -------
        PairwiseTests
            With `result_frame` and `contrasts`.

        See Also
        --------
        emmeans : ``emmeans("A").pairs()`` averages over the other factors, with adjusted limits.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("Machines")
        >>> fit = henderson.mixedlm("score ~ Machine", data, groups="Worker").fit()
        >>> fit.t_test_pairwise("Machine").result_frame.iloc[:, [0, 1, 6]].round(3)
               coef  std err  pvalue-hs
        B-A   7.967    1.054        0.0
        C-A  13.917    1.054        0.0
        C-B   5.950    1.054        0.0
        """
        from henderson.compat.statsmodels.pairwise import pairwise

        return pairwise(self, term_name, method, alpha, factor_labels)

    # keeping

    def _keep(self, fit: Fit) -> None:
        criterion = fit.criterion if self._outcome.same_design else self._setup.criterion(fit.reml)
        super()._keep(fit)
        self._setup = self._setup.without_rows(criterion)
        self._outcome = replace(self._outcome, fit=fit)
        self.model = self.model.with_setup(self._setup)

    # text

    def summary(  # type: ignore[override]  # statsmodels' arguments and table
        self,
        yname: str | None = None,
        xname_fe: list[str] | None = None,
        xname_re: list[str] | None = None,
        title: str | None = None,
        alpha: float = 0.05,
    ) -> Summary:
        """The results as statsmodels prints them.

        Parameters
        ----------
        yname : str, optional
            What to call the response.
        xname_fe, xname_re : list of str, optional
            What to call the fixed effects, and the variance parameters.
        title : str, optional
        alpha : float
            One less the level of the intervals.

        Returns
        -------
        Summary
            With `tables`, `as_text`, `as_html` and `as_latex`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("Dyestuff")
        >>> fit = henderson.mixedlm("Yield ~ 1", data, groups="Batch").fit()
        >>> print(fit.summary())
                  Mixed Linear Model Regression Results
        ==========================================================
        Model:             MixedLM  Dependent Variable:  Yield
        No. Observations:  30       Method:              REML
        No. Groups:        6        Scale:               2451.2500
        Min. group size:   5        Log-Likelihood:      -159.8271
        Max. group size:   5        Converged:           Yes
        Mean group size:   5.0
        ----------------------------------------------------------
                   Coef.   Std.Err.   z    P>|z|  [0.025   0.975]
        ----------------------------------------------------------
        Intercept 1527.500   19.383 78.804 <.001 1489.509 1565.491
        Batch Var 1764.050   31.655
        ==========================================================
        """
        from henderson.compat.statsmodels.summary import mixedlm_summary

        return mixedlm_summary(self, yname, xname_fe, xname_re, title, alpha)
