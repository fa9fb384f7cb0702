"""`Packing`: where statsmodels' (cov_re, vcomp) are among the engine's G parameters.

statsmodels has the lower triangle of cov_re row by row, then the variance components; the engine has the free
entries of every term's G = λλ' in θ's order (column by column), term after term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.contract.design import Design, RandomTerm
from henderson.covariance.layout import Layout, layouts_of
from henderson.covariance.structure import Filled
from henderson.covariance.structures import structure_called
from henderson.errors import FormulaError
from henderson.formula.bar_kinds import kind_of_structure

FloatArray = np.ndarray


def random_effect_terms(terms: Sequence[RandomTerm]) -> tuple[int, ...]:
    """Which terms make up cov_re (the others are variance components).

    Terms of several effects a level, and the outermost of the others, when it is one plain effect a level: the one
    whose grouping factor is part of all other terms' (``b`` beside ``a:b``), else the first.
    """
    parts = [set(term.group.split(":")) for term in terms]
    outermost = next((k for k, own in enumerate(parts) if all(own <= other for other in parts)), 0)
    return tuple(
        k
        for k, term in enumerate(terms)
        if not term.loaded
        and not structure_called(term.structure).one_variance
        and (term.n_columns > 1 or k == outermost)
    )


def can_be_packed(design: Design) -> bool:
    """Whether every entry of cov_re is a parameter: ``ar1(0 + t | g)`` has others."""
    terms = design.terms
    return all(isinstance(structure_called(terms[k].structure), Filled) for k in random_effect_terms(terms))


@dataclass(frozen=True)
class Packing:
    """Where the numbers of (cov_re, vcomp) are among the G parameters.

    Attributes
    ----------
    k_re : int
        Rows of cov_re.
    entries : (k_re2, 2) int array
        Free entries of cov_re, in statsmodels' order: row by row, column ≤ row.
    re_index : (k_re2,) int array
        Their places among the G parameters.
    vc_index : (k_vc,) int array
        Places of the variance components.
    re_terms, vc_terms : tuple of int
        Terms of the design that make up cov_re, and the components.
    layouts : tuple of Layout
        One a term.
    """

    k_re: int
    entries: FloatArray
    re_index: FloatArray
    vc_index: FloatArray
    re_terms: tuple[int, ...]
    vc_terms: tuple[int, ...]
    layouts: tuple[Layout, ...]

    @classmethod
    def of(cls, design: Design, n_components: int = 0) -> Packing:
        """The packing of a design whose last `n_components` terms are variance components for certain."""
        layouts = layouts_of(design.terms)
        starts = np.concatenate([[0], np.cumsum([layout.n_g for layout in layouts])]).astype(int)
        re_terms = random_effect_terms(design.terms[: len(design.terms) - n_components])
        vc_terms = tuple(k for k in range(len(layouts)) if k not in re_terms)
        entries, re_index, row = [], [], 0
        for k in re_terms:
            if not isinstance(structure_called(design.terms[k].structure), Filled):
                word, _ = kind_of_structure(design.terms[k].structure)
                raise FormulaError(
                    f"cov_re has a parameter for each of its entries, which {word}() has not; lmer() takes {word}()"
                )
            own = [tuple(np.argwhere(np.tril(one)).tolist()[0]) for one in layouts[k].basis()]
            for (r, s), i in sorted(zip(own, range(len(own)))):
                entries.append((row + r, row + s))
                re_index.append(starts[k] + i)
            row += layouts[k].q
        return cls(
            row,
            np.array(entries, int).reshape(-1, 2),
            np.array(re_index, int),
            starts[list(vc_terms)].astype(int) if vc_terms else np.zeros(0, int),
            re_terms,
            vc_terms,
            layouts,
        )

    @property
    def index(self) -> FloatArray:
        """Places of (cov_re entries, vcomp) among the G parameters, (k,)."""
        return np.concatenate([self.re_index, self.vc_index])

    @property
    def k_re2(self) -> int:
        return len(self.re_index)

    @property
    def k_vc(self) -> int:
        return len(self.vc_index)

    def g(self, cov_re: Any, vcomp: Any) -> FloatArray:
        """G parameters of (cov_re, vcomp)."""
        g = np.zeros(self.k_re2 + self.k_vc)
        g[self.re_index] = np.asarray(cov_re, float).reshape(self.k_re, self.k_re)[tuple(self.entries.T)]
        g[self.vc_index] = np.asarray(vcomp, float)
        return g

    def cov_re(self, g: FloatArray) -> FloatArray:
        """cov_re at G parameters, (k_re, k_re)."""
        cov = np.zeros((self.k_re, self.k_re))
        r, s = self.entries.T
        cov[r, s] = cov[s, r] = g[self.re_index]
        return cov

    def vcomp(self, g: FloatArray) -> FloatArray:
        """vcomp at G parameters, (k_vc,)."""
        return g[self.vc_index]

    def by_term(self, g: FloatArray) -> list[FloatArray]:
        """G of each term, (q, q)."""
        starts = np.cumsum([layout.n_g for layout in self.layouts])[:-1]
        return [layout.covariance(part) for layout, part in zip(self.layouts, np.split(g, starts))]

    def theta(self, g: FloatArray) -> FloatArray:
        """θ of G parameters (the nearest, where G is not positive semidefinite)."""
        parts = [layout.theta_of_cov(cov) for layout, cov in zip(self.layouts, self.by_term(g))]
        return np.concatenate(parts) if parts else np.zeros(0)

    def g_of_theta(self, theta: FloatArray) -> FloatArray:
        """G parameters of θ."""
        starts = np.cumsum([layout.n_theta for layout in self.layouts])[:-1]
        parts = []
        for layout, part in zip(self.layouts, np.split(np.asarray(theta, float), starts)):
            lam = layout.lam(part)
            parts.append(layout.g(lam @ lam.T))
        return np.concatenate(parts) if parts else np.zeros(0)

    def root_jacobian(self, root: FloatArray, vc_root: FloatArray) -> FloatArray:
        """∂(cov_re entries, vcomp)/∂(entries of its lower square root, √vcomp), (k, k).

        Parameters
        ----------
        root : (k_re, k_re) array
            Lower triangular L, cov_re = LL'.
        vc_root : (k_vc,) array
        """
        k = self.k_re2
        jacobian = np.zeros((k + self.k_vc, k + self.k_vc))
        for j, (r, s) in enumerate(self.entries):
            step = np.zeros_like(root)
            step[r, s] = 1.0
            change = step @ root.T
            jacobian[:k, j] = (change + change.T)[tuple(self.entries.T)]
        jacobian[k:, k:] = np.diag(2 * vc_root)
        return jacobian
