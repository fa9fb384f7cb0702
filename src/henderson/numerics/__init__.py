"""Linear algebra and distributions: no statistics of mixed models."""
