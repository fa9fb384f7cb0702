"""`python -m benchmarks.pedigree`: breeding values of pedigrees by the sparse factor, and pyreml on what it can hold.

Herds are drawn by seed: overlapping generations, each offspring of a sire and a dam drawn at random, half of the
parents kept for the next generation. Each job is a fresh process that makes its table, fits sleepstudy once, and then
measures CPU seconds of the pedigree with its inbreeding, of the model, and of all breeding values with reliabilities,
and the most memory of the process. `--pyreml PYTHON` names an interpreter that has pyreml (it is not installed with
the others: it needs torch); `--herds` chooses among the herds. Results: results/pedigree.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .table import markdown, seconds


class Herd(NamedTuple):
    """How a pedigree and its records are drawn.

    Attributes
    ----------
    born : int
        Animals of a generation, all of them with records; the founders have none.
    generations : int
    sires, dams : int
        Parents of a generation.
    records : int
        Of each animal.
    formula : str
    residual : str
        Covariance of an animal's records, which then follow each other by AR(1).
    pyreml : bool
        Whether pyreml is asked, too.
    """

    born: int
    generations: int = 10
    sires: int = 50
    dams: int = 500
    records: int = 1
    formula: str = "y ~ sex + generation + (1 | animal)"
    residual: str = ""
    pyreml: bool = False


SEVERAL = "y ~ sex + generation + (1 | animal) + (1 | environment) + (1 | litter) + (1 | herd)"
HERDS = {
    "animals-1e3": Herd(100, sires=5, dams=20, pyreml=True),
    "animals-2e3": Herd(200, sires=5, dams=40, pyreml=True),
    "animals-4e3": Herd(400, sires=8, dams=80, pyreml=True),
    "animals-5e4": Herd(5_000),
    "animals-5e4, 500 sires": Herd(5_000, sires=500, dams=1_000),
    "animals-5e4, three records, four terms": Herd(5_000, records=3, formula=SEVERAL),
    "animals-2e4, slopes": Herd(2_000, dams=200, records=3, formula="y ~ sex + age + (age | animal)"),
    "animals-2e4, test days": Herd(2_000, records=4, residual="ar1(age | animal)"),
    "animals-5e4, test days": Herd(5_000, records=4, residual="ar1(age | animal)"),
    "animals-5e5": Herd(50_000, dams=5_000),
}

JOB = """
import json, sys, time, warnings
from benchmarks.machine import memory
from benchmarks.pedigree import HERDS, herd
from henderson.engine.residual.fit import by_relatives
warnings.simplefilter("ignore")
import henderson
henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
how = HERDS[sys.argv[1]]
data, parents = herd(how)
times = [time.process_time()]
pedigree = henderson.pedigree(parents["id"], parents["sire"], parents["dam"])
pedigree.inbreeding
times.append(time.process_time())
fit = henderson.lmer(how.formula, data, relmat={"animal": pedigree}, residual=how.residual or None, progress=False)
times.append(time.process_time())
fit.breeding_values()
times.append(time.process_time())
fit.coef_table
times.append(time.process_time())
own = fit.engine
found = dict(zip(["pedigree", "fit", "values", "table"], [b - a for a, b in zip(times, times[1:])]))
found |= {"deviance": fit.deviance, "sd": fit.varcorr["sdcor"].tolist(), "n": len(data), "levels": len(pedigree)}
found |= {"evaluations": own.optimum.evaluations, "converged": bool(fit.converged)}
system = by_relatives(own).inner.criterion.system if how.residual else own.criterion.system
found["entries"] = system.pairs.plan.entries if own.design.is_related else 0
found["memory"] = memory()
print(json.dumps(found))
"""

PEER = """
import json, sys, time, warnings
from benchmarks.machine import memory
import pandas as pd
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from pyreml import A_pedigree, MixedModel, Random, Residual, prepare_pedigree
data, parents = pd.read_csv(sys.argv[1]), pd.read_csv(sys.argv[2], dtype="Int64")
data["animal"] = data["animal"].astype(str)
parents = parents.astype("string").astype(object).where(parents.notna(), None)
times = [time.process_time()]
known = prepare_pedigree(parents.rename(columns={"id": "ID", "sire": "SIRE", "dam": "DAM"}))
K = A_pedigree(known)
times.append(time.process_time())
animal = Random(formula="1", unit="animal", right_hand="str", covariance=K, matrix_index=known["id"].tolist())
model = MixedModel.from_dataframe(data=data, response="y", fixed="1 + sex + generation", random=animal,
                                  residual=Residual(), device="cpu")
