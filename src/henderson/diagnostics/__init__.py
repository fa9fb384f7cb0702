"""Measures of fit."""
