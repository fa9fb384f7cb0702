"""`lmer`: lme4's function, its formula language and its conventions; `mmrm`: the same for repeated measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from henderson.formula.environment import Env, capture
from henderson.inference.names import InferenceRequest
from henderson.typing import Cov, Ddf

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from henderson.results.fitted import MixedModelResults
    from henderson.results.row_sums import RowSums
    from henderson.typing import ColumnLike, StreamLike, TableLike


def lmer(
    formula: str,
    data: TableLike | StreamLike | RowSums,
    *,
    REML: bool = True,
    weights: ColumnLike | None = None,
    offset: ColumnLike | None = None,
    subset: ColumnLike | slice | None = None,
    start: ArrayLike | Mapping[str, ArrayLike] | None = None,
    missing: Literal["drop", "raise"] = "drop",
    contrasts: Mapping[str, Any] | None = None,
    ddf: Ddf = "satterthwaite",
    cov: Cov | None = None,
    check_identified: Literal["raise", "warn", "ignore"] = "raise",
    doublevert: Literal["diag_special", "split"] = "diag_special",
    residual: str | None = None,
    relmat: Mapping[str, Any] | None = None,
    fix: Mapping[str, Any] | None = None,
    same: Sequence[str | Sequence[str]] | None = None,
    bound: bool = True,
    rest: Literal["auto", "exact", "iterative"] = "auto",
    shards: int | None = None,
    env: Env = 0,
    progress: bool | None = None,
) -> MixedModelResults:
    """Fit a linear mixed model.

    Parameters
    ----------
    formula : str
        lme4's language: ``"y ~ x + (x | g) + (1 | a/b)"``; the fixed part is formulaic's. A bar may have a structure,
        as in lme4 2.0 and glmmTMB: ``ar1(0 + t | g)``, ``cs(f | g, hom=True)`` (see docs/structures.md).
    data : pandas or polars DataFrame, pyarrow Table, dict of arrays; or rows that are read in parts
        A path, glob, folder or list of paths of Parquet, CSV or Feather files; a ``pyarrow.dataset``; SQL text such as
        ``"SELECT * FROM 'visits/*.parquet'"``, alone or with a connection of DuckDB as ``(text, connection)``; a
        relation of DuckDB; a polars LazyFrame; a DataFrame of Dask or Spark, whose rows are summed where they
        live; an iterator of tables, or a function that makes one. They are gone
        through twice, in the memory of the model and not of the rows, and give the same fit. Or the sums of rows that
        were read (`RowSums`).
    REML : bool
        Restricted likelihood rather than the likelihood.
    weights, offset : str or (n,) array_like, optional
        Prior weights (Var ε_i = σ²/w_i), and a known part of the mean.
    subset : optional
        Rows to use: booleans, labels or positions, or a query.
    start : (k,) array_like, or mapping, optional
        A θ to begin from; with `residual` ``{"theta": …, "residual": …}``, the latter the residuals' parameters as
        `varcorr` names and orders them (variances, covariances, correlations), or both one after the other.
    missing : {"drop", "raise"}
        What to do with rows where a variable used is missing.
    contrasts : mapping, optional
        Contrasts of factors by name: ``{"a": "contr.sum"}``, ``{"a": "helmert"}``, or a matrix with a row for
        each level.
    ddf : {"satterthwaite", "kenward-roger", "kenward-roger-2009", "kenward-roger-observed", "containment", \
"between-within", "residual", "asymptotic"}
        Degrees of freedom of tests of fixed effects, in any case; "KR" is understood.
    cov : {"model", "hessian", "kenward-roger", "kenward-roger-observed", "CR0" to "CR3", "CR2-mmrm"}, optional
        Covariance of the fixed effects; by default the one that goes with `ddf`.
    check_identified : {"raise", "warn", "ignore"}
        What to do with a term that has as many effects, or levels, as there are rows (lme4's
        ``check.nobs.vs.nRE`` and ``check.nobs.vs.nlev``), as in the unstructured ``(0 + visit | patient)`` of a trial:
        its covariance and the residual variance cannot be told apart, but their sum can, and with it the fixed
        effects, their standard errors and degrees of freedom.
    doublevert : {"diag_special", "split"}
        What ``(f || g)`` is with a factor f (lme4's option of that name): ``diag(f | g)``, independent effects; or, as
        in lme4's default, ``(1 | g) + (0 + f | g)``, where the effects of f's levels are correlated.
    residual : str, optional
        Covariance of the residuals of a series, ``"ar1(visit | patient)"``: us, cs, csh, toep, toeph, ar1, ar1h, ad,
        adh or diag of visits, car1 of a time, sp_exp, sp_gau or sp_mat of coordinates; ``"us(visit | arm / patient)"``
        has parameters for each arm. Alone or times them stand variance functions: ``"ident(arm)"``, ``"power(age)"``,
        ``"exp(age)"``. With it a formula needs no random effects (see docs/repeated-measures.md).
    relmat : mapping, optional
        Known relationships between the levels of a factor, by its name, ``{"animal": A}``: `henderson.pedigree`, a
        DataFrame with the labels, a pair (matrix, labels). Levels of A without rows have effects too
        (see docs/known-relationships.md).
    fix : mapping, optional
        Variances that are held, in the data's units: ``{"Subject": 24.7}``, a matrix of a term with several effects;
        ``{"Residual": 1}`` with weights one over known variances is a meta-analysis. A term is called by its grouping
        factor, its label in tables, or as it is written, ``"(1 | Subject)"``.
    same : sequence, optional
        Terms that have one covariance: ``[("dam", "sire")]``.
    bound : bool
        False: variances of random effects may be negative, as long as the covariance of the data is positive definite
        (SAS's NOBOUND); for terms of one variance.
    rest : {"auto", "exact", "iterative"}
        How the equations of crossed effects are solved: by their Cholesky factor, or, where that is dearer by far, by
        iteration, with a log-determinant from random probes whose Monte-Carlo error is stated
        (see docs/crossed-effects.md). A warning says when "auto" iterates.
    shards : int, optional
        Of a Dask DataFrame and one grouping factor: the sums of its levels stay on the workers, in so many shards,
        where there are more levels than are to be held here. Such a fit has no effects (see docs/large-data.md).
    env : mapping, int or "closed"
        Names for what the formula uses and the data do not have, or frames above the caller to look in.
        A formula can run any Python that these names reach; ``"closed"`` confines it to the data's columns and
        the listed functions.
    progress : bool, optional
        Show the number of evaluations (with rich). None: on a terminal, when the fit takes longer than a second.

    Returns
    -------
    MixedModelResults

    Raises
    ------
    FormulaError, DataError
        Before any fitting; the message names the culprit.

    Examples
    --------
    >>> from henderson import lmer
    >>> from henderson.datasets import load
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load("sleepstudy"))
    >>> round(fit.deviance, 3)
    1743.628
    >>> fit.varcorr.round(3)
            grp         var1  var2     vcov   sdcor
    0   Subject  (Intercept)  None  612.090  24.740
    1   Subject         Days  None   35.072   5.922
    2   Subject  (Intercept)  Days    9.604   0.066
    3  Residual         None  None  654.941  25.592
    """
    from henderson.design.from_formula import design_from_formula
    from henderson.design.given import start_vector
    from henderson.engine.factor.iterative.choice import check_rest
    from henderson.engine.fit import fit_design
    from henderson.errors import DataError, users_level
    from henderson.results.fit_warnings import (
        warn_if_at_end,
        warn_if_iterative,
        warn_if_singular,
        warn_unless_certified,
        warn_unless_identified,
    )
    from henderson.results.fitted import MixedModelResults
    from henderson.sources.streams.registry import is_stream

    check_rest(rest)
    request = InferenceRequest.of(ddf, cov)
    request.check_likelihood(REML)
    theta = start_vector(start)
    options: dict[str, Any] = {
        "weights": weights,
        "offset": offset,
        "missing": missing,
        "contrasts": contrasts,
        "env": capture(env),
        "check_identified": check_identified,
        "doublevert": doublevert,
    }
    if residual is not None and (type(data).__name__ == "RowSums" or is_stream(data)):
        raise DataError("residual= takes a table in memory: sums of rows that are read in parts forget their series")
    if (fix is not None or same is not None or not bound) and (type(data).__name__ == "RowSums" or is_stream(data)):
        raise ValueError("fix=, same= and bound=False go with a table in memory, not with rows that are read in parts")
    if relmat is not None and (type(data).__name__ == "RowSums" or is_stream(data)):
        raise ValueError("relmat goes with a table in memory: levels with known relationships are not read in parts")
    if type(data).__name__ == "RowSums":  # its room is not loaded for a table
        data = cast("RowSums", data)
        given = {"weights": weights, "offset": offset, "subset": subset, "contrasts": contrasts}
        fit = data.engine_fit(formula, reml=REML, start=theta, progress=progress, rest=rest, given=given)
    elif shards is not None:
        from henderson.engine.sharded.fit import fit_sharded

        if rest != "auto":
            raise ValueError("rest= is of crossed effects; shards= is for one grouping factor")

        fit = fit_sharded(formula, data, shards, subset=subset, reml=REML, start=theta, progress=progress, **options)
    elif is_stream(data):
        from henderson.engine.from_source import fit_stream

        fit = fit_stream(formula, data, subset=subset, reml=REML, start=theta, rest=rest, progress=progress, **options)
    else:
        options |= {"subset": subset, "residual": residual, "relmat": relmat, "fix": fix, "same": same, "bound": bound}
        design, rows = design_from_formula(formula, data, **options)
        fit = fit_design(design, rows, reml=REML, start=theta, rest=rest, progress=progress)
    level = users_level()
    warn_if_iterative(fit, rest, level)
    warn_unless_certified(fit, fit.optimum.converged, fit.optimum.message, level)
    warn_if_singular(fit, level)
    warn_if_at_end(fit, level)
    if check_identified == "raise":  # else that was said before the fit, or is not to be
        warn_unless_identified(fit, level)
    return MixedModelResults(fit, request)


def mmrm(
    formula: str,
    data: TableLike,
    *,
    REML: bool = True,
    weights: ColumnLike | None = None,
    offset: ColumnLike | None = None,
    subset: ColumnLike | slice | None = None,
    missing: Literal["drop", "raise"] = "drop",
    contrasts: Mapping[str, Any] | None = None,
    ddf: Ddf = "satterthwaite",
    cov: Cov | None = None,
    env: Env = 0,
    progress: bool | None = None,
) -> MixedModelResults:
    """Fit a mixed model for repeated measures: a mean, and one covariance of a patient's visits.

    Parameters
    ----------
    formula : str
        ``"y ~ arm * visit + us(visit | patient)"``: terms of the mean as `lmer` has them, and one covariance structure,
        as R's mmrm and SAS's REPEATED have it; see `lmer`'s `residual` for those there are. Variance functions may
        follow it, ``"… + ar1(visit | patient) * power(age)"``, and random effects may stand beside it.
    data : pandas or polars DataFrame, pyarrow Table, dict of arrays
        One row a visit. Visits may be missing and rows in any order. The order of visits is that of their categories,
        of numbers, or the natural one of text ("V2" before "V10").
    REML : bool
        Restricted likelihood rather than the likelihood.
    weights, offset, subset, missing, contrasts, env, progress
        As for `lmer`; a weight w divides the variance of its row.
    ddf : {"satterthwaite", "kenward-roger", "kenward-roger-linear", "between-within", "residual", "asymptotic", …}
        Degrees of freedom of tests of fixed effects. "kenward-roger" is SAS's, with second derivatives of the
        covariance; "kenward-roger-linear" leaves these out. "satterthwaite-sas" is for `us` with weights, where SAS has
        df of its own.
    cov : {"model", "kenward-roger", "CR0", "CR1", "CR2", "CR2-mmrm", "CR3", …}, optional
        Covariance of the fixed effects; by default the one that goes with `ddf`. The robust ones are by patient.

    Returns
    -------
    MixedModelResults

    Raises
    ------
    FormulaError, DataError
        Before any fitting; the message names the culprit.

    See Also
    --------
    lmer : The same with the covariance as `residual`.

    Examples
    --------
    >>> from henderson import mmrm
    >>> from henderson.datasets import load
    >>> fit = mmrm("FEV1 ~ RACE + SEX + ARMCD * AVISIT + us(AVISIT | USUBJID)", load("fev"), ddf="kenward-roger")
    >>> round(fit.deviance, 4)
    3386.4499
    >>> differences = fit.emmeans("ARMCD", by="AVISIT").contrasts("revpairwise").frame
    >>> differences[["AVISIT", "estimate", "se", "df", "p"]].round(4)
      AVISIT  estimate      se        df       p
    0   VIS1    3.7744  1.0818  145.5471  0.0006
    1   VIS2    3.7323  0.8633  145.2776  0.0000
    2   VIS3    3.0806  0.6955  130.9276  0.0000
    3   VIS4    4.3985  1.6934  133.3891  0.0104
    """
    from henderson.formula.residual import split_covariance

    mean, residual = split_covariance(formula)
    return lmer(
        mean,
        data,
        REML=REML,
        weights=weights,
        offset=offset,
        subset=subset,
        missing=missing,
        contrasts=contrasts,
        ddf=ddf,
        cov=cov,
        residual=residual,
        env=cast("Env", capture(env)),  # the names of whoever called this
        progress=progress,
    )
