"""The rest by iteration: crossed effects without a Cholesky factor (`rest` says how)."""
