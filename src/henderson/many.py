"""`fit_many`: one design, many responses: genes, voxels, simulated data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from henderson.arguments import shown
from henderson.errors import DataError, FormulaError
from henderson.formula.environment import Env, capture
from henderson.typing import ConstraintsLike

if TYPE_CHECKING:
    from henderson.results.many_fits import ManyFits
    from henderson.typing import ColumnLike, TableLike

FloatArray = np.ndarray


def fit_many(
    formula: str,
    data: TableLike,
    Y: TableLike | ArrayLike | str | Path,
    *,
    REML: bool = True,
    contrast: ConstraintsLike | None = None,
    weights: ColumnLike | None = None,
    offset: ColumnLike | None = None,
    contrasts: Mapping[str, Any] | None = None,
    ddf: Literal["satterthwaite", "asymptotic", "residual"] = "satterthwaite",
    check_identified: Literal["raise", "warn", "ignore"] = "raise",
    env: Env = 0,
    path: str | Path | None = None,
    progress: bool | Callable[[int, int], None] | None = None,
) -> ManyFits | Path:
    """Fit one model to many responses.

    Each response goes to its own optimum, with its own certificate; they share the design, its factorisations and the
    arithmetic of arrays. The memory is that of a block of responses, and of what is returned.

    Parameters
    ----------
    formula : str
        Without a response: ``"~ x + (x | g)"``.
    data : pandas or polars DataFrame, pyarrow Table, dict of arrays
        The design's columns, n rows.
    Y : (n, B) array, memory map or anything with `shape` and slices; table with a column a response; path of a .npy
        An array on disk is read block by block. A response that is missing in some rows is fitted without them.
    REML : bool
    contrast : str, list of str, array or mapping, optional
        Linear combinations of the coefficients to estimate too; see `henderson.parse_constraints`.
    weights, offset, contrasts, check_identified, env
        As for `henderson.lmer`.
    ddf : {"satterthwaite", "asymptotic", "residual"}
    path : str or path, optional
        Write one row a response to this Parquet file, block by block, and hold none of them.
    progress : bool or callable, optional
        Show how many responses are done.

    Returns
    -------
    ManyFits
        With `path`: the file that was written.

    Raises
    ------
    FormulaError, DataError, ValueError
        Before any fitting; the message names the culprit. A response that cannot be fitted (it is constant, say) does
        not end the others: it is NaN, and not `converged`.

    Examples
    --------
    >>> import henderson, numpy as np
    >>> data = henderson.datasets.load("sleepstudy")
    >>> Y = np.random.default_rng(1).normal(size=(180, 1000)) + 3 * data[["Days"]].to_numpy()
    >>> found = henderson.fit_many("~ Days + (1 | Subject)", data, Y, contrast="Days = 3")
    >>> found
    <ManyFits: 1,000 responses, (Intercept), Days, Days = 3>
    >>> bool(found.converged.all()), bool(abs((found.p[:, 2] < 0.05).mean() - 0.05) < 0.02)
    (True, True)
    """
    from henderson.inference.many_responses import DDF
    from henderson.sources.frames import read_table
    from henderson.sources.responses import response_blocks
    from henderson.sources.streams.registry import is_stream

    if not isinstance(formula, str) or not formula.strip().startswith("~"):
        raise FormulaError(
            f"the responses are in Y, so the formula begins with ~, as in '~ x + (x | g)', not {shown(formula)}"
        )
    if not isinstance(REML, bool | np.bool_):
        raise ValueError(f"REML must be True or False, not {REML!r}")
    if ddf not in DDF:
        raise ValueError(f"ddf must be one of {', '.join(DDF)}, not {ddf!r}")
    if is_stream(data):
        raise DataError("fit_many has its design in memory: read the table; Y may be on disk")
    table = read_table(data)
    responses = response_blocks(Y, table.index, table.labelled)
    options = {
        "weights": weights,
        "offset": offset,
        "contrasts": contrasts,
        "check_identified": check_identified,
        "env": capture(env),
    }
    fits = _blocks(formula, data, responses, contrast, bool(REML), ddf, options)
    return _collected(fits, len(responses), path, progress)


def _collected(fits: Iterator[ManyFits], n: int, path: Any, progress: Any) -> ManyFits | Path:
    from henderson.progress import progress_bar
    from henderson.results.many_fits import ManyFits

    with progress_bar("Fitting, responses", n, progress, rate="responses") as tell:
        if path is not None:
            from henderson.sources.streams.parquet import write_parquet

            return write_parquet(path, (part.to_frame() for part in fits), tell)
        parts, done = [], 0
        for part in fits:
            parts.append(part)
            done += len(part)
            tell(done)
    return ManyFits.joined(parts)


def _blocks(
    formula: str,
    data: Any,
    responses: Any,
    contrast: Any,
    reml: bool,
    ddf: str,
    options: dict[str, Any],
) -> Iterator[ManyFits]:
    """The fits, block by block."""
    from henderson.inference.many_responses import MOST, ManyArrays
    from henderson.results.many_fits import ManyFits

    designs = _Designs(formula, data, contrast, reml, ddf, options)
    size, start = MOST, 0
    while start < len(responses):
        y = responses.block(start, start + size)[designs.positions]
        if start == 0:
            size = designs.batch(y)
            y = y[:, :size]
        where = slice(start, start + y.shape[1])
        out = ManyArrays.failed(y.shape[1], len(designs.names), len(designs.variance_names))
        missing = np.isnan(y)
        nobs = len(y) - missing.sum(axis=0)
        whole = np.flatnonzero(~missing.any(axis=0))
        if len(whole):
            designs.fit(y[:, whole], None, out, whole)
        for pattern, members in _patterns(missing):
            designs.fit(y[~pattern][:, members], ~pattern, out, members)
        yield ManyFits(
            responses.names[where], designs.names, out.estimate, out.se, out.df, designs.variance_names,
            out.variances, out.deviance, out.converged, out.singular, nobs,
        )  # fmt: skip
        start = where.stop


def _patterns(missing: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each pattern of missing rows (n,), and the responses that have it."""
    some = np.flatnonzero(missing.any(axis=0))
    by_key: dict[bytes, list[int]] = {}
    for b in some.tolist():
        by_key.setdefault(np.packbits(missing[:, b]).tobytes(), []).append(b)
    for members in by_key.values():
        yield missing[:, members[0]], np.array(members)


