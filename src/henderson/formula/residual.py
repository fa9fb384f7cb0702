"""The text of a residual covariance: ``"us(visit | arm / patient)"``, ``"ar1(visit | patient) * power(age)"``.

    covariance = factor * factor * …           one structure at most, any number of variance functions
    structure  = name(places | series)         places: a visit; car1: a time; sp_…: coordinates, separated by commas
               | name(places | stratum / series)   parameters of its own for each stratum
    variance   = ident(stratum) | power(covariate) | exp(covariate)

Series, strata and visits are columns, or several joined by ``:``; times, coordinates and covariates may be expressions,
and ``fitted`` stands for the fitted values (a column of that name is in backticks).
"""

from __future__ import annotations

from dataclasses import dataclass

from henderson.covariance.residual.structures import RESIDUAL_STRUCTURES
from henderson.covariance.residual.variance import VARIANCE_FUNCTIONS
from henderson.errors import FormulaError
from henderson.formula.terms import plain_column
from henderson.formula.tokens import Token, tokens, written

#: names of the same in SAS, nlme and glmmTMB, and what they are here
ELSEWHERE = {
    "un": "us",
    "vc": "diag",
    "homdiag": "ident",
    "unstructured": "us",
    "corsymm": "us",
    "corcompsymm": "cs",
    "corar1": "ar1",
    "arh": "ar1h",
    "arh1": "ar1h",
    "hetar1": "ar1h",
    "ante": "adh",
    "corcar1": "car1",
    "sp_pow": "car1",
    "ou": "car1",
    "corexp": "sp_exp",
    "corgaus": "sp_gau",
    "mat": "sp_mat",
    "gau": "sp_gau",
    "varident": "ident",
    "varpower": "power",
    "varexp": "exp",
}
FITTED = "fitted"


@dataclass(frozen=True)
class ParsedVariance:
    """A variance function.

    Attributes
    ----------
    kind : str
    covariate : str
        An expression, or ``"fitted"``; the name of the strata of "ident".
    columns : tuple of str
        Columns whose combinations are the strata of "ident".
    """

    kind: str
    covariate: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParsedResidual:
    """A residual covariance taken apart.

    Attributes
    ----------
    structure : str
        ``"iid"`` where there are variance functions only.
    places : tuple of str
        Columns of the visit, or expressions of a time or of coordinates.
    group : tuple of str
        Columns whose combinations are the series; none: each row is its own.
    stratum : tuple of str
        Columns of the strata.
    variance : tuple of ParsedVariance
    label : str
        The text with spaces where they belong.
    dated : bool
        Whether its time is a column of dates.
    """

    structure: str
    places: tuple[str, ...]
    group: tuple[str, ...]
    stratum: tuple[str, ...] = ()
    variance: tuple[ParsedVariance, ...] = ()
    label: str = ""
    dated: bool = False

    @property
    def is_timed(self) -> bool:
        """Whether its place is a time."""
        return RESIDUAL_STRUCTURES[self.structure].places == "time"

    @property
    def has_visits(self) -> bool:
        """Whether places are visits, and not numbers."""
        return RESIDUAL_STRUCTURES[self.structure].places == "visits"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are no numbers: visits or dates, series, strata."""
        visits = self.places if self.has_visits or self.dated else ()
        return (*visits, *self.group, *self.stratum, *(name for own in self.variance for name in own.columns))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Expressions that are numbers: times, coordinates, covariates."""
        covariates = (own.covariate for own in self.variance if own.kind != "ident" and own.covariate != FITTED)
        return (*(() if self.has_visits or self.dated else self.places), *covariates)


def parse_residual(text: str) -> ParsedResidual:
    """A residual covariance from its text.

    Raises
    ------
    FormulaError
        For an unknown structure, with those there are; for a structure without a series; for what cannot be read.

    Examples
    --------
    >>> parsed = parse_residual("us(AVISIT|ARMCD/USUBJID)")
    >>> parsed.structure, parsed.places, parsed.stratum, parsed.group, parsed.label
    ('us', ('AVISIT',), ('ARMCD',), ('USUBJID',), 'us(AVISIT | ARMCD / USUBJID)')
    >>> parsed = parse_residual("ar1(visit | patient) * power(age) * ident(sex)")
    >>> [(own.kind, own.covariate) for own in parsed.variance]
    [('power', 'age'), ('ident', 'sex')]
    """
    if not isinstance(text, str):
        raise FormulaError(f"residual is text such as 'ar1(visit | patient)', not {type(text).__name__}")
    structure: tuple[str, str] | None = None
    variance: list[ParsedVariance] = []
    labels: list[str] = []
    for piece in _split(text, "*"):
        name, inner = _call(piece, text)
        if name in VARIANCE_FUNCTIONS:
            variance.append(_variance(name, inner))
            labels.append(f"{name}({variance[-1].covariate})")
        elif structure is not None:
            raise FormulaError(f"{text!r} has two structures, {structure[0]} and {name}: a series has one")
        else:
            structure = name, inner
            labels.append("")
    if structure is None:
        # one variance for each stratum is linear in the variances, as ratios of standard deviations are not
        strata = next((own for own in variance if own.kind == "ident"), None)
        if strata is not None:
            variance.remove(strata)
        own = ParsedResidual("iid", (), ()) if strata is None else ParsedResidual("diag", strata.columns, ())
    else:
        own = _structure(*structure, text)
        labels[labels.index("")] = own.label
    return ParsedResidual(own.structure, own.places, own.group, own.stratum, tuple(variance), " * ".join(labels))


