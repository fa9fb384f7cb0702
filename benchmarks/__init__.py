"""Henderson side by side with its peers: one peer, one problem, one fresh process (README.md)."""
