"""Marginal means and their contrasts.

A marginal mean is L β̂ with L an average of rows of the reference grid (`grid`); a contrast is a combination
of marginal means. Both are `Estimates`; all numbers come from `Inference`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from henderson.engine.fit import Fit
from henderson.inference.inference import Inference
from henderson.means.contrasts import ContrastSet, contrast_set
from henderson.means.estimability import combine
from henderson.means.estimates import Estimates, check_delta, check_level, columns_of, side_of
from henderson.means.grid import ReferenceGrid, margins, reference_grid, split_specs
from henderson.means.multiplicity.adjust import adjustment_name

_SAME: Any = object()


@dataclass(frozen=True, repr=False, eq=False)
class Contrasts(Estimates):
    """Contrasts among marginal means or trends; see `Estimates` for what it offers."""


@dataclass(frozen=True, repr=False, eq=False)
class EMMeans(Estimates):
    """Marginal means or trends; see `Estimates` for what it offers.

    Attributes
    ----------
    within : tuple of str
        Factors within which others are nested: contrasts are taken at each of their levels.
    """

    within: tuple[str, ...] = ()

    def contrasts(
        self,
        method: Any = "pairwise",
        *,
        adjust: str | None = None,
        by: str | Iterable[str] | None = _SAME,
        interaction: bool = False,
        level: float | None = None,
        side: Any = 0,
        delta: float | None = None,
        null: float = 0.0,
        **options: Any,
    ) -> Contrasts:
        """Contrasts among the means, within each level of `by`.

        Parameters
        ----------
        method : str, mapping of str to coefficients, DataFrame, or matrix
            ``"pairwise"``, ``"revpairwise"``, ``"trt.vs.ctrl"`` (`ref`: the control's place or label),
            ``"poly"`` (`max_degree`), ``"consec"``, ``"eff"``, ``"del.eff"``, ``"mean_chg"``, ``"identity"``;
            or one row of coefficients for each contrast, one number for each mean of a family. With
            `interaction`, also a sequence of names, one for each factor.
        adjust : str, optional
            Multiplicity adjustment; by default the one that suits the contrasts (pairwise: Tukey's;
            trt.vs.ctrl: Dunnett's; consec and mean_chg: mvt; eff and del.eff: fdr; others: none).
        by : str or sequence of str, optional
            Factors within which to compare; by default those of the means. None: compare across all.
        interaction : bool
            Contrasts of contrasts: `method` is applied to each factor, and the products are taken.
        level, side, delta, null
            As in `Estimates.summary`.
        **options
            `ref`, `reverse`, `max_degree`.

        Returns
        -------
        Contrasts
        """
        by_names = (*self.by, *self.within) if by is _SAME else columns_of(by or (), self.keys)
        means = EMMeans(self.keys, self.rows, self.inference, self.offset, by_names)
        names = [str(name) for name in self.keys.columns if name not in by_names]
        frames, rows, first = [], [], None
        for family in means._families:
            keys = self.keys.iloc[family]
            labels, coefficients, made = (
                _products(method, keys[names], options) if interaction else _simple(method, keys[names], options)
            )
            first = first or made
            heads = pd.DataFrame({name: [keys[name].iloc[0]] * len(labels) for name in by_names}, index=labels.index)
            frames.append(pd.concat([labels, heads], axis=1))
            rows.append(combine(coefficients, self.rows[family]))
        assert first is not None
        n_means = len(means._families[0])
        return Contrasts(
            pd.concat(frames, ignore_index=True),
            np.concatenate(rows),
            self.inference,
            self._offset_of(method, coefficients),
            by_names,
            n_means if first.pairs and not interaction else None,
            adjustment_name(adjust or ("none" if interaction else first.adjust)),
            self.level if level is None else check_level(level),
            side_of(side),
            self.delta if delta is None else check_delta(delta),
            float(null),
            self.about,
        )

    def _offset_of(self, method: Any, coefficients: np.ndarray) -> float:
        """What the offset adds to the contrasts: nothing where coefficients add up to zero."""
        total = coefficients.sum(1)
        total = np.where(np.abs(total) < 1e-12 * np.abs(coefficients).sum(1), 0.0, total)
        return 0.0 if not np.any(self.offset) else np.tile(total, len(self) // coefficients.shape[1]) * self.offset

    def pairs(self, **options: Any) -> Contrasts:
        """All pairwise differences: ``contrasts("pairwise", ...)``."""
        return self.contrasts("pairwise", **options)


def labels_of(keys: pd.DataFrame) -> list[str]:
    """What contrasts call the rows: values side by side, numbers after the name of their factor.

    Examples
    --------
    >>> labels_of(pd.DataFrame({"recipe": ["A", "B"], "temp": [175, 185]}))
    ['A temp175', 'B temp185']
    """
    columns = []
    for name in keys.columns:
        texts = [written(value) for value in keys[name]]
        if all(_is_number(text) for text in texts):
            texts = [f"{name}{text}" for text in texts]
        columns.append(texts)
    joined = [" ".join(parts) for parts in zip(*columns)]
    return [f"({text})" if re.search(r"[-+*/]", text) else text for text in joined]


def written(value: Any) -> str:
    """A level or a covariate's value, in at most six digits."""
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _simple(
    method: Any, keys: pd.DataFrame, options: Mapping[str, Any]
) -> tuple[pd.DataFrame, np.ndarray, ContrastSet]:
    options = dict(options)
    labels = labels_of(keys)
    ref = options.get("ref")
    if isinstance(ref, str) and ref not in labels and keys.shape[1] == 1:
        values = [written(value) for value in keys.iloc[:, 0]]
        if ref in values:
            options["ref"] = values.index(ref)
    made = contrast_set(method, labels, **options)
    return pd.DataFrame({"contrast": list(made.labels)}), made.coefficients, made


def _products(
    method: Any, keys: pd.DataFrame, options: Mapping[str, Any]
) -> tuple[pd.DataFrame, np.ndarray, ContrastSet]:
    """Contrasts of every factor, and their products; the rows of `keys` are all combinations, the first
    varying fastest."""
    names = list(keys.columns)
    methods = [method] * len(names) if isinstance(method, str) else list(method)
    if len(methods) != len(names):
        raise ValueError(f"interaction contrasts of {', '.join(names)} need {len(names)} methods, not {len(methods)}")
    sets, coefficients = [], np.ones((1, 1))
    for name, one in zip(names, methods):
        made = contrast_set(one, labels_of(keys[[name]].drop_duplicates()), **options)
        sets.append(made)
        coefficients = np.kron(made.coefficients, coefficients)
    if coefficients.shape[1] != len(keys):
        raise ValueError(f"interaction contrasts need every combination of {', '.join(names)}")
    labels = list(product(*(made.labels for made in reversed(sets))))
    heads = [f"{name}_{one}" for name, one in zip(names, methods)]
    frame = pd.DataFrame([row[::-1] for row in labels], columns=pd.Index(heads))
    return frame, coefficients, sets[0]


def emmeans(
    fit: Fit,
    inference: Inference,
    specs: str | Iterable[str],
    *,
    by: str | Iterable[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    level: float = 0.95,
    adjust: str = "none",
    side: Any = 0,
    delta: float = 0.0,
    null: float = 0.0,
) -> EMMeans:
    """Marginal means of a model given by a formula.

    Parameters
    ----------
    fit : Fit
    inference : Inference
        Covariance of β̂ and degrees of freedom.
    specs : str or sequence of str
        Variables at whose values to take means: ``"A"``, ``"A * B"``, ``"A | B"``; ``"1"`` for the mean over
        all.
    by : str or sequence of str, optional
        Variables whose levels are families.
    at : mapping of str to values, optional
        Values of some variables; other covariates are at their means (those with two values: averaged over
        both).
    weights : {"equal", "proportional", "cells", "outer", "flat"}
        How to average over the other factors; see `grid.margins`.
    level, adjust, side, delta, null
        As in `Estimates.summary`.

    Returns
    -------
    EMMeans

    Raises
    ------
    ValueError
        An unknown variable, weights, or adjustment; a model given as arrays.
    """
    grid = reference_grid(fit, at)
    names, by_names = split_specs(specs, by, grid)
    names = _with_outer(names, by_names, grid)
    found = margins(grid, [*names, *by_names], weights)
    keys = found.frame if len(found.frame.columns) else pd.DataFrame({"": ["overall"]})
    return EMMeans(
        keys,
        found.rows,
        inference,
        grid.offset,
        tuple(by_names),
        None,
        adjustment_name(adjust),
        check_level(level),
        side_of(side),
        check_delta(delta),
        float(null),
        _about(fit, grid, [*names, *by_names], found.averaged, weights),
        _around(names, by_names, grid),
    )


def _with_outer(names: list[str], by: Sequence[str], grid: ReferenceGrid) -> list[str]:
    """`names`, and the factors within which some of them are nested."""
    outer = [o for name in names for o in grid.nested.get(name, ()) if o not in by]
    return list(dict.fromkeys([*names, *outer]))


def _around(names: Sequence[str], by: Sequence[str], grid: ReferenceGrid) -> tuple[str, ...]:
    """Those of `names` within which others of them are nested."""
    outer = {o for name in names for o in grid.nested.get(name, ())}
    return tuple(name for name in names if name in outer and name not in by)


def _about(
    fit: Fit, grid: ReferenceGrid, names: Sequence[str], averaged: Sequence[str], weights: str
) -> tuple[str, ...]:
    """What the rows are: averages, covariates, nesting, scale, and emmeans' warning about interactions."""
    notes = []
    inside, outside = set(names), set(grid.values) - set(names)
    if any(
        term & inside and term & outside - {o for n in names for o in grid.nested.get(n, ())} for term in grid.terms
    ):
        notes.append("NOTE: Results may be misleading due to involvement in interactions")
    notes += [f"{inner} is nested in {' and '.join(outer)}" for inner, outer in grid.nested.items()]
    if averaged:
        how = "" if weights == "equal" else f" ({weights} weights)"
        notes.append(f"Results are averaged over the levels of: {', '.join(averaged)}{how}")
    fixed = [n for n in grid.values if n not in grid.factors and n not in names and len(grid.values[n]) == 1]
    if fixed:
        notes.append("Covariates: " + ", ".join(f"{n} = {written(grid.values[n][0])}" for n in fixed))
    response = getattr(fit.design.specs, "response", None)
    if response is not None and response.spec is not None:
        notes.append(f"Results are given on the scale of {response.expr}")
    return tuple(notes)
