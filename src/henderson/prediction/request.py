"""What a user asks of predictions, checked by name before any work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.contract.design import Design, RandomTerm
from henderson.design.intercept import intercept_at
from henderson.design.random_terms import RandomSpec
from henderson.design.replay import Wanted
from henderson.errors import FormulaError
from henderson.formula.bar_kinds import bar_text
from henderson.formula.bars import Bar, parse
from henderson.formula.terms import plain_column, terms_of

INTERVALS = ("confidence", "prediction")
SCALES = ("link", "response")
METHODS = ("analytic", "bootstrap")


@dataclass(frozen=True)
class PredictionRequest:
    """A request that has been checked.

    Attributes
    ----------
    terms : tuple of bool
        Which random terms of the design are in.
    se : bool
        Whether standard errors and limits are wanted.
    interval : {"confidence", "prediction"}
        What the limits are of: the prediction, or a new observation.
    level : float
    new_levels : {"raise", "population"}
    ddf : str or None
        Method of degrees of freedom; None: that of the results.
    variance_uncertainty : bool or "observed"
        Whether the variance parameters count as estimated; how a prediction moves with them is taken on average over
        data, or as these data have it.
    method : {"analytic", "bootstrap"}
    n_boot : int
        Replicates of the bootstrap.
    seed : int, SeedSequence or Generator, optional
    type : {"link", "response"}
    bias_adjust : bool
    own : bool
        Whether residuals are predicted from the series' own rows.
    """

    terms: tuple[bool, ...]
    se: bool = False
    interval: str = "confidence"
    level: float = 0.95
    new_levels: str = "raise"
    ddf: str | None = None
    variance_uncertainty: bool | str = True
    method: str = "analytic"
    type: str = "link"
    bias_adjust: bool = False
    n_boot: int = 500
    seed: Any = None
    own: bool = False

    @classmethod
    def of(
        cls,
        design: Design,
        *,
        re: str | Sequence[str] | None = None,
        random: bool = False,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        new_levels: str = "raise",
        ddf: str | None = None,
        variance_uncertainty: bool | str = True,
        method: str = "analytic",
        type: str = "link",
        bias_adjust: bool = False,
        n_boot: int = 500,
        seed: Any = None,
        conditional: bool = False,
    ) -> PredictionRequest:
        """Check what a user wrote.

        Raises
        ------
        ValueError
            For a word that there is not; the message says which there are.
        """
        from henderson.inference.names import ddf_name

        new_levels = "population" if new_levels == "zero" else new_levels
        for name, given, known in (
            ("new_levels", new_levels, ("raise", "population")),
            ("method", method, METHODS),
            ("type", type, SCALES),
        ):
            if given not in known:
                raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, not {given!r}")
        if interval is not None and interval not in INTERVALS:
            raise ValueError(f"interval must be 'confidence', 'prediction' or None, not {interval!r}")
        for name, value in (("se", se), ("bias_adjust", bias_adjust)):
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name} must be True or False, not {value!r}")
        if not isinstance(variance_uncertainty, bool | np.bool_) and variance_uncertainty != "observed":
            raise ValueError(f"variance_uncertainty must be True, False or 'observed', not {variance_uncertainty!r}")
        if isinstance(level, bool) or not isinstance(level, float | int | np.number) or not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, not {level!r}")
        if isinstance(n_boot, bool) or not isinstance(n_boot, int | np.integer) or n_boot < 2:
            raise ValueError(f"n_boot must be a number of replicates, not {n_boot!r}")
        if method == "bootstrap" and not (se or interval):
            raise ValueError("method='bootstrap' goes with se=True or interval=: predictions themselves are the same")
        if method == "bootstrap" and (ddf is not None or variance_uncertainty is not True):
            raise ValueError("method='bootstrap' has no degrees of freedom: leave out ddf= and variance_uncertainty=")
        if random and re not in (None, "all"):
            raise ValueError(f"random=True is re='all'; it does not go with re={re!r}")
        if not isinstance(conditional, bool | np.bool_):
            raise ValueError(f"conditional must be True or False, not {conditional!r}")
        if conditional and design.residual is None:
            raise ValueError(
                "conditional=True is for models with a residual covariance structure; with random effects say re='all'"
            )
        if conditional and method == "bootstrap":
            raise ValueError("conditional=True does not go with method='bootstrap'")
        if bias_adjust and type != "response":
            raise ValueError("bias_adjust=True goes with type='response'")
        return cls(
            chosen_terms(design, "all" if random or (conditional and re is None) else re),
            bool(se or interval),
            interval or "confidence",
            float(level),
            new_levels,
            ddf_name(ddf),
            variance_uncertainty if isinstance(variance_uncertainty, str) else bool(variance_uncertainty),
            method,
            type,
            bool(bias_adjust),
            int(n_boot),
            seed,
            bool(conditional),
        )

    @property
    def conditional(self) -> bool:
        """Whether any random term is in."""
        return any(self.terms)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """What is wanted of each term: a new observation has all effects, those of terms that are not in are new."""
        absent: Wanted = "new" if self.interval == "prediction" else None
        return tuple("known" if one else absent for one in self.terms)


def chosen_terms(design: Design, re: str | Sequence[str] | None) -> tuple[bool, ...]:
    """Which random terms of a design are meant.

    Parameters
    ----------
    design : Design
    re : {"all", "none"}, str or sequence of str
        A term as in the formula, ``"(1 | item)"``; or the name of a grouping factor, whose terms are all meant, of a
        label in tables, or of a variance component.

    Raises
    ------
    ValueError
        For a term that the model does not have; the message lists those it has.
    """
    if re is None or (isinstance(re, str) and re == "none"):
        return (False,) * len(design.terms)
    if isinstance(re, str) and re == "all":
        return (True,) * len(design.terms)
    several = [re] if isinstance(re, str) else re
    if isinstance(several, bool | np.bool_) or not isinstance(several, Iterable):
        raise ValueError(f"re must be 'all', 'none' or a list of random terms, not {re!r}")
    found = [False] * len(design.terms)
    for one in several:
        for k in _matching(design, one):
            found[k] = True
    return tuple(found)


def _matching(design: Design, text: Any) -> list[int]:
    shown = ", ".join(repr(term_text(term)) for term in design.terms)
    if not isinstance(text, str):
        raise ValueError(f"re: {text!r} is no random term; there are {shown}")
    if "|" in text:
        found = [_of_bar(design, bar, bar.double) or _of_bar(design, bar, bar.columns) for bar in _bars(text, shown)]
    else:
        on_factor = [k for k, term in enumerate(design.terms) if term.group == text]
        found = [on_factor or [k for k, term in enumerate(design.terms) if term.label == text]]
    if not all(found):
        raise ValueError(f"re: the model has no random term {text!r}; there are {shown}")
    return [k for own in found for k in own]


def term_text(term: RandomTerm) -> str:
    """A term as a bar; a variance component by its name.

    Examples
    --------
    >>> import pandas as pd
    >>> term_text(RandomTerm("item", pd.Index([1, 2]), ("(Intercept)", "x"), label="item"))
    '((Intercept) + x | item)'
    """
    if "/" in term.group and term.label != term.group:
        return term.label
    return bar_text(term.structure, " + ".join(term.names), term.group)


def _bars(text: str, shown: str) -> tuple[Bar, ...]:
    bare = text.strip()
    bare = bare if bare.startswith("(") else f"({bare})"
    try:
        return parse(f"y ~ {bare}").bars
    except FormulaError as error:
        raise ValueError(f"re: {text!r} is no random term ({error}); there are {shown}") from None


def _of_bar(design: Design, bar: Bar, columns: str) -> list[int]:
    """Terms on the bar's factor that vary in what the bar says: its `columns`, or all that ``||`` took apart."""
    if not columns:
        return []
    out, varying = [], {_plain(names) for names in terms_of(columns)}
    for k, term in enumerate(design.terms):
        spec = None if design.specs is None else design.specs.random[k]
        if isinstance(spec, RandomSpec):
            same, own = set(spec.group) == set(bar.group), {_plain(names) for names in spec.part.terms}
        else:
            same, own = False, {() if intercept_at((name,)) == 0 else (name,) for name in term.names}
        if (same or term.group == bar.name) and own == varying:
            out.append(k)
    return out


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    """A term's factors, ``factor(t)`` as the column that it is of."""
    return tuple(plain[0] if (plain := plain_column(name)) else name for name in names)
