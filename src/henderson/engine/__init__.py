"""The numbers of a fit: knows no names and no data frames."""
