"""One hypothesis tested in many simulated data sets of one design: F, its degrees of freedom, p.

Where the array engine fits the model, the tests of all data sets are one computation too (`inference.ddf.many`); where
it does not, each fit is asked (`infer`). Both give the numbers that a single fit gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from henderson.engine.boundary import is_singular
from henderson.engine.fit import Fit
from henderson.engine.many.pieces import Responses
from henderson.engine.many.refits import Refitter, singular_members
from henderson.errors import DataError
from henderson.inference.choose import infer
from henderson.inference.contrast_rows import Turned, errors_of, independent_rows
from henderson.inference.ddf.containment import ByTerm
from henderson.inference.ddf.counting import ConstantDf
from henderson.inference.ddf.many import BY_DESIGN, MANY, Batch, by_design
from henderson.inference.fit_moments import FitMoments
from henderson.inference.identified import flat_directions
from henderson.inference.inference import DdfMethod
from henderson.inference.information import curvature
from henderson.numerics.distributions import f_pvalue
from henderson.numerics.threads import blas_threads
from henderson.planning.hypothesis import Hypothesis

FloatArray = np.ndarray

#: decrease of the deviance predicted at which a fit takes its last step; p is then good to six digits
ENOUGH = 1e-6


@dataclass(frozen=True)
class Outcome:
    """Tests in B data sets.

    Attributes
    ----------
    p : (B,) array
        NaN where a fit failed, or has no degrees of freedom.
    singular : (B,) bool array
        Whether some combination of random effects was estimated to have no variance.
    """

    p: FloatArray
    singular: np.ndarray

    @classmethod
    def joined(cls, parts: list[Outcome]) -> Outcome:
        """One after another."""
        return cls(np.concatenate([one.p for one in parts]), np.concatenate([one.singular for one in parts]))


@dataclass(frozen=True)
class Tester:
    """How a hypothesis is tested in data sets of a design.

    Attributes
    ----------
    fit : Fit
        Of the design, at the parameters that data are drawn with.
    rows : (r, p) array
        Independent rows R over the columns kept.
    values : (r,) array
        q.
    ddf : str
    rule : DdfMethod, or None
        The rule of degrees of freedom, where the design alone decides them.
    refitter : Refitter
    """

    fit: Fit
    rows: FloatArray
    values: FloatArray
    ddf: str
    rule: DdfMethod | None
    refitter: Refitter

    @classmethod
    def of(cls, fit: Fit, tested: Hypothesis, ddf: str, where: str = "") -> Tester:
        """For a hypothesis and a design.

        Raises
        ------
        DataError
            When the design cannot estimate what is tested; `where` says which design that is.
        """
        R, q = tested.of(fit)
        own = infer(fit, ddf="asymptotic")
        if not len(R) or not own.estimable(R).all():
            raise DataError(f"{tested.name} cannot be estimated{where}: the fixed effects are redundant there")
        rows, values = independent_rows(R[:, fit.kept], q, errors_of(fit.vcov))
        rule = None
        if ddf in BY_DESIGN:
            rule = infer(fit, ddf=ddf).method
            if isinstance(rule, ByTerm) and tested.kind == "term":
                rule = ConstantDf(rule.of_columns(np.any(rows != 0, axis=0, keepdims=True)[0]))
        refitter = Refitter.of(fit)
        if refitter.parts is not None and not (_identified(fit) and (ddf in MANY or rule is not None)):
            refitter = Refitter(fit, None, 1)
        return cls(fit, rows, values, ddf, rule, refitter)

    @blas_threads()
    def __call__(self, y: FloatArray) -> Outcome:
        """Test in the data sets y, (n, B)."""
        parts = self.refitter.parts
        if parts is None:
            return Outcome.joined([self._alone(y[:, b]) for b in range(y.shape[1])])
        responses = Responses.of(parts, y)
        found = self.refitter.together(parts, responses, curvature=True)
        tests = by_design(self.rule) if self.rule is not None else MANY[self.ddf]
        F, den_df = tests(Batch(parts, responses, found, self.rows, self.fit.reml), self.values)
        p = f_pvalue(F, float(len(self.rows)), den_df)
        return Outcome(np.where(found.converged, p, np.nan), singular_members(parts, found))

    def _alone(self, y: FloatArray) -> Outcome:
        fit = self.refitter.alone(y, tolerance=ENOUGH)
        R = np.zeros((len(self.rows), len(fit.kept)))
        R[:, fit.kept] = self.rows
        if self.rule is not None:
            cov = Turned(fit.basis.to_beta, fit.turned_vcov)
            F, den_df = self.rule.f_test(self.rows, self.rows @ fit.beta[fit.kept] - self.values, cov)
            p = float(f_pvalue(F, float(len(self.rows)), den_df))
        else:
            p = infer(fit, ddf=self.ddf).f_test(R, self.values).p
        return Outcome(np.array([p if fit.optimum.converged else np.nan]), np.array([is_singular(fit)]))

    @cached_property
    def batch(self) -> int:
        """Data sets fitted together."""
        return self.refitter.batch


def _identified(fit: Fit) -> bool:
    """Whether the design tells all its variances apart."""
    fitted = FitMoments.of(fit).working
    return not flat_directions(fitted, curvature(fitted)).note
