"""Names on pictures are names, whatever is in them."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.text import Text

from henderson import datasets, lmer


@pytest.fixture(scope="module")
def fit():
    """Names and levels with dollars: in pairs, alone, around what TeX does not know."""
    cake = datasets.load("cake").rename(columns={"angle": r"cost $\frac$", "temp": "$t$ in $"})
    cake["recipe"] = cake["recipe"].astype(str).replace({"A": "$5 to $10", "B": "$_$"})
    cake["who"] = "$" + cake["replicate"].astype(str) + "$"
    return lmer(r"`cost $\frac$` ~ recipe * `$t$ in $` + (`$t$ in $` | who)", cake)


PICTURES = {
    "check": lambda fit: fit.plot(),
    "effects": lambda fit: fit.plot.effects("recipe", by="$t$ in $"),
    "along": lambda fit: fit.plot.effects("$t$ in $", by="recipe", data=True),
    "ranef": lambda fit: fit.plot.ranef(),
    "pairs": lambda fit: fit.plot.ranef(kind="pairs"),
    "fits": lambda fit: fit.plot.fits("who", most=4),
    "residuals": lambda fit: fit.plot.residuals("$t$ in $"),
    "boxes": lambda fit: fit.plot.residuals("recipe"),
    "influence": lambda fit: fit.plot.influence("who", exact=False),
    "varcorr": lambda fit: fit.plot.varcorr(),
    "means": lambda fit: fit.emmeans("recipe").plot(),
    "interaction": lambda fit: fit.emmeans(["recipe"]).interaction_plot(),
    "pwpp": lambda fit: fit.emmeans("recipe").pwpp(),
}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.filterwarnings("ignore:.*singular.*")
def test_dollars_are_no_mathematics(fit, picture):
    found = np.atleast_1d(np.asarray(PICTURES[picture](fit), dtype=object)).ravel()
    figure = found[0].get_figure(root=True)
    figure.canvas.draw()  # TeX that it does not know would raise here
    ours = [text for text in figure.findobj(Text) if "$" in text.get_text() and "mathdefault" not in text.get_text()]
    assert not [text.get_text() for text in ours if text.get_parse_math()]
    assert ours


def test_what_the_user_writes_may_be_mathematics(fit):
    _, ax = pyplot.subplots()
    ax.set_title(r"$\alpha$")
    fit.plot.effects("recipe", ax=ax)
    ax.set_xlabel(r"$\beta$")
    assert ax.title.get_parse_math()
    assert ax.xaxis.label.get_parse_math()
    assert not ax.yaxis.label.get_parse_math()
