"""What a user holds after a fit."""
