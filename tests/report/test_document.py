"""The report: every section, its tables and pictures are there, names are text, and nothing is fetched."""

from __future__ import annotations

import base64
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from henderson import MixedLM, datasets, lmer, mixedlm
from henderson.app import cli
from henderson.errors import NotAvailable
from henderson.report.document.sections import SECTIONS

VOID = {"meta", "br", "img", "link", "hr", "input", "col"}


class Page(HTMLParser):
    """What a page holds: text, tables and pictures by section, and every address in it."""

    def __init__(self, source: str):
        super().__init__()
        self.open: list[str] = []
        self.section = ""
        self.texts: dict[str, str] = {}
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.images: list[dict[str, str]] = []
        self.addresses: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [(name, value) for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag == "section":
            self.section = known["id"]
        elif tag == "table":
            self.tables.setdefault(self.section, []).append([])
        elif tag == "tr":
            self.tables[self.section][-1].append([])
        elif tag in ("td", "th"):
            self.tables[self.section][-1][-1].append("")
        elif tag == "img":
            self.images.append(known)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts[self.section] = self.texts.get(self.section, "") + data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[self.section][-1][-1][-1] += data


def page_of(results, tmp_path, **options) -> Page:
    return Page(results.report(tmp_path / "fit.html", **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cake(tmp_path_factory):
    fit = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", datasets.load("cake"))
    return fit, page_of(fit, tmp_path_factory.mktemp("cake"))


def test_every_section_is_there_and_the_contents_lead_to_it(cake):
    _, page = cake
    names = [name for name, _, _ in SECTIONS]
    assert [name for name in page.texts if name] == names
    assert [value for name, value in page.addresses if name == "href"] == [f"#{name}" for name in names]


def test_nothing_is_fetched(cake):
    _, page = cake
    assert all(value.startswith(("#", "data:image/svg+xml;base64,")) for _, value in page.addresses)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "base"})
    source = "".join(page.texts.values())
    assert "@import" not in source
    assert "url(" not in source


def test_tables_say_what_the_results_say(cake):
    fit, page = cake
    estimates = fit.coef_table.as_table().grid()
    assert page.tables["estimates"][0] == [list(estimates.header), *map(list, estimates.rows)]
    anova = fit.anova().as_table().grid()
    assert page.tables["tests"][0][: 1 + len(anova.rows)] == [list(anova.header), *map(list, anova.rows)]
    means, pairs = page.tables["means"]
    assert [row[0] for row in means[1:4]] == ["A", "B", "C"]
    assert [row[0] for row in pairs[1:4]] == ["A - B", "A - C", "B - C"]
    assert page.tables["random"][0][-1][0] == "Residual"
    assert page.tables["random"][0][-1][3] == f"{fit.sigma:.3f}"
    assert "Satterthwaite" in page.texts["tests"]


def test_every_check_is_there_with_its_advice(cake):
    fit, page = cake
    for answer in fit.check().answers:
        assert answer.question in page.texts["checks"]
        assert answer.verdict in page.texts["checks"]
        assert answer.advice in page.texts["checks"]


def test_pictures_are_drawings(cake):
    _, page = cake
    assert len(page.images) == 5  # two effects, levels, caterpillar, check
    for image in page.images:
        kind, data = image["src"].split(",", 1)
        root = ElementTree.fromstring(base64.b64decode(data))
        assert kind == "data:image/svg+xml;base64"
        assert root.tag.endswith("svg")
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20
        assert image["alt"]


def test_the_code_makes_the_same_fit(cake):
    fit, page = cake
    code = page.texts["code"]
    body = code[code.index("import henderson") : code.index("print(")]
    known = {}
    exec(body.replace("data = ...", "data = henderson.datasets.load('cake')"), known)
    assert known["fit"].deviance == fit.deviance
    assert known["fit"].bse.equals(fit.bse)


def test_the_equation_has_every_effect(cake):
    fit, page = cake
    for name in [*fit.design.x_names[1:], "angle", "recipe:replicate", "ε ~ N(0, σ²)"]:
        assert name in page.texts["model"]


def test_missing_rows_are_told(tmp_path):
    data = datasets.load("sleepstudy").astype({"Reaction": float})
    data.loc[[3, 50, 51], "Reaction"] = np.nan
    page = page_of(lmer("Reaction ~ Days + (1 | Subject)", data), tmp_path)
    assert "177 rows were used. 3 of 180 rows (1.7%)" in page.texts["data"]


def test_names_are_text(tmp_path):
    data = datasets.load("cake").rename(columns={"angle": '<b>&"y'})
    data["recipe"] = data["recipe"].astype(str).replace({"A": "</td><script>alert(1)</script>", "B": "b&lt;"})
    fit = lmer('`<b>&"y` ~ recipe + (1 | replicate)', data)
    page = page_of(fit, tmp_path, title="<i>&\"'")
    assert page.tags.isdisjoint({"script"})
    assert "<i>&\"'" in page.texts[""]
    assert "</td><script>alert(1)</script>" in [row[0] for row in page.tables["means"][0]]
    assert '<b>&"y' in page.texts["model"]


def test_dollars_in_names_are_no_mathematics(tmp_path):
    data = datasets.load("cake").rename(columns={"angle": r"cost $\frac$"})
    data["recipe"] = data["recipe"].astype(str).replace({"A": "$5 to $10", "B": "$_$"})
    page = page_of(lmer(r"`cost $\frac$` ~ recipe + (1 | replicate)", data), tmp_path)
    assert [row[0] for row in page.tables["means"][0][1:4]] == ["$5 to $10", "$_$", "C"]
    assert len(page.images) == 4


SLEEP = datasets.load("sleepstudy")
DOORS = {
    "no factors": lambda: lmer("Reaction ~ 1 + (1 | Subject)", SLEEP),
    "weights": lambda: lmer(
        "Reaction ~ Days + (Days || Subject)", SLEEP.assign(w=np.arange(180) % 3 + 1.0), weights="w"
    ),
    "formula": lambda: mixedlm("Reaction ~ Days", SLEEP, groups="Subject", re_formula="~ Days").fit(),
    "groups as a column": lambda: mixedlm("Reaction ~ Days", SLEEP, groups=SLEEP["Subject"]).fit(),
    "component": lambda: mixedlm("Reaction ~ Days", SLEEP, groups="Subject", vc_formula={"d": "0 + Days"}).fit(),
    "arrays": lambda: MixedLM(
        SLEEP["Reaction"].to_numpy(), np.c_[np.ones(180), SLEEP["Days"]], groups=SLEEP["Subject"].to_numpy()
    ).fit(),
    "maximum likelihood, Kenward-Roger": lambda: lmer("log(Reaction) ~ Days + (1 | Subject)", SLEEP).with_inference(
        ddf="KR"
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_has_a_report(door, tmp_path):
    page = page_of(DOORS[door](), tmp_path)
    assert [name for name in page.texts if name] == [name for name, _, _ in SECTIONS]
    assert page.tables["estimates"]
    assert page.tables["random"]
    assert page.images


def test_it_needs_the_rows(tmp_path):
    fit = lmer("Reaction ~ Days + (1 | Subject)", SLEEP)
    fit.remove_data()
    with pytest.raises(NotAvailable, match=r"report\(\)"):
        fit.report(tmp_path / "fit.html")
    assert not (tmp_path / "fit.html").exists()


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    fit = lmer("Reaction ~ Days + (1 | Subject)", SLEEP)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install henderson\[plot\]"):
        fit.report(tmp_path / "fit.html")


def test_a_place_that_is_not_there(tmp_path):
    fit = lmer("Reaction ~ Days + (1 | Subject)", SLEEP)
    with pytest.raises(ValueError, match="no such folder"):
        fit.report(tmp_path / "nowhere" / "fit.html")
    with pytest.raises(ValueError, match="it is a folder"):
        fit.report(tmp_path)


def test_the_command_writes_it(tmp_path, capsys):
    pd.DataFrame(SLEEP).to_csv(tmp_path / "sleep.csv", index=False)
    out = tmp_path / "fit.html"
    argv = ["report", "Reaction ~ Days + (1 | Subject)", str(tmp_path / "sleep.csv"), "--out", str(out)]
    assert cli.main([*argv, "--title", "Sleep"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    page = Page(out.read_text(encoding="utf-8"))
    assert "Sleep" in page.texts[""]
    assert "Reaction ~ Days + (1 | Subject)" in page.texts["model"]


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    assert (
        cli.main(["report", "Reaction ~ Days + (1 | Subject)", "sleepstudy", "--out", str(tmp_path / "a" / "b")]) == 2
    )
    assert capsys.readouterr().err.count("\n") == 1


TRIALS = {
    "mmrm": ("FEV1 ~ ARMCD * AVISIT", "us(AVISIT | USUBJID)", None),
    "beside sites": ("FEV1 ~ ARMCD + (1 | SITE)", "ar1h(AVISIT | USUBJID)", "WEIGHT"),
}


@pytest.mark.parametrize("name", TRIALS)
def test_a_report_of_residuals_that_correlate(name, tmp_path):
    formula, residual, weights = TRIALS[name]
    fev = datasets.load("fev")
    fev["SITE"] = fev["USUBJID"].str[2:].astype(int) % 12
    fev["FEV1"] += 5 * np.cos(fev["SITE"])
    fit = lmer(formula, fev, residual=residual, weights=weights)
    page = page_of(fit, tmp_path)
    assert [one for one in page.texts if one] == [one for one, _, _ in SECTIONS]
    words = page.texts["model"]
    assert f"Residuals of one USUBJID are normally distributed together, {residual}" in words
    assert "with one variance" not in words
    assert ("Each of the 12 levels of SITE" in words) == (name != "mmrm")
    assert ["USUBJID", "197"] in [row[:2] for row in page.tables["data"][1]]
    limits = fit.conf_int(method="wald", parameters="theta_")
    shown = {row[0]: row[1:] for row in page.tables["random"][-1][1:]}
    assert [one for one in shown if one.startswith("residual ")] == [
        f"residual {v}" for v in fit.engine.structure.names
    ]
    for one, value in zip(fit.engine.structure.names, fit.engine.psi):
        estimate, lower, upper = map(float, shown[f"residual {one}"])
        assert estimate == pytest.approx(value, rel=2e-3, abs=1e-3)
        assert (lower, upper) == pytest.approx(tuple(limits.loc[f"residual {one}"]), rel=2e-3, abs=1e-3)
    assert any("correlations within a series" in one["alt"] or "one USUBJID by distance" in one["alt"]
               for one in page.images)  # fmt: skip
    assert "Is the residual covariance right?" in page.texts["checks"]
    code = page.texts["code"].partition("Code")[2].replace("data = ...", "data = fev").partition("print(")[0]
    scope = {"fev": fev}
    exec(code, scope)
    np.testing.assert_allclose(scope["fit"].params, fit.params, rtol=1e-8)
