"""The text of a model: lme4's bars are split off here, the rest is left to formulaic.

``"y ~ x + (x | g)"`` has a response (``y``), a fixed part (``x``) and bars. A bar is a parenthesised group
with ``|`` or ``||`` in it that stands as an additive term of its own. The steps:

1. `tokens` notes every word of the text with the brackets around it. What is inside a function call,
   ``[...]`` or ``{...}`` is an expression, where ``|`` means "or".
2. `parse` splits at ``~``, then at the ``+`` and ``-`` outside brackets, and sorts the pieces into bars,
   ``offset(...)`` and the fixed part.
3. `_read_bar` expands one bar into terms: ``||`` into one term per model term, ``a/b`` into ``b:a`` and
   ``a``. A bar may be the argument of a word for its structure, ``ar1(0 + t | g)`` (`bar_kinds`).
4. What ``||`` means of a factor is not seen in the text: `as_diagonal` puts its terms together again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from henderson.errors import FormulaError
from henderson.formula.bar_kinds import kind_of_piece, structured
from henderson.formula.membership import Membership, members_of
from henderson.formula.terms import as_text, is_condition, plain_column, terms_of
from henderson.formula.tokens import Token, is_unary, tokens, written


@dataclass(frozen=True)
class Bar:
    """One random-effects term.

    Attributes
    ----------
    columns : str
        What varies by group, for formulaic, with the intercept written out: ``"1 + Days"``, ``"0 + x"``.
    group : tuple of str
        Columns whose combinations are the levels; ``("b", "a")`` for ``b:a``.
    name : str
        What lme4 calls the grouping factor: ``"b:a"``.
    structure : str
        Covariance of one level's effects.
    label : str
        What a table calls the term: ``"g"``, then ``"g.1"`` for the second term on ``g``.
    double : str
        Of a term that ``||`` made: everything on its left, with the intercept written out.
    members : Membership or None
        Of ``mm(...)``: the columns whose levels a row has together, which are `group` then.
    """

    columns: str
    group: tuple[str, ...]
    name: str
    structure: str = "unstructured"
    label: str = ""
    double: str = ""
    members: Membership | None = None


@dataclass(frozen=True)
class ParsedFormula:
    """A formula taken apart.

    Attributes
    ----------
    text : str
        The formula as given.
    response : str
    fixed : str
        The fixed part, for formulaic; ``"1"`` when there are only bars.
    bars : tuple of Bar
        In the order written.
    offsets : tuple of str
        What stood in ``offset(...)``.
    """

    text: str
    response: str
    fixed: str
    bars: tuple[Bar, ...] = ()
    offsets: tuple[str, ...] = ()


def _operators(text: str) -> list[Token]:
    return [token for token in tokens(text) if token.kind == "operator"]


def _with_powers(text: str) -> str:
    """`text` with Python's ``**`` for R's ``^`` inside function calls."""
    for op in reversed(_operators(text)):
        if op.text == "^" and op.is_python:
            text = f"{text[: op.start]}**{text[op.end :]}"
    return text


def _pieces(text: str) -> list[tuple[str, str]]:
    """Additive terms of `text`, each with its sign."""
    words = tokens(text)
    cuts = [op for k, op in enumerate(words) if op.text in ("+", "-") and not op.around and not _is_signed(words, k)]
    starts = [0, *(op.end for op in cuts)]
    ends = [*(op.start for op in cuts), len(text)]
    pieces, sign = [], "+"
    for k, (start, end) in enumerate(zip(starts, ends)):
        if k and cuts[k - 1].text == "-":
            sign = "-" if sign == "+" else "+"
        if piece := text[start:end].strip():
            pieces.append((sign, piece))
            sign = "+"
        elif k == len(cuts) and cuts:
            raise FormulaError(f"nothing follows {cuts[-1].text!r} in {text!r}")
    return pieces


def _is_signed(words: Sequence[Token], k: int) -> bool:
    """Whether the sign at `k` is a number's, as in ``x > -1``."""
    return k > 0 and is_unary(words, k) and words[k - 1].text not in ("+", "-")


def _join(pieces: list[tuple[str, str]]) -> str:
    """The formula of signed pieces."""
    text = " ".join(f"{sign} {piece}" for sign, piece in pieces)
    return text.removeprefix("+ ") or "1"


