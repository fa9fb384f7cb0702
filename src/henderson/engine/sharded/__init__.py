"""Grouping factors with more levels than one machine should hold: levels stay on workers, sums of p × p size travel."""
