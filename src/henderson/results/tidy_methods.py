"""The methods on results for tables that other programs read: thin, the work is in the rooms named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import pandas as pd

from henderson.results.base import FittedModel
from henderson.typing import AnyFrame, AnyPath, Backend, Ddf, StreamLike, TableLike, TidyEffects


class TidyMethods(FittedModel):
    """tidy, glance, augment, to_dict; what maketables asks."""

    @overload
    def tidy(
        self,
        effects: TidyEffects | Sequence[TidyEffects] = ("fixed", "ran_pars"),
        *,
        conf_int: bool = False,
        level: float = 0.95,
        ddf: Ddf | None = None,
        backend: Literal["pandas"] | None = None,
    ) -> pd.DataFrame: ...

    @overload
    def tidy(
        self,
        effects: TidyEffects | Sequence[TidyEffects] = ("fixed", "ran_pars"),
        *,
        conf_int: bool = False,
        level: float = 0.95,
        ddf: Ddf | None = None,
        backend: Backend,
    ) -> AnyFrame: ...

    def tidy(
        self,
        effects: TidyEffects | Sequence[TidyEffects] = ("fixed", "ran_pars"),
        *,
        conf_int: bool = False,
        level: float = 0.95,
        ddf: Ddf | None = None,
        backend: Backend | None = None,
    ) -> AnyFrame:
        """Parameters as rows, with broom.mixed's columns.

        Parameters
        ----------
        effects : {"fixed", "ran_pars", "ran_vals", "ran_coefs"} or sequence of them
            Fixed effects; standard deviations and correlations; conditional modes; coefficients of each level.
        conf_int : bool
            Columns conf.low and conf.high.
        level : float
        ddf : str, optional
            Degrees of freedom for this table.
        backend : {"pandas", "polars", "pyarrow"}, optional

        Returns
        -------
        table
            effect, group, level, term, estimate, std.error, statistic, df, p.value, conf.low, conf.high, as far as the
            effects have them.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.tidy()["term"].tolist()[2:]
        ['sd__(Intercept)', 'cor__(Intercept).Days', 'sd__Days', 'sd__Observation']
        >>> fit.tidy("fixed")["std.error"].round(3).tolist()
        [6.825, 1.546]
        """
        from henderson.report.tidy import tidy
        from henderson.tables.backend import in_backend

        return in_backend(tidy(self.engine, self._inference_with(ddf), effects, conf_int, level), backend)

    @overload
    def glance(self, *, backend: Literal["pandas"] | None = None) -> pd.DataFrame: ...

    @overload
    def glance(self, *, backend: Backend) -> AnyFrame: ...

    def glance(self, *, backend: Backend | None = None) -> AnyFrame:
        """One row that says what the fit is: nobs, sigma, logLik, AIC, BIC, REMLcrit or deviance, df.residual.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.glance()[["nobs", "sigma", "logLik"]].round(2)
           nobs  sigma  logLik
        0   180  25.59 -871.81
        """
        from henderson.report.tidy import glance
        from henderson.tables.backend import in_backend

        return in_backend(glance(self.engine), backend)

    def augment(
        self,
        data: TableLike | StreamLike | None = None,
        *,
        backend: Backend | None = None,
        path: AnyPath | None = None,
        progress: bool | None = None,
    ) -> AnyFrame | Iterator[AnyFrame] | Path:
        """The rows with what the fit says of them: .fitted, .resid, .hat, .cooksd, .fixed, .mu, ….

        Parameters
        ----------
        data : table, or rows that are read in parts, optional
            The table that was fitted; its columns come first, and the result is of its make. Rows that the fit left out
            (missing values, a subset) are left out. By default the response alone. A source (see `henderson.lmer`) may
            have other rows than those fitted, of levels that the fit knows; by default it is the one that was fitted.
        backend : {"pandas", "polars", "pyarrow"}, optional
            Make of the result.
        path : str or path, optional
            Of a source: write the rows to this Parquet file, part by part.
        progress : bool, optional
            See `henderson.lmer`.

        Returns
        -------
        table
            Of a source: an iterator of tables; with `path` the file that was written.

        Raises
        ------
        DataError
            When `data` are not the rows that were fitted.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.augment()[["Reaction", ".fitted", ".resid"]].head(2).round(2)
           Reaction  .fitted  .resid
        0    249.56   253.66   -4.10
        1    258.70   273.33  -14.63
        """
        from henderson.sources.streams.registry import is_stream

        if is_stream(data) or (data is None and self.engine.streamed is not None):
            return self._augment_stream(data, backend, path, progress)
        if path is not None:
            raise ValueError("path= goes with a source that is read in parts; write the table that augment() returns")
        from henderson.report.tidy import row_columns
        from henderson.sources.frames import as_pandas, beside
        from henderson.tables.backend import in_backend

        columns, rows = row_columns(self.engine), self.engine.observed
        if data is None:
            own = pd.DataFrame({self.design.y_name: rows.y, **columns}, index=rows.index)
            return in_backend(own, backend)
        n = self.design.n + self.design.n_missing
        made = beside(data, columns, rows.positions, n)
        return made if backend is None else in_backend(as_pandas(made), backend)

    def _augment_stream(self, data: Any, backend: Backend | None, path: Any, progress: bool | None) -> Any:
        from henderson.prediction.parts import augmented
        from henderson.progress import progress_bar
        from henderson.sources.frames import as_pandas
        from henderson.sources.streams.parquet import write_parquet
        from henderson.sources.streams.registry import open_source
        from henderson.tables.backend import in_backend

        source = self.engine.streamed.source if data is None else open_source(data)
        tables = augmented(self.engine, source)
        if path is None:
            return tables if backend is None else (in_backend(as_pandas(one), backend) for one in tables)
        with progress_bar("Writing, rows", source.n, progress, rate="rows") as tell:
            return write_parquet(path, tables, tell)

    def to_dict(self) -> dict[str, Any]:
        """Formula, sample sizes, estimates with their tests, variances and measures, as JSON holds them.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> found = fit.to_dict()
        >>> found["levels"], found["fixed"][0]["term"], round(found["fixed"][0]["estimate"], 1)
        ({'Batch': 6}, '(Intercept)', 1527.5)
        """
        from henderson.report.tidy import as_dict

        return as_dict(self.engine, self.inference)

    @property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        """What maketables lists: b, se, t, p, ci95l, ci95u of each coefficient."""
        from henderson.inference.hypotheses import coef_table

        names = {"estimate": "b", "se": "se", "statistic": "t", "p": "p", "lower": "ci95l", "upper": "ci95u"}
        table = pd.DataFrame(coef_table(self.inference))[list(names)].rename(columns=names)
        table.index.name = "Coefficient"
        return table

    @property
    def __maketables_depvar__(self) -> str:
        """What maketables heads a column with."""
        return self.design.y_name

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        """What maketables puts below the coefficients."""
        return ["N", "aic", "bic"]

    def __maketables_stat__(self, key: str) -> Any:
        """One of maketables' statistics; None for those that a mixed model has not."""
        from henderson.diagnostics.measures import aic, bic, r2

        known: dict[str, Callable[[], Any]] = {
            "N": lambda: self.engine.n,
            "aic": lambda: aic(self.engine),
            "bic": lambda: bic(self.engine),
            "ll": lambda: -0.5 * float(self.engine.deviance),
            "r2": lambda: r2(self.engine).conditional,
            "r2_within": lambda: r2(self.engine).marginal,
        }
        return known[key]() if key in known else None
