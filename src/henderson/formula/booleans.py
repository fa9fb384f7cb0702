"""formulaic, with conditions such as ``I(x > 1)`` taken for factors, as R and patsy take them.

Imports formulaic: to be imported where expressions are evaluated, and only there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from formulaic.materializers import PandasMaterializer
from interface_meta import override


class Materializer(PandasMaterializer):
    """formulaic's evaluation of expressions on a pandas frame, booleans being categorical."""

    REGISTER_NAME = "henderson"

    @override
    def _is_categorical(self, values: Any) -> bool:
        wrapped = getattr(values, "__wrapped__", values)
        if isinstance(wrapped, pd.Series | np.ndarray) and wrapped.ndim == 1:
            return pd.api.types.is_bool_dtype(wrapped) or super()._is_categorical(values)
        return super()._is_categorical(values)
