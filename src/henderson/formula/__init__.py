"""The text of a model and the values of its terms."""
