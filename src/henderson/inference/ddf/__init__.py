"""Degrees of freedom."""
