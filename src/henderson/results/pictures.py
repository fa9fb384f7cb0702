"""What the pictures of a fit share: the results, and whose axes they draw on."""

from __future__ import annotations

from typing import Any

import numpy as np


class Pictures:
    """Pictures of some results.

    Parameters
    ----------
    results : MixedModelResults
    """

    def __init__(self, results: Any) -> None:
        self._results = results


def given(ax: Any, axes: Any) -> Any:
    """The user's axes, under either name."""
    if ax is not None and axes is not None:
        raise ValueError("give ax= or axes=, not both")
    return axes if ax is None else ax


def handed(found: np.ndarray, ax: Any) -> Any:
    """What was drawn on: the user's own axes where there is one."""
    return ax if hasattr(ax, "plot") else found
