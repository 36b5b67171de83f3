"""What a run has done so far, gathered from wherever its parts work.

A tiny Ray actor adds up what the coordinators report, so progress does not wait for Beam's bundles
and works with any runner. It also carries word the other way: stop, and why.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from pipelines.extract.accounting import WAITS
from pipelines.extract.events import Event, EventBuffer

_EVENTS_AT_ONCE = 1000  # of one report
_STALE_SECONDS = 60.0  # the queues of a coordinator that has gone are no longer shown

STAGES = ("plan", "decode", "track", "encode", "write")


@dataclass
class Report:
    """What happened since the last report of one coordinator."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # by error class
    # By stage, summed over processes.
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    # Of the trackers, by reason, summed over actors.
    waits: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    first_submit: float | None = None
    last_result: float | None = None
    last_commit: float | None = None
    ready: dict[int, float] = field(default_factory=dict)  # actor → since when
    events: list[Event] = field(default_factory=list)
    # Who reports, and how long its queues are now; None: it does not say.
    name: str = ""
    queues: dict[str, int] | None = None

    def note(self, kind: str, **values: Any) -> None:
        """Notes an event that happened just now."""
        if len(self.events) < _EVENTS_AT_ONCE:
            self.events.append(Event(kind, time.time(), values))
        else:
            self.counts["events_lost"] += 1

    def add(self, other: Report) -> None:
        """Adds up two reports; events and queues are kept elsewhere."""
        self.counts.update(other.counts)
        self.failures.update(other.failures)
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds
        for reason, seconds in other.waits.items():
            self.waits[reason] += seconds
        for actor, since in other.ready.items():
            self.ready[actor] = min(since, self.ready.get(actor, since))
        firsts = [t for t in (self.first_submit, other.first_submit) if t is not None]
        lasts = [t for t in (self.last_result, other.last_result) if t is not None]
        commits = [t for t in (self.last_commit, other.last_commit) if t is not None]
        self.first_submit = min(firsts, default=None)
        self.last_result = max(lasts, default=None)
        self.last_commit = max(commits, default=None)


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment."""

    elapsed: float  # seconds since the run began
    sources: int  # videos of this run
    sources_planned: int
    clips_planned: int
    clips_done: int
    clips_skipped: int  # committed by an earlier run
    tracks: int
    failures: int  # rows: clips and videos
    failures_by_error: dict[str, int]
    shards: int
    bytes: int  # committed
    deaths: int  # trackers replaced
    retries: int
    actors: int
    seconds: dict[str, float]  # by stage, summed over processes
    tracking: float  # wall seconds from the first clip sent to the last result
    working: float = 0.0  # wall seconds from the first clip sent to the last shard committed
    waits: dict[str, float] = field(default_factory=dict)  # of the trackers, by reason
    queues: dict[str, int] = field(default_factory=dict)  # how much waits where
    heard: float = 0.0  # time.time() of the last report
    clips_committed: int = 0
    actors_mean: float = 0.0  # over `working`, where some came later; 0: all were there

    @property
    def clips_per_second(self) -> float:
        """Clips per second of tracking so far."""
        return self.clips_done / self.tracking if self.tracking > 0 else 0.0

    @property
    def busy_share(self) -> float:
        """Share of the trackers' time in which they tracked."""
        busy = self.seconds.get("track", 0.0)
        room = (self.actors_mean or self.actors) * self.tracking
        return min(1.0, busy / room) if room > 0 else 0.0

    @property
    def clips_expected(self) -> float | None:
        """Clips in all, from the videos searched so far; None while nothing can be said."""
        if not (self.sources_planned and self.clips_planned):
            return None
        return self.clips_planned * max(1.0, self.sources / self.sources_planned)

    @property
    def eta(self) -> float | None:
        """Seconds left, from the clips planned so far; None while nothing can be said."""
        total = self.clips_expected
        if total is None or not (self.clips_done and self.clips_per_second):
            return None
        left = max(0.0, total - self.clips_done - self.clips_skipped - self.failures)
        return left / self.clips_per_second


class Monitor:
    """The actor: adds up reports, and tells those who report to stop."""

    def __init__(self, sources: int, actors: int, awaited: int = 0) -> None:
        """awaited: how many more actors there may be in the course of the run."""
        self._start = time.time()
        self._sources = sources
        self._actors = actors
        self._awaited = awaited
        self._total = Report()
        self._stop: str | None = None
        self._events = EventBuffer()
        self._queues: dict[str, tuple[float, dict[str, int]]] = {}
        self._heard = self._start

    def report(self, report: Report) -> str | None:
        """Adds a report; returns why to stop, None to go on."""
        lost = report.counts.pop("events_lost", 0)
        self._total.add(report)
        self._events.extend(report.events)
        if lost:
            self._events.extend([Event("lost", time.time(), {"events": lost})])
        self._heard = time.time()
        if report.queues is not None:
            self._queues[report.name] = (self._heard, report.queues)
        return self._stop

    def stop(self, reason: str) -> None:
        """Tells everyone to stop; the first reason stays."""
        self._stop = self._stop or reason

    def why_stopped(self) -> str | None:
        """The reason given to `stop`."""
        return self._stop

    def poll(self, number: int) -> tuple[Snapshot, tuple[int, int, list[Event]]]:
        """The run so far, and its events from `number` on as `EventBuffer.since` gives them."""
        return self.snapshot(), self._events.since(number)

    def snapshot(self) -> Snapshot:
        """The run so far."""
        total = self._total
        tracking = working = 0.0
        if total.first_submit is not None and total.last_result is not None:
            tracking = max(0.0, total.last_result - total.first_submit)
            last = max(total.last_result, total.last_commit or 0.0)
            working = max(0.0, last - total.first_submit)
        late = self._late()
        mean = 0.0
        if late and working and total.first_submit is not None:
            end = total.first_submit + working
            there = sum(max(0.0, end - max(since, total.first_submit)) for since in late)
            mean = self._actors + there / working
        return Snapshot(
            elapsed=time.time() - self._start,
            sources=self._sources,
            sources_planned=total.counts["sources"],
            clips_planned=total.counts["clips_planned"],
            clips_done=total.counts["clips"],
            clips_skipped=total.counts["clips_skipped"],
            tracks=total.counts["tracks"],
            failures=sum(total.failures.values()),
            failures_by_error=dict(sorted(total.failures.items())),
            shards=total.counts["shards"],
            bytes=total.counts["bytes"],
            deaths=total.counts["deaths"],
            retries=total.counts["retries"],
            actors=self._actors + len(late),
            seconds={stage: float(total.seconds[stage]) for stage in STAGES},
            tracking=tracking,
            working=working,
            waits={reason: float(total.waits[reason]) for reason in WAITS},
            queues=self._all_queues(),
            heard=self._heard,
            clips_committed=total.counts["clips_committed"],
            actors_mean=mean,
        )

    def _late(self) -> list[float]:
        """Since when the actors are there that came after the others."""
        return sorted(self._total.ready.values())[self._actors :][: self._awaited]

    def _all_queues(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for heard, queues in self._queues.values():
            if self._heard - heard < _STALE_SECONDS:
                found.update(queues)
        return dict(found)
