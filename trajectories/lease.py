"""Who may write to a dataset: the lease of a run, and what another run makes of it.

Decisions only: `leasing` reads, writes and waits. A lease is a small file `lease/<number>.json`;
the highest number counts. A run that takes over makes the next number, which only one of several
can do, and the one before sees it and stops before its next commit.
"""

from __future__ import annotations

import json
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

LEASES = "lease"
BEAT_SECONDS = 10.0  # from one heartbeat to the next
STALE_SECONDS = 60.0  # without a heartbeat, and the run counts as dead
_NAME = re.compile(rf"{LEASES}/(\d{{6}})\.json")


@dataclass(frozen=True)
class Lease:
    """What the holder writes of itself."""

    token: str  # of this run alone
    host: str
    machine: str  # what makes a process number mean one process: boot and PID namespace
    pid: int
    process_started: str  # as the kernel has it, for a number may be used again; empty: unknown
    started: float  # seconds since 1970
    heartbeat: float  # likewise, by the holder's clock
    beat: int = 0  # counts heartbeats; a change shows life whatever the clocks say


@dataclass(frozen=True)
class Ticket:
    """Which lease a run holds, as it travels to wherever its parts work."""

    number: int
    token: str


class Verdict(Enum):
    """What to do about a lease that is there."""

    FREE = "free"  # its holder is known to be dead
    STALE = "stale"  # nothing was heard of it for so long that it counts as dead
    HELD = "held"  # its holder lives
    WATCH = "watch"  # it may live: see whether a heartbeat comes


def judge(
    lease: Lease,
    machine: str,
    now: float,
    lives: Callable[[Lease], bool],
    stale: float = STALE_SECONDS,
) -> Verdict:
    """Whether a lease stands in the way.

    machine: this one's, as in a lease. now: seconds since 1970. lives: whether the process that a
    lease of this machine names is there. On the same machine the process itself is asked; of
    other machines only the heartbeat is known, and a recent one may be of a run that was just
    killed.
    """
    if lease.machine == machine and lease.process_started:
        return Verdict.HELD if lives(lease) else Verdict.FREE
    return Verdict.WATCH if remaining(lease, now, stale) > 0 else Verdict.STALE


def remaining(lease: Lease, now: float, stale: float = STALE_SECONDS) -> float:
    """Seconds to watch a lease until its holder counts as dead, 0 for one that does already.

    A heartbeat from the future is that of a clock that goes ahead: the whole time is waited then.
    """
    age = max(0.0, now - lease.heartbeat)
    return max(0.0, stale - age)


def next_number(names: Iterable[str]) -> int:
    """The number after the highest among the names of lease files."""
    return max((number_of(name) or 0 for name in names), default=0) + 1


def number_of(name: str) -> int | None:
    """The number in the name of a lease file; None where it is none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def lease_name(number: int) -> str:
    """Name of a lease file."""
    return f"{LEASES}/{number:06d}.json"


def lease_to_json(lease: Lease) -> bytes:
    """The file's content."""
    return (json.dumps(asdict(lease), indent=1, sort_keys=True) + "\n").encode()


def lease_from_json(data: bytes) -> Lease | None:
    """Inverse of `lease_to_json`; None for what is no lease, such as a file cut short."""
    try:
        return Lease(**json.loads(data))
    except (ValueError, TypeError):
        return None


def this_machine() -> str:
    """What processes have in common that can see each other by number.

    A container has process numbers of its own, and after a reboot they mean other processes.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"


def process_start(pid: int) -> str:
    """When a process of this machine started, in the kernel's ticks; empty where unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    # A zombie has ended; its parent has only not asked for it yet.
    return "" if state in ("Z", "X") else fields[18]


def process_lives(pid: int, started: str) -> bool:
    """Whether the process of that number is there and is the one that started then."""
    found = process_start(pid)
    if found or os.path.exists(f"/proc/{pid}"):
        return found == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's, hidden from us
    return True
