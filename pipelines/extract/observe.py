"""Those who look on while a run goes: status file, metrics, logs, report.

An observer is told when the run begins, what it has done about twice a second, and how it ended.
It decides nothing: whatever goes wrong in it is said once, and the run goes on.
"""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipelines.extract.events import Event
from pipelines.extract.monitor import Snapshot
from pipelines.extract.retry import one_line
from trajectories.lease import process_start, this_machine

if TYPE_CHECKING:
    from pipelines.extract.progress import Progress
    from pipelines.extract.summary import ExtractSummary

State = Literal["done", "stopped", "failed"]


@dataclass(frozen=True)
class RunInfo:
    """Which run this is: what stands in its status, its logs and its report."""

    run: str  # sorts by time: 20260115-101530-3f9a2c
    output: str
    tracker: str
    settings: dict[str, Any]
    command: str  # what was typed, as a shell would take it again
    folder: str  # where
    host: str
    machine: str  # what makes a process number mean one process; see `trajectories.lease`
    pid: int
    process_started: str
    started: float  # time.time()


@dataclass(frozen=True)
class RunEnd:
    """How a run ended. reason: one line, where it was stopped or failed."""

    state: State
    time: float
    reason: str = ""
    summary: ExtractSummary | None = None


class Observer(Protocol):
    """Anything that looks on. Called from one thread at a time."""

    def begin(self, run: RunInfo) -> None:
        """The run begins; nothing is started or written yet."""

    def see(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """About twice a second: the run so far, and what happened since the last time."""

    def end(self, end: RunEnd) -> None:
        """The run is over."""


def new_run(output: str, tracker: str, settings: dict[str, Any]) -> RunInfo:
    """A run that begins now, in this process."""
    now = time.time()
    name = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return RunInfo(
        run=f"{name}-{secrets.token_hex(3)}",
        output=output,
        tracker=tracker,
        settings=settings,
        command=_command(),
        folder=os.getcwd(),
        host=socket.gethostname(),
        machine=this_machine(),
        pid=os.getpid(),
        process_started=process_start(os.getpid()),
        started=now,
    )


def _command() -> str:
    """What was typed, with the name of the program rather than its place."""
    program, *words = sys.argv or ["python"]
    return shlex.join([os.path.basename(program), *words])


@dataclass
class RunWatch:
    """All observers of a run, as one. A context manager: an exception is how the run ended."""

    run: RunInfo
    observers: Sequence[Observer]
    _over: bool = False
    _number: int = 0  # of the next event to ask for
    _warned: set[int] = field(default_factory=set)

    def __enter__(self) -> RunWatch:
        self._tell("begin", self.run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._over:
            return
        stopped = error is None or isinstance(error, KeyboardInterrupt)
        reason = "stopped by Ctrl-C" if error is None or stopped else one_line(error, 2000)
        self._end(RunEnd("stopped" if stopped else "failed", time.time(), reason))

    def done(self, summary: ExtractSummary) -> None:
        """The run ended well."""
        self._end(RunEnd("done", time.time(), summary=summary))

    @property
    def number(self) -> int:
        """Of the next event to ask for."""
        return self._number

    def see(self, snapshot: Snapshot, news: tuple[int, int, list[Event]]) -> None:
        """Passes on what the monitor's `poll` gave."""
        self._number, lost, events = news
        if lost:
            events = [Event("lost", time.time(), {"events": lost}), *events]
        self._tell("see", snapshot, events)

    def _end(self, end: RunEnd) -> None:
        self._over = True
        self._tell("end", end)

    def _tell(self, method: str, *values: Any) -> None:
        for number, observer in enumerate(self.observers):
            try:
                getattr(observer, method)(*values)
            except (OSError, ValueError) as error:  # a full disk, a closed pipe, storage
                if number not in self._warned:
                    self._warned.add(number)
                    logging.getLogger("tapirus").warning(
                        "%s of this run: %s", type(observer).__name__, one_line(error)
                    )


class ShowProgress:
    """A `Progress` as an observer."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, run: RunInfo) -> None:
        """Nothing to show yet."""

    def see(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self._progress(snapshot)

    def end(self, end: RunEnd) -> None:
        """Whoever made the progress ends it."""
