"""Covariances of the fixed effects."""
