"""The factor where variances may be negative."""
