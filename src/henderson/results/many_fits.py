"""`ManyFits`: what `fit_many` returns: arrays with one entry a response, and the table of them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from henderson.arguments import probability
from henderson.means.multiplicity.adjust import Family, adjusted_p
from henderson.numerics.distributions import t_pvalue
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table

FloatArray = np.ndarray

#: what has an entry a response
_BY_RESPONSE = ("responses", "estimate", "se", "df", "variances", "deviance", "converged", "singular", "nobs")


@dataclass(frozen=True, eq=False)
class ManyFits(TableExports):
    """Fits of B responses on one design.

    Attributes
    ----------
    responses : pandas.Index of length B
        Their names; numbers where they had none.
    names : tuple of r str
        Coefficients, then the contrasts that were asked for.
    estimate, se, df : (B, r) arrays
        A contrast less the value that it is tested against; NaN where one cannot be estimated, or a fit failed.
    variance_names : tuple of k str
        ``"sd_(Intercept)|g"``, ``"cor_x.(Intercept)|g"``, ``"sigma"``.
    variances : (B, k) array
        Standard deviations, correlations, and σ.
    deviance : (B,) array
        −2 log-likelihood, or the REML criterion.
    converged, singular : (B,) bool arrays
        Whether the optimum is certified, and whether some combination of random effects has no variance there.
    nobs : (B,) int array
        Rows in which the response is there.

    Examples
    --------
    >>> import henderson, numpy as np
    >>> data = henderson.datasets.load("sleepstudy")
    >>> Y = np.column_stack([data["Reaction"], np.log(data["Reaction"])])
    >>> found = henderson.fit_many("~ Days + (Days | Subject)", data, Y)
    >>> found.estimate.round(3).tolist(), found.df.round(1).tolist()
    ([[251.405, 10.467], [5.53, 0.034]], [[17.0, 17.0], [17.0, 17.0]])
    """

    responses: pd.Index
    names: tuple[str, ...]
    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    variance_names: tuple[str, ...]
    variances: FloatArray
    deviance: FloatArray
    converged: np.ndarray
    singular: np.ndarray
    nobs: np.ndarray

    def __len__(self) -> int:
        return len(self.deviance)

    def __repr__(self) -> str:
        bad = int((~self.converged).sum())
        more = f", {bad:,} without a certificate" if bad else ""
        return f"<ManyFits: {len(self):,} responses, {', '.join(self.names)}{more}>"

    def _repr_html_(self) -> str:
        """What the prompt says, and the summary."""
        return f"<p>{html.escape(repr(self))}</p>\n{self.summary()._repr_html_()}"

    def __getitem__(self, where: slice) -> ManyFits:
        """Some of the responses, by place."""
        if not isinstance(where, slice):
            raise TypeError("ManyFits takes a slice of responses, fits[:10]; to_frame() has one row a response")
        rows = {name: getattr(self, name)[where] for name in _BY_RESPONSE}
        return replace(self, **rows)

    def as_table(self) -> Table:
        """One row a response; of very many both ends."""
        return ResultFrame.of(self.to_frame(), repr(self).strip("<>"), keys=1).as_table()

    def summary(self, alpha: float = 0.05) -> ResultFrame:
        """What the responses say of each coefficient and contrast together.

        Parameters
        ----------
        alpha : float
            Level of the tests that are counted.

        Returns
        -------
        DataFrame
            Index: coefficient; columns fits (with a test), mean and sd (of the estimates), median, significant (p at
            or below `alpha`), discoveries (the same of p-values adjusted by Benjamini and Hochberg's method).

        Examples
        --------
        >>> import henderson, numpy as np
        >>> data = henderson.datasets.load("sleepstudy")
        >>> Y = np.random.default_rng(1).normal(size=(180, 200)) + np.arange(200) / 1000 * data[["Days"]].to_numpy()
        >>> henderson.fit_many("~ Days + (1 | Subject)", data, Y).summary()[["fits", "significant", "discoveries"]]
                     fits  significant  discoveries
        coefficient
        (Intercept)   200            8            0
        Days          200          153          150
        """
        alpha = probability(alpha, "alpha")
        p, none = self.p, np.empty((0, 0))
        rows = []
        for k in range(len(self.names)):
            there = np.isfinite(p[:, k])
            values = self.estimate[there, k]
            family = Family(self.statistic[there, k], self.df[there, k], none, 0)
            some = bool(len(values))
            rows.append({
                "fits": int(there.sum()),
                "mean": float(values.mean()) if some else np.nan,
                "sd": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
                "median": float(np.median(values)) if some else np.nan,
                "significant": int((p[there, k] <= alpha).sum()),
                "discoveries": int((adjusted_p("fdr", family) <= alpha).sum()) if some else 0,
            })  # fmt: skip
        frame = pd.DataFrame(rows, index=pd.Index(self.names, name="coefficient"))
        bad, edge = int((~self.converged).sum()), int(self.singular.sum())
        notes = (
            f"significant: p at or below {alpha:g}; discoveries: by Benjamini and Hochberg's false discovery rate",
            f"{len(self):,} responses, {bad:,} without a certificate, {edge:,} singular",
        )
        return ResultFrame.of(frame, "", notes)

    @property
    def statistic(self) -> FloatArray:
        """estimate / se, (B, r)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.estimate / self.se

    @property
    def p(self) -> FloatArray:
        """Two-sided p of t with `df`, (B, r)."""
        return np.asarray(t_pvalue(self.statistic, self.df))

    def to_frame(self) -> pd.DataFrame:
        """One row a response: ``x.estimate``, ``x.se``, ``x.df``, ``x.p`` of every coefficient and contrast, variances.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> frame = henderson.fit_many("~ Days + (1 | Subject)", data, data[["Reaction"]]).to_frame()
        >>> frame[["Days.estimate", "sigma"]].round(3).to_dict("list")
        {'Days.estimate': [10.467], 'sigma': [30.991]}
        """
        p = self.p
        columns: dict[str, object] = {"response": self.responses}
        for k, name in enumerate(self.names):
            parts = {"estimate": self.estimate, "se": self.se, "df": self.df, "p": p}
            columns |= {f"{name}.{what}": values[:, k] for what, values in parts.items()}
        columns |= {name: self.variances[:, k] for k, name in enumerate(self.variance_names)}
        columns |= {
            "deviance": self.deviance,
            "converged": self.converged,
            "singular": self.singular,
            "nobs": self.nobs,
        }
        return pd.DataFrame(columns)

    @classmethod
    def joined(cls, parts: Sequence[ManyFits]) -> ManyFits:
        """One after another."""
        first = parts[0]

        def both(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts])

        return cls(
            first.responses.append([part.responses for part in parts[1:]]),
            first.names,
            both("estimate"),
            both("se"),
            both("df"),
            first.variance_names,
            *(both(name) for name in ("variances", "deviance", "converged", "singular", "nobs")),
        )
