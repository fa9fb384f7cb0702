"""`power`: how often a study finds an effect, by drawing and fitting its data.

For each size of the study: 1. the design is extended to it (`extend`), 2. n data sets are drawn at the parameters given
(`engine.many.draws`), 3. each is fitted and tested (`decide`), 4. power is the share of p < α, its Monte Carlo
uncertainty Clopper and Pearson's exact interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from henderson.arguments import probability
from henderson.contract.design import Design
from henderson.design.given import Given, given_parameters
from henderson.engine.fit import Fit
from henderson.engine.given import GIVEN, fit_at
from henderson.engine.many.draws import block_size, blocks, entropy_of, of_parameters, stream
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.fitting import near_given, structured_at
from henderson.formula.environment import Env, capture
from henderson.inference.fit_moments import fit_of
from henderson.inference.names import InferenceRequest
from henderson.planning.decide import Outcome, Tester
from henderson.planning.extend import Study, extended
from henderson.planning.found import Power, frame_of, heading, verdict
from henderson.planning.hypothesis import Hypothesis, hypothesis
from henderson.planning.plan import combinations, read_sizes, study_of_fit, study_of_formula
from henderson.prediction.from_parameters import refuse_of_fitted
from henderson.progress import progress_bar
from henderson.tables.result_frame import ResultFrame
from henderson.typing import ByName, ConstraintsLike, Ddf, Fitted, Seed, Sizes, TableLike, Variances

if TYPE_CHECKING:
    pass

FloatArray = np.ndarray


def power(
    model: Fitted | str,
    effect: ConstraintsLike | None = None,
    *,
    contrast: ConstraintsLike | None = None,
    term: str | None = None,
    sizes: Sizes | None = None,
    n: int = 1000,
    ddf: Ddf | None = None,
    data: TableLike | None = None,
    beta: ByName | None = None,
    theta: ArrayLike | None = None,
    varcorr: Variances | None = None,
    sigma: float | None = None,
    residual: str | None = None,
    psi: ByName | None = None,
    REML: bool | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    target: float = 0.8,
    seed: Seed | None = None,
    env: Env = 0,
    progress: bool | Callable[[int, int], None] | None = None,
) -> Power:
    """The power of a test of fixed effects, by simulation.

    Parameters
    ----------
    model : results or str
        A fit, of a pilot study say, or a formula.
    effect : str, optional
        What is tested: a coefficient by name (a t test), or a term (an F test, of Type III), or a contrast of
        coefficients (``"a - b = 0"``, rows, ``{"label": weights}``).
    contrast, term : optional
        The same, when a name could be read in two ways.
    sizes : mapping of str to int or sequence of int, optional
        Grouping factor → numbers of levels to try, in all combinations. New levels copy the design of those that there
        are (simr's ``extend``), in proportion to their kinds; what is nested in the factor is copied with it. A
        factor that `data` do not have is crossed with their rows. By default the study as it is.
    n : int
        Data sets for each size.
    ddf : str, optional
        Degrees of freedom, as for `lmer`; by default the fit's, or Satterthwaite's.
    data : table, optional
        With a formula: the design, without a response.
    beta : mapping of str to float, or (p,) array_like, optional
        Fixed effects to draw with; with a fit, instead of its estimates (a mapping: of some of them).
    theta, varcorr : optional
        The covariance of the random effects: relative, or as variances by grouping factor, ``{"Subject": [[600, 10],
        [10, 35]], "Item": 20.0}``. With a fit: its estimates.
    sigma : float, optional
        Residual standard deviation.
    residual : str, optional
        With a formula: a covariance structure of the residuals, as for `lmer`. Its series, patients say, are a factor
        that `sizes` may name.
    psi : mapping of str to float, or (r,) array_like, optional
        Parameters of that structure, by name (``{"Var": 4.0, "Corr": 0.6}``) or in their order; with a fit instead of
        its estimates (a mapping: of some of them).
    REML : bool, optional
        The likelihood by which data sets are fitted; by default the fit's, or REML.
    alpha : float
        Significance is p below it.
    level : float
        Of the interval for the Monte Carlo error.
    target : float
        Power that is aimed at.
    seed : int, SeedSequence or Generator, optional
        The same seed gives the same power at a size, whatever the other sizes are.
    env : mapping, int or "closed"
        As for `lmer`.
    progress : bool or callable, optional
        See `lmer`. An interrupt (Ctrl-C) ends the simulation; what was done by then is returned, with a note.

    Returns
    -------
    Power

    Raises
    ------
    ValueError, FormulaError, DataError
        Before any simulation; the message names the culprit.

    Examples
    --------
    A pilot with 18 subjects: how many does a study need that is to find a slope of five?

    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> found = henderson.power(fit, "Days", beta={"Days": 5.0}, sizes={"Subject": [10, 15, 20]}, n=200, seed=1)
    >>> found.frame[["Subject", "rows"]].to_numpy().tolist(), found.smallest
    ([[10, 100], [15, 150], [20, 200]], {'Subject': 15})

    No data yet: both conditions for each of 20 subjects.

    >>> found = henderson.power(
    ...     "y ~ cond + (1 | Subject)", term="cond", data={"cond": ["a", "b"]}, sizes={"Subject": 20},
    ...     beta=[0, 0.5], varcorr={"Subject": 1.0}, sigma=0.8, n=200, seed=1,
    ... )
    >>> found.effect, int(found.frame["rows"].iloc[0])
    ('cond', 40)
    """
    _check_options(n, alpha, level, target)
    chosen = read_sizes(sizes)
    if isinstance(model, str):
        study, known = study_of_formula(model, data, chosen, capture(env), residual), None
        reml, request = True if REML is None else REML, InferenceRequest.of(ddf)
    else:
        for name, value in (("data", data), ("residual", residual)):
            if value is not None:
                raise ValueError(f"{name}= goes with a formula; a fit has its own")
        fit = _fit_in(model)
        if chosen:
            fit.design.refuse_related(
                "power(sizes=), whose new levels would have no place among the known relationships"
            )
        if theta is None and varcorr is None:
            fit.refuse_negative("power()")
        study, known = study_of_fit(fit), _estimates(fit)
        own = getattr(model, "_request", InferenceRequest())
        reml, request = fit.reml if REML is None else REML, InferenceRequest.of(ddf or own.ddf)
    request.check_likelihood(reml)
    given = given_parameters(
        study.design, beta=beta, theta=theta, varcorr=varcorr, sigma=sigma, psi=psi, otherwise=known
    )
    refuse_of_fitted(study.design, "power()")
    tried = combinations(study, chosen)
    first = _reference(extended(study, tried[0]), given, reml)
    tested = hypothesis(first, effect, contrast, term)
    rows = tested.of(first)[0]
    runs, notes, seed = _simulate(study, given, reml, tested, tried, request.ddf or "satterthwaite", n, seed, progress)
    frame = frame_of(runs, tried, alpha, level)
    frame = ResultFrame.of(frame, heading(tested, rows @ given.beta, alpha), notes, keys=len(chosen))
    out = Power(
        frame, tested.name, rows @ given.beta, alpha, level, target, request.ddf or "satterthwaite", seed,
        tuple(chosen), tuple(one.p for _, one in runs),
    )  # fmt: skip
    frame.attrs["notes"] = (*notes, *verdict(out))
    return out


def _estimates(fit: Fit) -> Given:
    """A fit's own parameters."""
    psi = fit.psi if isinstance(fit, StructuredFit) else None
    return Given(np.nan_to_num(fit.beta), fit.lam, fit.sigma, psi)


def _check_options(n: Any, alpha: Any, level: Any, target: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n must be a number of data sets from 1 on, not {n!r}")
    for name, value in (("alpha", alpha), ("level", level), ("target", target)):
        probability(value, name)


def _fit_in(model: Any) -> Fit:
    if not isinstance(model, Fit) and not isinstance(getattr(model, "engine", None), Fit):
        raise ValueError(f"power needs a fit or a formula, not {type(model).__name__}")
    return fit_of(model)


def _reference(study: Study, given: Given, reml: bool) -> Fit:
    """The study's model at the parameters given, with a response drawn from it."""
    design = study.design
    rows = study.rows.with_response(of_parameters(design, study.rows, given)(stream(0, 0), 1)[:, 0])
    if design.residual is None or given.psi is None:
        return fit_at(design, rows, given.theta(design), reml=reml)
    return structured_at(design, rows, near_given(given.lam, given.psi), GIVEN, reml=reml)


def _simulate(
    study: Study,
    given: Given,
    reml: bool,
    tested: Hypothesis,
    tried: list[dict[str, int]],
    ddf: str,
    n: int,
    seed: Any,
    progress: bool | Callable[[int, int], None] | None,
) -> tuple[list[tuple[int, Outcome]], tuple[str, ...], int]:
    """Rows of a data set and outcomes for each size, notes, and the seed's number."""
    entropy = entropy_of(seed)
    studies = [extended(study, sizes) for sizes in tried]
    testers = [
        Tester.of(_reference(one, given, reml), tested, ddf, _where(sizes)) for one, sizes in zip(studies, tried)
    ]
    runs: list[tuple[int, Outcome]] = []
    notes: tuple[str, ...] = ()
    done = 0
    with progress_bar("Power, data sets", n * len(tried), progress) as tell:
        for one, tester, sizes in zip(studies, testers, tried):
            parts: list[Outcome] = []
            own = _entropy_at(entropy, one.design, sizes)
            size = block_size(one.rows.n)
            try:
                for _, y in blocks(
                    of_parameters(one.design, one.rows, given), n, own, size, min(tester.batch, max(size, 1))
                ):
                    parts.append(tester(y))
                    done += y.shape[1]
                    tell(done)
            except KeyboardInterrupt:
                if not parts and not runs:
                    raise
                notes = (f"interrupted after {done} of {n * len(tried)} data sets",)
            if parts:
                runs.append((one.rows.n, Outcome.joined(parts)))
            if notes:
                break
    return runs, notes, entropy


def _where(sizes: Mapping[str, int]) -> str:
    return f" with {', '.join(f'{many} levels of {name}' for name, many in sizes.items())}" if sizes else ""


def _entropy_at(entropy: int, design: Design, sizes: Mapping[str, int]) -> int:
    """The number that a size's streams begin with: of the seed and of the size."""
    key = tuple(sizes.values()) or (design.n,)
    return int(np.random.SeedSequence(entropy, spawn_key=key).generate_state(1, np.uint64)[0])
