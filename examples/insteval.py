"""Ratings of lectures at ETH Zurich: three crossed factors, 73,421 rows, 4,114 random effects.

Run with `python examples/insteval.py`.
"""

from time import perf_counter

from henderson import datasets, lmer

data = datasets.load("InstEval")

# Students rate lecturers, lecturers teach in departments: nobody is nested in anybody.
start = perf_counter()
result = lmer("y ~ service + (1 | s) + (1 | d) + (1 | dept)", data)
seconds = perf_counter() - start
print(result.summary())
print(f"\nFormula and fit took {seconds:.2f} s.\n")

# The best-liked lecturers, shrunk towards the mean by how few ratings they have.
print(result.ranef["d"].iloc[:, 0].nlargest(5))
