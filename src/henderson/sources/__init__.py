"""Tables of any make, as columns and factors."""
