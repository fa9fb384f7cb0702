"""What a user asks of predictions, checked by name before any work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.arguments import probability
from henderson.contract.design import Design
from henderson.design.intercept import intercept_at
from henderson.design.random_terms import RandomSpec
from henderson.design.replay import Wanted
from henderson.design.term_text import written
from henderson.errors import FormulaError
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
    columns : tuple of tuples of bool
        Which columns of each random term of the design are in: ``(1 | g)`` is a part of ``(x | g)``.
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

    columns: tuple[tuple[bool, ...], ...]
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
        probability(level, "level")
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
        columns = chosen_columns(design, "all" if random or (conditional and re is None) else re)
        for k, own in enumerate(columns):
            if any(own) and not all(own) and (interval == "prediction" or conditional):
                raise ValueError(
                    f"re={re!r} is a part of {written(design, k)!r}, and the effects of a level come together: "
                    "interval='prediction' and conditional=True go with the whole term, or without it"
                )
        return cls(
            columns,
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
    def terms(self) -> tuple[bool, ...]:
        """Which random terms are in, or a part of them."""
        return tuple(any(own) for own in self.columns)

    @property
    def conditional(self) -> bool:
        """Whether any random term is in."""
        return any(self.terms)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """What is wanted of each term: a new observation has all effects, those of terms that are not in are new."""
        absent: Wanted = "new" if self.interval == "prediction" else None
        return tuple("known" if one else absent for one in self.terms)


def chosen_columns(design: Design, re: str | Sequence[str] | None) -> tuple[tuple[bool, ...], ...]:
    """Which columns of each random term of a design are meant.

    Parameters
    ----------
    design : Design
    re : {"all", "none"}, str or sequence of str
        A term as in the formula, ``"(1 | item)"``, or a part of one; or the name of a grouping factor, whose terms are
        all meant, of a label in tables, or of a variance component.

    Raises
    ------
    ValueError
        For a term that the model does not have; the message lists those it has.
    """
    found = [np.zeros(term.n_columns, bool) for term in design.terms]
    if isinstance(re, str) and re == "all":
        found = [~own for own in found]
    elif re is not None and not (isinstance(re, str) and re == "none"):
        several = [re] if isinstance(re, str) else re
        if isinstance(several, bool | np.bool_) or not isinstance(several, Iterable):
            raise ValueError(f"re must be 'all', 'none' or a list of random terms, not {re!r}")
        for one in several:
            for k, columns in _matching(design, one):
                found[k][columns] = True
    return tuple(tuple(own.tolist()) for own in found)


def _matching(design: Design, text: Any) -> list[tuple[int, Any]]:
    """Terms that a text means, and which of their columns."""
    shown = ", ".join(repr(written(design, k)) for k in range(len(design.terms))) or "no random terms"
    if not isinstance(text, str):
        raise ValueError(f"re: {text!r} is no random term; there are {shown}")
    if "|" in text:
        found = [
            _whole(design, bar, bar.double) or _whole(design, bar, bar.columns) or _part(design, bar)
            for bar in _bars(text, shown)
        ]
    else:
        on_factor = [k for k, term in enumerate(design.terms) if term.group == text]
        named = on_factor or [k for k, term in enumerate(design.terms) if term.label == text]
        named = named or [k for k, term in enumerate(design.terms) if term.group == design.group_called(text)]
        found = [[(k, slice(None)) for k in named]]
    if not all(found):
        raise ValueError(f"re: the model has no random term {text!r}; there are {shown}")
    return [one for own in found for one in own]


def _bars(text: str, shown: str) -> tuple[Bar, ...]:
    bare = text.strip()
    bare = bare if bare.startswith("(") else f"({bare})"
    try:
        return parse(f"y ~ {bare}").bars
    except FormulaError as error:
        raise ValueError(f"re: {text!r} is no random term ({error}); there are {shown}") from None


def _whole(design: Design, bar: Bar, columns: str) -> list[tuple[int, Any]]:
    """Terms on the bar's factor that vary in what the bar says: its `columns`, or all that ``||`` took apart."""
    if not columns:
        return []
    varying = {_plain(names) for names in terms_of(columns)}
    return [(k, slice(None)) for k, own in _on_factor(design, bar) if set(own) == varying]


def _part(design: Design, bar: Bar) -> list[tuple[int, Any]]:
    """Columns of the terms on the bar's factor that vary in what the bar says, and in more."""
    varying = {_plain(names) for names in terms_of(bar.double or bar.columns)}
    return [
        (k, np.concatenate([own[names] for names in varying]))
        for k, own in _on_factor(design, bar)
        if varying < set(own)
    ]


def _on_factor(design: Design, bar: Bar) -> Iterator[tuple[int, dict[tuple[str, ...], np.ndarray]]]:
    """Terms of the design on the bar's factor: what they vary in → columns, (c,) intp arrays."""
    for k, term in enumerate(design.terms):
        spec = None if design.specs is None else design.specs.random[k]
        at = np.arange(term.n_columns)
        if isinstance(spec, RandomSpec):
            same = set(spec.group) == set(bar.group)
            own = {_plain(names): at[place] for names, place in zip(spec.part.terms, spec.part.slices)}
        else:
            same = False
            own = {() if intercept_at((name,)) == 0 else (name,): at[[a]] for a, name in enumerate(term.names)}
        if same or term.group == bar.name:
            yield k, own


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    """A term's factors, ``factor(t)`` as the column that it is of."""
    return tuple(plain[0] if (plain := plain_column(name)) else name for name in names)
