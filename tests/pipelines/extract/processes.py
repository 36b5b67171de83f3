"""Finding the processes that a test may kill: its own descendants, and nobody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def tracker_pids() -> list[int]:
    """Processes of tracker actors that descend from this process."""
    # "ray::TrackerActor", and while it works "ray::TrackerActor.track".
    return [pid for pid, line in _lines() if line.startswith(b"ray::TrackerActor")]


def beam_worker_pids() -> list[int]:
    """Processes of Beam's workers that descend from this process."""
    # A shell stands between the worker and the driver.
    return [
        pid
        for pid, line in _lines()
        if b"sdk_worker_main" in line and not line.startswith(b"/bin/sh")
    ]


def _lines() -> Iterator[tuple[int, bytes]]:
    """Number and command line of each descendant."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _is_ours(int(folder.name)):
            try:
                yield int(folder.name), (folder / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended


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
