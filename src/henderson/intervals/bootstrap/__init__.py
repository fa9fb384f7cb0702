"""The bootstrap: how responses are drawn (`draws`), fitted (`refits`), resampled (`cases`) and jackknifed."""