def _structure(name: str, inner: str, text: str) -> ParsedResidual:
    left, bar, right = _at_bar(inner, text)
    if not bar:
        raise FormulaError(
            f"{name}({inner}) does not say whose residuals it is of: write {name}({inner or 'visit'} | patient)"
        )
    if not left or not right:
        raise FormulaError(f"nothing {'after' if left else 'before'} the bar in {name}({inner})")
    kind = RESIDUAL_STRUCTURES[name].places
    parts = [part for part in _split(left, ",") if part]
    if kind == "visits":
        if len(parts) > 1:
            raise FormulaError(f"{name}({inner}) has {len(parts)} visits: it takes one column")
        if parts[0] in ("0", "1"):
            raise FormulaError(
                f"{name}({inner}) does not say which visit a row is of: the order of the rows says nothing here. "
                f"Write {name}(visit | {right}) with a column that numbers the rows of a series"
            )
        places = _columns(parts[0], f"the visit of {name}({inner})")
    else:
        if kind == "time" and len(parts) > 1:
            raise FormulaError(f"{name}({inner}) has {len(parts)} times: it takes one; sp_exp takes coordinates")
        for part in parts if kind == "coordinates" else ():
            if len(summands := _split(part, "+")) > 1:  # nlme's way to write two coordinates
                raise FormulaError(
                    f"{name}({inner}) adds {' and '.join(summands)}: commas divide coordinates, as in "
                    f"{name}({', '.join(summands)} | {right}). For a single one that is their sum, write I({part})"
                )
        places = tuple(_expression(part) for part in parts)
    nested = _split(right, "/")
    if len(nested) > 2:
        raise FormulaError(f"{name}({inner}): write one stratum and one series, as in {name}({left} | arm / patient)")
    group = _columns(nested[-1], f"the series of {name}({inner})")
    stratum = _columns(nested[0], f"the stratum of {name}({inner})") if len(nested) == 2 else ()
    label = f"{name}({', '.join(parts)} | {' / '.join(':'.join(own) for own in (stratum, group) if own)})"
    return ParsedResidual(name, places, group, stratum, label=label)


def _variance(kind: str, inner: str) -> ParsedVariance:
    if not inner:
        raise FormulaError(f"{kind}() needs a {'stratum' if kind == 'ident' else 'covariate'}: {kind}(x)")
    if "|" in {word.text for word in tokens(inner) if not word.around}:
        raise FormulaError(f"{kind}({inner}) is a variance function and has no bar: write {kind}(x)")
    if kind == "ident":
        columns = _columns(inner, f"the stratum of ident({inner})")
        return ParsedVariance(kind, ":".join(columns), columns)
    return ParsedVariance(kind, _expression(inner))


def _expression(text: str) -> str:
    """As formulas key an expression; a column called as the fitted values are keeps its backticks."""
    words = tokens(text)
    if len(words) == 1 and words[0].kind == "quoted" and words[0].text == FITTED:
        return f"`{FITTED}`"
    return written(words)


def _columns(text: str, role: str) -> tuple[str, ...]:
    """Columns of ``a``, ``factor(a)``, ``a:b``."""
    found = []
    for part in _split(text, ":"):
        column = plain_column(part)
        if column is None:
            raise FormulaError(f"{role} is {text!r}, which is not a column, nor columns joined by ':': make one of it")
        found.append(column[0])
    return tuple(dict.fromkeys(found))


def _split(text: str, symbol: str) -> list[str]:
    """Pieces of `text` between the symbols that stand in no brackets."""
    cuts = [word for word in tokens(text) if word.text == symbol and word.kind == "operator" and not word.around]
    ends = [*(word.start for word in cuts), len(text)]
    return [text[start:end].strip() for start, end in zip([0, *(word.end for word in cuts)], ends)]


