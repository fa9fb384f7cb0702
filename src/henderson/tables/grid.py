"""`Grid`: a table whose cells are text already, and its exports. Every other table becomes one before it is written."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Cells.

    Attributes
    ----------
    header : tuple of c str
    rows : tuple of r tuples of c str
    right : tuple of c bool
        Columns whose cells stand at the right: numbers.

    Examples
    --------
    >>> grid = Grid(("term", "F"), (("A", "4.070"), ("A:B", "12.100")), (False, True))
    >>> print(grid.text())
    term       F
    A      4.070
    A:B   12.100
    >>> print(grid.markdown())
    | term | F |
    | :-- | --: |
    | A | 4.070 |
    | A:B | 12.100 |
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]

    @property
    def widths(self) -> list[int]:
        """Widest cell of each column."""
        return [max(map(len, column)) for column in zip(self.header, *self.rows)]

    def some(self, rows: Iterable[int], columns: Sequence[int]) -> Grid:
        """Some rows and columns."""

        def pick(cells: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(cells[c] for c in columns)

        return Grid(pick(self.header), tuple(pick(self.rows[r]) for r in rows), tuple(self.right[c] for c in columns))

    def text(self, widths: Sequence[int] | None = None) -> str:
        """As text, columns two spaces apart."""
        widths = widths or self.widths

        def line(cells: tuple[str, ...]) -> str:
            padded = (
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(cells, widths, self.right)
            )
            return "  ".join(padded).rstrip()

        return "\n".join(map(line, (self.header, *self.rows)))

    def html(self, title: str = "", notes: Sequence[str] = ()) -> str:
        """An HTML ``<table>``, the notes in its footer."""

        def row(cells: tuple[str, ...], tag: str) -> str:
            made = (
                f'<{tag} style="text-align:{"right" if right else "left"}">{html.escape(cell)}</{tag}>'
                for cell, right in zip(cells, self.right)
            )
            return f"<tr>{''.join(made)}</tr>"

        body = "\n".join(row(cells, "td") for cells in self.rows)
        caption = f"<caption>{html.escape(title)}</caption>\n" if title else ""
        said = "<br>".join(html.escape(note) for note in notes)
        foot = f'\n<tfoot><tr><td colspan="{len(self.header)}">{said}</td></tr></tfoot>' if said else ""
        return f"<table>\n{caption}<thead>{row(self.header, 'th')}</thead>\n<tbody>\n{body}\n</tbody>{foot}\n</table>"

    def markdown(self, title: str = "", notes: Sequence[str] = ()) -> str:
        """A Markdown table, the notes below it."""
        rule = tuple("--:" if right else ":--" for right in self.right)
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (self.header, rule)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        return "\n".join(
            ([f"**{title}**", ""] if title else []) + lines + ([""] if notes else []) + [f"{note}  " for note in notes]
        )

    def latex(self, title: str = "", notes: Sequence[str] = ()) -> str:
        """A LaTeX ``tabular`` with the rules of booktabs, the notes below it."""

        def row(cells: tuple[str, ...]) -> str:
            return " & ".join(escaped(cell) for cell in cells) + r" \\"

        align = "".join("r" if right else "l" for right in self.right)
        lines = [
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            row(self.header),
            r"\midrule",
            *(row(cells) for cells in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        lines += [rf"\par\footnotesize {escaped(note)}" for note in notes]
        return "\n".join(([rf"% {title}"] if title else []) + lines)


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "|": "$|$",
    }
    special |= {char: "\\" + char for char in "&%$#_{}"}
    return "".join(special.get(char, char) for char in text)


def merged(lists: Sequence[Sequence[str]]) -> list[str]:
    """All keys of some lists, each once: what a later list has more stands behind what it stands behind there.

    Examples
    --------
    >>> merged([["a", "c"], ["a", "b", "c", "d"], ["z"]])
    ['a', 'b', 'c', 'd', 'z']
    """
    out: list[str] = []
    for keys in lists:
        at = -1 if any(key in out for key in keys) else len(out) - 1
        for key in keys:
            if key in out:
                at = max(at, out.index(key))
            else:
                at += 1
                out.insert(at, key)
    return out
