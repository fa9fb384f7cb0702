"""The problems: a formula, and a table from a fixed seed or from henderson's own examples.

>>> from benchmarks.problems import load
>>> problem = load("maximal")
>>> problem.formula
'y ~ A + B + C + (1 + A + B + C | subj) + (1 + A + B + C | item)'
>>> problem.data.shape
(1792, 10)

A table is simulated once and kept in a folder of temporary files, one raw file a column (float64 or int32, in
native byte order), which Python and R read alike. `python -m benchmarks.problems` makes them all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

VERSION = 2
"""Part of the cache folder's name: raise it when a simulation changes."""

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One model on one table.

    Attributes
    ----------
    name : str
    formula : str
        In lme4's language.
    data : pandas.DataFrame
        Grouping columns are integers, as they come out of a database.
    factors : tuple of str
        Columns that R must turn into factors.
    statsmodels : dict or None
        Arguments of statsmodels' `mixedlm`, for the models that it can express.
    """

    name: str
    formula: str
    data: pd.DataFrame
    factors: tuple[str, ...]
    statsmodels: dict[str, object] | None


@dataclass(frozen=True)
class Recipe:
    """How a problem is made: everything in `Problem` but the numbers."""

    formula: str
    columns: Callable[[], Columns]
    factors: tuple[str, ...]
    statsmodels: dict[str, object] | None = None


def example(name: str, *columns: str) -> Callable[[], Columns]:
    """Columns of one of henderson's own example tables; labels that are no numbers become codes."""

    def read() -> Columns:
        from henderson import datasets

        table = datasets.load(name)
        return {column: numeric(table[column]) for column in columns}

    return read


