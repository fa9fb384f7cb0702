"""How uncertain packed parameters are: their covariance, standard errors and intervals.

Cov(params) = inverse of the joint observed information of (β̂, lower triangle of cov_re / scale, vcomp / scale)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from henderson.arguments import probability
from henderson.compat.statsmodels.packed_results import PackedResults
from henderson.engine import likelihood
from henderson.engine.moments_at import moments_of
from henderson.inference.contrast_rows import Turned
from henderson.inference.covariances.joint import Joint, joint_of, joint_of_fit
from henderson.results.coefficients import root
from henderson.typing import BootstrapInterval, BootstrapKind, IntervalMethod, Seed

if TYPE_CHECKING:
    from henderson.engine.moments import Moments
    from henderson.inference.inference import Inference

FloatArray = np.ndarray


class PackedUncertainty(PackedResults):
    """moments, inference, bse_re, bse_cov_re, conf_int."""

    @cached_property
    def moments(self) -> Moments:
        """`Moments` of the model's design at the estimates.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.moments.f0.shape  # X and y
        (3, 3)
        """
        if self._outcome.same_design:
            from henderson.inference.fit_moments import FitMoments

            return FitMoments.of(self.engine).relative
        own = self._outcome.params
        return moments_of(self._setup.criterion(self.reml), self._setup.packing.g(own.cov_re, own.vcomp))

    @cached_property
    def _joint(self) -> Joint:
        beta = self._outcome.params.fe_params[self.engine.kept]
        free = self._outcome.free(self._setup)
        if self._outcome.same_design and free.all():
            return joint_of_fit(self.engine, beta)
        return joint_of(likelihood.Point(self.moments, self.reml), beta, free=free)

    @cached_property
    def _joint_covariance(self) -> FloatArray:
        """Inverse of the joint observed information of params, (k, k); zero for what was held fixed."""
        kept, index, p = self.engine.kept, self._setup.packing.index, int(self.engine.kept.sum())
        places = np.concatenate([np.flatnonzero(kept), self.k_fe + np.arange(len(index))])
        order = np.concatenate([np.arange(p), p + index])
        out = np.full((self.k_fe + len(index),) * 2, np.nan)
        out[np.ix_(places, places)] = self._joint.in_user_units[np.ix_(order, order)]
        if (zero := self._outcome.zero) is not None:
            out[: self.k_fe][zero] = out[:, : self.k_fe][:, zero] = np.nan
        return out

    @cached_property
    def inference(self) -> Inference:
        """The covariance of the fixed effects, their degrees of freedom, and the tests that follow.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.inference.ddf, fit.inference.cov_type
        ('asymptotic', 'hessian')
        """
        if self._outcome.optimal:
            return super().inference
        from henderson.inference.choose import infer

        plain = infer(self.engine, ddf="asymptotic", cov="model")
        block = self._joint_covariance[: self.k_fe, : self.k_fe]
        kept = ~np.isnan(np.diag(block))
        return replace(plain, cov=block, cov_type="hessian", kept=kept, unidentified=None, turned=self._turned)

    @property
    def _turned(self) -> Turned | None:
        """The covariance of fe_params in the working basis; None where its parameters are not free in that."""
        if not (self._outcome.same_design and self._outcome.free(self._setup).all()):
            return None
        p = int(self.engine.kept.sum())
        return Turned(self._joint.to_user[:p, :p], self._joint.cov[:p, :p])

    @cached_property
    def _cov(self) -> FloatArray:
        """Covariance of params, (k, k); NaN for what the data do not identify."""
        out = self._joint_covariance
        if not self._outcome.optimal:
            return out
        if self.inference.cov_type != "hessian":
            out = np.zeros_like(self._joint_covariance)
            out[self.k_fe :, self.k_fe :] = self._joint_covariance[self.k_fe :, self.k_fe :]
            out[: self.k_fe, : self.k_fe] = self.inference.known_cov
        if self.inference.unidentified is not None:
            unknown = np.append(np.isnan(np.diag(self.inference.known_cov)), self._unidentified_variances)
            out = out.copy()
            out[unknown] = out[:, unknown] = np.nan
        return out

    @cached_property
    def _unidentified_variances(self) -> np.ndarray:
        """Which variance parameters of params the data do not identify, bool."""
        index, unidentified = self._setup.packing.index, self.inference.unidentified
        if unidentified is None:
            return np.zeros(len(index), bool)
        to_user = self.engine.criterion.to_user_g
        return unidentified.flat.touches(np.column_stack([to_user, np.zeros(len(to_user))]))[index]

    @cached_property
    def bse_re(self) -> pd.Series | FloatArray:
        """statsmodels' standard errors of the variance parameters, √scale times those of params.

        They are neither on the scale of `cov_re` nor on that of `params`; see `bse_cov_re`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.bse_re.round(3)
        Subject Var           11.881
        Subject x Days Cov     1.821
        Days Var               0.610
        dtype: float64
        """
        return self._labelled(root(self.scale * np.diag(self._cov)[self.k_fe :]), self._names[self.k_fe :])

    @cached_property
    def bse_cov_re(self) -> pd.Series:
        """Standard errors of the entries of cov_re, of vcomp and of scale, as they are shown (delta method).

        See `joint.Joint.shown`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.bse_cov_re.round(2)
        Subject Var           288.78
        Subject x Days Cov     46.68
        Days Var               14.78
        scale                  77.19
        dtype: float64
        """
        var, var_scale = self._joint.shown(self.scale)
        names, of_params = [*self._names[self.k_fe :], "scale"], var[self._setup.packing.index]
        if self._outcome.optimal:
            of_params = np.where(self._unidentified_variances, np.nan, of_params)
        return pd.Series(root(np.append(of_params, var_scale)), index=pd.Index(names))

    def conf_int(  # type: ignore[override]  # arrays where the data came without labels
        self,
        alpha: float = 0.05,
        cols: Sequence[int] | None = None,
        *,
        method: IntervalMethod | None = None,
        level: float | None = None,
        parameters: str | Sequence[str] | None = None,
        transform: bool | None = None,
        reml: bool | None = None,
        n: int | None = None,
        interval: BootstrapInterval | None = None,
        kind: BootstrapKind | None = None,
        statistic: Callable[..., object] | None = None,
        seed: Seed | None = None,
        within: bool | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame | FloatArray:
        """Intervals: Wald's of `params`; or, by another method or by name, of all parameters as they are shown.

        Parameters
        ----------
        alpha : float
            One less the level.
        cols : sequence of int, optional
            Which parameters, by position.
        method : {"wald", "profile", "boot"}, optional
            "profile" and "boot" have standard deviations, correlations, sigma and fixed effects, in columns lower
            and upper.
        level : float, optional
            In place of `alpha`.
        parameters : str or sequence of str, optional
            Which of these rows, by name; ``"theta_"`` and ``"beta_"`` are all of the covariance and all fixed effects.
        transform : bool, optional
            For "wald": as in `MixedModelResults.conf_int`.
        reml : bool, optional
            For "profile": profile the restricted likelihood.
        n, interval, kind, statistic, seed, within, progress : optional
            For "boot": replicates (1000), {"percentile", "basic", "bca"}, {"parametric", "residual", "cases"}, and
            as in `bootstrap`.

        Returns
        -------
        DataFrame or array
            (k, 2).

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        >>> fit.conf_int().round(2)
                                 0       1
        Intercept           238.03  264.78
        Days                  7.44   13.50
        Subject Var           0.02    1.84
        Subject x Days Cov   -0.12    0.15
        Days Var              0.01    0.10
        """
        if method in (None, "wald") and parameters is None and not transform:
            limits = self._wald_limits(alpha if level is None else 1 - probability(level, "level"))
            chosen = list(range(len(limits))) if cols is None else [int(c) for c in np.atleast_1d(cols)]
            if self._setup.names.row_labels is None:
                return limits[chosen]
            return pd.DataFrame(limits[chosen], index=pd.Index([self._names[c] for c in chosen]))
        return super().conf_int(
            alpha, cols, method=method, level=level, parameters=parameters, transform=transform, reml=reml, n=n,
            interval=interval, kind=kind, statistic=statistic, seed=seed, within=within, progress=progress,
        )  # fmt: skip
