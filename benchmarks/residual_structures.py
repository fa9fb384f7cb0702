"""Residual structures: trials, long series, crossed factors; CPU seconds of each step, medians.

    python benchmarks/residual_structures.py [--nlme]

``--nlme`` times nlme's `gls` and `lme` on the same data through Rscript (nlme is then needed).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import henderson


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median CPU seconds."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def series(n: int, length: int, rho: float, *, gaps: bool, intercept: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """n series of AR(1) residuals about a line; times one apart, or all gaps distinct."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, length, (n, length)), axis=1) if gaps else np.tile(np.arange(length), (n, 1))
    e = np.empty((n, length))
    e[:, 0] = rng.normal(size=n)
    for j in range(1, length):
        r = rho ** (times[:, j] - times[:, j - 1])
        e[:, j] = r * e[:, j - 1] + np.sqrt(1 - r**2) * rng.normal(size=n)
    own = np.repeat(intercept * rng.normal(size=n), length)
    y = 5 + 0.1 * times.ravel() + e.ravel() + own
    return pd.DataFrame({"y": y, "t": times.ravel(), "s": np.repeat(np.arange(n), length)})


def crossed(subjects: int, items: int, trials: int, seed: int = 2) -> pd.DataFrame:
    """Subjects × items with AR(1) along each subject's trials."""
    data = series(subjects, trials, 0.5, gaps=False, intercept=1.0, seed=seed)
    rng = np.random.default_rng(seed)
    data["i"], data["x"] = rng.integers(items, size=len(data)), rng.normal(size=len(data))
    data["y"] += data["x"] + rng.normal(size=items)[data["i"]]
    return data


def many_patients(copies: int) -> pd.DataFrame:
    """`bcva` several times over, with noise."""
    bcva = henderson.datasets.load("bcva")
    parts = []
    for k in range(copies):
        noise = np.random.default_rng(k).normal(size=len(bcva))
        ids = bcva["USUBJID"].astype(str) + f"_{k}"
        parts.append(bcva.assign(USUBJID=ids, BCVA_CHG=bcva["BCVA_CHG"] + noise))
    return pd.concat(parts, ignore_index=True)


FEV = "FEV1 ~ RACE + SEX + ARMCD * AVISIT + us(AVISIT | USUBJID)"
BCVA = "BCVA_CHG ~ BCVA_BL + RACE + ARMCD * AVISIT + us(AVISIT | USUBJID)"


def trial_table(fev: pd.DataFrame) -> object:
    """A fit of `fev` with Kenward and Roger's table and the means by visit."""
    fit = henderson.mmrm(FEV, fev, ddf="kenward-roger")
    return fit.pvalues, fit.emmeans("ARMCD", by="AVISIT").table


def gls(data: pd.DataFrame, call: str) -> float:
    """User seconds of a call of nlme."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        data.to_csv(path, index=False)
        code = f"library(nlme); d <- read.csv('{path}'); cat(system.time({call})[1])"
        done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
        return float(done.stdout)


def main() -> None:
    """Print a line for each problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nlme", action="store_true")
    with_nlme = parser.parse_args().nlme
    fev, bcva, many = henderson.datasets.load("fev"), henderson.datasets.load("bcva"), many_patients(20)
    print(f"fev, us, KR table and visit means            {seconds(lambda: trial_table(fev), 15):8.3f} s")
    print(f"bcva, us, fit                                {seconds(lambda: henderson.mmrm(BCVA, bcva)):8.3f} s")
    with_kr = seconds(lambda: henderson.mmrm(BCVA, bcva, ddf="kenward-roger").pvalues)
    print(f"bcva, us, fit with KR                        {with_kr:8.3f} s")
    print(f"20,000 patients, us, fit                     {seconds(lambda: henderson.mmrm(BCVA, many), 1):8.3f} s")
    for name, data, formula, residual, call in (
        (
            "AR(1) + random intercept, 1,000 × 50", series(1000, 50, 0.6, gaps=False, intercept=1.0),
            "y ~ t + (1 | s)", "ar1(t | s)", "lme(y ~ t, d, ~ 1 | s, correlation = corAR1(form = ~ t | s))",
        ),
        (
            "car1, 2,000 × 50, gaps distinct", series(2000, 50, 0.6, gaps=True), "y ~ t", "car1(t | s)",
            "gls(y ~ t, d, correlation = corCAR1(form = ~ t | s))",
        ),
        (
            "car1, 10,000 × 10, gaps distinct", series(10_000, 10, 0.6, gaps=True), "y ~ t", "car1(t | s)",
            "gls(y ~ t, d, correlation = corCAR1(form = ~ t | s))",
        ),
    ):  # fmt: skip
        own = seconds(lambda f=formula, d=data, r=residual: henderson.lmer(f, d, residual=r))
        beside = f"   nlme {gls(data, call):8.3f} s" if with_nlme else ""
        print(f"{name:<44} {own:8.3f} s{beside}")
    for subjects, items, trials in ((60, 40, 40), (300, 40, 40), (200, 300, 100)):
        data = crossed(subjects, items, trials)
        plain = seconds(lambda d=data: henderson.lmer("y ~ t + x + (1 | s) + (1 | i)", d), 7)
        own = seconds(lambda d=data: henderson.lmer("y ~ t + x + (1 | s) + (1 | i)", d, residual="ar1(t | s)"), 7)
        name = f"{subjects} subjects × {items} items, {len(data):,} rows, AR(1)"
        print(f"{name:<44} {own:8.3f} s   without {plain:8.3f} s")


if __name__ == "__main__":
    main()