def numeric(column: pd.Series) -> np.ndarray:
    """The values of a column of numbers, or of a categorical whose categories are numbers; else its codes."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column.to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype.categories.dtype):
        return column.dtype.categories.to_numpy()[column.cat.codes]
    return column.cat.codes.to_numpy()


def effects(rng: np.random.Generator, n_levels: int, factor: np.ndarray) -> np.ndarray:
    """Random effects with covariance factor @ factor.T, (n_levels, q)."""
    return rng.standard_normal((n_levels, factor.shape[1])) @ factor.T


def slopes(n: int, n_groups: int) -> Callable[[], Columns]:
    """Five covariates and a correlated intercept and slope in one grouping factor."""

    def simulate() -> Columns:
        rng = np.random.default_rng(20_240_101)
        x = rng.standard_normal((n, 5))
        g = rng.permutation(np.arange(n) % n_groups)
        b = effects(rng, n_groups, np.array([[0.8, 0.0], [0.2, 0.5]]))
        y = 1 + x @ np.array([0.5, -0.3, 0.2, 0.0, 1.0]) + b[g, 0] + b[g, 1] * x[:, 0]
        y += rng.standard_normal(n)
        return {"y": y, **{f"x{k + 1}": x[:, k] for k in range(5)}, "g": g}

    return simulate


def nested(n: int, n_schools: int, n_classes: int) -> Callable[[], Columns]:
    """Classes in schools."""

    def simulate() -> Columns:
        rng = np.random.default_rng(20_240_102)
        cell = rng.permutation(np.arange(n) % (n_schools * n_classes))
        school, klass = cell // n_classes, cell % n_classes
        x = rng.standard_normal((n, 2))
        effect = 0.6 * rng.standard_normal(n_schools)[school]
        effect += 0.4 * rng.standard_normal(n_schools * n_classes)[cell]
        y = 2 + x @ np.array([0.4, -0.2]) + effect + rng.standard_normal(n)
        return {"y": y, "x1": x[:, 0], "x2": x[:, 1], "school": school, "class": klass}

    return simulate


def factorial(n_subjects: int, n_items: int, n: int, rank: int, seed: int) -> Callable[[], Columns]:
    """Subjects × items in a 2 × 2 × 2 design within both; a pair is seen in one of the eight conditions.

    The effects of A, B, C and their interactions vary over subjects and items with a covariance of the given
    rank: below the number of effects in the model, the optimum is singular.
    """

    def simulate() -> Columns:
        rng = np.random.default_rng(seed)
        pairs = np.sort(rng.permutation(n_subjects * n_items)[:n])
        subject, item = pairs // n_items, pairs % n_items
        condition = (subject + item + subject // 8) % 8
        a, b, c = (np.where(condition >> bit & 1, 0.5, -0.5) for bit in range(3))
        z = np.column_stack([np.ones(n), a, b, c, a * b, a * c, b * c, a * b * c])
        shrink = np.array([1.0, 0.5, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2])[:, None]
        subjects = effects(rng, n_subjects, 0.6 * shrink * rng.standard_normal((8, rank)))
        items = effects(rng, n_items, 0.7 * shrink * rng.standard_normal((8, rank)))
        beta = np.array([2.0, 0.3, -0.2, 0.1, 0.0, 0.0, 0.1, 0.0])
        y = z @ beta + (z * (subjects[subject] + items[item])).sum(1) + rng.standard_normal(n)
        products = {"AB": a * b, "AC": a * c, "BC": b * c, "ABC": a * b * c}
        return {"y": y, "A": a, "B": b, "C": c, **products, "subj": subject, "item": item}

    return simulate


def ratings(n: int, n_users: int, n_items: int, seed: int) -> Callable[[], Columns]:
    """Ratings of distinct pairs; few users and items have many of them, and most have few."""

    def simulate() -> Columns:
        rng = np.random.default_rng(seed)
        users, items = 1 / (10 + np.arange(n_users)) ** 0.6, 1 / (10 + np.arange(n_items)) ** 0.8
        drawn = np.concatenate([_draw(rng, users, items, 4 * n) for _ in range(2)])
        every_user = np.arange(n_users) * n_items + rng.integers(n_items, size=n_users)
        every_item = rng.integers(n_users, size=n_items) * n_items + np.arange(n_items)
        pairs, first = np.unique(np.concatenate([every_user, every_item, drawn]), return_index=True)
        pairs = rng.permutation(pairs[np.argsort(first)][:n])
        user, item = pairs // n_items, pairs % n_items
        y = 3.5 + 0.5 * rng.standard_normal(n_users)[user] + 0.6 * rng.standard_normal(n_items)[item]
        return {"y": y + rng.standard_normal(n), "user": user, "item": item}

    return simulate


def _draw(rng: np.random.Generator, users: np.ndarray, items: np.ndarray, size: int) -> np.ndarray:
    user = rng.choice(users.size, size=size, p=users / users.sum())
    item = rng.choice(items.size, size=size, p=items / items.sum())
    return user * items.size + item


def exam() -> Columns:
    """4,059 pupils in 65 schools of very different sizes, a slope that varies: the size of mlmRev's Exam."""
    rng = np.random.default_rng(20_240_107)
    share = rng.dirichlet(np.full(65, 3.0))
    school = np.sort(np.concatenate([np.arange(65).repeat(2), rng.choice(65, size=4059 - 130, p=share)]))
    intake = rng.standard_normal(4059)
    b = effects(rng, 65, np.array([[0.30, 0.0], [0.06, 0.10]]))
    score = 0.55 * intake + b[school, 0] + b[school, 1] * intake + 0.74 * rng.standard_normal(4059)
    return {"normexam": score, "standLRT": intake, "school": school}


def emmeans_design() -> Columns:
    """2 × 2 × 4 factorial, 648 rows: 27 subjects see 24 of the trials, a few cells unequal."""
    rng = np.random.default_rng(20_240_108)
    subject = np.repeat(np.arange(27), 24)
    a, b = subject % 2, rng.permuted(np.tile(np.arange(24) % 2, (27, 1)), axis=1).ravel()
    c = rng.permuted(np.tile(np.arange(24) % 4, (27, 1)), axis=1).ravel()
    y = 10 + a + 0.5 * b * c + 0.8 * rng.standard_normal(27)[subject] + rng.standard_normal(648)
    return {"y": y, "A": a, "B": b, "C": c, "subject": subject}


MAXIMAL = "y ~ A + B + C + (1 + A + B + C | subj) + (1 + A + B + C | item)"
SLOPES = "y ~ x1 + x2 + x3 + x4 + x5 + (1 + x1 | g)"
EIGHT = "1 + A + B + C + AB + AC + BC + ABC"
"""`A * B * C` with its products as columns: not every peer takes interactions inside a bar."""
RATINGS = "y ~ 1 + (1 | user) + (1 | item)"
SLOPES_STATSMODELS: dict[str, object] = {
    "formula": "y ~ x1 + x2 + x3 + x4 + x5", "groups": "g", "re_formula": "~x1",
}  # fmt: skip

