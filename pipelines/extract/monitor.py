"""What a run has done so far, gathered from wherever its parts work.

A tiny Ray actor adds up what the coordinators report, so progress does not wait for Beam's bundles
and works with any runner. It also carries word the other way: stop, and why.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

STAGES = ("plan", "decode", "track", "encode", "write")


@dataclass
class Report:
    """What happened since the last report of one coordinator."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # by error class
    # By stage, summed over processes.
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    first_submit: float | None = None
    last_result: float | None = None

    def add(self, other: Report) -> None:
        """Adds up two reports."""
        self.counts.update(other.counts)
        self.failures.update(other.failures)
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds
        firsts = [t for t in (self.first_submit, other.first_submit) if t is not None]
        lasts = [t for t in (self.last_result, other.last_result) if t is not None]
        self.first_submit = min(firsts, default=None)
        self.last_result = max(lasts, default=None)


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
    bytes: int
    deaths: int  # trackers replaced
    retries: int
    actors: int
    seconds: dict[str, float]  # by stage, summed over processes
    tracking: float  # wall seconds from the first clip sent to the last result

    @property
    def clips_per_second(self) -> float:
        """Clips per second of tracking so far."""
        return self.clips_done / self.tracking if self.tracking > 0 else 0.0

    @property
    def busy_share(self) -> float:
        """Share of the trackers' time in which they tracked."""
        busy = self.seconds.get("track", 0.0)
        room = self.actors * self.tracking
        return min(1.0, busy / room) if room > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds left, from the clips planned so far; None while nothing can be said."""
        if not (self.clips_done and self.sources_planned and self.clips_planned):
            return None
        total = self.clips_planned * max(1.0, self.sources / self.sources_planned)
        left = max(0.0, total - self.clips_done - self.clips_skipped - self.failures)
        return left / self.clips_per_second if self.clips_per_second else None


class Monitor:
    """The actor: adds up reports, and tells those who report to stop."""

    def __init__(self, sources: int, actors: int) -> None:
        self._start = time.time()
        self._sources = sources
        self._actors = actors
        self._total = Report()
        self._stop: str | None = None

    def report(self, report: Report) -> str | None:
        """Adds a report; returns why to stop, None to go on."""
        self._total.add(report)
        return self._stop

    def stop(self, reason: str) -> None:
        """Tells everyone to stop; the first reason stays."""
        self._stop = self._stop or reason

    def why_stopped(self) -> str | None:
        """The reason given to `stop`."""
        return self._stop

    def snapshot(self) -> Snapshot:
        """The run so far."""
        total = self._total
        tracking = 0.0
        if total.first_submit is not None and total.last_result is not None:
            tracking = max(0.0, total.last_result - total.first_submit)
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
            actors=self._actors,
            seconds={stage: float(total.seconds[stage]) for stage in STAGES},
            tracking=tracking,
        )
