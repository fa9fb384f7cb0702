"""Results on disk, and results without anything that has one entry a row."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from henderson.engine.fit import Fit
from henderson.errors import NotAvailable
from henderson.results.base import FittedModel
from henderson.typing import AnyFile, AnyPath
from henderson.whole_file import whole_file

if TYPE_CHECKING:
    from typing import Self

    from henderson.results.row_sums import RowSums

#: bytes of cross-products up to which a file without rows has them
MOST_BYTES = 600_000
#: where a model has many levels, cross-products in a file by default: times what their effects take, and at most
TIMES_EFFECTS, MOST_OF_LEVELS = 16, 64_000_000

FORMATS = ("pickle", "henderson")


class Keeping(FittedModel):
    """Results saved, loaded, and made light."""

    #: what a lighter fit does not change, though it may have been computed
    _lasting: frozenset[str] = frozenset(("inference",))

    def save(
        self,
        fname: AnyFile,
        remove_data: bool = False,
        *,
        format: Literal["pickle", "henderson"] | None = None,
        crossproducts: bool | None = None,
    ) -> None:
        """Write to a file; `henderson.load` reads it.

        Parameters
        ----------
        fname : str, path, or binary file
        remove_data : bool
            Leave out everything with one entry a row; see `remove_data`. The format "henderson" always does.
        format : {"pickle", "henderson"}, optional
            Python's pickle, or a documented format that holds no code and is safe to load. By default "henderson" for a
            name that ends in ``.henderson``, else "pickle".
        crossproducts : bool, optional
            Without rows: keep the cross-products, which profiles, refits by the other criterion, the likelihood at
            other parameters and standard errors of predictions with random effects need. By default when they take less
            than 600 kB, or grow with the levels alone (16 numbers an effect, up to 64 MB); a model with `residual=` has
            none.

        Examples
        --------
        >>> import henderson, tempfile, pathlib
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "dyestuff.henderson"
        >>> fit.save(path)
        >>> again = henderson.load(path)
        >>> again.deviance == fit.deviance, again.predict({"Batch": ["A"]}, random=True).round(1).tolist()
        (True, [1509.9])
        """
        kind = format or ("henderson" if str(fname).endswith(".henderson") else "pickle")
        if kind not in FORMATS:
            raise ValueError(f"unknown format {kind!r}; there are {', '.join(FORMATS)}")
        results = self
        if remove_data or kind == "henderson" or not self.engine.has_rows:
            results = copy.copy(self)
            results.remove_data()
            if _leaves_sums_out(results.engine, crossproducts):
                results._keep(results.engine.without_sums())
        if kind == "henderson":
            from henderson.results.file import write

            with whole_file(fname) if isinstance(fname, str | PathLike) else nullcontext(fname) as file:
                write(results, file)
            return
        if not isinstance(fname, str | PathLike):
            pickle.dump(results, fname, protocol=pickle.HIGHEST_PROTOCOL)
            return
        with whole_file(fname) as place, place.open("wb") as file:
            pickle.dump(results, file, protocol=pickle.HIGHEST_PROTOCOL)

    @classmethod
    def load(cls, fname: AnyPath) -> Self:
        """Results that `save` wrote, in either format.

        Parameters
        ----------
        fname : str or path

        Returns
        -------
        results

        Examples
        --------
        >>> import henderson
        >>> import pathlib, tempfile
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "fit.henderson"
        >>> fit.save(path)
        >>> type(fit).load(path).params.round(3).to_dict()
        {'(Intercept)': 251.405, 'Days': 10.467}
        """
        from henderson.results.saved import read_saved

        return read_saved(fname)  # type: ignore[return-value]  # of the class that was saved

    @property
    def crossproducts(self) -> RowSums:
        """The sums of the rows, of a fit that read them in parts: to be saved, and added to those of other rows.

        Raises
        ------
        NotAvailable
            When the rows were in memory.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> formula = "Reaction ~ Days + (Days | Subject)"
        >>> early = henderson.lmer(formula, iter([data[data["Days"] < 5]]))
        >>> late = henderson.lmer(formula, iter([data[data["Days"] >= 5]]))
        >>> both = early.crossproducts + late.crossproducts
        >>> henderson.lmer(formula, both).nobs
        180
        """
        from henderson.results.row_sums import RowSums

        sums = getattr(self.engine.streamed, "sums", None)
        if sums is None:
            raise NotAvailable(
                "crossproducts: these results have no sums of rows read in parts; give lmer the file, or iter([table])"
            )
        return RowSums(sums)

    def remove_data(self) -> None:
        """Let go of everything with one entry a row.

        All that needs no rows stays and gives the same numbers: tables, tests, marginal means, comparisons, predictions
        for new rows. What does need rows (fitted values, the bootstrap, cluster-robust covariances, `ranova`, …) raises
        an error that says so.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.remove_data()
        >>> fit.predict({"Days": [10]}).round(2)
        array([356.08])
        """
        if not self.engine.has_rows:
            return
        from henderson.inference.ddf import containment
        from henderson.prediction import breeding_values

        self.__dict__["inference"] = self.inference.settled()  # computed while there are rows
        known = containment.worth_remembering(self.engine) | breeding_values.worth_remembering(self.engine)
        self._keep(self.engine.without_rows(known))

    def _keep(self, fit: Fit) -> None:
        """Take a lighter fit in place of one's own; `inference` stays, all else is computed anew."""
        for name in [name for name in self.__dict__ if name in _cached(type(self)) - self._lasting]:
            del self.__dict__[name]
        self.engine = fit

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: nothing that can be computed again, but for the inference."""
        computed = _cached(type(self)) - self._lasting
        return {name: value for name, value in self.__dict__.items() if name not in computed}


def _cached(cls: type) -> set[str]:
    """Names of a class' cached properties."""
    from functools import cached_property

    return {name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, cached_property)}


def _leaves_sums_out(fit: Fit, crossproducts: bool | None) -> bool:
    """Whether sums stay out of a file: large ones by default, and always those of correlated residuals, which are of
    single series."""
    if fit.design.residual is not None or crossproducts is False:
        return True
    if crossproducts or not fit.criterion.has_sums:
        return False
    effects = 8 * sum(term.n_levels * term.n_columns for term in fit.design.terms)
    most = max(MOST_BYTES, min(TIMES_EFFECTS * effects, MOST_OF_LEVELS))
    return fit.criterion.system.cross.takes_more_than(most)
