"""A fit as JSON: full precision, and nothing that JSON has no word for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from henderson import __version__
from henderson.errors import DataError


def as_record(
    result: Any, *, formula: str, warned: Sequence[str] = (), crossproducts: bool | None = None
) -> dict[str, Any]:
    """A result as JSON-ready numbers and text.

    Parameters
    ----------
    result : MixedLMResults
    formula : str
        As the user wrote it.
    warned : sequence of str
        Warnings of the fit.
    crossproducts : bool, optional
        Of the model in it; see `results.save`.

    Returns
    -------
    dict
        Full precision throughout; NaN and infinity are None. ``model`` is the saved model itself, for
        `henderson.load`; None where the format has no place for what it uses, and ``warnings`` say what.
    """
    from henderson.results.saved import model_text

    fixed = result.coef_table.rename_axis("name").reset_index()
    record = {
        "henderson": __version__,
        "formula": formula,
        "method": result.method,
        "nobs": result.nobs,
        "missing": result.design.n_missing,
        "groups": result.ngrps,
        "fixed": fixed,
        "varcorr": result.varcorr,
        "sigma": result.sigma,
        "theta": result.theta,
        "deviance": result.deviance,
        "loglik": result.llf,
        "aic": result.aic,
        "bic": result.bic,
        "singular": result.is_singular,
        "converged": result.converged,
        "optimum": result.optinfo,
        "warnings": list(warned),
    }
    try:
        record["model"] = model_text(result, crossproducts)
    except DataError as error:  # such as a formula with functions of the user's own
        record["model"], record["warnings"] = None, [*warned, f"no model in this file: {error}"]
    return {key: _plain(value) for key, value in record.items()}


def _plain(value: Any) -> Any:
    """The nearest thing that JSON can say; whatever has no number or text in it becomes its `str`."""
    import math

    import numpy as np
    import pandas as pd

    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict(orient="records")]
    if isinstance(value, pd.Series):
        return {str(key): _plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
