"""The likelihood of a `MixedLM` at any parameters: statsmodels' methods, as functions of `Moments`.

A model is asked at (fe_params, cov_re, vcomp), variances relative to the residual's, which is profiled out.
The mathematics is in `likelihood`. Whether it is the restricted one, or penalised, is the last fit's choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from henderson.compat.statsmodels.params import MixedLMParams
from henderson.compat.statsmodels.setup import Setup
from henderson.engine import likelihood
from henderson.engine.moments_at import moments_of
from henderson.typing import Penalty

FloatArray = np.ndarray


class ModelLikelihood:
    """loglike, score, hessian and the profiled parameters, for a class that has a setup."""

    setup: Setup
    reml: bool
    fe_pen: Penalty | None
    cov_pen: Penalty | None

    def _point(self, params: MixedLMParams) -> likelihood.Point:
        """The likelihood's moments at (cov_re, vcomp)."""
        g = self.setup.packing.g(params.cov_re, params.vcomp)
        return likelihood.Point(moments_of(self.setup.criterion(self.reml), g), self.reml)

    @property
    def _kept(self) -> FloatArray:
        """Columns of exog that are not redundant, (k_fe,) bool."""
        return np.asarray(self.setup.criterion(self.reml).basis.kept, bool)

    def _spread(self, values: FloatArray, fill: float = np.nan) -> FloatArray:
        """Values of the columns kept, at their places among all."""
        out = np.full(self.setup.k_fe, fill)
        out[self._kept] = values
        return out

    def loglike(self, params: ArrayLike | MixedLMParams, profile_fe: bool = True) -> float:
        """Log-likelihood (restricted, when the last fit was by REML) with the residual variance profiled out.

        Parameters
        ----------
        params : MixedLMParams or array_like
            Packed: covariance parameters only, relative to the residual variance (see `use_sqrt`).
        profile_fe : bool
            Whether to replace fe_params by their best value; packed parameters have zeros for them otherwise.

        Returns
        -------
        float
            Less the penalties of the last fit, if it had any.

        Examples
        --------
        >>> import henderson
        >>> model = henderson.mixedlm("Points ~ Minutes", henderson.datasets.load("nba"), groups="Team")
        >>> print(f"{model.loglike([0.8]):.4f}")
        -30.8931
        """
        params = self.setup.unpack(params, has_fe=False)
        point = self._point(params)
        if profile_fe:
            beta = likelihood.profile_beta(point.moments)
        else:
            beta = np.asarray(params.fe_params, float)[self._kept]
        value = likelihood.loglike(point, beta)
        if self.cov_pen is not None and self.setup.k_re > 0:
            value -= self.cov_pen.func(params.cov_re, np.linalg.pinv(params.cov_re))
        if self.fe_pen is not None:
            value -= self.fe_pen.func(self._spread(beta, 0.0))
        return value

    def score(self, params: ArrayLike | MixedLMParams, profile_fe: bool = True) -> FloatArray:
        """Gradient of `loglike` in the packed parameters (see `use_sqrt`).

        Parameters
        ----------
        params : MixedLMParams or array_like
            Packed: covariance parameters only.
        profile_fe : bool
            As for `loglike`.

        Returns
        -------
        (k_re2 + k_vc,) array
            Without `profile_fe` (k_fe + k_re2 + k_vc,), fe_params first.

        Examples
        --------
        >>> import henderson
        >>> model = henderson.mixedlm("Points ~ Minutes", henderson.datasets.load("nba"), groups="Team")
        >>> model.score([0.7]).round(2)
        array([0.18])
        """
        params = self.setup.unpack(params, has_fe=False).copy()
        if profile_fe:
            params.fe_params, _ = self.get_fe_params(params.cov_re, params.vcomp)
        parts = (self.score_sqrt if self.setup.use_sqrt else self.score_full)(params, calc_fe=not profile_fe)
        return np.concatenate(parts[1:] if profile_fe else parts)

    def score_full(
        self, params: ArrayLike | MixedLMParams, calc_fe: bool = True
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gradient of `loglike` in fe_params, the lower triangle of cov_re, and vcomp.

        Parameters
        ----------
        params : MixedLMParams or array_like
            Packed: with fe_params.
        calc_fe : bool
            Without it the first is zero.

        Returns
        -------
        score_fe : (k_fe,) array
        score_re : (k_re2,) array
        score_vc : (k_vc,) array

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit()
        >>> [part.shape for part in model.score_full(fit.params_object)]
        [(2,), (3,), (0,)]
        """
        params = self.setup.unpack(params, has_fe=True)
        beta = np.asarray(params.fe_params, float)
        point = self._point(params)
        d_beta, d_g = likelihood.score(point, beta[self._kept])
        score_fe = self._spread(d_beta, 0.0) if calc_fe else np.zeros(self.setup.k_fe)
        if calc_fe and self.fe_pen is not None:
            score_fe = score_fe - self.fe_pen.deriv(beta)
        score_re, score_vc = d_g[self.setup.packing.re_index], d_g[self.setup.packing.vc_index]
        if self.cov_pen is not None:
            score_re = score_re - self.cov_pen.deriv(params.cov_re, np.linalg.pinv(params.cov_re))
        return score_fe, score_re, score_vc

    def score_sqrt(
        self, params: ArrayLike | MixedLMParams, calc_fe: bool = True
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gradient of `loglike` in fe_params, the lower square root of cov_re, and the roots of vcomp.

        Parameters and returns are those of `score_full`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit()
        >>> [part.shape for part in model.score_sqrt(fit.params_object)]
        [(2,), (3,), (0,)]
        """
        from henderson.covariance.roots import factor_of

        params = self.setup.unpack(params, has_fe=True)
        score_fe, score_re, score_vc = self.score_full(params, calc_fe)
        root = factor_of(np.asarray(params.cov_re, float)) if self.setup.k_re else np.zeros((0, 0))
        jacobian = self.setup.packing.root_jacobian(root, np.sqrt(np.asarray(params.vcomp, float)))
        in_root = np.concatenate([score_re, score_vc]) @ jacobian
        return score_fe, in_root[: self.setup.k_re2], in_root[self.setup.k_re2 :]

    def hessian(self, params: ArrayLike | MixedLMParams) -> tuple[FloatArray, bool]:
        """Second derivatives of the log-likelihood in fe_params, the lower triangle of cov_re, and vcomp.

        Parameters
        ----------
        params : MixedLMParams or array_like
            Packed: with fe_params.

        Returns
        -------
        hess : (k, k) array
            NaN for columns that were dropped as redundant.
        singular : bool
            Whether the covariance of the random effects is.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit()
        >>> model.hessian(fit.params_object)[0].shape
        (5, 5)
        """
        params = self.setup.unpack(params, has_fe=True)
        kept = self._kept
        inner = likelihood.hessian(self._point(params), np.asarray(params.fe_params, float)[kept])
        order = np.concatenate([np.arange(kept.sum()), kept.sum() + self.setup.packing.index])
        places = np.concatenate([np.flatnonzero(kept), self.setup.k_fe + np.arange(len(self.setup.packing.index))])
        size = self.setup.k_fe + self.setup.k_re2 + self.setup.k_vc
        hess = np.full((size, size), np.nan)
        hess[np.ix_(places, places)] = inner[np.ix_(order, order)]
        return hess, self._is_singular(params.cov_re, params.vcomp)

    def _is_singular(self, cov_re: ArrayLike, vcomp: ArrayLike, tol: float = 1e-10) -> bool:
        smallest = np.linalg.eigvalsh(np.asarray(cov_re, float)).min() if self.setup.k_re else np.inf
        return bool(smallest < tol or np.min(np.asarray(vcomp, float), initial=np.inf) < tol)

    def get_fe_params(self, cov_re: ArrayLike, vcomp: ArrayLike, tol: float = 1e-10) -> tuple[FloatArray, bool]:
        """Generalised least squares at given covariances.

        Parameters
        ----------
        cov_re : (k_re, k_re) array_like
        vcomp : (k_vc,) array_like
            Both relative to the residual variance.
        tol : float

        Returns
        -------
        fe_params : (k_fe,) array
        singular : bool
            Whether a variance, or an eigenvalue of cov_re, is below `tol`.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit()
        >>> beta, singular = model.get_fe_params(fit.cov_re_unscaled, fit.vcomp)
        >>> beta.round(2), singular
        (array([251.41,  10.47]), False)
        """
        moments = moments_of(self.setup.criterion(self.reml), self.setup.packing.g(cov_re, vcomp))
        beta = self._spread(likelihood.profile_beta(moments))
        return beta, self._is_singular(cov_re, vcomp, tol)

    def get_scale(self, fe_params: ArrayLike | MixedLMParams, cov_re: ArrayLike, vcomp: ArrayLike) -> float:
        """Residual variance at given parameters.

        Parameters
        ----------
        fe_params : (k_fe,) array_like
        cov_re : (k_re, k_re) array_like
        vcomp : (k_vc,) array_like
            Both relative to the residual variance.

        Returns
        -------
        float
            (y − Xβ)'V⁻¹(y − Xβ) over n, or over n − p when the last fit was by REML.

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit()
        >>> round(model.get_scale(fit.fe_params, fit.cov_re_unscaled, fit.vcomp), 2)
        654.94
        """
        params = MixedLMParams.from_components(np.asarray(fe_params), cov_re=np.asarray(cov_re), vcomp=vcomp)
        return likelihood.scale(self._point(params), np.asarray(fe_params, float)[self._kept])

    def predict(self, params: ArrayLike | MixedLMParams, exog: ArrayLike | None = None) -> FloatArray:
        """exog @ fe_params: the mean without random effects.

        Parameters
        ----------
        params : MixedLMParams or array_like
            Fixed effects first.
        exog : (m, k_fe) array_like, optional
            In place of the model's.

        Returns
        -------
        (m,) array

        Examples
        --------
        >>> import henderson
        >>> data = henderson.datasets.load("sleepstudy")
        >>> model = henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days")
        >>> fit = model.fit()
        >>> model.predict(fit.fe_params)[:2].round(2)
        array([251.41, 261.87])
        """
        exog = self.setup.rows.X if exog is None else np.asarray(exog, float)
        beta = params.fe_params if isinstance(params, MixedLMParams) else np.asarray(params)[: self.setup.k_fe]
        return np.dot(exog, np.nan_to_num(np.asarray(beta, float)))
