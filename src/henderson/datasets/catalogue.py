"""What is known about each example data set: columns, factors, a model, the publication, the licence."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap

_FACTS = "Published facts, redistributed as data; cite the source."
_MMRM = "Simulated patients, no persons: the R package mmrm 0.3.18 (D. Sabanés Bové and others), data set {}."
_APACHE = "Apache License 2.0 (data/LICENSE-Apache-2.0.txt); numbers unchanged, text stored as codes of levels."
_DAVIES = (
    "Davies, O. L. and Goldsmith, P. L. (eds) (1972). Statistical Methods in Research and Production, "
    "4th ed., Oliver and Boyd, section "
)


@dataclass(frozen=True)
class Dataset:
    """One data set of the catalogue.

    Attributes
    ----------
    name : str
    title : str
        One line.
    rows : int
    columns : dict of str to str
        Column name → what it holds, in the table's order.
    factors : tuple of str
        Columns that `load` returns as categoricals.
    ordered : tuple of str
        Those of `factors` whose levels have an order.
    formula : str
        A model that is often fitted to these data.
    source : str
        Where the numbers were first published.
    licence : str
        On what terms they are here.

    Examples
    --------
    >>> import henderson
    >>> print(henderson.datasets.describe("Dyestuff"))
    Dyestuff: Yield of dyestuff from six batches of an intermediate product (30 rows)
    <BLANKLINE>
      Batch  batch of the intermediate product (factor)
      Yield  yield, in grams of standard colour
    <BLANKLINE>
    Model:   Yield ~ 1 + (1 | Batch)
    Source:  Davies, O. L. and Goldsmith, P. L. (eds) (1972). Statistical Methods in Research and
             Production, 4th ed., Oliver and Boyd, section 6.4.
    Licence: Published facts, redistributed as data; cite the source.
    """

    name: str
    title: str
    rows: int
    columns: dict[str, str]
    factors: tuple[str, ...]
    formula: str
    source: str
    licence: str = _FACTS
    ordered: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        width = max(len(column) for column in self.columns)
        lines = [f"{self.name}: {self.title} ({self.rows:,} rows)", ""]
        lines += [f"  {column:<{width}}  {text}{self._kind(column)}" for column, text in self.columns.items()]
        lines.append("")
        for label, text in (("Model", self.formula), ("Source", self.source), ("Licence", self.licence)):
            lines += wrap(f"{label + ':':<9}{text}", width=100, subsequent_indent=" " * 9)
        return "\n".join(lines)

    def _kind(self, column: str) -> str:
        if column in self.ordered:
            return " (ordered factor)"
        return " (factor)" if column in self.factors else ""


_ALL = (
    Dataset(
        name="nba",
        title="Points scored and minutes played by ten players of two teams",
        rows=10,
        columns={"Points": "points scored", "Minutes": "minutes played", "Team": "the player's team"},
        factors=("Team",),
        formula="Points ~ Minutes + (1 | Team)",
        source="Invented numbers, for a first example: two groups are too few to learn a variance from.",
        licence="No rights reserved.",
    ),
    Dataset(
        name="sleepstudy",
        title="Reaction times of 18 people over ten days, sleep restricted to three hours a night",
        rows=180,
        columns={
            "Reaction": "average reaction time on that day, in milliseconds",
            "Days": "day of the study: 0 and 1 training, 2 baseline, then restricted sleep",
            "Subject": "the person",
        },
        factors=("Subject",),
        formula="Reaction ~ Days + (Days | Subject)",
        source=(
            "Belenky, G. et al. (2003). Patterns of performance degradation and restoration during sleep "
            "restriction and subsequent recovery: a sleep dose-response study. Journal of Sleep Research 12."
        ),
    ),
    Dataset(
        name="Dyestuff",
        title="Yield of dyestuff from six batches of an intermediate product",
        rows=30,
        columns={"Batch": "batch of the intermediate product", "Yield": "yield, in grams of standard colour"},
        factors=("Batch",),
        formula="Yield ~ 1 + (1 | Batch)",
        source=_DAVIES + "6.4.",
    ),
    Dataset(
        name="Dyestuff2",
        title="The same layout, constructed so that the variance between batches is estimated as zero",
        rows=30,
        columns={"Batch": "batch", "Yield": "yield"},
        factors=("Batch",),
        formula="Yield ~ 1 + (1 | Batch)",
        source=(
            "Box, G. E. P. and Tiao, G. C. (1973). Bayesian Inference in Statistical Analysis, "
            "Addison-Wesley, section 5.1.2."
        ),
    ),
    Dataset(
        name="Machines",
        title="Productivity of six workers on three machines, three times each",
        rows=54,
        columns={"Worker": "the worker", "Machine": "the brand of machine", "score": "productivity score"},
        factors=("Worker", "Machine"),
        formula="score ~ Machine + (0 + Machine | Worker)",
        source=(
            "Milliken, G. A. and Johnson, D. E. (1992). Analysis of Messy Data, Volume I: "
            "Designed Experiments, Chapman and Hall."
        ),
    ),
    Dataset(
        name="Pastes",
        title="Strength of a chemical paste: three casks from each of ten deliveries, assayed twice",
        rows=60,
        columns={
            "strength": "paste strength",
            "batch": "the delivery",
            "cask": "cask within the delivery",
            "sample": "delivery and cask together",
        },
        factors=("batch", "cask", "sample"),
        formula="strength ~ 1 + (1 | batch/cask)",
        source=_DAVIES + "6.5.",
    ),
    Dataset(
        name="Penicillin",
        title="Growth inhibition by six samples of penicillin, each on 24 plates",
        rows=144,
        columns={
            "diameter": "diameter of the zone without growth, in millimetres",
            "plate": "the plate",
            "sample": "the penicillin",
        },
        factors=("plate", "sample"),
        formula="diameter ~ 1 + (1 | plate) + (1 | sample)",
        source=_DAVIES + "6.6.",
    ),
    Dataset(
        name="cake",
        title="Angle at which chocolate cakes break: three recipes, six baking temperatures",
        rows=270,
        columns={
            "replicate": "batch of dough, 1 to 15 within each recipe",
            "recipe": "the recipe",
            "temperature": "baking temperature",
            "angle": "breaking angle, in degrees",
            "temp": "baking temperature as a number, in degrees Fahrenheit",
        },
        factors=("replicate", "recipe", "temperature"),
        ordered=("temperature",),
        formula="angle ~ recipe * temperature + (1 | recipe:replicate)",
        source=(
            "Cook, F. E. (1938). Chocolate cake, I: Optimum baking temperature. Master's thesis, Iowa State "
            "College; in Cochran, W. G. and Cox, G. M. (1957). Experimental Designs, 2nd ed., Wiley, p. 300."
        ),
    ),
    Dataset(
        name="fev",
        title="Forced expired volume of 200 simulated patients of two arms, planned at four visits",
        rows=800,
        columns={
            "USUBJID": "the patient",
            "AVISIT": "the visit",
            "ARMCD": "the arm: placebo (PBO) or treatment (TRT)",
            "RACE": "race of the patient",
            "SEX": "sex of the patient",
            "FEV1_BL": "forced expired volume in one second at baseline",
            "FEV1": "the same at the visit; missing where the visit did not take place",
            "WEIGHT": "a weight of the observation",
            "VISITN": "number of the visit",
            "VISITN2": "a coordinate of the visit, random numbers",
        },
        factors=("USUBJID", "AVISIT", "ARMCD", "RACE", "SEX"),
        formula="FEV1 ~ RACE + SEX + ARMCD * AVISIT + (1 | USUBJID)",
        source=_MMRM.format("fev_data"),
        licence=_APACHE,
    ),
    Dataset(
        name="bcva",
        title="Change of visual acuity of 1,000 simulated patients of two arms, up to ten visits",
        rows=8605,
        columns={
            "USUBJID": "the patient",
            "VISITN": "number of the visit",
            "AVISIT": "the visit",
            "ARMCD": "the arm: control (CTL) or treatment (TRT)",
            "RACE": "race of the patient",
            "BCVA_BL": "best corrected visual acuity at baseline",
            "BCVA_CHG": "its change since then",
        },
        factors=("USUBJID", "AVISIT", "ARMCD", "RACE"),
        formula="BCVA_CHG ~ BCVA_BL + RACE + ARMCD * AVISIT + (1 | USUBJID)",
        source=_MMRM.format("bcva_data"),
        licence=_APACHE,
    ),
    Dataset(
        name="VerbAgg",
        title="Answers of 316 persons to 24 questions about verbal aggression",
        rows=7584,
        columns={
            "Anger": "trait anger of the person (STAXI score)",
            "Gender": "gender of the person",
            "item": "the question",
            "resp": "the answer",
            "id": "the person",
            "btype": "what one does: curse, scold or shout",
            "situ": "who is to blame: the other or oneself",
            "mode": "whether one would want to do it, or do it",
            "r2": "the answer in two levels: no (N), perhaps or yes (Y)",
        },
        factors=("Gender", "item", "resp", "id", "btype", "situ", "mode", "r2"),
        ordered=("resp",),
        formula="resp.cat.codes ~ Anger + Gender + btype + mode + situ + (1 | id) + (1 | item)",
        source="De Boeck, P. and Wilson, M. (2004). Explanatory Item Response Models, Springer.",
    ),
    Dataset(
        name="InstEval",
        title="Ratings of lectures at ETH Zurich: 2,972 students, 1,128 lecturers, 14 departments",
        rows=73421,
        columns={
            "s": "the student",
            "d": "the lecturer",
            "studage": "semesters for which the student has been enrolled",
            "lectage": "how many semesters ago the lecture was given",
            "service": "1: given for another department than the lecturer's own",
            "dept": "department of the lecture, a random code",
            "y": "rating, 1 (poor) to 5 (very good)",
        },
        factors=("s", "d", "studage", "lectage", "service", "dept"),
        ordered=("studage", "lectage"),
        formula="y ~ service + (1 | s) + (1 | d) + (1 | dept)",
        source=(
            "Lecture evaluations by students at ETH Zurich, made anonymous; described in "
            "Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects models "
            "using lme4. Journal of Statistical Software 67(1)."
        ),
    ),
)

CATALOGUE: dict[str, Dataset] = {dataset.name: dataset for dataset in _ALL}
