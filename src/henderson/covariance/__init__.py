"""Structures of the covariance of random effects."""
