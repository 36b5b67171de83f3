"""What a finished run did, as values and as a block of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.extract.accounting import SpeedOfLight, speed_of_light
from pipelines.extract.estimate import Estimate, compare_rows
from pipelines.extract.inputs import recorded_buckets
from pipelines.extract.monitor import STAGES, Snapshot
from pipelines.extract.progress import clock
from trajectories import ShardReceipt
from trajectories.report import readable_bytes
from trajectories.storage import Storage
from trajectories.tables import parquet_file


@dataclass(frozen=True)
class ExtractSummary:
    """Outcome of `run_extract`. Counts are of this run, `total_*` of the whole dataset."""

    output: str
    sources: int = 0  # videos recorded as inputs of the dataset
    clips: int = 0
    tracks: int = 0
    failures: int = 0  # rows written to the failures table
    failures_by_error: dict[str, int] = field(default_factory=dict)
    shards: int = 0
    skipped_shards: int = 0  # committed before this run
    skipped_clips: int = 0
    total_failures: int = 0
    bytes: int = 0  # written by this run
    seconds: float = 0.0  # wall
    stage_seconds: dict[str, float] = field(default_factory=dict)  # summed over processes
    actors: int = 0
    deaths: int = 0  # trackers that died and were replaced
    retries: int = 0
    tracking_seconds: float = 0.0  # wall, from the first clip sent to the last result
    busy_share: float = 0.0  # of the trackers' time in `tracking_seconds`
    light: SpeedOfLight | None = None  # how near the run came to its bare trackers
    estimate: Estimate | None = None  # made before the run

    @property
    def total_clips(self) -> int:
        """Clips in the dataset now."""
        return self.clips + self.skipped_clips

    def succeeded(self, strict: bool = False) -> bool:
        """Whether the dataset holds clips, and with `strict` no failure."""
        return self.total_clips > 0 and not (strict and self.total_failures)

    @property
    def outcome(self) -> dict[str, float]:
        """What an estimate can be compared with; see `estimate.compare`."""
        there = self.estimate.clips_there if self.estimate is not None else 0
        whole = self.clips + self.skipped_clips - there
        return {
            "clips": self.clips,
            "wall_seconds": self.seconds,
            "bytes": self.bytes,
            "share": self.clips / whole if whole > 0 else 1.0,
        }

    def text(self) -> str:
        """The summary for people: a few aligned lines."""
        rows = [("dataset", self.output)]
        skipped = f"   ({self.skipped_clips} were there already)" if self.skipped_clips else ""
        rows.append(("clips", f"{self.clips}{skipped}"))
        rows.append(("tracks", f"{self.tracks:,}"))
        failures = f"{self.failures}"
        if self.failures_by_error:
            kinds = (f"{count} {name}" for name, count in self.failures_by_error.items())
            failures += f"   ({', '.join(kinds)})"
        rows.append(("failures", failures))
        rows.append(("written", f"{readable_bytes(self.bytes)} in {self.shards} shards"))
        rate = f", {self.clips / self.seconds:.2f} clips/s" if self.seconds and self.clips else ""
        rows.append(("time", f"{clock(self.seconds)} ({self.seconds:.1f} s{rate})"))
        if self.clips:
            stages = ", ".join(f"{s} {_seconds(self.stage_seconds.get(s, 0.0))}" for s in STAGES)
            rows.append(("stages", stages))
            share = f"{100 * self.busy_share:.0f}% of the time"
            rows.append(("trackers", f"{self.actors}, busy {share}"))
        if self.light is not None:
            rows += self.light.lines()
        if self.deaths or self.retries:
            rows.append(("retries", f"{self.retries}, {self.deaths} trackers replaced"))
        if self.estimate is not None and self.clips:
            compared = compare_rows(self.estimate, self.outcome)
            words = (f"{name} {value} of {expected}" for name, value, expected in compared)
            rows.append(("estimate", ", ".join(words)))
        return "\n".join(f"{name:<9} {value}" for name, value in rows)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def summarise(
    storage: Storage,
    before: Mapping[str, ShardReceipt],
    after: Mapping[str, ShardReceipt],
    snapshot: Snapshot | None,
    seconds: float,
    estimate: Estimate | None = None,
) -> ExtractSummary:
    """The summary from the receipts before and after a run; times come from its last snapshot."""
    new = [receipt for name, receipt in after.items() if name not in before]
    summary = ExtractSummary(
        output=storage.root,
        sources=sum(recorded_buckets(storage).values()),
        clips=sum(r.clips for r in new),
        tracks=sum(r.tracks for r in new),
        failures=sum(r.failures for r in new),
        failures_by_error=_failure_classes(storage, new),
        shards=len(new),
        skipped_shards=len(before),
        skipped_clips=sum(r.clips for r in before.values()),
        total_failures=sum(r.failures for r in after.values()),
        bytes=sum(r.bytes for r in new),
        seconds=seconds,
        estimate=estimate,
    )
    if snapshot is None:
        return summary
    return replace(
        summary,
        stage_seconds=snapshot.seconds,
        actors=snapshot.actors,
        deaths=snapshot.deaths,
        retries=snapshot.retries,
        tracking_seconds=snapshot.tracking,
        busy_share=snapshot.busy_share,
        light=speed_of_light(
            snapshot.tracks,
            snapshot.actors_mean or snapshot.actors,
            snapshot.working,
            snapshot.seconds.get("track", 0.0),
            snapshot.waits,
            max(0.0, snapshot.working - snapshot.tracking),
            bare=None if estimate is None else estimate.tracks_per_second,
        ),
    )


def _failure_classes(storage: Storage, receipts: Sequence[ShardReceipt]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for receipt in receipts:
        if receipt.failures:
            data = storage.read(f"failures/{receipt.shard}.parquet")
            table = parquet_file(data).read(columns=["error"], use_threads=False)
            counts.update(table.column("error").to_pylist())
    return dict(counts.most_common())
