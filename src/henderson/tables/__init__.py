"""How every table prints and exports."""
