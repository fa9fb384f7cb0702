"""How much memory there is."""

from __future__ import annotations

from pathlib import Path

#: where Linux says what it has, and what a container may have and has
SYSTEM, LIMIT, USED = (
    Path("/proc/meminfo"),
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory.current"),
)


def free_memory() -> float | None:
    """Bytes that are free, as the system and its container have them; None where neither says so."""
    found = []
    if SYSTEM.exists():
        fields = (line.split() for line in SYSTEM.read_text().splitlines())
        found += [1024.0 * float(field[1]) for field in fields if field[0] == "MemAvailable:"]
    if LIMIT.exists() and USED.exists() and (limit := LIMIT.read_text().strip()) != "max":
        found.append(float(limit) - float(USED.read_text()))
    return min(found, default=None)
