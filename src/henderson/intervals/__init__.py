"""Intervals: Wald, profile, bootstrap."""
