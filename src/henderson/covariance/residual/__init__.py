"""Structures of the residuals' covariance within a series: one class a kind, `structures` lists them."""
