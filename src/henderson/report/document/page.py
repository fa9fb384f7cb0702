"""The page: sections in a frame with its style. Nothing on it is fetched from anywhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STYLE = """
:root { --ink: #1c2126; --soft: #57606a; --page: #ffffff; --line: #d5dae0; --tint: #f4f6f8; --accent: #0b5cad;
  --ok: #1a7f37; --look: #8a5a00; --problem: #b42318; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #a3adb8; --page: #14181c; --line: #343c45;
  --tint: #1d2329; --accent: #79b8ff; --ok: #56d364; --look: #e3b341; --problem: #ff8178; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 58rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.4rem 0 0.4rem; }
p, ul { margin: 0.5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
nav { font-size: 0.92rem; } nav a { margin-right: 0.9rem; white-space: nowrap; } a { color: var(--accent); }
.lead { font-size: 1.08rem; } .soft, figcaption, tfoot, caption { color: var(--soft); font-size: 0.9rem; }
.wide { overflow-x: auto; margin: 0.8rem 0; }
.formula { font-family: Cambria, "STIX Two Text", Georgia, serif; font-size: 1.08rem; padding: 0.6rem 0.9rem;
  background: var(--tint); border-radius: 6px; overflow-wrap: anywhere; }
.formula p { margin: 0.3rem 0; max-width: none; }
table { border-collapse: collapse; font-size: 0.93rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0.2rem 0; white-space: nowrap; }
  th, td { padding: 0.28rem 0.75rem 0.28rem 0; vertical-align: top; }
td { white-space: nowrap; } tfoot td, td.said { white-space: normal; }
tbody td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: min(11rem, 34vw); }
thead th { border-bottom: 1.5px solid var(--ink); } tbody tr + tr td { border-top: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 1.5px solid var(--ink); } tfoot td { padding-top: 0.5rem; }
figure { margin: 1rem 0 1.6rem; } figure img { display: block; max-width: 100%; height: auto; background: #fff;
  border-radius: 6px; padding: 4px; }
.checks { list-style: none; padding: 0; } .checks li { margin: 0.7rem 0; padding-left: 0.8rem;
  border-left: 4px solid var(--line); }
.checks .ok { border-color: var(--ok); } .checks .look { border-color: var(--look); }
.checks .problem { border-color: var(--problem); }
.status { font-weight: 600; display: inline-block; min-width: 4.2rem; margin-right: 0.4rem; }
.ok .status { color: var(--ok); } .look .status { color: var(--look); } .problem .status { color: var(--problem); }
pre { background: var(--tint); padding: 0.8rem 0.9rem; border-radius: 6px; overflow-x: auto; font-size: 0.88rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 36rem) { body { font-size: 15px; padding: 1rem 0.9rem 2rem; } h1 { font-size: 1.4rem; }
  table { font-size: 0.85rem; } th, td { padding-right: 0.5rem; } }
@media print { :root { --ink: #000; --soft: #444; --page: #fff; --line: #bbb; --tint: #f4f4f4; --accent: #000;
  --ok: #000; --look: #000; --problem: #000; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; } h2 { break-after: avoid; }
  figure, tr, .checks li { break-inside: avoid; } .wide { overflow: visible; } td { white-space: normal; }
 @page { margin: 18mm 16mm; } }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    name : str
        Its anchor.
    title : str
    body : str
        HTML.
    """

    name: str
    title: str
    body: str

    def html(self) -> str:
        """The section with its heading."""
        return f'<section id="{self.name}">\n<h2>{text(self.title)}</h2>\n{self.body}\n</section>'


def text(said: object) -> str:
    """Text that HTML shows as it is.

    Examples
    --------
    >>> text('a<b & "c"')
    'a&lt;b &amp; &quot;c&quot;'
    """
    return html.escape(str(said))


def paragraph(said: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{_kind(kind)}>{text(said)}</p>"


def scrolled(table: str) -> str:
    """A table that scrolls by itself where the screen is narrower."""
    return f'<div class="wide">{table}</div>'


def page(title: str, lead: Iterable[str], sections: Sequence[Section]) -> str:
    """The whole document.

    Parameters
    ----------
    title : str
    lead : iterable of str
        Paragraphs of plain text below the title.
    sections : sequence of Section
    """
    links = "\n".join(f'<a href="#{one.name}">{text(one.title)}</a>' for one in sections)
    first = "\n".join(paragraph(said, "lead" if k == 0 else "") for k, said in enumerate(lead))
    body = "\n".join(one.html() for one in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{text(title)}</h1>\n{first}\n<nav>{links}</nav>\n</header>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
