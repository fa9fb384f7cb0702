"""Degrees of freedom, covariances of β̂, tests and comparisons of models.

Everything here is a function of a `Fit`, its `Moments` and its `Design`.
"""

from .core import FTest, Inference, infer

__all__ = ["FTest", "Inference", "infer"]
