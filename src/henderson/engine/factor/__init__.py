"""The Cholesky factor of the mixed-model equations."""
