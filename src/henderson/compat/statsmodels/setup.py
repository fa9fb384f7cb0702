"""`Setup`: what `MixedLM` and its results both stand on: a design, and statsmodels' view of it. It never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from henderson.compat.statsmodels.groups import Groups, Members, top_groups
from henderson.compat.statsmodels.names import ModelData, component_names, effect_names, entry_names
from henderson.compat.statsmodels.packing import Packing
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.contract.design import Design
from henderson.contract.rows import Rows, present
from henderson.errors import DataError, NotAvailable

if TYPE_CHECKING:
    from henderson.engine.criterion import Criterion
    from henderson.engine.from_source import Streamed

FloatArray = np.ndarray


@dataclass(frozen=True)
class Setup:
    """A design and its rows as statsmodels sees them.

    Attributes
    ----------
    design : Design
    given_rows : Rows, or None
        None after `without_rows`.
    packing : Packing
        Where (cov_re, vcomp) are among the engine's parameters.
    names : ModelData
    use_sqrt : bool
        Whether packed covariance parameters are those of the lower square root.
    given_groups : Groups, or None
        The groups that were named; by default those of the top grouping factor.
    given_members, given_criterion
        Without rows: what is left of `members` and `criterion`.
    streamed : Streamed, or None
        What reads rows again that were read in parts.
    rest : str
        How equations of crossed effects are solved, see `henderson.lmer`.
    """

    design: Design
    given_rows: Rows | None
    packing: Packing
    names: ModelData
    use_sqrt: bool = True
    given_groups: Groups | None = None
    given_members: Mapping[int, Members] | None = None
    given_criterion: Criterion | None = None
    streamed: Streamed | None = None
    rest: str = "auto"

    @classmethod
    def of_sums(cls, rows: Streamed, *, use_sqrt: bool = True, rest: str = "auto") -> Setup:
        """The setup of a design whose rows were read in parts, and summed."""
        from henderson.engine.criterion import Criterion
        from henderson.engine.factor.iterative.choice import system_of

        assert rows.sums is not None
        sums = rows.sums
        design = sums.design
        packing = Packing.of(design, 0)
        effects = effect_names(design, packing)
        names = ModelData(
            design.y_name,
            list(design.x_names),
            effects,
            entry_names(packing, effects),
            component_names(design, packing),
            row_labels=pd.RangeIndex(0),
            model_spec=design.specs.fixed,
        )
        groups = members = None
        if len({term.group for term in design.terms}) == 1:
            groups = Groups.of_sizes(list(design.terms[0].levels), next(iter(rows.counts.values())))
            every = np.arange(design.terms[0].n_levels)
            members = {k: Members(every, every + 1) for k in range(len(design.terms))}
        criterion = Criterion(system_of(sums.cross, sums.blocks, rest), sums.basis, True)
        return cls(design, None, packing, names, use_sqrt, groups, members, criterion, rows, rest)

    @classmethod
    def of(
        cls,
        design: Design,
        rows: Rows,
        n_components: int = 0,
        *,
        use_sqrt: bool = True,
        frame: Any = None,
        rest: str = "auto",
    ) -> Setup:
        """The setup of a design whose last `n_components` terms are variance components."""
        packing = Packing.of(design, n_components)
        levels = getattr(design.specs, "group_levels", None)
        groups = None if levels is None or rows.groups is None else Groups(rows.groups, list(levels))
        effects = effect_names(design, packing)
        names = ModelData(
            design.y_name,
            list(design.x_names),
            effects,
            entry_names(packing, effects),
            component_names(design, packing),
            rows.index,
            frame=frame,
            orig_endog=frame,
            model_spec=getattr(design.specs, "fixed", None),
        )
        return cls(design, rows, packing, names, use_sqrt, groups, rest=rest)

    @property
    def rows(self) -> Rows:
        """The rows.

        Raises
        ------
        DataError
            When they were let go.
        """
        if self.streamed is not None:
            raise NotAvailable("the model's arrays: this needs all rows in memory, and they were read in parts")
        return present(self.given_rows, "the model's likelihood and its arrays")

    @property
    def k_fe(self) -> int:
        """Fixed effects."""
        return len(self.design.x_names)

    @property
    def k_re(self) -> int:
        """Rows of cov_re."""
        return self.packing.k_re

    @property
    def k_re2(self) -> int:
        """Free entries of cov_re."""
        return self.packing.k_re2

    @property
    def k_vc(self) -> int:
        """Variance components."""
        return self.packing.k_vc

    @cached_property
    def groups(self) -> Groups:
        """The independent groups.

        Raises
        ------
        DataError
            When no grouping factor nests all others.
        """
        return self.given_groups or top_groups(self.design, self.rows)

    @property
    def is_grouped(self) -> bool:
        """Whether there are independent groups: a grouping factor that nests all others."""
        try:
            return bool(self.groups.labels)
        except DataError:
            return False

    @cached_property
    def _criteria(self) -> dict[bool, Criterion]:
        return {}

    def criterion(self, reml: bool) -> Criterion:
        """The deviance of the design, made once."""
        if reml not in self._criteria:
            from henderson.engine.criterion import Criterion

            given = self.given_criterion
            if given is None:
                self._criteria[reml] = Criterion.of(self.design, self.rows, reml=reml, rest=self.rest)
            else:
                self._criteria[reml] = replace(given, reml=reml)
        return self._criteria[reml]

    @property
    def everything(self) -> MixedLMParams:
        """The mask that leaves all parameters free."""
        return MixedLMParams.from_components(
            np.ones(self.k_fe), cov_re=np.ones((self.k_re, self.k_re)), vcomp=np.ones(self.k_vc)
        )

    def params(self, beta: FloatArray, g: FloatArray) -> MixedLMParams:
        """Parameters of fixed effects and G parameters."""
        packing = self.packing
        return MixedLMParams.from_components(np.array(beta), cov_re=packing.cov_re(g), vcomp=packing.vcomp(g))

    def theta(self, params: MixedLMParams) -> FloatArray:
        """θ of parameters."""
        return self.packing.theta(self.packing.g(params.cov_re, params.vcomp))

    def unpack(self, params: Any, has_fe: bool) -> MixedLMParams:
        """Parameters of a packed vector (or themselves)."""
        if isinstance(params, MixedLMParams):
            return params
        params = np.asarray(params, float)
        length = self.k_re2 + self.k_vc + (self.k_fe if has_fe else 0)
        if params.shape != (length,):
            parts = f"{'fe_params, ' if has_fe else ''}the lower triangle of cov_re, vcomp"
            raise ValueError(f"packed parameters must have {length} entries ({parts}), not {params.size}")
        if self.k_re2 == self.k_re * (self.k_re + 1) // 2:
            return MixedLMParams.from_packed(params, self.k_fe, self.k_re, self.use_sqrt, has_fe)
        start = self.k_fe if has_fe else 0
        lower = np.zeros((self.k_re, self.k_re))
        lower[tuple(self.packing.entries.T)] = params[start : start + self.k_re2]
        vcomp = params[start + self.k_re2 :]
        return MixedLMParams.from_components(
            params[:start] if has_fe else np.zeros(self.k_fe),
            cov_re=lower @ lower.T if self.use_sqrt else lower + np.tril(lower, -1).T,
            vcomp=vcomp**2 if self.use_sqrt else vcomp,
        )

    def with_terms(self, terms: tuple[Any, ...]) -> Setup:
        """The same with other random terms."""
        return Setup.of(replace(self.design, terms=terms), self.rows, self.k_vc, rest=self.rest)

    @cached_property
    def members(self) -> Mapping[int, Members]:
        """Which effects of each term belong to which group."""
        if self.given_members is not None:
            return self.given_members
        terms = (*self.packing.re_terms, *self.packing.vc_terms)
        return {k: Members.of(self.design.terms[k], self.rows.terms[k], self.groups) for k in terms}

    def without_rows(self, criterion: Criterion) -> Setup:
        """The same without rows; names and sizes of groups stay, and the sums of a criterion."""
        if self.given_rows is None:
            return replace(self, given_criterion=criterion)
        names = replace(self.names, frame=None, orig_endog=None, orig_exog=None)
        if names.row_labels is not None:
            names = replace(names, row_labels=pd.RangeIndex(0))
        groups = self.groups.without_rows() if self.is_grouped else None
        members = self.members if self.is_grouped else None
        return replace(
            self,
            design=self.design.without_rows(),
            given_rows=None,
            names=names,
            given_groups=groups,
            given_members=members,
            given_criterion=criterion,
        )

    def __getstate__(self) -> dict[str, Any]:
        computed = ("_criteria", "members", "groups")
        return {name: value for name, value in self.__dict__.items() if name not in computed} | {"streamed": None}