model.fit()
times.append(time.process_time())
found = dict(zip(["pedigree", "fit"], [b - a for a, b in zip(times, times[1:])]))
found["variances"] = str(model.random[0].variance) + str(model.residual.variance)
found["memory"] = memory()
print(json.dumps(found))
"""


def herd(how: Herd, seed: int = 20_260_101) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records, and the pedigree: id, sire and dam, whose founders have missing parents."""
    rng = np.random.default_rng(seed)
    founders = how.sires + how.dams
    n = founders + how.born * how.generations
    sire, dam, generation = np.full(n, -1), np.full(n, -1), np.zeros(n, int)
    males, females = np.arange(how.sires), np.arange(how.sires, founders)
    sex = rng.integers(2, size=n)
    for g in range(1, how.generations + 1):
        start = founders + (g - 1) * how.born
        new = np.arange(start, start + how.born)
        sire[new], dam[new], generation[new] = rng.choice(males, how.born), rng.choice(females, how.born), g
        old = rng.choice(males, how.sires - how.sires // 2, False), rng.choice(females, how.dams - how.dams // 2, False)
        males = np.concatenate([old[0], rng.choice(new[sex[new] == 0], how.sires // 2, False)])
        females = np.concatenate([old[1], rng.choice(new[sex[new] == 1], how.dams // 2, False)])
    effects = np.zeros((n, 2))
    for k in range(n):  # half of what each parent has, and of its own (inbreeding makes that a little less)
        for parent in (sire[k], dam[k]):
            effects[k] += 0.5 * effects[parent] if parent >= 0 else 0.0
        effects[k] += np.sqrt(0.5 if sire[k] >= 0 else 1.0) * rng.standard_normal(2)
    animal = np.repeat(np.arange(founders, n), how.records)
    age = np.tile(np.arange(how.records) - (how.records - 1) / 2, n - founders)
    herds = rng.integers(max(how.born // 50, 2), size=n)
    data = pd.DataFrame({"animal": animal, "sex": sex[animal], "generation": generation[animal], "age": age})
    data["environment"], data["herd"] = animal, herds[animal]
    data["litter"] = dam[animal] * (how.generations + 1) + generation[animal]
    y = (
        10
        + 1.5 * data["sex"]
        + 0.2 * data["generation"]
        + 1.2 * effects[animal, 0]
        + 1.5 * rng.standard_normal(len(data))
    )
    y += 0.6 * rng.standard_normal(n)[animal] + 0.5 * rng.standard_normal(n)[herds[animal]]
    y += 0.4 * rng.standard_normal(int(data["litter"].max()) + 1)[data["litter"]]
    data["y"] = y + (0.3 + 0.5 * effects[animal, 1]) * age
    if how.residual:
        wave = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(*[np.arange(how.records)] * 2)))
        data["y"] += 1.5 * (rng.standard_normal((n - founders, how.records)) @ wave.T).ravel()
    ids = pd.Series(np.arange(n))
    parents = pd.DataFrame({"id": ids, "sire": ids.reindex(sire).to_numpy(), "dam": ids.reindex(dam).to_numpy()})
    return data, parents.astype("Int64")


def run(name: str) -> dict[str, Any]:
    """One job in a fresh process."""
    done = subprocess.run([sys.executable, "-c", JOB, name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_peer(name: str, python: str) -> dict[str, Any] | None:
    """pyreml on the same records; None where it fails."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{one}.csv" for one in ("data", "parents")]
        for table, path in zip(herd(HERDS[name]), paths):
            table.to_csv(path, index=False)
        done = subprocess.run([python, "-c", PEER, *paths], capture_output=True, text=True, check=False)
    if done.returncode:
        print(name, "pyreml:", done.stderr.strip().splitlines()[-1:], flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def line(name: str, python: str | None) -> dict[str, str]:
    """A line of the table."""
    how, found = HERDS[name], run(name)
    out = {
        "": name,
        "model": " and ".join(
            f"`{text}`".replace("|", r"\|") for text in (how.formula.split(" ~ ")[1], how.residual) if text
        ),
        "rows": f"{found['n']:,}",
        "animals": f"{found['levels']:,}",
        "pedigree": seconds(found["pedigree"]),
        "fit": seconds(found["fit"]),
        "evaluations": str(found["evaluations"]),
        "table": seconds(found["table"]),
        "breeding values": seconds(found["values"]),
        "memory": f"{found['memory'] / 1e9:.2f} GB",
        "factor": f"{found['entries']:,}" if found["entries"] else "dense",
        "sd": ", ".join(f"{one:.3f}" for one in found["sd"]),
    }
    if not found["converged"]:
        out["fit"] += " (not converged)"
    if python is not None and how.pyreml and (other := run_peer(name, python)) is not None:
        out["pyreml: A, fit"] = f"{seconds(other['pedigree'])}, {seconds(other['fit'])}"
        out["pyreml: memory"] = f"{other['memory'] / 1e9:.2f} GB"
        print(other["variances"], flush=True)
    return out


NOTE = """REML. CPU seconds of one thread: `pedigree`, ordering it and the inbreeding of all; `fit`, formula and model;
`table`, coefficients with Satterthwaite's degrees of freedom; `breeding values`, of all animals with reliabilities.
`factor`: numbers in the sparse Cholesky factor. pyreml holds A as a dense
matrix: 50,550 animals are 20 GB for each copy of it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    quiet()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--herds", nargs="*", default=list(HERDS), choices=HERDS)
    parser.add_argument("--pyreml", default=None, help="a Python interpreter that has pyreml")
    args = parser.parse_args(argv)
    lines: list[dict[str, str]] = []
    for name in args.herds:
        lines.append(line(name, args.pyreml))
        print(lines[-1], flush=True)
        write(lines)


def write(lines: Sequence[dict[str, str]]) -> None:
    """The page, of what was measured so far."""
    columns = list(dict.fromkeys(key for one in lines for key in one))
    rows = [[one.get(key, "") for key in columns] for one in lines]
    text = ["# Pedigrees", NOTE, markdown(rows, columns), machine.describe([presence("henderson")], "1")]
    (RESULTS / "pedigree.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