class _Designs:
    """The design of all rows, and those of the rows that some responses have."""

    def __init__(self, formula: str, data: Any, contrast: Any, reml: bool, ddf: str, options: dict[str, Any]) -> None:
        from henderson.design.variance_parameters import variance_parameters
        from henderson.design.without_response import design_without_response
        from henderson.inference.constraints import parse_constraints

        self._make = lambda subset: design_without_response(formula, data, subset=subset, **options)
        self.reml, self.ddf = reml, ddf
        self.design, self.rows = self._make(None)
        if self.design.residual is not None:
            raise DataError("fit_many fits models whose residuals are independent")
        self.n_data = self.design.n + self.design.n_missing
        self.positions = np.arange(self.n_data) if self.rows.positions is None else self.rows.positions
        x_names = self.design.x_names
        R, values = np.zeros((0, len(x_names))), np.zeros(0)
        labels: tuple[str, ...] = ()
        if contrast is not None:
            R, values, labels = parse_constraints(contrast, x_names)
        self.names = (*x_names, *labels)
        self.wanted = np.vstack([np.eye(len(x_names)), R])
        self.values = np.concatenate([np.zeros(len(x_names)), values])
        self.variance_names = tuple(one.name for one in variance_parameters(self.design))
        self._fitter: Any = None

    def batch(self, y: FloatArray) -> int:
        """Responses of a block."""
        whole = y[:, ~np.isnan(y).any(axis=0)]
        if not whole.shape[1]:
            return y.shape[1]
        fitter = self._of_all(whole)
        return y.shape[1] if fitter is None else max(fitter.batch, 1)

    def _of_all(self, y: FloatArray) -> Any:
        from henderson.inference.many_responses import ManyFitter

        if self._fitter is None:
            try:
                self._fitter = ManyFitter.of(self.design, self.rows, y, self.wanted, self.reml, self.ddf)
            except DataError:
                return None  # not one of these can be fitted
        return self._fitter

    def fit(self, y: FloatArray, there: np.ndarray | None, out: Any, members: np.ndarray) -> None:
        """Fit responses of the rows that are `there` (None: all), and write what was found to the members' places."""
        from henderson.design.variance_parameters import variance_parameters
        from henderson.inference.many_responses import ManyFitter

        columns: Any = slice(None)
        if there is None:
            fitter = self._of_all(y)
        else:
            subset = np.zeros(self.n_data, bool)
            subset[self.positions[there]] = True
            try:
                design, rows = self._make(subset)
                place = [self.design.x_names.index(name) for name in design.x_names]
                fitter = ManyFitter.of(design, rows, y, self.wanted[:, place], self.reml, self.ddf)
            except (DataError, ValueError):
                fitter = None  # too few rows, a factor of one level: nothing can be said of these
            else:
                lost = np.delete(np.arange(len(self.design.x_names)), place)
                unknown = (self.wanted[:, lost] != 0).any(axis=1)
                names = [one.name for one in variance_parameters(design)]
                columns = [self.variance_names.index(name) for name in names]
        if fitter is None:
            return
        found = fitter(y)
        if there is not None:
            for array in (found.estimate, found.se, found.df):
                array[:, unknown] = np.nan
        found.estimate[...] -= self.values
        out.put(members, found, columns)
