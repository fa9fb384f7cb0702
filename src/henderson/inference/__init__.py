"""Degrees of freedom, covariances of β̂, tests and comparisons of models.

Everything here is a function of a `Fit`, its `Moments` and its `Design`. `infer` chooses; every table asks the
`Inference` that it returns.
"""

from .anova import anova
from .compare import bootstrap_compare, compare, kr_compare
from .core import FTest, Inference, infer
from .covariances import COV
from .ddf import DDF
from .hypotheses import coef_table, f_test, t_test
from .ranova import ranova
from .rlrt import rlrt

__all__ = [
    "COV",
    "DDF",
    "FTest",
    "Inference",
    "anova",
    "bootstrap_compare",
    "coef_table",
    "compare",
    "f_test",
    "infer",
    "kr_compare",
    "ranova",
    "rlrt",
    "t_test",
]
