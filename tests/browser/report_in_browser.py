"""The report in Chromium, at phone and desktop width, light and dark, and on paper.

    make browser

Not a part of `make test`, since a browser does not come from PyPI: Debian and Ubuntu have it (`apt-get install
chromium`), and CHROMIUM=/path/to/chrome names another one. Without a browser these tests fail.
"""

from __future__ import annotations

import os
import re
import shutil

import pytest

from henderson import datasets, lmer
from henderson.report.document.sections import SECTIONS

PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTHS = {"phone": 390, "tablet": 800, "desktop": 1280}
#: WCAG 2.1, AA, of text
CONTRAST = 4.5

MODELS = {
    "slopes": ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    "factors": ("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
    "singular": ("Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
}

#: sections with what they show; a colour as the eye sees it is that of the nearest ancestor that is painted
LOOK = """() => {
  const seen = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
  const parts = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = parts(c).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
      if (parts(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
  const contrast = e => { const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  const text = [...document.querySelectorAll('h1, h2, p, td, th, li, code, figcaption')].filter(
      e => seen(e) && e.textContent.trim());
  return {
    sections: [...document.querySelectorAll('section')].map(s => ({id: s.id, seen: seen(s),
      title: s.querySelector('h1, h2')?.textContent ?? '', text: s.innerText.length})),
    tables: [...document.querySelectorAll('table')].map(t => ({rows: t.rows.length, seen: seen(t),
      blank: [...t.rows].filter(r => !r.innerText.trim()).length})),
    images: [...document.querySelectorAll('img')].map(i => ({seen: seen(i), wide: i.naturalWidth, alt: i.alt,
      shown: i.getBoundingClientRect().width})),
    wide: document.documentElement.scrollWidth, window: innerWidth,
    faint: text.map(e => [contrast(e), e.tagName, e.textContent.trim().slice(0, 40)]).filter(f => f[0] < CONTRAST),
    ground: light(behind(document.body)), count: text.length,
  };
}""".replace("CONTRAST", str(CONTRAST))


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PLACES)), None)
    if found is None:
        pytest.fail("no Chromium: apt-get install chromium, or CHROMIUM=/path/to/chrome", pytrace=False)
    with sync_playwright() as playwright:
        # without its sandbox it also starts as root, in a container; the pages are our own
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module", params=MODELS)
def report(request, tmp_path_factory):
    """Address of a report."""
    data, formula = MODELS[request.param]
    place = tmp_path_factory.mktemp("report") / "fit.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", "ignore")
        lmer(formula, datasets.load(data)).report(place)
    return place.as_uri()


class Visit:
    """A page that is open, what it asked for and what it complained of."""

    def __init__(self, browser, address, width, scheme):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address, wait_until="load")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_what_a_reader_sees(browser, report, width, scheme):
    with Visit(browser, report, width, scheme) as visit:
        found = visit.page.evaluate(LOOK)
        assert [url for url in visit.asked if not url.startswith("data:")] == [report]
        assert visit.complaints == []
    shown = [one["id"] for one in found["sections"]]
    assert shown == [name for name, *_ in SECTIONS if name in shown]
    assert len(found["sections"]) > 8
    assert all(one["seen"] and one["title"] and one["text"] > 20 for one in found["sections"])
    assert len(found["tables"]) >= 4
    assert all(table["seen"] and table["rows"] > 1 and not table["blank"] for table in found["tables"])
    assert len(found["images"]) >= 2
    assert all(image["seen"] and image["wide"] > 100 and image["alt"] for image in found["images"])
    assert all(image["shown"] <= width for image in found["images"])
    assert found["wide"] <= found["window"], "the page scrolls sideways"
    assert found["faint"] == []
    assert found["count"] > 50
    assert (found["ground"] > 0.5) is (scheme == "light")


def test_links_lead_within_the_page(browser, report):
    with Visit(browser, report, WIDTHS["desktop"], "light") as visit:
        missing = visit.page.evaluate(
            "() => [...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById("
            "a.hash.slice(1))).map(a => a.hash)"
        )
        assert missing == []
        assert visit.page.evaluate("() => document.querySelectorAll('a[href^=\"#\"]').length") > 5


def test_it_prints(browser, report):
    with Visit(browser, report, WIDTHS["desktop"], "dark") as visit:
        visit.page.emulate_media(media="print", color_scheme="light")
        assert visit.page.evaluate(LOOK)["ground"] > 0.9
        paper = visit.page.pdf(format="A4")
    pages = len(re.findall(rb"/Type\s*/Page\b", paper))
    assert paper.startswith(b"%PDF")
    assert 3 <= pages <= 15
