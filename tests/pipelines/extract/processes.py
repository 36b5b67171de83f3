"""Finding the processes that a test may kill: its own descendants, and nobody else's."""

from __future__ import annotations

import os
from pathlib import Path


def tracker_pids() -> list[int]:
    """Processes of tracker actors that descend from this process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            # "ray::TrackerActor", and while it works "ray::TrackerActor.track".
            if line.startswith(b"ray::TrackerActor"):
                found.append(int(folder.name))
    return [pid for pid in found if _is_ours(pid)]


def _is_ours(pid: int) -> bool:
    while pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
        if pid == os.getpid():
            return True
    return False
