"""Marginal means, their contrasts, trends and joint tests."""
