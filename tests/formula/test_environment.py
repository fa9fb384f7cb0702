"""What a formula can reach: the caller's names when open, columns and listed functions when closed."""

import numpy as np
import pandas as pd
import pytest

from henderson import DataError, FormulaError, lmer, mixedlm
from henderson.app import cli
from henderson.design.from_formula import design_from_formula

DATA = pd.DataFrame(
    {
        "y": np.sin(np.arange(48.0)),
        "x": np.cos(np.arange(48.0)) + 2,
        "k": np.resize(list("abc"), 48),
        "g": np.resize(np.arange(6), 48),
    }
)


@pytest.mark.parametrize(
    "text",
    [
        "x.mean()",
        "I(x.__class__)",
        "I(().__class__)",
        "I(().__class__.__bases__[0].__subclasses__())",
        "__import__('os')",
        "eval('1')",
        "exec('1')",
        "open('/etc/passwd')",
        "getattr(x, 'mean')",
        "str(x)",
        "len(x)",
        "I(x[0])",
        "I([c for c in x])",
        "I((lambda v: v)(x))",
        "{x.mean()}",
        "np.load('a')",
        "np.linalg.norm(x)",
        "I(np)",
        "log(x).mean()",
        "contr.sum.__init__(x)",
        "I(Treatment.__globals__)",
        "C(k, Sum.__class__)",
        "hidden(x)",
        "I(x * hidden)",
        "x.T",
        "I('a' * 10**9)",
        "I(10**10**10)",
        "cut(x, 10**9)",
        "bs(x, df=10**9)",
        "scale(x, _state=x)",
    ],
)
def test_closed_formulas_reach_nothing_else(text):
    hidden = print  # noqa: F841 - a name of the caller's
    for formula in (f"y ~ {text} + (1 | g)", f"y ~ 1 + (0 + {text} | g)", f"y ~ offset({text}) + (1 | g)"):
        with pytest.raises((FormulaError, DataError)):
            lmer(formula, DATA, env="closed")
    with pytest.raises((FormulaError, DataError)):
        lmer("y ~ x + (1 | g)", DATA, env="closed", weights=text)
    with pytest.raises((FormulaError, DataError)):
        mixedlm(f"y ~ {text}", DATA, groups="g", eval_env="closed")
    with pytest.raises((FormulaError, DataError)):
        mixedlm("y ~ x", DATA, groups="g", vc_formula={"v": f"0 + {text}"}, eval_env="closed")


@pytest.mark.parametrize("text", ["log(x)", "np.log(x)", "poly(x, 2) + C(k, Sum)", "ns(x, 3):k", "I(x^2 - mean(x))"])
def test_closed_formulas_have_the_listed_functions(text):
    (_, closed), (_, free) = (design_from_formula(f"y ~ {text} + (1 | g)", DATA, env=env) for env in ("closed", 0))
    np.testing.assert_array_equal(closed.X, free.X)


def test_the_caller_is_whoever_called_the_door():
    def double(values):
        return 2 * values

    wanted = 2 * DATA["x"]
    assert np.isclose(lmer("y ~ double(x) + (1 | g)", DATA).llf, lmer("y ~ I(2 * x) + (1 | g)", DATA).llf)
    assert np.allclose(mixedlm("y ~ double(x)", DATA, groups="g").exog[:, 1], wanted)

    def inner():
        return mixedlm("y ~ double(x)", DATA, groups="g", eval_env=1)

    assert np.allclose(inner().exog[:, 1], wanted)
    with pytest.raises(FormulaError, match="no column or function 'double'"):
        mixedlm("y ~ double(x)", DATA, groups="g", eval_env=-1)


@pytest.mark.parametrize("env", [None, "open", 10**6, True, 2.5])
def test_what_is_no_environment(env):
    with pytest.raises(FormulaError, match="env"):
        lmer("y ~ x + (1 | g)", DATA, env=env)


def test_the_command_line_is_closed(tmp_path, capsys):
    path = str(tmp_path / "data.csv")
    DATA.to_csv(path, index=False)
    assert cli.main(["fit", "y ~ log(x) + (1 | g)", path]) == 0
    assert cli.main(["fit", "y ~ np.clip(x, 0, 2) + (1 | g)", path]) == 2
    assert "np.clip" in capsys.readouterr().err
    assert cli.main(["fit", "--open", "y ~ np.clip(x, 0, 2) + (1 | g)", path]) == 0
