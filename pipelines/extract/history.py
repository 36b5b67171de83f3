"""A run over time, kept small: what its report draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pipelines.extract.events import Event
from pipelines.extract.monitor import Snapshot
from pipelines.extract.observe import RunEnd, RunInfo

_POINTS = 600
_FAILURES = 200
# Kinds whose every event is kept, up to _FAILURES of each.
_KEPT = ("clip_failed", "video_failed", "actor_died", "batch_lost")


@dataclass(frozen=True)
class Moment:
    """A run at one time: counts so far. elapsed: seconds since it began to work."""

    elapsed: float
    clips: int
    tracks: int
    failures: int
    bytes: int
    track_seconds: float
    waiting: int  # clips planned and not sent yet


@dataclass
class History:
    """An observer that remembers: at most 600 moments, evenly spread, and what went wrong."""

    run: RunInfo | None = None
    last: Snapshot | None = None
    ended: RunEnd | None = None
    moments: list[Moment] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  # of all events, by kind
    _step: int = 1  # every so-manieth snapshot is kept
    _seen: int = 0

    def begin(self, run: RunInfo) -> None:
        self.run = run

    def see(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self.last = snapshot
        if self._seen % self._step == 0:
            self.moments.append(_moment(snapshot))
        self._seen += 1
        if len(self.moments) > _POINTS:
            del self.moments[1::2]
            self._step *= 2
        for event in events:
            self.counts[event.kind] += 1
            kept = self.events.setdefault(event.kind, [])
            if event.kind in _KEPT and len(kept) < _FAILURES:
                kept.append({"time": event.time, **event.values})

    def end(self, end: RunEnd) -> None:
        self.ended = end
        if self.last is not None and self.moments[-1] != _moment(self.last):
            self.moments.append(_moment(self.last))


def _moment(snapshot: Snapshot) -> Moment:
    return Moment(
        snapshot.elapsed,
        snapshot.clips_done,
        snapshot.tracks,
        snapshot.failures,
        snapshot.bytes,
        snapshot.seconds.get("track", 0.0),
        snapshot.queues.get("clips", 0),
    )


def rates(moments: Sequence[Moment], name: str, bins: int = 60) -> list[tuple[float, float, float]]:
    """How fast a count grew: begin, end and mean rate per second of equal stretches of the run.

    Between two moments a count is taken to grow evenly. Stretches are at most `bins`, and so long
    that a count grows several times in one; none where there is only one moment.
    """
    if len(moments) < 2:
        return []
    first, last = moments[0].elapsed, moments[-1].elapsed
    if not last > first:
        return []
    times = [moment.elapsed for moment in moments]
    values = [float(getattr(moment, name)) for moment in moments]
    steps = sum(after > before for before, after in pairwise(values))
    count = max(1, min(bins, len(moments) - 1, max(4, steps // 4)))
    edges = [first + (last - first) * i / count for i in range(count + 1)]
    at = [_interpolated(times, values, edge) for edge in edges]
    width = (last - first) / count
    return [(edges[i], edges[i + 1], (at[i + 1] - at[i]) / width) for i in range(count)]


def _interpolated(times: Sequence[float], values: Sequence[float], when: float) -> float:
    import numpy as np

    return float(np.interp(when, times, values))
