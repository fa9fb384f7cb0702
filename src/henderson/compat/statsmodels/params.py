"""statsmodels' ways to write down parameters and variance components: `MixedLMParams`, `VCSpec`.

The profile parametrisation is (β, cov_re, vcomp), variances relative to the residual's. A packed vector holds
β, the lower triangle of cov_re (or of its square root) row by row, and one variance (or root) a component.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from henderson.covariance.roots import factor_of

FloatArray = np.ndarray


class VCSpec:
    """Variance components of a model: names, and per component and group a design matrix.

    Parameters
    ----------
    names : list of str
        Name of each component.
    colnames : list of list of list of str
        ``colnames[k][i]`` names the columns of ``mats[k][i]``.
    mats : list of list of array_like
        ``mats[k][i]`` is the design of component k in group i, (rows of the group, effects); groups sorted.

    Examples
    --------
    >>> from henderson import MixedLM, VCSpec
    >>> y, groups = [1.0, 2.0, 4.0, 3.0, 6.0, 4.5, 2.5, 3.5], [1, 1, 1, 1, 2, 2, 2, 2]
    >>> wards = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    >>> model = MixedLM(y, np.ones(8), groups, exog_vc=VCSpec(["ward"], [[["a", "b"]] * 2], [[wards] * 2]))
    >>> model.k_vc, model.k_re
    (1, 0)
    """

    def __init__(self, names: list[str], colnames: list[list[list[str]]], mats: list[list[ArrayLike]]) -> None:
        self.names = names
        self.colnames = colnames
        self.mats = mats


class MixedLMParams:
    """A point in the parameter space with the residual variance profiled out.

    Parameters
    ----------
    k_fe, k_re, k_vc : int
        Fixed effects, random-effects covariates, variance components.

    Attributes
    ----------
    fe_params : (k_fe,) array
    cov_re : (k_re, k_re) array
        Covariance of the random effects, relative to the residual variance.
    vcomp : (k_vc,) array
        Variance components, relative to the residual variance.

    Examples
    --------
    >>> params = MixedLMParams.from_components(np.array([1.0]), cov_re=np.array([[4.0, 2.0], [2.0, 5.0]]))
    >>> params.get_packed(use_sqrt=False)
    array([4., 2., 5.])
    >>> params.get_packed(use_sqrt=True, has_fe=True)
    array([1., 2., 1., 2.])
    """

    fe_params: FloatArray
    cov_re: FloatArray
    vcomp: FloatArray

    def __init__(self, k_fe: int, k_re: int, k_vc: int) -> None:
        self.k_fe = k_fe
        self.k_re = k_re
        self.k_re2 = k_re * (k_re + 1) // 2
        self.k_vc = k_vc
        self.k_tot = self.k_fe + self.k_re2 + self.k_vc
        self._ix = np.tril_indices(self.k_re)

    @staticmethod
    def from_packed(params: ArrayLike, k_fe: int, k_re: int, use_sqrt: bool, has_fe: bool) -> MixedLMParams:
        """From one vector: [β,] lower triangle of cov_re (or of its square root), vcomp (or square roots).

        Parameters
        ----------
        params : array_like
        k_fe, k_re : int
        use_sqrt : bool
            Whether covariances are given by their square roots.
        has_fe : bool
            Whether β is there; zeros otherwise.

        Returns
        -------
        MixedLMParams

        Examples
        --------
        >>> import henderson
        >>> found = henderson.MixedLMParams.from_packed([1.0, 4.0], 1, 1, use_sqrt=False, has_fe=True)
        >>> found.fe_params, found.cov_re
        (array([1.]), array([[4.]]))
        """
        params = np.asarray(params, dtype=float)
        k_re2 = k_re * (k_re + 1) // 2
        start = k_fe if has_fe else 0
        out = MixedLMParams(k_fe, k_re, len(params) - start - k_re2)
        out.fe_params = params[:k_fe].copy() if has_fe else np.zeros(k_fe)
        lower = np.zeros((k_re, k_re))
        lower[out._ix] = params[start : start + k_re2]
        vcomp = params[start + k_re2 :].copy()
        out.cov_re = lower @ lower.T if use_sqrt else lower + np.tril(lower, -1).T
        out.vcomp = vcomp**2 if use_sqrt else vcomp
        return out

    @staticmethod
    def from_components(
        fe_params: ArrayLike | None = None,
        cov_re: ArrayLike | None = None,
        cov_re_sqrt: ArrayLike | None = None,
        vcomp: ArrayLike | None = None,
    ) -> MixedLMParams:
        """From its parts; what is left out is empty.

        Parameters
        ----------
        fe_params : (k_fe,) array_like, optional
        cov_re : (k_re, k_re) array_like, optional
        cov_re_sqrt : (k_re, k_re) array_like, optional
            A lower triangular root of `cov_re`, in its place.
        vcomp : (k_vc,) array_like, optional

        Returns
        -------
        MixedLMParams

        Examples
        --------
        >>> import henderson
        >>> found = henderson.MixedLMParams.from_components(fe_params=[1.0], cov_re=[[4.0]])
        >>> found.fe_params, found.cov_re
        ([1.0], [[4.0]])
        """
        fixed: Any = np.empty(0) if fe_params is None else fe_params
        components: Any = np.empty(0) if vcomp is None else vcomp
        covariance: Any = cov_re
        if cov_re_sqrt is not None:
            covariance = np.dot(cov_re_sqrt, np.transpose(cov_re_sqrt))
        elif cov_re is None:
            covariance = np.empty((0, 0))
        out = MixedLMParams(len(fixed), np.shape(covariance)[0], len(components))
        out.fe_params, out.cov_re, out.vcomp = fixed, covariance, components
        return out

    @staticmethod
    def like(given: object) -> MixedLMParams | None:
        """A copy of one, ours or statsmodels' own; None of anything else."""
        if not all(hasattr(given, part) for part in ("fe_params", "cov_re", "vcomp", "get_packed")):
            return None
        parts = (np.array(getattr(given, part), float) for part in ("fe_params", "cov_re", "vcomp"))
        fe_params, cov_re, vcomp = parts
        return MixedLMParams.from_components(fe_params, cov_re=cov_re, vcomp=vcomp)

    def copy(self) -> MixedLMParams:
        """An independent copy.

        Examples
        --------
        >>> import henderson
        >>> one = henderson.MixedLMParams.from_components(fe_params=[1.0], cov_re=[[4.0]])
        >>> one.copy().cov_re
        array([[4.]])
        """
        out = MixedLMParams(self.k_fe, self.k_re, self.k_vc)
        out.fe_params = np.array(self.fe_params)
        out.cov_re = np.array(self.cov_re)
        out.vcomp = np.array(self.vcomp)
        return out

    def get_packed(self, use_sqrt: bool, has_fe: bool = False) -> FloatArray:
        """As one vector.

        Parameters
        ----------
        use_sqrt : bool
            Square roots of the covariances; a singular `cov_re` has one too.
        has_fe : bool
            Begin with β.

        Returns
        -------
        ([k_fe +] k_re2 + k_vc,) array

        Examples
        --------
        >>> import henderson
        >>> one = henderson.MixedLMParams.from_components(fe_params=[1.0], cov_re=[[4.0]])
        >>> one.get_packed(use_sqrt=True, has_fe=True)
        array([1., 2.])
        """
        cov_re, vcomp = np.asarray(self.cov_re, float), np.asarray(self.vcomp, float)
        if use_sqrt:
            cov_re = factor_of(cov_re) if self.k_re else cov_re
            vcomp = np.sqrt(vcomp)
        parts = [cov_re[self._ix], vcomp]
        return np.concatenate([np.asarray(self.fe_params, float), *parts] if has_fe else parts)
