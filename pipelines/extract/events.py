"""What happens in a run, one thing at a time: for logs and reports.

Coordinators note events beside their counts, the monitor keeps the latest, and whoever watches the
run takes them from there. Events are told for people and log stores; nothing is decided by them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KINDS: dict[str, str] = {
    "start": "the run begins, with its dataset, settings and command",
    "plan": "a bucket of videos was cut into clips",
    "actor_ready": "a tracker takes clips",
    "shard": "a shard was committed: its clips count from now on",
    "attempt_failed": "one attempt on one clip failed; another may follow",
    "batch_lost": "a batch came back without an answer: its actor, decoder or machine is gone",
    "actor_died": "a tracker's process ended; Ray starts another",
    "clip_failed": "a clip was given up and became a row among the failures",
    "video_failed": "a video gave no clips, or not all, and became a row among the failures",
    "progress": "how far the run is, now and then",
    "lost": "events that came faster than they were taken, and how many",
    "end": "the run is over: done, stopped or failed",
}
_KEPT = 10_000


@dataclass(frozen=True)
class Event:
    """kind: one of KINDS. time: seconds since 1970 where it happened. values: plain JSON values."""

    kind: str
    time: float
    values: dict[str, Any]


class EventBuffer:
    """The latest events, numbered from 0, for readers that come back now and then."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._events: deque[Event] = deque(maxlen=kept)
        self._next = 0  # number of the event that comes next

    def extend(self, events: Iterable[Event]) -> None:
        """Adds events; the oldest go when there are too many."""
        for event in events:
            self._events.append(event)
            self._next += 1

    def since(self, number: int) -> tuple[int, int, list[Event]]:
        """Where to read on, how many events were lost in between, and the events from `number` on.

        A number beyond the end comes from a buffer before this one: everything here is new to it.
        """
        first = self._next - len(self._events)
        if number > self._next:
            number = 0
        lost = max(0, first - number)
        return self._next, lost, list(self._events)[max(0, number - first) :]
