"""Adjustments for families of tests."""
