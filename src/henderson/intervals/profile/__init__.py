"""Likelihood profiles, all parameters at once.

`surface` is the deviance in coordinates that contain the profiled parameter, `path` follows a profile from the
optimum, `curve` makes a function of its points, `profiles` is what a user holds, `of_fit` makes it from a fit.
"""

from henderson.intervals.profile.of_fit import profile_fit
from henderson.intervals.profile.profiles import Profile

__all__ = ["Profile", "profile_fit"]
