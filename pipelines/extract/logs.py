"""One JSON line for each thing that happens in a run, for log stores and `jq`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import IO, Any

from pipelines.extract.events import Event
from pipelines.extract.monitor import Snapshot
from pipelines.extract.observe import RunEnd, RunInfo

_PROGRESS_SECONDS = 30.0


class JsonLog:
    """An observer that writes events as lines: time, event, run, and what `events.KINDS` says.

    `time` is UTC in ISO 8601 with milliseconds. Lines are complete when they are visible.
    """

    def __init__(self, stream: IO[str], every: float = _PROGRESS_SECONDS) -> None:
        """every: seconds between two lines of progress."""
        self._stream = stream
        self._every = every
        self._last = time.monotonic()
        self._run = ""

    def begin(self, run: RunInfo) -> None:
        self._run = run.run
        self._line("start", run.started, asdict(run))

    def see(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        for event in events:
            self._line(event.kind, event.time, event.values)
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._line("progress", time.time(), progress_values(snapshot))

    def end(self, end: RunEnd) -> None:
        values: dict[str, Any] = {"state": end.state}
        if end.reason:
            values["reason"] = end.reason
        if end.summary is not None:
            summary = end.summary
            values |= {
                "clips": summary.clips,
                "tracks": summary.tracks,
                "failures": summary.failures,
                "shards": summary.shards,
                "bytes": summary.bytes,
                "seconds": round(summary.seconds, 3),
                "deaths": summary.deaths,
                "retries": summary.retries,
            }
        self._line("end", end.time, values)

    def _line(self, kind: str, when: float, values: dict[str, Any]) -> None:
        moment = datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
        record = {"time": moment.replace("+00:00", "Z"), "event": kind, "run": self._run}
        # File names need not be valid UTF-8, and a log must be: json escapes what is not ASCII.
        print(json.dumps(record | values), file=self._stream, flush=True)


def progress_values(snapshot: Snapshot) -> dict[str, Any]:
    """How far a run is, as a line of progress says it."""
    return {
        "clips": snapshot.clips_done,
        "clips_planned": snapshot.clips_planned,
        "videos": snapshot.sources,
        "videos_searched": snapshot.sources_planned,
        "tracks": snapshot.tracks,
        "failures": snapshot.failures,
        "shards": snapshot.shards,
        "bytes": snapshot.bytes,
        "clips_per_second": round(snapshot.clips_per_second, 3),
        "busy_share": round(snapshot.busy_share, 3),
        "eta": None if snapshot.eta is None else round(snapshot.eta, 1),
        "queues": snapshot.queues,
    }


@contextmanager
def _opened(path: str) -> Any:
    # Appended to: a run that goes on adds to the log of the one that was stopped.
    with open(path, "a", encoding="utf-8") as stream:
        yield stream


def log_stream(name: str) -> AbstractContextManager[IO[str]]:
    """The file of that name, or standard output for "-". Raises OSError."""
    if name == "-":
        return nullcontext(sys.stdout)
    stream: AbstractContextManager[IO[str]] = _opened(name)
    return stream
