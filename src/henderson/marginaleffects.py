"""Fits for marginaleffects, whose list of models is closed to other packages but open to its own base class.

    from marginaleffects import avg_slopes
    avg_slopes(henderson.marginaleffects.wrap(fit, data), variables="Days")

Predictions are of the fixed part (random effects at zero), their covariance the results' own, degrees of freedom
infinite unless marginaleffects is told otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

try:
    import polars as pl
    from marginaleffects.classes import ModelAbstract, ModelVault
except ImportError as error:
    raise ImportError(
        "henderson.marginaleffects needs marginaleffects and polars: pip install marginaleffects"
    ) from error

from henderson.design.replay import fixed_columns
from henderson.errors import DataError
from henderson.sources.frames import read_table
from henderson.typing import TableLike

if TYPE_CHECKING:
    from henderson.results.fitted import MixedModelResults

FloatArray = np.ndarray


class Model(ModelAbstract):
    """A fit as marginaleffects sees a model; made by `wrap`."""

    def validation(self) -> None:
        """What the base class checks holds by construction; kinds of variables are read off the columns here."""
        self.coef, self.formula = self.vault.coef, self.vault.formula
        self.response_name = self.find_response()
        frame = self.vault.modeldata
        self.vault.variables_type = {name: _kind(frame[name]) for name in self.vault.variable_names or ()}

    def get_vcov(self, vcov: Any = True) -> FloatArray | None:
        """The covariance of the fixed effects; a matrix as it is, None for False."""
        if isinstance(vcov, np.ndarray):
            return vcov
        if vcov is False or vcov is None:
            return None
        if vcov is not True:
            raise ValueError(f"vcov={vcov!r}: choose with results.with_inference(cov=…), and wrap those")
        return self.vault.vcov

    def get_exog(self, newdata: Any) -> FloatArray:
        """X of new rows."""
        return fixed_columns(self.model.design, newdata)[:, self.model.engine.kept]

    def get_predict(self, params: FloatArray, newdata: Any) -> pl.DataFrame:
        """X params."""
        X = newdata if isinstance(newdata, np.ndarray) else self.get_exog(newdata)
        rowid = pl.Series(np.arange(len(X)), dtype=pl.Int32)
        return pl.DataFrame({"rowid": rowid, "estimate": X @ np.asarray(params, float)})

    def get_df(self) -> float:
        """Infinite: a z test, as for any linear function of the coefficients of unknown df."""
        return np.inf


def wrap(results: MixedModelResults, data: TableLike) -> Model:
    """A fit that `predictions`, `slopes` and `comparisons` take.

    Parameters
    ----------
    results : MixedModelResults
        Of a formula.
    data : table
        The table that was fitted.

    Raises
    ------
    DataError
        For a model made of arrays, whose columns have no variables.

    Examples
    --------
    >>> import henderson
    >>> from henderson.marginaleffects import wrap
    >>> from marginaleffects import avg_slopes
    >>> data = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", data)
    >>> found = avg_slopes(wrap(fit, data), variables="Days")
    >>> float(round(found["estimate"][0], 3)), float(round(found["std_error"][0], 2))
    (10.467, 1.55)
    """
    design, kept = results.design, results.engine.kept
    if design.specs is None:
        raise DataError("marginaleffects needs a model made by a formula")
    table = read_table(data)
    variables = list(dict.fromkeys([*design.specs.response.variables, *design.specs.fixed.variables]))
    names = [*variables, *(name for name in table.names if name not in variables)]
    frame = pl.DataFrame([_column(str(name), table[name], name in variables) for name in names])
    response = design.specs.response.variables[0] if design.specs.response.variables else design.y_name
    vault = ModelVault(
        coef=np.asarray(results.engine.beta)[kept],
        coefnames=np.array(design.x_names)[kept],
        formula=f"{response} ~ {' + '.join(design.specs.fixed.variables) or '1'}",
        modeldata=frame,
        package="henderson",
        vcov=results.inference.known_cov[np.ix_(kept, kept)],
        variable_names=[response, *design.specs.fixed.variables],
    )
    return Model(results, vault)


def _kind(column: pl.Series) -> str:
    """What marginaleffects calls a kind of variable."""
    if column.dtype == pl.Boolean:
        return "boolean"
    if column.dtype.is_integer():
        return "binary" if set(column.unique().to_list()) == {0, 1} else "integer"
    if column.dtype.is_float():
        return "binary" if set(column.unique().to_list()) == {0.0, 1.0} else "numeric"
    return "character"


def _column(name: str, values: Any, used: bool) -> pl.Series:
    """A column as polars reads it; text that the model uses has its levels in order, as marginaleffects wants it."""
    known = getattr(values, "categories", None)
    plain = np.asarray(values)
    column = pl.Series(name, [str(one) for one in plain]) if plain.dtype.kind in "OUT" else pl.Series(name, plain)
    if used and column.dtype == pl.String:
        levels = sorted(set(column.to_list())) if known is None else [str(one) for one in known]
        return column.cast(pl.Enum(levels))
    return column
