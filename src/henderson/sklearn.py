"""`MixedLMRegressor`: a mixed model as an estimator of scikit-learn (``pip install henderson[sklearn]``).

scikit-learn hands over columns and a response apart; the formula speaks of both. Columns of a table keep their names;
those of an array are called x0, x1, …. Groups are a column of X (so that pipelines and `GroupKFold` carry them along)
or all rows of an array's last column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("henderson.sklearn needs scikit-learn: pip install henderson[sklearn]") from error

from henderson.door import lmer
from henderson.formula.tokens import bare
from henderson.sources.arrow import is_arrow
from henderson.sources.frames import as_pandas
from henderson.typing import TableLike

FloatArray = np.ndarray

#: what the response is called in the formula when it names none
RESPONSE = "y"


class MixedLMRegressor(RegressorMixin, BaseEstimator):
    """A linear mixed model with scikit-learn's interface.

    Parameters
    ----------
    formula : str, optional
        ``"y ~ x + (x | g)"``, or its right side; the columns of X by name. By default all columns, with random
        intercepts of `groups` where given.
    groups : str, optional
        Column of X whose levels have a random intercept, when the formula has no bars.
    reml : bool
    random : bool
        Predict with the random effects of levels that the fit knows; others have the mean.
    residual : str, optional
        Covariance of the residuals, ``"ar1(day | subject)"``, as in `lmer`; the formula needs no bars then.
    relmat : mapping of str to relationships, optional
        Known relationships of the levels of a factor, as in `lmer`.

    Attributes
    ----------
    results_ : MixedModelResults
        None where there is no grouping factor in X: the mean then is least squares'.
    coef_ : (p,) array
        Fixed effects without the intercept.
    intercept_ : float
    n_features_in_ : int
    feature_names_in_ : (k,) array of str
        Of a table.

    Examples
    --------
    >>> import henderson
    >>> from henderson.sklearn import MixedLMRegressor
    >>> data = henderson.datasets.load("sleepstudy")
    >>> model = MixedLMRegressor("Days + (Days | Subject)").fit(data[["Days", "Subject"]], data["Reaction"])
    >>> model.coef_.round(3), model.predict(data[["Days", "Subject"]])[:2].round(1)
    (array([10.467]), array([253.7, 273.3]))
    """

    def __init__(
        self,
        formula: str | None = None,
        groups: str | None = None,
        reml: bool = True,
        random: bool = True,
        residual: str | None = None,
        relmat: Mapping[str, Any] | None = None,
    ) -> None:
        self.formula = formula
        self.groups = groups
        self.reml = reml
        self.random = random
        self.residual = residual
        self.relmat = relmat

    def fit(self, X: TableLike | ArrayLike, y: ArrayLike) -> MixedLMRegressor:
        """Fit the model.

        Parameters
        ----------
        X : table or (n, k) array
        y : (n,) array

        Returns
        -------
        self

        Examples
        --------
        >>> from henderson import datasets
        >>> from henderson.sklearn import MixedLMRegressor
        >>> data = datasets.load("sleepstudy")
        >>> model = MixedLMRegressor("Days + (Days | Subject)").fit(data[["Days", "Subject"]], data["Reaction"])
        >>> model.results_.params.round(2).to_dict()
        {'(Intercept)': 251.41, 'Days': 10.47}
        """
        if y is None:
            raise ValueError("MixedLMRegressor requires y to be passed, but the target y is None")
        _, response = self._validated(X, y)
        frame = self._frame(X)
        formula = self._whole_formula(list(frame.columns))
        if formula is None:
            self.results_ = None
            design = np.column_stack([np.ones(len(frame)), frame.to_numpy(float)])
            beta = np.linalg.lstsq(design, response, rcond=None)[0]
            self.intercept_, self.coef_ = float(beta[0]), beta[1:]
            return self
        left = formula.partition("~")[0].strip()
        name = bare(left)
        if name == left and not left.isidentifier():
            raise ValueError(
                f"the left side of the formula is a name for y, not {left!r}: transform y, or take "
                "TransformedTargetRegressor"
            )
        if name in frame.columns:
            raise ValueError(f"the formula calls y {name!r}, which is a column of X")
        self.results_ = lmer(
            formula,
            frame.assign(**{name: response}),
            REML=self.reml,
            residual=self.residual,
            relmat=self.relmat,
            env="closed",
        )
        params = self.results_.params
        intercept = params.index == "(Intercept)"
        self.intercept_ = float(params[intercept].sum())
        self.coef_ = params[~intercept].to_numpy(float)
        return self

    def predict(self, X: TableLike | ArrayLike) -> FloatArray:
        """The response of new rows, (n,).

        Examples
        --------
        >>> from henderson import datasets
        >>> from henderson.sklearn import MixedLMRegressor
        >>> data = datasets.load("sleepstudy")
        >>> model = MixedLMRegressor("Days + (Days | Subject)").fit(data[["Days", "Subject"]], data["Reaction"])
        >>> model.predict(data[["Days", "Subject"]])[:2].round(2)
        array([253.66, 273.33])
        """
        check_is_fitted(self)
        self._validated(X)
        frame = self._frame(X)
        if self.results_ is None:
            return np.asarray(self.intercept_ + frame.to_numpy(float) @ self.coef_)
        re = "all" if self.random else "none"
        return np.asarray(self.results_.predict(frame, re=re, new_levels="population"), float)

    def _validated(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        """X and y as scikit-learn checks them: columns of text are fine where a formula says what they are."""
        plain = self.formula is None and self.groups is None
        how: dict[str, Any] = {"dtype": "numeric"} if plain or not _is_table(X) else {"dtype": None}
        if y is None:
            return validate_data(self, X, reset=False, **how), None
        if plain:
            how["ensure_min_samples"] = 2
        X, y = validate_data(self, X, y, y_numeric=True, **how)
        return X, np.asarray(y, float)

    def _frame(self, X: Any) -> pd.DataFrame:
        """The columns with their names, read as `lmer` reads a table of that make."""
        if _is_table(X):
            return as_pandas(X).reset_index(drop=True)
        values = np.asarray(X)
        return pd.DataFrame(values, columns=pd.Index([f"x{k}" for k in range(values.shape[1])]))

    def _whole_formula(self, columns: list[str]) -> str | None:
        """The formula with a response and random effects; None for least squares."""
        if self.groups is not None and self.groups not in columns:
            raise ValueError(f"groups={self.groups!r} is no column of X; there are {', '.join(map(str, columns))}")
        if self.formula is None:
            if self.groups is None:
                return None
            right = " + ".join(f"`{name}`" for name in columns if name != self.groups) or "1"
        else:
            right = self.formula
        if "|" not in right and (self.groups is not None or self.residual is None):
            if self.groups is None:
                raise ValueError(
                    f"the formula {right!r} has no random effects such as (1 | g), and groups= is not given"
                )
            right += f" + (1 | `{self.groups}`)"
        if "~" in right:
            return right
        name = RESPONSE
        while name in columns:
            name += "_"
        return f"{name} ~ {right}"


def _is_table(X: Any) -> bool:
    """Whether the columns have names, of pandas, polars or pyarrow."""
    return isinstance(X, pd.DataFrame) or is_arrow(X) or (hasattr(X, "columns") and hasattr(X, "to_numpy"))
