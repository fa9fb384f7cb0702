"""Studies that are planned: the power of tests of fixed effects, by simulation."""
