"""A start, a descent, a certificate."""