def _at_bar(inner: str, text: str) -> tuple[str, str, str]:
    bars = [word for word in tokens(inner) if word.text in ("|", "||") and word.kind == "operator" and not word.around]
    if len(bars) > 1 or any(bar.text == "||" for bar in bars):
        raise FormulaError(f"one bar, '|', says the series: {text!r} has others")
    if not bars:
        return inner, "", ""
    return inner[: bars[0].start].strip(), "|", inner[bars[0].end :].strip()


def _call(piece: str, text: str) -> tuple[str, str]:
    """Name and arguments of a piece that is one call of a known structure or variance function."""
    words = tokens(piece)
    if not _is_call(words):
        raise FormulaError(
            f"a residual covariance reads 'structure(visit | patient)', alone or times a variance function such as "
            f"power(x): cannot read {piece or text!r}"
        )
    name = words[0].text
    if name not in KNOWN:
        other = ELSEWHERE.get(name.lower())
        hint = f"; {name} is {other} here" if other else ""
        raise FormulaError(
            f"unknown residual structure {name!r}{hint}: there are {', '.join(STRUCTURE_NAMES)}; variance functions "
            f"are {', '.join(VARIANCE_FUNCTIONS)}"
        )
    return name, piece[words[1].end : words[-1].start].strip()


def _is_call(words: tuple[Token, ...]) -> bool:
    """Whether words are ``name(…)`` and no more."""
    return (
        len(words) > 2
        and words[0].kind == "name"
        and words[1].text == "("
        and words[1].partner == words[-1].start
        and words[-1].text == ")"
    )


#: what a user may write: independence has no name of its own
STRUCTURE_NAMES = tuple(name for name in RESIDUAL_STRUCTURES if name != "iid")
KNOWN = frozenset({*STRUCTURE_NAMES, *VARIANCE_FUNCTIONS})


def split_covariance(formula: str) -> tuple[str, str]:
    """A formula of a trial without its covariance term, and that term.

    Parameters
    ----------
    formula : str
        ``"FEV1 ~ ARMCD * AVISIT + us(AVISIT | USUBJID)"``: one term is a structure; variance functions may follow it,
        joined by ``*``.

    Raises
    ------
    FormulaError
        When it has none, or more than one.

    Examples
    --------
    >>> split_covariance("y ~ x + us(visit | patient) + z")
    ('y ~ x + z', 'us(visit | patient)')
    """
    if not isinstance(formula, str):
        raise FormulaError(f"a formula is a string, not {type(formula).__name__}: it comes first, then the table")
    words = tokens(formula)
    tildes = [word for word in words if word.text == "~" and not word.around]
    if len(tildes) != 1:
        raise FormulaError(f"a formula reads 'response ~ terms', with one '~': {formula!r} has {len(tildes)}")
    cuts = [word for word in words if word.text in ("+", "-") and not word.around and word.start > tildes[0].start]
    starts, ends = [tildes[0].end, *(word.end for word in cuts)], [*(word.start for word in cuts), len(formula)]
    signs = ["+", *(word.text for word in cuts)]
    pieces = [(sign, formula[a:b].strip()) for sign, a, b in zip(signs, starts, ends)]
    found = [(sign, piece) for sign, piece in pieces if _is_covariance(piece)]
    if not found:  # one that is not known is told so by its own reader
        found = [(sign, piece) for sign, piece in pieces if _is_covariance(piece, known=False)]
    if len(found) != 1:
        have = "no covariance term" if not found else f"{len(found)} covariance terms"
        raise FormulaError(
            f"{formula!r} has {have}: a formula of repeated measures has one, such as us(visit | patient); structures "
            f"are {', '.join(STRUCTURE_NAMES)}"
        )
    if found[0][0] == "-":
        raise FormulaError(f"a covariance cannot be subtracted: - {found[0][1]}")
    rest = [(sign, piece) for sign, piece in pieces if piece and piece != found[0][1]]
    right = " ".join(f"{sign} {piece}" for sign, piece in rest).removeprefix("+ ") or "1"
    return f"{formula[: tildes[0].start].strip()} ~ {right}", found[0][1]


def _is_covariance(piece: str, known: bool = True) -> bool:
    """Whether a piece of a formula is a structure with a bar, perhaps times variance functions."""
    for part in _split(piece, "*"):
        words = tokens(part)
        if _is_call(words):
            inner = tokens(part[words[1].end : words[-1].start])
            if any(word.text == "|" and not word.around for word in inner):
                return words[0].text in KNOWN or words[0].text.lower() in ELSEWHERE or not known
    return False
