"""Estimates that can be compared: marginal means, trends, and contrasts of contrasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from henderson.arguments import plain_options
from henderson.means.contrasts import ContrastSet, contrast_set
from henderson.means.estimability import combine
from henderson.means.estimates import Estimates, columns_of
from henderson.means.labels import Labels, free_name
from henderson.typing import Adjust, ContrastsLike, Label, Side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SAME: Any = object()


@dataclass(frozen=True, repr=False, eq=False)
class Comparable(Estimates):
    """Estimates with `contrasts`; see `Estimates` for what else they offer."""

    def contrasts(
        self,
        method: ContrastsLike = "pairwise",
        *,
        adjust: Adjust | None = None,
        by: str | Iterable[str] | None = _SAME,
        interaction: bool = False,
        level: float | None = None,
        side: Side = "two-sided",
        delta: float | None = None,
        null: float = 0.0,
        ref: Label | Sequence[Label] | None = None,
        reverse: bool | None = None,
        max_degree: int | None = None,
        type: Literal["link", "response"] | None = None,
    ) -> Contrasts:
        """Contrasts among the estimates, within each level of `by`.

        Parameters
        ----------
        method : str, mapping of str to coefficients, DataFrame, or matrix
            ``"pairwise"``, ``"revpairwise"``, ``"trt.vs.ctrl"``, ``"poly"``, ``"consec"``, ``"eff"``, ``"del.eff"``,
            ``"mean_chg"``, ``"identity"``; or one row of coefficients for each contrast: one number for each mean of a
            family, or ``{mean: number}`` by levels or labels. With `interaction`, also a sequence of names, one for
            each factor.
        adjust : str, optional
            Multiplicity adjustment; by default the one that suits the contrasts (pairwise: Tukey's;
            trt.vs.ctrl: Dunnett's; consec and mean_chg: mvt; eff and del.eff: fdr; others: none).
        by : str or sequence of str, optional
            Factors within which to compare; by default those of the estimates. None: compare across all.
        interaction : bool
            Contrasts of contrasts: `method` is applied to each factor, and the products are taken.
        level, side, delta, null
            As in `Estimates.summary`.
        ref : level, label or place, or a list of them, optional
            The control of ``"trt.vs.ctrl"``; by default the first.
        reverse : bool, optional
            Of ``"pairwise"``, ``"trt.vs.ctrl"`` and ``"consec"``: each difference the other way round.
        max_degree : int, optional
            Of ``"poly"``; by default 6.
        type : {"link", "response"}, optional
            With a response that is a logarithm: differences, or ratios (odds ratios of log-odds); by default as the
            means are. Contrasts on other scales stay there.

        Returns
        -------
        Contrasts

        Examples
        --------
        >>> import henderson
        >>> cake = henderson.datasets.load("cake")
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", cake)
        >>> means = fit.emmeans("recipe", at={"temp": 200})
        >>> means.contrasts({"A vs. C": {"A": 1, "C": -1}}).frame[["contrast", "estimate", "p"]].round(3)
          contrast  estimate      p
        0  A vs. C     1.522  0.539
        """
        by_names = self.by if by is _SAME else columns_of(() if by is None else by, self.keys)
        families = Estimates(self.keys, self.rows, self.inference, by=by_names)._families
        names = [str(name) for name in self.keys.columns if name not in by_names]
        given = {"ref": ref, "reverse": reverse, "max_degree": max_degree}
        options = {name: value for name, value in given.items() if value is not None}
        offset = np.broadcast_to(np.asarray(self.offset, float), len(self))
        frames, rows, offsets, sizes, sums, first = [], [], [], [], [], None
        for family in families:
            keys = self.keys.iloc[family]
            make = _products if interaction else _simple
            labels, coefficients, made = make(method, keys[names], by_names, options)
            first = first or made
            heads = pd.DataFrame({name: [keys[name].iloc[0]] * len(labels) for name in by_names}, index=labels.index)
            frames.append(pd.concat([labels, heads], axis=1))
            rows.append(combine(coefficients, self.rows[family]))
            sums.append(np.abs(coefficients.sum(axis=1)) - 1e-9 * np.abs(coefficients).sum(axis=1))
            offsets.append(combine(coefficients, offset[family, None])[:, 0])
            sizes += [len(family)] * bool(len(labels))
        assert first is not None
        suits = "none" if interaction else first.adjust
        return Contrasts(
            pd.concat(frames, ignore_index=True),
            np.concatenate(rows),
            self.inference,
            np.concatenate(offsets),
            by_names,
            self.test.but(adjust=adjust or suits, level=level, side=side, delta=delta, null=null, type=type),
            tuple(sizes) if first.pairs and not interaction else None,
            self.about,
            f"contrast of {self.quantity}" if self.quantity else "",
            None if self.way is None else self.way.contrasts(bool((np.concatenate(sums) <= 0).all())),
        )

    def pairs(
        self,
        *,
        adjust: Adjust | None = None,
        by: str | Iterable[str] | None = _SAME,
        level: float | None = None,
        side: Side = "two-sided",
        delta: float | None = None,
        null: float = 0.0,
        reverse: bool | None = None,
        type: Literal["link", "response"] | None = None,
    ) -> Contrasts:
        """All pairwise differences: ``contrasts("pairwise", ...)``, which says what the options are.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").pairs().frame[["contrast", "estimate", "se"]].round(3)
          contrast  estimate     se
        0    A - B    -7.967  1.054
        1    A - C   -13.917  1.054
        2    B - C    -5.950  1.054
        """
        return self.contrasts(
            "pairwise",
            adjust=adjust,
            by=by,
            level=level,
            side=side,
            delta=delta,
            null=null,
            reverse=reverse,
            type=type,
        )


@dataclass(frozen=True, repr=False, eq=False)
@plain_options
class Contrasts(Comparable):
    """Contrasts among marginal means, trends or contrasts; see `Estimates` for what it offers.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
    >>> fit.emmeans("Machine").contrasts("trt.vs.ctrl")
    contrast  estimate    se    df  lower  upper  statistic        p
    B - A         7.97  1.05  46.0   5.55  10.38      7.559  <0.0001
    C - A        13.92  1.05  46.0  11.50  16.33     13.205  <0.0001
    <BLANKLINE>
    Degrees of freedom: satterthwaite
    Confidence level: 0.95
    Conf-level adjustment: dunnett method for 2 estimates (emmeans' approximation dunnettx; mvt is exact)
    P value adjustment: dunnett method for 2 tests (emmeans' approximation dunnettx; mvt is exact)
    """

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The contrasts with their intervals, and the line at zero (needs matplotlib).

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").pairs().plot().get_xlabel()
        'contrast of score'
        """
        from henderson.means.pictures import draw_means

        return draw_means(self, None, True, ax)


@dataclass(frozen=True, repr=False, eq=False)
@plain_options
class EMMeans(Comparable):
    """Marginal means or trends; see `Estimates` for what it offers.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
    >>> fit.emmeans("Machine")
    Machine  estimate    se    df  lower  upper  statistic        p
    A           52.36  2.23  5.83  46.86  57.85     23.485  <0.0001
    B           60.32  2.23  5.83  54.83  65.82     27.059  <0.0001
    C           66.27  2.23  5.83  60.78  71.77     29.728  <0.0001
    <BLANKLINE>
    Degrees of freedom: satterthwaite
    Confidence level: 0.95
    """

    def plot(self, *, comparisons: bool = True, adjust: Adjust | None = None, ax: Axes | None = None) -> Axes:
        """The means with their intervals, and arrows that compare them (needs matplotlib).

        Arrows of two means of a family overlap where their difference is not significant at one less the confidence
        level, and do not where it is. Where no arrows can show that of a pair the title says so.

        Parameters
        ----------
        comparisons : bool
            Whether to draw arrows.
        adjust : str, optional
            Multiplicity adjustment of the comparisons; by default Tukey's.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").plot().get_xlabel()
        'score'
        """
        from henderson.means.pictures import draw_means

        several = any(len(family) > 1 for family in self._families)
        return draw_means(self, self.pairs(adjust=adjust, delta=0.0) if comparisons and several else None, False, ax)

    def interaction_plot(self, x: str | None = None, *, intervals: bool = True, ax: Axes | None = None) -> Axes:
        """Means joined along one variable, a line for each combination of the others (needs matplotlib).

        Parameters
        ----------
        x : str, optional
            The variable; by default the first. Numbers are at their places, other levels at equal distances.
        intervals : bool
            Whether to draw confidence intervals.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> ax = fit.emmeans("Machine").interaction_plot()
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('Machine', 'score')
        """
        from henderson.means.pictures import draw_interaction

        return draw_interaction(self, x, intervals, ax)

    def pwpp(self, *, adjust: Adjust | None = None, ax: Axes | None = None) -> Axes:
        """p-values of all pairwise comparisons, each a bar that joins the two means at its p (needs matplotlib).

        Parameters
        ----------
        adjust : str, optional
            Multiplicity adjustment; by default Tukey's.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure. With several families (`by`), an array of as many.

        Returns
        -------
        matplotlib Axes, or an array of them, one a family

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("score ~ Machine + (1 | Worker)", henderson.datasets.load("Machines"))
        >>> fit.emmeans("Machine").pwpp().get_xlabel()
        'p (tukey)'
        """
        from henderson.means.pictures import draw_pwpp

        if any(len(family) < 2 for family in self._families):
            raise ValueError("pwpp() compares means, and a family has but one")
        return draw_pwpp(self, self.pairs(adjust=adjust, delta=0.0), ax)


def _simple(
    method: Any, keys: pd.DataFrame, by: tuple[str, ...], options: Mapping[str, Any]
) -> tuple[pd.DataFrame, np.ndarray, ContrastSet]:
    made = contrast_set(method, Labels.of(keys), **options)
    return pd.DataFrame({free_name("contrast", by): list(made.labels)}), made.coefficients, made


def _products(
    method: Any, keys: pd.DataFrame, by: tuple[str, ...], options: Mapping[str, Any]
) -> tuple[pd.DataFrame, np.ndarray, ContrastSet]:
    """Contrasts of every factor, and their products; the rows of `keys` are all combinations, the first
    varying fastest."""
    names = list(keys.columns)
    methods = [method] * len(names) if isinstance(method, str) else list(method)
    if len(methods) != len(names):
        raise ValueError(f"interaction contrasts of {', '.join(names)} need {len(names)} methods, not {len(methods)}")
    sets, coefficients = [], np.ones((1, 1))
    for name, one in zip(names, methods):
        made = contrast_set(one, Labels.of(keys[[name]].drop_duplicates(), name_numbers=False), **options)
        sets.append(made)
        coefficients = np.kron(made.coefficients, coefficients)
    if coefficients.shape[1] != len(keys):
        raise ValueError(f"interaction contrasts need every combination of {', '.join(names)}")
    labels = list(product(*(made.labels for made in reversed(sets))))
    heads = [free_name(f"{name}_{one}", by) for name, one in zip(names, methods)]
    frame = pd.DataFrame([row[::-1] for row in labels], columns=pd.Index(heads))
    return frame, coefficients, sets[0]
