"""The peers: how each fits a formula to a table in memory, by REML.

A peer is a function `prepare(problem)` that turns the table into what the package takes (not timed) and
returns a function that does formula and fit (timed) and gives back the criterion that it reached: −2 log
restricted likelihood. Packages are imported inside, so that one process loads one peer.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from .problems import Problem

Fit = Callable[[], float]


class Unsupported(Exception):
    """The peer cannot express this model."""


def henderson(problem: Problem) -> Fit:
    from henderson import lmer

    return lambda: float(lmer(problem.formula, problem.data).deviance)


def statsmodels(problem: Problem) -> Fit:
    if problem.statsmodels is None:
        raise Unsupported("statsmodels has no crossed effects short of n × n matrices")
    from statsmodels.formula.api import mixedlm

    arguments = dict(problem.statsmodels)
    formula = arguments.pop("formula")
    return lambda: -2 * float(mixedlm(formula, problem.data, **arguments).fit().llf)


def glmm(problem: Problem) -> Fit:
    import glmm as package

    return lambda: -2 * package.fit(problem.data, problem.formula, satterthwaite=False).loglik


def mixedlm(problem: Problem) -> Fit:
    from mixedlm import lmer

    def fit() -> float:
        criterion = lmer(problem.formula, problem.data).REMLcrit()
        return float("nan") if criterion is None else criterion

    return fit


def lme_python(problem: Problem) -> Fit:
    import polars
    from lme_python import lmer

    data = polars.from_pandas(problem.data)

    def fit() -> float:
        likelihood = lmer(problem.formula, data=data, reml=True).log_likelihood
        return float("nan") if likelihood is None else -2 * likelihood

    return fit


PEERS: dict[str, Callable[[Problem], Fit]] = {
    "henderson": henderson,
    "statsmodels": statsmodels,
    "glmm": glmm,
    "mixedlm": mixedlm,
    "lme-python": lme_python,
}
"""The Python peers; lme4 runs in R, from lme4.R beside this file, and gives the same answers."""

NAMES = (*PEERS, "lme4")
MODULES = {"lme-python": "lme_python"}


@dataclass(frozen=True)
class Presence:
    """Whether a peer is installed here, and its version."""

    name: str
    version: str | None


def presence(name: str) -> Presence:
    """Look for a peer without loading it into this process."""
    if name == "lme4":
        script = 'cat(as.character(packageVersion("lme4")))'
        if shutil.which("Rscript") is None:
            return Presence(name, None)
        found = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=False)
        return Presence(name, found.stdout.strip() if found.returncode == 0 else None)
    if importlib.util.find_spec(MODULES.get(name, name)) is None:
        return Presence(name, None)
    return Presence(name, importlib.metadata.version(name))


def quiet() -> None:
    """Peers warn about singular fits and slow convergence; the table shows what they reached instead."""
    warnings.simplefilter("ignore")
