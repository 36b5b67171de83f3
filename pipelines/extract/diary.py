"""What a process was at when it ended, and ending one that is stuck.

A tracker that crashes or hangs takes its process with it. The next process of the same actor reads
here which clip that was, and whether it was out of time.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_NOTE = 64  # bytes


@dataclass(frozen=True)
class LastWork:
    """What the process before was working on: the clip's key, and why it ended itself, if it did.

    Both may be empty.
    """

    key: str = ""
    overrun: str = ""


class Diary:
    """A note of what an actor is working on, that the process after it can read.

    The calls that fail when an actor dies do not tell which of them it was at: those before may
    have been finished and their replies lost. A few bytes in a file outlive the process. They do
    not outlive the machine, and then no clip is to blame.
    """

    def __init__(self, name: str, folder: Path) -> None:
        """name: of the actor. folder: one that all its processes on a machine see."""
        path = folder / f"tapirus-{name}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        key = os.pread(self._file, _NOTE, 0).decode().strip()
        # Written by C code as the process ends, so it stays open; appended, because the file may
        # be emptied in between.
        self._trace = open(f"{path}.trace", "a+b", buffering=0)  # noqa: SIM115
        self._trace.seek(0)
        self.before = LastWork(key, describe_overrun(self._trace.read().decode("utf-8", "replace")))

    @contextlib.contextmanager
    def working_on(self, key: str, limit: float | None) -> Iterator[None]:
        """Notes the work of the block, and ends this process when it takes too long."""
        os.pwrite(self._file, key.encode().ljust(_NOTE), 0)
        self._trace.truncate(0)
        with time_limit(limit, self._trace):
            yield


@contextlib.contextmanager
def time_limit(seconds: float | None, trace: IO[Any] | None = None) -> Iterator[None]:
    """Ends this process when the block takes longer; None: never.

    A thread of C code watches, so that what hangs inside a library, even one that keeps Python
    locked, is ended as well. Where every thread was is written to `trace`, else to standard error.
    """
    if seconds is None:
        yield
        return
    file: Any = trace or sys.__stderr__
    faulthandler.dump_traceback_later(seconds, exit=True, file=file)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def describe_overrun(trace: str) -> str:
    """One line from what `time_limit` has written: how long, and where the work was stuck.

    Empty where the process was not ended by it.
    """
    head = re.match(r"Timeout \((\d+):(\d\d):(\d\d)", trace)
    if head is None:
        return ""
    hours, minutes, seconds = map(int, head.groups())
    # The threads follow, the one at work among them; of each the innermost call comes first.
    threads = re.split(r"^(?:Current t|T)hread .*\n", trace, flags=re.MULTILINE)[1:]
    ours = next((thread for thread in threads if " in track\n" in thread), "")
    place = re.search(r'File "(.*)", line (\d+) in (\S+)', ours)
    where = f", in {place[3]} ({Path(place[1]).name}:{place[2]})" if place else ""
    total = 3600 * hours + 60 * minutes + seconds
    return f"no result after {total or 'less than 1'} s{where}; --clip-timeout sets the limit"


def diary_folder(session: str) -> Path:
    """Where diaries lie: Ray's own folder for a cluster where it is in the usual place."""
    folder = Path(tempfile.gettempdir())
    return ray if (ray := folder / "ray" / session).is_dir() else folder
