"""New rows, to predictions."""
