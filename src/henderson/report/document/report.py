"""`results.report`: a fit as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from henderson.plots.canvas import needed
from henderson.report.document.page import page
from henderson.report.document.sections import groups_of, sections
from henderson.report.summary import title_of
from henderson.whole_file import whole_file


def report(results: Any, path: Any, title: str | None = None) -> Path:
    """Write the report of a fit.

    Parameters
    ----------
    results : MixedModelResults
        With its rows.
    path : str or path
    title : str, optional

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        There is no folder to write the file to.
    NotAvailable
        After `remove_data`.
    """
    needed()
    place = Path(path)
    if not place.absolute().parent.is_dir():
        raise ValueError(f"cannot write {path}: no such folder")
    if place.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    fit = results.engine
    fit.observed_for("report()")
    design = fit.design
    groups = ", ".join(f"{group} ({n:,} levels)" for group, n in groups_of(design).items())
    lead = [f"{title_of(fit)} to {design.n:,} rows" + (f", grouped by {groups}." if groups else ".")]
    text = page(title or f"A model of {design.y_name}", lead, sections(results))
    with whole_file(place) as begun:
        begun.write_text(text, encoding="utf-8")
    return place
