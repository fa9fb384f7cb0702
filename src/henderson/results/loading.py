"""`load`: results from a file, in whichever format they were saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from henderson.results.fitted import MixedModelResults
from henderson.results.saved import read_saved
from henderson.typing import AnyPath


def load(fname: AnyPath, env: Mapping[str, Any] | None = None) -> MixedModelResults:
    """Results that their method `save` wrote.

    A file in the format "henderson", or a record of a fit that ``henderson fit --out fit.json`` wrote, is safe to load,
    whoever wrote it. A pickle can run code: load only what you trust.

    Parameters
    ----------
    fname : str or path
    env : mapping of str, optional
        Functions of your own that the formula uses; a file in the format "henderson" has their names only.

    Returns
    -------
    MixedModelResults or MixedLMResults
        The class that was saved.

    Raises
    ------
    DataError
        When the file is neither, is not whole, or was written by a version that this one does not know.

    Examples
    --------
    >>> import henderson
    >>> import pathlib, tempfile
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "fit.henderson"
    >>> fit.save(path)
    >>> henderson.load(path).params.round(3).to_dict()
    {'(Intercept)': 251.405, 'Days': 10.467}
    """
    return cast(MixedModelResults, read_saved(fname, env))  # nothing else is a FittedModel that can be saved
