"""Statsmodels' interface: everything that is statsmodels' and nobody else's."""
