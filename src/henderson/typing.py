"""Types of what a caller gives and gets: tables of any make, labels, seeds, hypotheses, pictures.

They say what is read; what cannot be read is refused at run time, by the name of the option. The libraries that are not
required (polars, pyarrow, matplotlib) are named for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


@runtime_checkable
class FrameLike(Protocol):
    """A table with columns: of pandas, polars, pyarrow, modin, …"""

    @property
    def columns(self) -> Any:
        """The columns, or their names."""

    def __getitem__(self, key: Any, /) -> Any:
        """A column."""


class Fitted(Protocol):
    """Results of a fit: what `henderson.lmer` and `MixedLM.fit` return."""

    @property
    def engine(self) -> Any:
        """The fit as numbers."""


class EvalEnvironment(Protocol):
    """patsy's: the names that a formula may use."""

    @property
    def namespace(self) -> Any:
        """A mapping of them."""


class Penalty(Protocol):
    """A function of parameters that a likelihood is lessened by."""

    @property
    def func(self) -> Callable[..., Any]:
        """Its value."""

    @property
    def deriv(self) -> Callable[..., Any]:
        """Its gradient."""


#: what `henderson.sources.frames.read_table` reads
TableLike: TypeAlias = FrameLike | Mapping[str, Any] | np.ndarray

#: a column's name, or one value for each row
ColumnLike: TypeAlias = str | pd.Series | ArrayLike

#: what `henderson.sources.streams.registry.open_source` opens; LazyFrames, datasets and relations are `Any`'s
StreamLike: TypeAlias = str | PathLike[str] | Sequence[str | PathLike[str]] | Iterator[Any] | Callable[[], Any]

#: a table of results, in one of the makes that are written
AnyFrame: TypeAlias = "pd.DataFrame | pl.DataFrame | pa.Table"

#: these, by name
Backend: TypeAlias = Literal["pandas", "polars", "pyarrow"]

#: a file, by its name
AnyPath: TypeAlias = str | PathLike[str]

#: … or open
AnyFile: TypeAlias = AnyPath | IO[bytes]

#: the start of random numbers; the same seed gives the same numbers
Seed: TypeAlias = int | np.random.SeedSequence | np.random.Generator

#: the same, and what statsmodels and SciPy take
AnyGenerator: TypeAlias = Seed | np.random.RandomState

#: values of variables, one or several of each
Values: TypeAlias = Mapping[str, object]

#: linear constraints on coefficients: see `henderson.parse_constraints`
ConstraintsLike: TypeAlias = str | Sequence[str] | ArrayLike | tuple[ArrayLike, ArrayLike] | Mapping[str, object]

#: contrasts of means: a named set, or rows of coefficients
ContrastsLike: TypeAlias = str | Sequence[str] | ArrayLike | pd.DataFrame | Mapping[str, object]

#: numbers by the names of the parameters, or in their order
ByName: TypeAlias = Mapping[str, float] | ArrayLike

#: variances of random effects: one, by grouping factor, or a table as `varcorr` is
Variances: TypeAlias = float | Mapping[str, object] | pd.DataFrame

#: numbers of levels of grouping factors
Sizes: TypeAlias = Mapping[str, int | Sequence[int] | np.ndarray]

#: a level, or its place
Label: TypeAlias = Hashable

#: several of them
Labels: TypeAlias = Sequence[Label] | pd.Series | pd.Index | np.ndarray

#: the alternative of a test; with a margin the last three
Side: TypeAlias = Literal[
    "two-sided", "both", "!=", "less", "left", "<", "greater", "right", ">", 0, -1, 1,
    "equivalence", "nonsuperiority", "noninferiority",
]  # fmt: skip

#: multiplicity adjustments
Adjust: TypeAlias = Literal[
    "none", "tukey", "dunnett", "dunnettx", "mvt", "scheffe", "sidak", "bonferroni", "holm", "hochberg", "hommel",
    "fdr", "bh", "BH", "by",
]  # fmt: skip

#: degrees of freedom: these, in any case, and their short names
Ddf: TypeAlias = (
    Literal[
        "satterthwaite", "kenward-roger", "kenward-roger-2009", "kenward-roger-observed", "kenward-roger-linear",
        "satterthwaite-sas", "containment", "between-within", "residual", "asymptotic", "KR",
    ]
    | str
)  # fmt: skip

#: covariances of the fixed effects: these, in any case
Cov: TypeAlias = (
    Literal[
        "model",
        "hessian",
        "kenward-roger",
        "kenward-roger-observed",
        "kenward-roger-linear",
        "CR0",
        "CR1",
        "CR2",
        "CR2-mmrm",
        "CR3",
    ]
    | str
)

#: what residuals are divided by
ResidualKind: TypeAlias = Literal[
    "raw",
    "pearson",
    "studentized",
    "external",
    "scaled",
    "quantile",
    "response",
    "studentised",
    "internal",
    "normalized",
]

#: … and what is subtracted: the mean, or the mean and the random effects
ResidualLevel: TypeAlias = Literal["marginal", "conditional"]

#: errors of predictions of rows that were left out
Metric: TypeAlias = Literal["rmse", "mae", "log_score", "elpd"]

#: intervals of all parameters
IntervalMethod: TypeAlias = Literal["wald", "profile", "boot"]
BootstrapKind: TypeAlias = Literal["parametric", "residual", "cases"]
BootstrapInterval: TypeAlias = Literal["percentile", "basic", "bca"]

#: rows of `tidy`
TidyEffects: TypeAlias = Literal["fixed", "ran_pars", "ran_vals", "ran_coefs"]

#: how marginal means average over other factors
Weights: TypeAlias = Literal["equal", "proportional", "cells", "outer", "flat"]

#: where several pictures are drawn
ManyAxes: TypeAlias = "Axes | Sequence[Axes] | np.ndarray"

#: where they are made
AnyFigure: TypeAlias = "Figure | SubFigure"
