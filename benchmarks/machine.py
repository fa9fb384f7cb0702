"""One paragraph on what the numbers were measured with: versions and threads, no names of machines."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Sequence

from .peers import Presence


def describe(peers: Sequence[Presence], threads: str) -> str:
    """Versions of the peers and of what they stand on."""
    versions = ", ".join(f"{peer.name} {peer.version}" for peer in peers)
    base = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "pandas"))
    pools = "each thread pool as it comes" if threads == "all" else f"threads: {threads}"
    return (
        f"Measured on {datetime.date.today():%Y-%m-%d}, {pools}, {platform.machine()}, "
        f"Python {platform.python_version()} ({base}). Packages: {versions}."
    )
