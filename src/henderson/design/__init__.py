"""Text or arrays and a table, to a `Design`."""
