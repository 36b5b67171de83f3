"""How a run goes, in one small file that any terminal can read: `status.json` of the dataset.

The driver writes it every few seconds while it lives, from a thread of its own, so that slow
storage keeps nobody waiting. What it says when the driver is gone is how far the run had come, and
when it was last alive. Readers of the dataset ignore it, and nothing is decided by it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from pipelines.extract.events import Event
from pipelines.extract.monitor import Snapshot
from pipelines.extract.observe import RunEnd, RunInfo
from trajectories import DatasetError
from trajectories.lease import Lease, Verdict, process_lives, process_start, this_machine
from trajectories.storage import LocalStorage, Storage

FILE = "status.json"
_LOCAL_SECONDS = 2.0
_REMOTE_SECONDS = 15.0  # an object store wants no more than a write a second, and bills each
_MISSED = 5  # writes that may fail to come before a run counts as dead

Sign = Literal["starting", "running", "waiting", "dead", "done", "stopped", "failed"]


@dataclass(frozen=True)
class RunStatus:
    """What the file holds: the run, how far it was, and when that was written."""

    run: RunInfo
    state: str  # "running", "waiting" for a cluster that is gone, or as in RunEnd
    reason: str
    written: float  # time.time() of the driver
    every: float  # seconds between two writes
    snapshot: Snapshot

    def to_json(self) -> bytes:
        """The file's content."""
        return (json.dumps({"version": 1, **asdict(self)}, indent=1) + "\n").encode()


def status_from_json(data: bytes, name: str) -> RunStatus:
    """Inverse of `to_json`; `name` is for the error message. Raises DatasetError."""
    try:
        values = json.loads(data)
        version = values.pop("version")
        if version != 1:
            raise DatasetError(f"{name} has version {version}, this tapirus reads 1: upgrade it")
        values["run"] = _known(RunInfo, values["run"])
        values["snapshot"] = _known(Snapshot, values["snapshot"])
        return RunStatus(**values)
    except DatasetError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{name} is no status of a run ({type(error).__name__}): remove it, it is only for show"
        ) from error


def _known(cls: Any, values: dict[str, Any]) -> Any:
    """An instance from the fields that this release knows: a newer one may write more."""
    names = {item.name for item in fields(cls)}
    return cls(**{name: value for name, value in values.items() if name in names})


def read_status(storage: Storage) -> RunStatus | None:
    """The status of the last run into a dataset; None where none has left one."""
    try:
        return status_from_json(storage.read(FILE), storage.url(FILE))
    except FileNotFoundError:
        return None


def sign_of_life(
    status: RunStatus,
    now: float,
    alive_here: Callable[[RunStatus], bool | None] = lambda status: None,
) -> Sign:
    """What a status says of its run at the time `now`; "starting" is said by `is_starting` alone.

    alive_here: whether its process lives, None where that cannot be seen from here. "waiting": the
    driver lives and has not heard from the cluster for a while.
    """
    if status.state == "done":
        return "done"
    if status.state in ("stopped", "failed"):
        return "stopped" if status.state == "stopped" else "failed"
    alive = alive_here(status)
    silent = now - status.written > max(_MISSED * status.every, 30.0)
    if alive is False or (alive is None and silent):
        return "dead"
    quiet = status.written - status.snapshot.heard > max(_MISSED * status.every, 30.0)
    waits = status.state == "waiting" or (quiet and status.snapshot.heard > 0)
    return "waiting" if waits else "running"


def process_alive(status: RunStatus) -> bool | None:
    """Whether the driver's process is there; None where that cannot be seen from this machine."""
    run = status.run
    if run.machine != this_machine() or not run.process_started:
        return None
    return process_lives(run.pid, run.process_started)


def is_starting(lease: Lease | None, verdict: Verdict | None, status: RunStatus | None) -> bool:
    """Whether a run holds the dataset that has not begun to track, and so has left no status.

    lease, verdict: of the dataset, None where nobody holds it.
    """
    if lease is None or verdict not in (Verdict.HELD, Verdict.WATCH):
        return False
    if status is None:
        return True
    same = (lease.machine, lease.pid) == (status.run.machine, status.run.pid)
    return not (same and lease.started <= status.written)


def tell_instead(storage: Storage, pid: int, state: str, reason: str = "") -> None:
    """Keeps the status up to date in place of a run's process that has ended, number `pid`.

    The run is this process's from then on. Nothing where the status is another run's, or none.
    """
    status = read_status(storage)
    if status is None or status.run.machine != this_machine():
        return
    if status.run.pid not in (pid, os.getpid()):
        return
    own = os.getpid()
    run = replace(status.run, pid=own, process_started=process_start(own))
    now = time.time()
    status = replace(status, run=run, state=state, reason=reason, written=now)
    storage.write(FILE, status.to_json())


class StatusFile:
    """An observer that keeps the file up to date.

    It writes nothing before the run has begun to work: until then the dataset may not be there, or
    be another run's.
    """

    def __init__(self, storage: Storage, every: float | None = None) -> None:
        """every: seconds between two writes; None: by the kind of storage."""
        local = isinstance(storage, LocalStorage)
        self._storage = storage
        self._every = every if every is not None else _LOCAL_SECONDS if local else _REMOTE_SECONDS
        self._run: RunInfo | None = None
        self._snapshot: Snapshot | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._problem: Exception | None = None

    def begin(self, run: RunInfo) -> None:
        self._run = run

    def see(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self._snapshot = snapshot
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, name="tapirus-status", daemon=True)
            self._thread.start()
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def end(self, end: RunEnd) -> None:
        if self._thread is None:
            return  # the run never came to work
        self._over.set()
        self._thread.join()
        self._write(end.state, end.reason, end.time)

    def _keep(self) -> None:
        wait = 0.0
        while not self._over.wait(wait):
            wait = self._every
            try:
                self._write("running", "", time.time())
            except (OSError, ValueError) as error:  # said by `see`, tried again in a while
                self._problem = error

    def _write(self, state: str, reason: str, written: float) -> None:
        assert self._run is not None
        assert self._snapshot is not None
        if self._taken_over():
            return
        status = RunStatus(self._run, state, reason, written, self._every, self._snapshot)
        self._storage.write(FILE, status.to_json())

    def _taken_over(self) -> bool:
        """Whether the file is a later run's, that has taken the dataset from this one."""
        assert self._run is not None
        try:
            there = read_status(self._storage)
        except DatasetError:
            return False  # damaged: written anew
        return there is not None and there.run.started > self._run.started
