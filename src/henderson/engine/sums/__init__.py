"""Rows, to cross-products."""
