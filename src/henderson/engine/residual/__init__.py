"""The likelihood where residuals of a series are correlated: independent blocks of rows, each with its covariance."""
