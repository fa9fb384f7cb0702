"""Marginal means as pictures: their numbers handed to `plots`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from henderson.means.arrows import Arrows, comparison_arrows
from henderson.means.estimates import Estimates
from henderson.means.labels import written
from henderson.means.series import limits, quantity_of, series_of
from henderson.plots import interaction, means, pwpp
from henderson.plots.effects import Along

#: pairs whose arrows are wrong that are named
MOST_TEXT = 90


def draw_means(estimates: Estimates, compared: Estimates | None, differences: bool, ax: Any) -> Any:
    """The estimates with their intervals, and arrows by the comparisons of all pairs; see `Comparable.plot`."""
    estimate, lower, upper = limits(estimates)
    scale = None if estimates.way is None else estimates.way.in_use(estimates.test)
    if scale is not None and compared is not None:  # tests, and arrows that show them, are of the scale of the model
        compared = compared.summary(type="link")
    of_model = estimate if scale is None else limits(estimates.summary(type="link", bias_adjust=False))[0]
    alpha, families, wrong, start = 1 - estimates.test.level, [], [], 0
    for rows in estimates._families:
        there = rows[np.isfinite(estimate[rows])]
        labels, left, right = _names(estimates, there), None, None
        if compared is not None:
            pairs = slice(start, start + len(rows) * (len(rows) - 1) // 2)
            arrows = _arrows(compared, pairs, of_model[rows], alpha)
            left, right, start = arrows.left, arrows.right, pairs.stop
            if scale is not None:
                at = of_model[there]
                left, right = scale.back(at) - scale.back(at - left), scale.back(at + right) - scale.back(at)
            wrong += [f"{labels[i]} – {labels[j]}" for i, j in arrows.wrong]
        limit = estimate[there], lower[there], upper[there]
        families.append(means.Family(_heading(estimates, rows), labels, *limit, left, right))
    note = ""
    if compared is not None:
        note = f"arrows overlap where p ≥ {alpha:.3g} ({_adjusted(compared)})"
        if wrong:
            named = "; ".join(wrong)
            note += f"; not of {named if len(named) <= MOST_TEXT else f'{len(wrong)} pairs, which pwpp() shows'}"
    is_ratio = scale is not None and estimates.way is not None and estimates.way.is_ratio
    null = None if not differences else 1.0 if is_ratio else 0.0
    return means.draw(families, quantity_of(estimates), note, ax, null=null)


def draw_interaction(estimates: Estimates, x: str | None, intervals: bool, ax: Any) -> Any:
    """Means joined along one factor; see `EMMeans.interaction_plot`."""
    names = list(estimates.keys.columns)
    x = names[0] if x is None else x
    if x not in names:
        raise ValueError(f"x: the means are not of {x!r}; they are of {', '.join(map(str, names))}")
    values = estimates.keys[x]
    levels = None if pd.api.types.is_numeric_dtype(values.dtype) else list(pd.unique(values))
    series, title = series_of(estimates, x, levels)
    return interaction.draw(series, Along(str(x), levels), intervals, quantity_of(estimates), title, ax)


def draw_pwpp(estimates: Estimates, compared: Estimates, ax: Any) -> Any:
    """p-values of all pairs; see `EMMeans.pwpp`."""
    estimate, _, _ = limits(estimates)
    families, start = [], 0
    for rows in estimates._families:
        pairs = slice(start, start + len(rows) * (len(rows) - 1) // 2)
        first, second, p, start = *_places(estimate[rows], True), _p(compared)[pairs], pairs.stop
        order = np.argsort(np.where(np.isfinite(estimate[rows]), estimate[rows], np.inf), kind="stable")
        order = order[: np.isfinite(estimate[rows]).sum()]
        labels = [
            f"{name}  ({value:.4g})" for name, value in zip(_names(estimates, rows[order]), estimate[rows][order])
        ]
        there = (first >= 0) & (second >= 0)
        families.append(pwpp.Comparisons(_heading(estimates, rows), labels, first[there], second[there], p[there]))
    found = pwpp.draw(families, 1 - compared.test.level, _adjusted(compared), quantity_of(estimates), ax)
    return found[0] if len(found) == 1 else found


def _places(estimate: np.ndarray, sort: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which two means each pair of a family is of, among those that are there (−1: not there), in order if `sort`."""
    there = np.flatnonzero(np.isfinite(estimate))
    place = np.full(len(estimate), -1)
    place[there[np.argsort(estimate[there], kind="stable")] if sort else there] = np.arange(len(there))
    first, second = np.triu_indices(len(estimate), 1)  # the order of pairwise contrasts
    return place[first], place[second]


def _arrows(compared: Estimates, pairs: slice, estimate: np.ndarray, alpha: float) -> Arrows:
    """Arrows of the means of a family that are there."""
    first, second = _places(estimate, False)
    _, lower, upper = (column[pairs] for column in limits(compared))
    p, there = _p(compared)[pairs], (first >= 0) & (second >= 0)
    half = np.where(np.isfinite(p), (upper - lower) / 2, np.nan)
    mean = estimate[np.isfinite(estimate)]
    return comparison_arrows(mean, first[there], second[there], half[there], p[there] < alpha)


def _p(estimates: Estimates) -> np.ndarray:
    """p-values, (r,): the last column of the frame."""
    return estimates.frame.iloc[:, -1].to_numpy(float)


def _adjusted(compared: Estimates) -> str:
    """How p-values were adjusted."""
    return "not adjusted" if compared.test.adjust == "none" else compared.test.adjust


def _heading(estimates: Estimates, rows: np.ndarray) -> str:
    """What a family is called."""
    if not estimates.by:
        return ""
    return ", ".join(f"{name} = {written(estimates.keys[name].iloc[rows[0]])}" for name in estimates.by)


def _names(estimates: Estimates, rows: np.ndarray) -> list[str]:
    """What the estimates of a family are called: their levels, numbers after the name of their variable."""
    keys = estimates.frame.iloc[rows, : estimates.keys.shape[1]]  # those of ratios are not the keys'
    columns = []
    for name in [name for name in keys.columns if name not in estimates.by]:
        texts = [written(value) for value in keys[name]]
        is_number = all(re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", text) for text in texts)
        columns.append([f"{name} {text}" for text in texts] if is_number else texts)
    return [", ".join(parts) for parts in zip(*columns)]
