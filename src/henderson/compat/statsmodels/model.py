"""`MixedLM`: a linear mixed model and its fits, statsmodels' class of the name.

It holds a `Design`. The likelihood at any parameters is `model_likelihood`'s, the fits are `model_fits`'.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from henderson.compat.statsmodels.groups import Groups
from henderson.compat.statsmodels.model_fits import ModelFits
from henderson.compat.statsmodels.packing import can_be_packed
from henderson.compat.statsmodels.params import VCSpec
from henderson.compat.statsmodels.setup import Setup
from henderson.compat.statsmodels.structured import StructuredMixedLM
from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.formula.environment import Env
from henderson.typing import ColumnLike, EvalEnvironment, StreamLike, TableLike

FloatArray = np.ndarray


class MixedLM(ModelFits):
    """Linear mixed model.

    Parameters
    ----------
    endog : (n,) array_like
        Response.
    exog : (n, k_fe) array_like
        Fixed-effects columns.
    groups : (n,) array_like
        Labels of the groups; observations of different groups are independent.
    exog_re : (n, k_re) array_like, optional
        Covariates whose coefficients vary by group. Without them, and without `exog_vc`, a random intercept.
    exog_vc : VCSpec, or dict of dicts, optional
        Variance components: ``exog_vc[name][group]`` is a component's (rows of the group, effects) matrix.
    use_sqrt : bool
        Whether packed covariance parameters are those of the lower square root of the covariance matrix.
    missing : {"none", "drop", "raise"}
        Rows with missing values are an error, or dropped.

    See Also
    --------
    henderson.mixedlm : The same from a formula.
    henderson.lmer : lme4's conventions.

    Examples
    --------
    >>> from henderson.datasets import load
    >>> data = load("sleepstudy")
    >>> model = MixedLM.from_formula("Reaction ~ Days", data, re_formula="~Days", groups="Subject")
    >>> result = model.fit()
    >>> result.fe_params.round(3).to_dict()
    {'Intercept': 251.405, 'Days': 10.467}
    """

    def __init__(
        self,
        endog: ArrayLike | pd.Series | pd.DataFrame,
        exog: ArrayLike | pd.Series | pd.DataFrame,
        groups: ArrayLike | pd.Series,
        exog_re: ArrayLike | pd.Series | pd.DataFrame | None = None,
        exog_vc: VCSpec | Mapping[str, object] | None = None,
        use_sqrt: bool = True,
        missing: Literal["none", "drop", "raise"] = "none",
        **kwargs: Any,
    ) -> None:
        unknown = set(kwargs) - {"missing_idx", "model_spec", "formula"}
        if unknown:
            raise ValueError(f"argument {sorted(unknown)[0]} not permitted for MixedLM initialization")
        from henderson.design.from_arrays import design_from_arrays

        if isinstance(exog_vc, Mapping):
            warnings.warn("Using deprecated variance components format", FutureWarning, stacklevel=2)
        components = getattr(exog_vc, "names", exog_vc)
        n_components = len(components) if isinstance(components, Mapping | list | tuple) else 0
        only_components = exog_re is None and n_components > 0
        design, rows = design_from_arrays(
            endog,
            exog,
            groups,
            exog_re=np.ones(np.shape(endog)[0]) if only_components else exog_re,
            exog_vc=exog_vc,
            missing=missing,
        )
        grouped = Groups.of(design.terms[0], rows.terms[0])
        if only_components:
            design, rows = replace(design, terms=design.terms[1:]), replace(rows, terms=rows.terms[1:])
        setup = Setup.of(design, rows, n_components, use_sqrt=use_sqrt)
        names, full = setup.names.exog_re_names, setup.names.exog_re_names_full
        if exog_re is None and not n_components:
            full = names = ["Group Var"]
        labelled = any(isinstance(given, pd.Series | pd.DataFrame) for given in (endog, exog))
        data = replace(
            setup.names,
            exog_re_names=names,
            exog_re_names_full=full,
            row_labels=rows.index if labelled else None,
            orig_endog=endog,
            orig_exog=exog,
        )
        self._setup(replace(setup, names=data, given_groups=grouped))

    @overload
    @classmethod
    def from_formula(
        cls, formula: str, data: TableLike | StreamLike, *args: Any, residual: None = None, **kwargs: Any
    ) -> MixedLM: ...

    @overload
    @classmethod
    def from_formula(
        cls, formula: str, data: TableLike | StreamLike, *args: Any, residual: str, **kwargs: Any
    ) -> StructuredMixedLM: ...

    @classmethod  # type: ignore[misc]  # what *args and **kwargs stand for above is named here
    def from_formula(
        cls,
        formula: str,
        data: TableLike | StreamLike,
        re_formula: str | None = None,
        vc_formula: Mapping[str, str] | None = None,
        subset: ColumnLike | slice | None = None,
        use_sparse: bool = False,
        missing: Literal["none", "drop", "raise"] = "none",
        *,
        groups: ColumnLike | None = None,
        use_sqrt: bool = True,
        weights: ColumnLike | None = None,
        offset: ColumnLike | None = None,
        eval_env: Env | EvalEnvironment = 0,
        residual: str | None = None,
        relmat: Mapping[str, Any] | None = None,
        fix: Mapping[str, Any] | None = None,
        same: Sequence[str | Sequence[str]] | None = None,
        bound: bool = True,
        rest: Literal["auto", "exact", "iterative"] = "auto",
    ) -> MixedLM | StructuredMixedLM:
        """A model from a formula and a table.

        Parameters
        ----------
        formula : str
            ``"y ~ x"`` with `groups`, or with lme4's bars: ``"y ~ x + (x | g)"``.
        data : pandas or polars DataFrame, pyarrow Table, dict of arrays; or rows that are read in parts
            See `henderson.lmer`.
        re_formula : str, optional
            Covariates whose coefficients vary by group, ``"~x"``; by default a random intercept.
        vc_formula : mapping of str to str, optional
            Variance components within the groups: name → formula whose columns have independent effects.
        subset : optional
            Rows to use: booleans, labels or positions.
        use_sparse : bool
            Accepted for compatibility: components are sparse in any case.
        missing : {"none", "drop", "raise"}
        groups : str or (n,) array_like
            Column, or labels; not needed when the formula has bars.
        use_sqrt : bool
            See `MixedLM`.
        weights, offset : str or (n,) array_like, optional
            Prior weights (Var ε_i = σ²/w_i), and a known part of the mean.
        eval_env : int, mapping or "closed"
            Where to look up functions in the formula: 0 the caller, 1 its caller, …; −1 nowhere. ``"closed"``
            confines formulas to the data's columns and the listed functions.
        residual : str, optional
            Covariance of the residuals, ``"ar1(visit | patient)"``; see `henderson.lmer`. With it a model needs no
            random effects, and its `fit` has the native results.
        relmat, fix, same, bound
            Known relationships of levels; variances that are held, equal, or not bounded by zero: see `henderson.lmer`.
            The fit has native results.
        rest : {"auto", "exact", "iterative"}
            How equations of crossed effects are solved, see `henderson.lmer`.

        Returns
        -------
        MixedLM; StructuredMixedLM with `residual`, constraints, or structures in bars that statsmodels has not

        Raises
        ------
        FormulaError, DataError
            Before any fitting; the message names the culprit.

        Examples
        --------
        >>> import henderson
        >>> nba = henderson.datasets.load("nba")
        >>> result = henderson.mixedlm("Points ~ Minutes", nba, groups="Team").fit()
        >>> result.params.round(3).to_dict()
        {'Intercept': 1.759, 'Minutes': 0.641, 'Team Var': 0.633}

        Variances in `params` are relative to the residual's; `cov_re` has them as they are:

        >>> result.cov_re.round(3).to_dict()
        {'Team': {'Team': 28.935}}

        lme4's bars give the same model:

        >>> bars = henderson.mixedlm("Points ~ Minutes + (1 | Team)", nba).fit()
        >>> bool(abs(bars.llf - result.llf) < 1e-10)
        True
        """
        from henderson.design.from_formula import design_from_formula
        from henderson.engine.factor.iterative.choice import check_rest
        from henderson.formula.bars import parse
        from henderson.formula.environment import capture
        from henderson.sources.streams.registry import is_stream

        check_rest(rest)
        if rest == "iterative" and (residual is not None or fix or same or not bound):
            raise ValueError("rest='iterative' does not go with residual=, fix=, same= or bound=")
        if groups is None and residual is None and not parse(formula).bars:
            raise AttributeError(
                "'groups' is a required keyword argument in MixedLM.from_formula, unless the formula has bars: (1 | g)"
            )
        given: dict[str, Any] = {
            "weights": weights,
            "offset": offset,
            "subset": subset,
            "missing": missing,
            "groups": groups,
            "re_formula": re_formula,
            "env": capture(getattr(eval_env, "namespace", eval_env)),
            "order": "patsy",
            "strict": False,
        }
        if is_stream(data):
            from henderson.engine.from_source import summed_stream

            if relmat is not None or fix is not None or same is not None or not bound:
                raise ValueError("relmat=, fix=, same= and bound=False go with a table in memory")
            if vc_formula:
                raise ValueError(
                    "vc_formula is for a table in memory; of rows that are read in parts write bars: (1 | a/b)"
                )
            rows_in_parts = summed_stream(formula, data, **given)
            streamed = cls.__new__(cls)
            streamed._setup(Setup.of_sums(rows_in_parts, use_sqrt=use_sqrt, rest=rest))
            return streamed
        design, rows = design_from_formula(
            formula,
            data,
            vc_formula=vc_formula,
            residual=residual,
            relmat=relmat,
            fix=fix,
            same=same,
            bound=bound,
            **given,
        )
        if relmat is not None or design.residual is not None or not can_be_packed(design):
            return StructuredMixedLM(design, rows)
        return cls.from_design(design, rows, len(vc_formula or ()), use_sqrt=use_sqrt, frame=data, rest=rest)

    @classmethod
    def from_design(
        cls,
        design: Design,
        rows: Rows,
        n_components: int = 0,
        *,
        use_sqrt: bool = True,
        frame: object = None,
        rest: Literal["auto", "exact", "iterative"] = "auto",
    ) -> MixedLM:
        """A model from a `Design` and its rows.

        Parameters
        ----------
        design : Design
        rows : Rows
        n_components : int
            How many of its terms, the last, are variance components.
        use_sqrt : bool
            See `MixedLM`.
        frame : optional
            The data that the design was made of.
        rest : {"auto", "exact", "iterative"}
            See `henderson.lmer`.

        Returns
        -------
        MixedLM
        """
        model = cls.__new__(cls)
        model._setup(Setup.of(design, rows, n_components, use_sqrt=use_sqrt, frame=frame, rest=rest))
        return model

    def _setup(self, setup: Setup) -> None:
        self.setup, self.reml = setup, True
        self.fe_pen = self.cov_pen = None


mixedlm = MixedLM.from_formula