FITS: dict[str, Recipe] = {
    "sleepstudy": Recipe(
        "Reaction ~ Days + (Days | Subject)", example("sleepstudy", "Reaction", "Days", "Subject"),
        ("Subject",),
        {"formula": "Reaction ~ Days", "groups": "Subject", "re_formula": "~Days"},
    ),
    "slopes-1e4": Recipe(SLOPES, slopes(10_000, 500), ("g",), SLOPES_STATSMODELS),
    "slopes-1e6": Recipe(SLOPES, slopes(1_000_000, 100_000), ("g",), SLOPES_STATSMODELS),
    "nested": Recipe(
        "y ~ x1 + x2 + (1 | school/class)", nested(200_000, 200, 5), ("school", "class"),
        {"formula": "y ~ x1 + x2", "groups": "school", "re_formula": "1", "vc_formula": {"class": "0 + C(Q('class'))"}},
    ),
    "InstEval": Recipe(
        "y ~ service + (1 | s) + (1 | d) + (1 | dept)", example("InstEval", "y", "service", "s", "d", "dept"),
        ("s", "d", "dept"),
    ),
    "maximal": Recipe(MAXIMAL, factorial(56, 32, 1792, 8, 20_240_103), ("subj", "item")),
    "maximal-72": Recipe(
        f"y ~ {EIGHT} + ({EIGHT} | subj) + ({EIGHT} | item)", factorial(56, 32, 1792, 3, 20_240_104),
        ("subj", "item"),
    ),
    "crossed-slopes": Recipe(MAXIMAL, factorial(61, 480, 28_710, 8, 20_240_105), ("subj", "item")),
    "ratings-1e5": Recipe(RATINGS, ratings(100_000, 6000, 3000, 20_240_106), ("user", "item")),
    "ratings-1e6": Recipe(RATINGS, ratings(1_000_000, 6000, 4000, 20_240_106), ("user", "item")),
}  # fmt: skip
"""The problems of the fitting table."""

INFERENCE: dict[str, Recipe] = {
    "Exam": Recipe("normexam ~ standLRT + (standLRT | school)", exam, ("school",)),
    "Machines": Recipe(
        "score ~ Machine + (Machine | Worker)", example("Machines", "score", "Machine", "Worker"),
        ("Machine", "Worker"),
    ),
    "factorial": Recipe("y ~ A * B * C + (1 | subject)", emmeans_design, ("A", "B", "C", "subject")),
}  # fmt: skip
"""Further tables that only the inference benchmarks use."""

RECIPES = FITS | INFERENCE


def folder(name: str) -> Path:
    """The cached columns of a problem, simulated on the first call."""
    path = Path(tempfile.gettempdir()) / f"henderson-benchmarks-{VERSION}" / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=path.parent))
        for column, values in RECIPES[name].columns().items():
            kind = np.float64 if values.dtype.kind == "f" else np.int32
            values.astype(kind).tofile(part / f"{column}.{np.dtype(kind).name}")
        try:
            part.rename(path)
        except OSError:  # another process was first
            shutil.rmtree(part)
    return path


@cache
def load(name: str) -> Problem:
    """A problem by name, its table in memory."""
    if name not in RECIPES:
        raise KeyError(f"no problem {name!r}; there are {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    files = {file.stem: file for file in sorted(folder(name).iterdir())}
    columns = {stem: np.fromfile(file, dtype=file.suffix[1:]) for stem, file in files.items()}
    wide = {stem: c.astype(np.int64) if c.dtype == np.int32 else c for stem, c in columns.items()}
    data = pd.DataFrame(wide)
    if name in INFERENCE:
        data = data.astype(dict.fromkeys(recipe.factors, "category"))
    return Problem(name, recipe.formula, data, recipe.factors, recipe.statsmodels)


if __name__ == "__main__":
    for each in RECIPES:
        problem = load(each)
        size = sum(file.stat().st_size for file in folder(each).iterdir())
        print(f"{each:16s} {problem.data.shape!s:14s} {size / 1e6:8.1f} MB  {problem.formula}")
    print(os.fspath(folder("sleepstudy").parent))
