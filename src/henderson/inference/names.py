"""How a user may write the name of a method: one spelling inside, many at the door.

Letters of any case; underscores, spaces and dots for hyphens; the short names of the field (``KR`` is Kenward and
Roger's method). Names are checked against the registries `DDF` and `COV` before anything is computed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

#: short names, and what other programs call a method → its name in `DDF`
_DDF = {
    "kr": "kenward-roger",
    "kenwardroger": "kenward-roger",
    "kr2": "kenward-roger-2009",
    "kenwardroger2": "kenward-roger-2009",
    "krl": "kenward-roger-linear",
    "firstorder": "kenward-roger-linear",
    "satterth": "satterthwaite",
    "satt": "satterthwaite",
    "sat": "satterthwaite",
    "lmertest": "satterthwaite",
    "z": "asymptotic",
    "none": "asymptotic",
    "inf": "asymptotic",
    "wald": "asymptotic",
    "contain": "containment",
    "betwithin": "between-within",
    "bw": "between-within",
}
#: … and its name in `COV`
_COV = {"kr": "kenward-roger", "kenwardroger": "kenward-roger"}


def _plain(text: str) -> str:
    return re.sub(r"[-_\s.]+", "", text).lower()


def _known(given: Any, what: str, names: Collection[str], short: dict[str, str]) -> str | None:
    if given is None or (isinstance(given, str) and given in names):
        return given
    names = list(names)
    plain = {_plain(name): name for name in names} | short
    found = plain.get(_plain(given)) if isinstance(given, str) else None
    if found is None:
        raise ValueError(f"unknown {what} {given!r}; there are {', '.join(names)}")
    return found


def ddf_name(given: Any) -> str | None:
    """The name in `DDF` of a method of degrees of freedom; None stays None.

    Raises
    ------
    ValueError
        For a method that there is not; the message lists those there are.

    Examples
    --------
    >>> ddf_name("KR"), ddf_name("Kenward_Roger"), ddf_name("Satterthwaite"), ddf_name("between within")
    ('kenward-roger', 'kenward-roger', 'satterthwaite', 'between-within')
    """
    from henderson.inference.ddf.registry import DDF

    return _known(given, "ddf", DDF, _DDF)


def cov_name(given: Any) -> str | None:
    """The name in `COV` of a covariance of the fixed effects; None stays None.

    Examples
    --------
    >>> cov_name("cr2"), cov_name("Kenward-Roger")
    ('CR2', 'kenward-roger')
    """
    from henderson.inference.covariances.registry import COV

    return _known(given, "cov", COV, _COV)


@dataclass(frozen=True)
class InferenceRequest:
    """Which covariance of β̂ and which degrees of freedom results use.

    Attributes
    ----------
    ddf, cov : str, or None
        Names in `DDF` and `COV`; None: the one that goes with the other.
    cluster : (n,) labels or str, or None
        Clusters of a cluster-robust covariance.
    """

    ddf: str | None = None
    cov: str | None = None
    cluster: Any = None

    @classmethod
    def of(cls, ddf: Any = None, cov: Any = None, cluster: Any = None) -> InferenceRequest:
        """From what a user wrote; unknown names, and combinations without a meaning, are refused here."""
        from henderson.inference.covariances.registry import KINDS
        from henderson.inference.ddf.registry import IMPLIED

        made = cls(ddf_name(ddf), cov_name(cov), cluster)
        if made.ddf in IMPLIED and made.cov not in (None, IMPLIED[made.ddf]):
            raise ValueError(f"ddf={made.ddf!r} goes with cov={IMPLIED[made.ddf]!r}, not {made.cov!r}")
        if cluster is not None and made.cov not in KINDS:
            raise ValueError(f"cluster= goes with cov= one of {', '.join(KINDS)}, not {made.cov!r}")
        return made

    def check_likelihood(self, reml: bool) -> None:
        """Raise a `ValueError` when what is asked for is not defined for a fit by ML."""
        from henderson.inference.ddf.kenward_roger import refuse_ml
        from henderson.inference.ddf.registry import IMPLIED

        if self.ddf in IMPLIED or self.cov in IMPLIED.values():
            refuse_ml(reml)
