"""Names of other packages: what lme4, lmerTest, emmeans, performance and statsmodels call what has another name here.

An object that lacks a name raises AttributeError in any case; where the name is known from elsewhere the error says
what to use instead. Nothing is spelled in two ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar


class NamesElsewhere:
    """A class whose missing attributes may be known by another name.

    Attributes
    ----------
    _elsewhere : mapping of str to str
        The name elsewhere -> what to use.

    Examples
    --------
    >>> class Fit(NamesElsewhere):
    ...     _elsewhere = {"confint": "conf_int()"}
    >>> Fit().confint
    Traceback (most recent call last):
        ...
    AttributeError: 'Fit' object has no attribute 'confint'; use conf_int()
    """

    _elsewhere: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # a type checker knows the names that there are

        def __getattr__(self, name: str) -> object:
            if name in type(self)._elsewhere and not hasattr(type(self), name):
                raise AttributeError(unknown(self, name, type(self)._elsewhere))
            return object.__getattribute__(self, name)  # raises what a property raised, or that there is none


def unknown(owner: object, name: str, elsewhere: Mapping[str, str]) -> str:
    """What the error says."""
    return f"{type(owner).__name__!r} object has no attribute {name!r}; use {elsewhere[name]}"


#: of the results of a fit
RESULTS = {
    # lme4
    "VarCorr": "varcorr",
    "var_corr": "varcorr",
    "confint": "conf_int(), or conf_int(method='profile') for lme4's default",
    "isSingular": "is_singular",
    "logLik": "llf",
    "loglik": "llf",
    "AIC": "aic",
    "BIC": "bic",
    "REMLcrit": "deviance",
    "vcov": "cov_params()",
    "fitted": "fittedvalues",
    "fitted_values": "fittedvalues",
    "getME": "theta, design, engine or optinfo, which have what lme4's getME extracts",
    "df_residual": "df_resid",
    "bootMer": "bootstrap()",
    "refitML": "anova(), which refits as it must, or lmer(..., REML=False)",
    "update": "henderson.lmer with the new formula; refit(y) takes a new response",
    "REsim": "ranef and ranef_sd",
    "condVar": "ranef_sd or ranef_cov",
    "random_effects": "ranef",
    "random_effects_cov": "ranef_cov",
    "fixed_effects": "fixef",
    "coefficients": "coef_table, or coef for those of each level",
    "std_errors": "bse",
    "hatvalues": "influence()['leverage']",
    "cooks_distance": "influence()['cooks']",
    "dfbeta": "influence()['dfbetas[...]']",
    "dfbetas": "influence()['dfbetas[...]']",
    "rstudent": "residuals('external')",
    "rstandard": "residuals('studentized')",
    "residual": "resid or residuals()",
    "isREML": "reml",
    "REML": "reml",
    # lmerTest and pbkrtest
    "rand": "ranova()",
    "ls_means": "emmeans(...)",
    "lsmeansLT": "emmeans(...)",
    "difflsmeans": "emmeans(...).pairs()",
    "contest": "t_test(...) or wald_test(...)",
    "contest1D": "t_test(...)",
    "contestMD": "wald_test(...)",
    "KRmodcomp": "henderson.compare(small, large, method='kenward-roger')",
    "PBmodcomp": "henderson.compare(small, large, method='bootstrap')",
    "lrtest": "henderson.compare(small, large)",
    "compare": "henderson.compare(small, large)",
    "compare_lr_test": "henderson.compare(small, large)",
    # emmeans
    "lsmeans": "emmeans(...)",
    "means": "emmeans(...)",
    "contrasts": "emmeans(...).contrasts(...), or t_test(...) of coefficients",
    "contrast": "emmeans(...).contrasts(...), or t_test(...) of coefficients",
    "pairs": "emmeans(...).pairs()",
    "emmip": "emmeans(...).interaction_plot()",
    "lstrends": "emtrends(...)",
    # performance, merTools, DHARMa
    "r2_nakagawa": "r2()",
    "rsquared": "r2()",
    "check_model": "check() or plot()",
    "check_singularity": "is_singular or check()",
    "predictInterval": "predict(..., interval='prediction')",
    "simulateResiduals": "quantile_residuals()",
    "PCA": "rePCA()",
    "rlrsim": "rlrt()",
    "exactRLRT": "rlrt()",
    # statsmodels
    "cov_re": "varcorr, or the covariance matrices sigma**2 * lam @ lam.T for lam in engine.lam",
    "vcomp": "varcorr",
    "bse_re": "variance_errors()",
    "bse_cov_re": "variance_errors()",
    "t_test_pairwise": "emmeans(...).pairs()",
    "get_influence": "influence()",
    "get_margeff": "emtrends(...), or henderson.marginaleffects.wrap",
    "get_robustcov_results": "with_inference(cov='CR2')",
    "summary2": "summary()",
    "profile_re": "profile()",
    "mse_resid": "scale",
    "ssr": "(resid**2).sum()",
    "fvalue": "anova()",
    "f_pvalue": "anova()",
    "outlier_test": "influence() or residuals('external')",
    "resid_pearson": "residuals('pearson')",
    "t_values": "tvalues",
    "p_values": "pvalues",
    "information_criteria": "aic, aicc, bic and caic()",
    "info_criteria": "aic, aicc, bic and caic()",
}

#: of marginal means and contrasts
MEANS = {
    "contrast": "contrasts(...)",
    "pairwise": "pairs()",
    "revpairwise": "pairs(reverse=True)",
    "confint": "frame, whose columns lower and upper are the limits; summary(level=, adjust=) has others",
    "conf_int": "frame, whose columns lower and upper are the limits; summary(level=, adjust=) has others",
    "update": "summary(...), which makes the same estimates with other options",
    "regrid": "summary(type='response')",
    "vcov": "cov",
    "emmip": "interaction_plot()",
    "joint_tests": "joint()",
    "df": "frame['df']",
    "estimate": "frame['estimate']",
    "se": "frame['se']",
    "p": "frame['p']",
    "pvalues": "frame['p']",
    "as_data_frame": "frame",
    "dataframe": "frame",
    "to_pandas": "frame",
    "cld": "plot(), whose arrows compare, or pwpp(); letters are not made",
    "eff_size": "contrasts(...) divided by the results' sigma",
}

#: of the package: functions elsewhere, methods here
PACKAGE = {
    "emmeans": "results.emmeans(...)",
    "emtrends": "results.emtrends(...)",
    "anova": "results.anova(), or henderson.compare of several models",
    "ranova": "results.ranova()",
    "step": "results.step()",
    "drop1": "results.drop1()",
    "ranef": "results.ranef",
    "fixef": "results.fixef",
    "coef": "results.coef",
    "VarCorr": "results.varcorr",
    "varcorr": "results.varcorr",
    "confint": "results.conf_int()",
    "predict": "results.predict()",
    "summary": "results.summary()",
    "tidy": "results.tidy()",
    "glance": "results.glance()",
    "augment": "results.augment()",
    "influence": "results.influence()",
    "bootMer": "results.bootstrap()",
    "isSingular": "results.is_singular",
    "rePCA": "results.rePCA()",
    "icc": "results.icc()",
    "lmerTest": "henderson.lmer, which has its tests",
    "lme": "henderson.lmer(formula, data, residual='ar1(visit | patient)')",
    "gls": "henderson.mmrm",
    "mixed": "henderson.lmer or henderson.mixedlm",
    "mixedlm_formula": "henderson.mixedlm",
    "glmer": "henderson.lmer for normal responses; others are not fitted",
    "nlmer": "henderson.lmer for linear models; nonlinear ones are not fitted",
    "KRmodcomp": "henderson.kr_compare",
    "PBmodcomp": "henderson.bootstrap_compare",
    "read": "henderson.load",
    "powerSim": "henderson.power",
    "plot": "results.plot",
}