def _inside(text: str) -> str | None:
    """What is inside the parentheses that enclose all of `text`; None when there are none."""
    if text.startswith("(") and tokens(text)[0].partner == len(text) - 1:
        return text[1:-1].strip()
    return None


def _bars(text: str) -> list[Token]:
    return [op for op in _operators(text) if op.text in ("|", "||") and not op.is_python]


def parse(formula: str) -> ParsedFormula:
    """Split a formula into response, fixed part and bars.

    Parameters
    ----------
    formula : str
        lme4's language for random effects, formulaic's for all else.

    Returns
    -------
    ParsedFormula

    Raises
    ------
    FormulaError
        When the formula has no response, brackets do not match, or a bar is not an additive term of its own.

    Examples
    --------
    >>> parsed = parse("Reaction ~ Days + (Days | Subject)")
    >>> parsed.response, parsed.fixed
    ('Reaction', 'Days')
    >>> [(bar.columns, bar.name) for bar in parsed.bars]
    [('1 + Days', 'Subject')]
    >>> [(bar.columns, bar.name, bar.label) for bar in parse("y ~ (x || a/b)").bars]
    [('1', 'b:a', 'b:a'), ('1', 'a', 'a'), ('0 + x', 'b:a', 'b:a.1'), ('0 + x', 'a', 'a.1')]
    """
    if not isinstance(formula, str):
        raise FormulaError(
            f"a formula is a string, not {type(formula).__name__}: it comes first, then the table, as in "
            "lmer('y ~ x + (1 | g)', data)"
        )
    return _parse(formula)


@lru_cache(maxsize=512)
def _parse(formula: str) -> ParsedFormula:
    formula = _with_powers(formula)
    tildes = [op for op in _operators(formula) if op.text == "~" and not op.around]
    if len(tildes) != 1:
        raise FormulaError(f"a formula reads 'response ~ terms', with one '~': {formula!r} has {len(tildes)}")
    response = formula[: tildes[0].start].strip()
    if not response:
        raise FormulaError(f"no response before '~' in {formula!r}")
    if _bars(response):
        raise FormulaError(f"a bar in the response of {formula!r}")
    bars: list[Bar] = []
    fixed: list[tuple[str, str]] = []
    offsets: list[str] = []
    pieces = _pieces(formula[tildes[0].end :])
    if not pieces:
        raise FormulaError(f"nothing follows '~' in {formula!r}")
    for sign, text in pieces:
        piece = _bare(text)
        if _bars(piece) or kind_of_piece(piece):
            if sign == "-":
                raise FormulaError(f"a random-effects term cannot be subtracted: - {piece}")
            bars.extend(_read_bar(piece))
        elif inner := _offset(piece):
            if sign == "-":
                raise FormulaError(f"an offset cannot be subtracted: - {piece}")
            offsets.append(written(tokens(inner)))
        else:
            fixed.append((sign, piece))
    return ParsedFormula(formula, written(tokens(response)), _join(fixed), label_bars(bars), tuple(offsets))


def _bare(piece: str) -> str:
    """A piece without parentheses around a bar with a structure."""
    inner = piece
    while (nested := _inside(inner)) is not None:
        inner = nested
    return inner if kind_of_piece(inner) else piece


def _offset(piece: str) -> str | None:
    """What is inside a piece that is ``offset(...)``."""
    words = tokens(piece)
    return _inside(piece[words[1].start :]) if len(words) > 3 and words[0].text == "offset" else None


