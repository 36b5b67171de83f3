"""From buckets of videos to shards to be made: what is queued, being searched, and ready.

No Ray: the coordinator asks `next_source` for a video to search and says what was found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelines.extract.errors import ExtractError
from pipelines.extract.inputs import Bucket, bucket_sources
from pipelines.extract.line import Line
from pipelines.extract.planning import (
    PlannedSource,
    ShardPlan,
    cut_shards,
    failed_source,
    read_plan,
    write_plan,
)
from pipelines.extract.retry import Problem
from pipelines.extract.settings import ExtractSettings
from pipelines.extract.writers import Writers
from trajectories.storage import Storage

_SEARCHED_AT_ONCE = 2  # buckets: the last video of one must not leave the searchers idle


@dataclass
class Planning:
    """A bucket whose videos are being searched for clips."""

    bucket: Bucket
    todo: deque[str]
    count: int
    done: list[PlannedSource] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)


class PlanQueue:
    """Buckets in, shard plans out, in the order of the buckets as far as they are ready."""

    def __init__(
        self, storage: Storage, settings: ExtractSettings, writers: Writers, line: Line
    ) -> None:
        self._storage = storage
        self._settings = settings
        self._writers = writers
        self._line = line
        self._buckets: deque[tuple[Bucket, int]] = deque()
        self._planning: list[Planning] = []
        # With each: whether it was recorded before this run, so that shards may be there already.
        self._ready: deque[tuple[Iterator[ShardPlan], bool]] = deque()

    def __len__(self) -> int:
        """Buckets accepted whose last shard has not been taken yet."""
        return len(self._buckets) + len(self._planning) + len(self._ready)

    @property
    def unsearched(self) -> int:
        """Buckets whose clips are not known yet."""
        return len(self._buckets) + len(self._planning)

    def accept(self, bucket: Bucket, sources: int) -> None:
        """Queues a bucket of so many videos."""
        self._buckets.append((bucket, sources))

    def advance(self) -> None:
        """Takes up buckets: reads the plan that is recorded, else gets ready to search."""
        while self._buckets and len(self._planning) < _SEARCHED_AT_ONCE:
            bucket, count = self._buckets.popleft()
            recorded = read_plan(self._storage, bucket)
            if recorded is not None:
                self._line.report.counts["sources"] += count
                self._ready.append((recorded, True))
                continue
            sources = bucket_sources(self._storage, bucket)
            self._planning.append(Planning(bucket, deque(sources), len(sources)))

    def next_source(self) -> tuple[Planning, str] | None:
        """A video to be searched now, and the bucket it is for."""
        for planning in self._planning:
            if planning.todo:
                return planning, planning.todo.popleft()
        return None

    def searched(self, planning: Planning, source: str, result: PlannedSource | Problem) -> None:
        """Says what a search came to. A problem is tried again, in the end it is a failure."""
        report = self._line.report
        if isinstance(result, Problem):
            attempts = planning.attempts.get(source, 0) + 1
            planning.attempts[source] = attempts
            if attempts < self._settings.max_attempts:
                report.counts["retries"] += 1
                planning.todo.append(source)
                return
            result = failed_source(source, result.stage, result.error, result.message, attempts)
        report.counts["sources"] += 1
        report.seconds["plan"] += result.seconds
        planning.done.append(result)
        if len(planning.done) == planning.count:
            self._writers.submit(
                lambda: self._record(planning), lambda plans: self._recorded(planning, plans)
            )

    def next_shard(self) -> tuple[ShardPlan, bool] | None:
        """The next shard to be made, and whether an earlier run may have made it."""
        while self._ready:
            plans, resumed = self._ready[0]
            plan = next(plans, None)
            if plan is not None:
                return plan, resumed
            self._ready.popleft()
        return None

    def _record(self, planning: Planning) -> Iterator[ShardPlan]:
        shards = cut_shards(planning.bucket, planning.done, self._settings.shard_clips)
        write_plan(self._storage, planning.bucket, shards)
        recorded = read_plan(self._storage, planning.bucket)
        if recorded is None:
            raise ExtractError(
                f"the plan of {planning.bucket.name} was written to {self._storage.root} and is "
                "not there: the storage loses files"
            )
        return recorded

    def _recorded(self, planning: Planning, plans: Iterator[ShardPlan]) -> None:
        self._ready.append((plans, False))
        self._planning.remove(planning)
        clips = sum(item.clips for item in planning.done)
        self._line.report.note(
            "plan", bucket=planning.bucket.name, videos=planning.count, clips=clips
        )
