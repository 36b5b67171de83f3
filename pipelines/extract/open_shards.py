"""Shards between their first clip and their commit: what their clips became, who writes them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field

from pipelines.extract.line import Line
from pipelines.extract.planning import ShardPlan
from pipelines.extract.spec import RunSpec
from pipelines.extract.window import Clip, Settled
from pipelines.extract.writers import Writers
from pipelines.video import ClipSpec
from trajectories import EncodedClip, Failure, ShardReceipt, ShardWriter
from trajectories.leasing import require_lease
from trajectories.receipts import read_receipt
from trajectories.storage import Storage


@dataclass
class _Shard:
    plan: ShardPlan
    failures: list[Failure]
    clips: list[EncodedClip] = field(default_factory=list)


class OpenShards:
    """Shards by name. A shard is kept whole in memory until its commit file is written."""

    def __init__(self, run: RunSpec, storage: Storage, writers: Writers, line: Line) -> None:
        self._run = run
        self._storage = storage
        self._writers = writers
        self._line = line
        self._shards: dict[str, _Shard] = {}
        self._receipts: list[ShardReceipt] = []

    def __len__(self) -> int:
        """How many are open or being written."""
        return len(self._shards)

    def open(self, plan: ShardPlan, resumed: bool) -> int:
        """Opens a shard; returns how many clips of it are to be tracked.

        resumed: an earlier run may have committed it; then there is nothing to do.
        """
        report = self._line.report
        report.counts["clips_planned"] += len(plan.specs)
        receipt = read_receipt(self._storage, plan.name) if resumed else None
        if receipt is not None:
            report.counts["clips_skipped"] += receipt.clips
            return 0
        self._shards[plan.name] = _Shard(plan, list(plan.failures))
        for failure in plan.failures:
            report.failures[failure.error] += 1
            report.note("video_failed", shard=plan.name, **asdict(failure))
        if not plan.specs:
            self.close(plan.name)
        return len(plan.specs)

    def spec(self, clip: Clip) -> ClipSpec:
        """Where a clip's frames lie."""
        return self._shards[clip.shard].plan.specs[clip.index]

    def add(self, clip: Clip, tracked: EncodedClip) -> None:
        """Keeps what a clip became."""
        self._shards[clip.shard].clips.append(tracked)
        self._line.report.counts["clips"] += 1
        self._line.report.counts["tracks"] += tracked.num_tracks

    def fail(self, settled: Settled) -> None:
        """Makes a clip that is given up a row among the failures."""
        problem, info = settled.problem, self.spec(settled.clip).info
        assert problem is not None
        failure = Failure(
            info.source,
            info.clip_id,
            info.start_s,
            info.end_s,
            problem.stage,
            problem.error,
            problem.message,
            settled.attempts,
        )
        self._shards[settled.clip.shard].failures.append(failure)
        self._line.report.failures[failure.error] += 1
        self._line.report.note("clip_failed", shard=settled.clip.shard, **asdict(failure))

    def close(self, name: str) -> None:
        """Has a shard written whose last clip is settled."""
        shard = self._shards[name]
        self._writers.submit(lambda: self._commit(shard), lambda done: self._committed(*done))

    def take_receipts(self) -> list[ShardReceipt]:
        """Those of the shards committed since the last call."""
        receipts, self._receipts = self._receipts, []
        return receipts

    def _commit(self, shard: _Shard) -> tuple[ShardReceipt, float]:
        start = time.perf_counter()
        with ShardWriter(self._run.root, shard.plan.name) as writer:
            for clip in shard.clips:
                writer.add(clip)
            receipt = writer.commit(shard.failures, self._require_lease)
        return receipt, time.perf_counter() - start

    def _require_lease(self) -> None:
        if self._run.lease is not None:
            require_lease(self._storage, self._run.lease)

    def _committed(self, receipt: ShardReceipt, seconds: float) -> None:
        del self._shards[receipt.shard]
        self._receipts.append(receipt)
        report = self._line.report
        report.counts["shards"] += 1
        report.counts["clips_committed"] += receipt.clips
        report.counts["bytes"] += receipt.bytes
        report.seconds["write"] += seconds
        report.last_commit = time.time()
        report.note(
            "shard",
            shard=receipt.shard,
            clips=receipt.clips,
            tracks=receipt.tracks,
            failures=receipt.failures,
            bytes=receipt.bytes,
            seconds=round(seconds, 3),
        )
