"""The two ends of a supervised extraction: the process that works, and its parent's hold on it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.extract.errors import ClusterError
from pipelines.extract.events import Event
from pipelines.extract.monitor import Snapshot
from pipelines.extract.observe import RunEnd, RunInfo
from pipelines.extract.supervise import Ended, Stop

_VARIABLE = "TAPIRUS_SUPERVISOR"
_PR_SET_PDEATHSIG = 1
_MAIN = "import sys; sys.argv[0] = 'tapirus'; from pipelines.cli import main; main()"
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


# -- in the process that works


@dataclass(frozen=True)
class Supervision:
    """What a supervisor lets its child know."""

    pid: int  # the supervisor's
    line: int  # a file descriptor for words to it
    again: bool  # a child before this one was on the cluster
    held: tuple[float, float]  # CPUs and GPUs that the cluster had then


_supervision: Supervision | None = None  # this process's


def held_before() -> tuple[float, float]:
    """CPUs and GPUs of the cluster before it was lost; zeros where it was not."""
    return (0.0, 0.0) if _supervision is None else _supervision.held


def adopt() -> Supervision | None:
    """Finds out whether this process was started by a supervisor, and ties its life to it.

    Otherwise a run would go on, and hold the dataset, whose command was killed.
    """
    global _supervision
    value = os.environ.pop(_VARIABLE, None)  # not for the processes of this one
    if value is None:
        return None
    words = json.loads(value)
    found = Supervision(words["pid"], words["line"], words["again"], tuple(words["held"]))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != found.pid:
        os.kill(os.getpid(), signal.SIGKILL)  # it was killed before this line
    os.set_inheritable(found.line, False)
    _supervision = found
    return found


def tell(word: str, **values: object) -> None:
    """Tells the supervisor; nothing without one."""
    if _supervision is not None:
        os.write(_supervision.line, (json.dumps({"word": word, **values}) + "\n").encode())


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Tells the supervisor that the work begins, and how it ends."""
    tell("started")
    try:
        yield
    except ClusterError:
        tell("lost")
        raise
    except BaseException:
        tell("over")
        raise
    tell("over")


class TellCommits:
    """An observer that tells the supervisor of the first commit: the run is of use."""

    def __init__(self) -> None:
        self._told = False

    def begin(self, run: RunInfo) -> None:
        """Nothing is committed yet."""

    def see(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        if snapshot.shards and not self._told:
            self._told = True
            tell("committed")

    def end(self, end: RunEnd) -> None:
        """Told by `telling`."""


# -- in its supervisor


class ChildProcess:
    """A command in a process of its own, with this one's input, output and terminal.

    It has its own process group: Ctrl-C in the terminal reaches this process alone, which passes it
    on once.
    """

    def __init__(self, command: Sequence[str], before: Ended | None) -> None:
        self._line, line = os.pipe()
        os.set_blocking(self._line, False)
        held = (0.0, 0.0) if before is None else before.held
        words = {"pid": os.getpid(), "line": line, "again": before is not None, "held": held}
        try:
            self._process = subprocess.Popen(
                list(command),
                env={**os.environ, _VARIABLE: json.dumps(words)},
                pass_fds=[line],
                process_group=0,
            )
        finally:
            os.close(line)
        self.pid = self._process.pid

    def wait(self) -> Ended:
        """Waits for its end."""
        code = self._process.wait()
        return ended_from(code, self._heard())

    def signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        self._process.send_signal(number)

    def _heard(self) -> list[Mapping[str, object]]:
        """What it said; a line that was cut short by its death is none."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self._line, 65536):
                data += more
        os.close(self._line)
        return [json.loads(line) for line in data.split(b"\n")[:-1]]


def ended_from(code: int, heard: Sequence[Mapping[str, object]]) -> Ended:
    """An exit status and what was said before."""
    words = {str(entry["word"]): entry for entry in heard}
    joined = words.get("joined", {})
    return Ended(
        code,
        started="started" in words,
        joined="joined" in words,
        committed="committed" in words,
        over="over" in words,
        lost="lost" in words,
        address=str(joined.get("address", "")),
        held=(float(str(joined.get("cpus", 0))), float(str(joined.get("gpus", 0)))),
    )


def same_command(words: Sequence[str]) -> list[str]:
    """The command line of this process again, `words` being what follows the program's name."""
    if sys.argv[1:] == list(words):
        return [sys.executable, *sys.orig_argv[1:]]
    return [sys.executable, "-c", _MAIN, *words]  # called by a program


@contextlib.contextmanager
def passing_on(stop: Stop) -> Iterator[None]:
    """Signals to this process go to the child, Ctrl-Z and its end included."""
    before: dict[signal.Signals, Any] = {}
    for number in (*_PASSED_ON, signal.SIGTSTP):
        # Under nohup a hangup is to be ignored, by the child as well.
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            handler = _suspend(stop) if number == signal.SIGTSTP else stop.told
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _suspend(stop: Stop) -> Callable[[int, object], None]:
    def handle(number: int, frame: object) -> None:
        if stop.child is not None:
            stop.child.signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        if stop.child is not None:  # after `fg`
            stop.child.signal(signal.SIGCONT)

    return handle
