"""Pictures, with matplotlib: a file draws one picture, of numbers that it is given.

What is drawn was computed in the rooms of the statistics; here it is at most put into bins (`binning`). Axes come from
the user or are made in `canvas`, which also holds how pictures look.
"""
