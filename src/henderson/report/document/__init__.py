"""A fit as one HTML page: for people who were not there, and on paper."""
