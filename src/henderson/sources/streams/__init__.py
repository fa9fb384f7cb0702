"""Rows that need not fit the memory: sources that are read in parts, as often as asked, each kind in a file."""
