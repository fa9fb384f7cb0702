"""One paragraph on what numbers were measured with (versions and threads, no names of machines); memory in use."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def memory(field: str = "VmHWM") -> int:
    """Bytes that this process has ("VmRSS"), or had at once at the most ("VmHWM").

    Linux says it of the program itself. Where there is no /proc it is the system's `ru_maxrss` for both, which has that
    of the program which started this one in it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith(field))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
