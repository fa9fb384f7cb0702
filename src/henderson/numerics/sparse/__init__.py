"""Sparse symmetric positive definite matrices: order, pattern, Cholesky factor, inverse on the pattern."""