def label_bars(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    """The bars with distinct labels: ``g``, ``g.1``, ``g.2``."""
    taken: set[str] = set()
    labelled = []
    for bar in bars:
        label, k = bar.name, 0
        while label in taken:
            k += 1
            label = f"{bar.name}.{k}"
        taken.add(label)
        labelled.append(replace(bar, label=label))
    return tuple(labelled)


def _read_bar(piece: str) -> list[Bar]:
    """The terms of an additive piece that has a bar in it."""
    if kind := kind_of_piece(piece):
        left, right, structure = structured(piece, kind)
        return [Bar(with_intercept(left), group, name, structure) for group, name in _groups(right, piece)]
    inner = _inside(piece)
    while inner is not None and (nested := _inside(inner)) is not None:
        inner = nested
    if inner is None:
        if any(not op.around for op in _bars(piece)):
            raise FormulaError(f"put parentheses around a random-effects term: ({piece})")
        raise FormulaError(f"a random-effects term must be added to the others, it stands inside {piece!r}")
    bars = _bars(inner)
    own = [op for op in bars if not op.around]
    if not own:
        raise FormulaError(f"a random-effects term must be added to the others, it stands inside {piece!r}")
    if len(own) > 1:
        raise FormulaError(f"more than one bar in {piece!r}")
    if len(bars) > 1:
        raise FormulaError(f"a random-effects term inside another: {piece!r}")
    (bar,) = bars
    left, right = inner[: bar.start].strip(), inner[bar.end :].strip()
    if not left or not right:
        raise FormulaError(f"nothing {'before' if not left else 'after'} the bar in {piece!r}")
    whole, double = with_intercept(left), bar.text == "||"
    if members := members_of(right):
        if double:
            raise FormulaError(f"{piece}: mm() stands behind a single bar")
        return [Bar(whole, members.columns, written(tokens(right)), members=members)]
    return [
        Bar(columns, group, name, double=whole if double else "")
        for columns in (_split_terms(left) if double else [whole])
        for group, name in _groups(right, piece)
    ]


def as_diagonal(bars: Sequence[Bar], is_one: Callable[[Bar], bool]) -> tuple[Bar, ...]:
    """Bars with the terms of a ``||`` that `is_one` put together: one diagonal term for each group.

    Parameters
    ----------
    bars : sequence of Bar
    is_one : callable
        Whether a bar's `double` is one term; it has a factor in it.
    """
    out: list[Bar] = []
    for bar in bars:
        if not bar.double or not is_one(bar):
            out.append(bar)
            continue
        whole = replace(bar, columns=bar.double, structure="diagonal", label="")
        if whole not in out:
            out.append(whole)
    return label_bars(out)


def with_intercept(columns: str) -> str:
    """`columns` with its intercept written out."""
    pieces = [("+", f"({columns})")] if is_condition(tokens(columns), columns) else _pieces(columns)
    explicit = {"0", "1"} & {piece for _, piece in pieces}
    return _join(pieces if explicit else [("+", "1"), *pieces])


def _split_terms(columns: str) -> list[str]:
    """One formula per model term of `columns`, for ``||``."""
    return ["0 + " + as_text(term) if term else "1" for term in terms_of(columns)]


def _groups(text: str, piece: str) -> list[tuple[tuple[str, ...], str]]:
    """Grouping factors of the right side of a bar, each as (columns, name), the most nested first."""
    nested: list[tuple[tuple[str, ...], str]] = []
    for part in _split(text, "/"):
        group, name = _interaction(part, piece)
        if nested:
            outer, outer_name = nested[-1]
            name = f"{name}:({outer_name})" if ":" in outer_name else f"{name}:{outer_name}"
            group = (*group, *(column for column in outer if column not in group))
        nested.append((group, name))
    return nested[::-1]


def _split(text: str, symbol: str) -> list[str]:
    cuts = [op for op in _operators(text) if op.text == symbol and not op.around]
    starts = [0, *(op.end for op in cuts)]
    return [text[a:b].strip() for a, b in zip(starts, [*(op.start for op in cuts), len(text)])]


def _interaction(text: str, piece: str) -> tuple[tuple[str, ...], str]:
    """Columns and name of ``a``, ``a:b``, ``factor(a):(b:c)``."""
    while (inner := _inside(text)) is not None:
        text = inner
    parts = _split(text, ":")
    if len(parts) > 1:
        columns = [column for part in parts for column in _interaction(part, piece)[0]]
        return tuple(dict.fromkeys(columns)), ":".join(dict.fromkeys(columns))
    column = plain_column(text)
    if column is None:
        raise FormulaError(
            f"the grouping factor {text!r} of {piece!r} is not a column, nor columns joined by ':' or '/'. "
            "Write (1 | a) + (1 | b) for two factors, or make a column of it"
        )
    return (column[0],), column[0]
