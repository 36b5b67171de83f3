"""The bridge's event loop: buckets in, committed shards out, with bounded work in flight.

One thread drives everything: it sends planning, decoding and tracking to Ray, hands finished shards
to a writer thread, and never blocks on a single result. Decisions are `Window`'s; errors are told
apart in `retry`. It exists once per Beam bundle and is dropped with it; committed shards stay.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from dataclasses import asdict, dataclass, field
from typing import Any

import ray

from pipelines.extract.actors import BatchResult
from pipelines.extract.errors import ExtractError, RunStoppedError
from pipelines.extract.fleet import Fleet, why_dead
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
from pipelines.extract.retry import Fault, Problem, decoder_ended, one_line, problem_of
from pipelines.extract.spec import RunSpec
from pipelines.extract.window import Clip, Settled, Window
from trajectories import ClipInfo, EncodedClip, Failure, ShardReceipt, ShardWriter
from trajectories.leasing import require_lease
from trajectories.receipts import read_receipt
from trajectories.storage import connect

_BUCKETS_AHEAD = 3  # one being tracked, one planned, one being planned
_COMMITS_AHEAD = 4  # shards waiting for slow storage before no more are opened


@dataclass
class _Planning:
    bucket: Bucket
    todo: deque[str]
    count: int
    done: list[PlannedSource] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)


@dataclass
class _Shard:
    plan: ShardPlan
    failures: list[Failure]
    clips: list[EncodedClip] = field(default_factory=list)


class Coordinator:
    """Works on buckets as they are given; yields the receipts of shards as they are committed."""

    def __init__(self, run: RunSpec) -> None:
        settings = run.settings
        self._run = run
        self._name = secrets.token_hex(4)  # others may use the same actors
        self._storage = connect(run.root)
        self._fleet = Fleet(run.fleet, settings.clip)
        self._window = Window(
            run.fleet.pool.actors,
            settings.in_flight,
            settings.batch_clips,
            settings.max_attempts,
        )
        self._buckets: deque[tuple[Bucket, int]] = deque()
        self._planning: list[_Planning] = []
        self._plans: deque[tuple[Iterator[ShardPlan], bool]] = deque()
        self._shards: dict[str, _Shard] = {}
        # What each reference is: ("plan", planning, source), ("track", batch), ("greet", actor).
        self._refs: dict[Any, tuple[Any, ...]] = {}
        self._io = ThreadPoolExecutor(2, thread_name_prefix="tapirus-write")
        self._writes: dict[Future[Any], tuple[str, Any]] = {}
        self._receipts: list[ShardReceipt] = []
        self._line = Line(run.fleet)
        self._line.ask()  # a bundle tried again after a fatal error must not start over
        for number in range(run.fleet.pool.actors):
            self._greet(number)

    # -- what Beam calls

    def accept(self, bucket: Bucket, sources: int) -> None:
        """Queues a bucket of so many videos."""
        self._buckets.append((bucket, sources))

    def advance(self) -> list[ShardReceipt]:
        """Works until another bucket can be taken; returns the shards committed meanwhile."""
        while len(self._buckets) + len(self._planning) + len(self._plans) >= _BUCKETS_AHEAD:
            self._step()
        return self._take_receipts()

    def finish(self) -> list[ShardReceipt]:
        """Works until everything accepted is committed; returns the shards not returned yet."""
        while not self._idle:
            self._step()
        self._line.flush()
        self._io.shutdown(wait=True)
        return self._take_receipts()

    def abort(self) -> None:
        """Lets go of everything. A commit that is under way is finished, none is begun."""
        self._refs.clear()
        self._io.shutdown(wait=True, cancel_futures=True)

    # -- the loop

    @property
    def _idle(self) -> bool:
        return self._window.idle and not (
            self._buckets or self._planning or self._plans or self._shards or self._writes
        )

    def _step(self) -> None:
        try:
            self._start_planning()
            self._open_shards()
            self._send()
            self._wait()
            self._collect_writes()
            self._line.report.queues = self._queues()
            self._line.tell()
        except RunStoppedError:
            raise
        except (ExtractError, OSError, ValueError) as error:
            # DatasetError and StorageError are ValueErrors. None of this is a clip's doing, and it
            # would meet the next clip as well.
            message = one_line(error, 2000)
            self._line.stop(message)
            raise ExtractError(message) from error

    def _wait(self) -> None:
        if not self._refs:
            if self._writes:
                wait_futures(self._writes, timeout=0.2, return_when=FIRST_COMPLETED)
            return
        refs = list(self._refs)
        ray.wait(refs, num_returns=1, timeout=0.02 if self._writes else 0.2)
        ready = set(ray.wait(refs, num_returns=len(refs), timeout=0)[0])
        # In the order of sending: what an actor finished before it died is seen as finished.
        for ref in refs:
            if ref in ready:
                kind, *rest = self._refs.pop(ref)
                getattr(self, f"_on_{kind}")(ref, *rest)

    # -- planning

    def _start_planning(self) -> None:
        running = sum(1 for entry in self._refs.values() if entry[0] == "plan")
        while self._buckets and len(self._planning) < 2:
            bucket, count = self._buckets.popleft()
            recorded = read_plan(self._storage, bucket)
            if recorded is not None:
                self._line.report.counts["sources"] += count
                self._plans.append((recorded, True))
                continue
            sources = bucket_sources(self._storage, bucket)
            self._planning.append(_Planning(bucket, deque(sources), len(sources)))
        for planning in self._planning:
            while planning.todo and running < self._run.planners:
                source = planning.todo.popleft()
                self._refs[self._fleet.plan(source)] = ("plan", planning, source)
                running += 1

    def _on_plan(self, ref: Any, planning: _Planning, source: str) -> None:
        try:
            result: PlannedSource | Problem = ray.get(ref)
        except ray.exceptions.RayError as error:
            result = problem_of(error, "plan")
        if isinstance(result, Problem):
            self._stop_if_fatal(result)
            attempts = planning.attempts.get(source, 0) + 1
            planning.attempts[source] = attempts
            if attempts < self._run.settings.max_attempts:
                self._line.report.counts["retries"] += 1
                planning.todo.append(source)
                return
            result = failed_source(source, result.stage, result.error, result.message, attempts)
        self._line.report.counts["sources"] += 1
        self._line.report.seconds["plan"] += result.seconds
        planning.done.append(result)
        if len(planning.done) == planning.count:
            self._writes[self._io.submit(self._write_plan, planning)] = ("plan", planning)

    def _write_plan(self, planning: _Planning) -> Iterator[ShardPlan]:
        shards = cut_shards(planning.bucket, planning.done, self._run.settings.shard_clips)
        write_plan(self._storage, planning.bucket, shards)
        recorded = read_plan(self._storage, planning.bucket)
        if recorded is None:
            raise ExtractError(
                f"the plan of {planning.bucket.name} was written to {self._storage.root} and is "
                "not there: the storage loses files"
            )
        return recorded

    # -- shards

    def _open_shards(self) -> None:
        while self._plans and self._window.wants_clips and len(self._writes) < _COMMITS_AHEAD:
            plans, resumed = self._plans[0]
            plan = next(plans, None)
            if plan is None:
                self._plans.popleft()
                continue
            self._line.report.counts["clips_planned"] += len(plan.specs)
            if resumed and self._is_committed(plan):
                continue
            self._shards[plan.name] = _Shard(plan, list(plan.failures))
            for failure in plan.failures:
                self._line.report.failures[failure.error] += 1
                self._line.report.note("video_failed", shard=plan.name, **asdict(failure))
            if plan.specs:
                self._window.add_shard(plan.name, len(plan.specs))
            else:
                self._close(plan.name)

    def _is_committed(self, plan: ShardPlan) -> bool:
        receipt = read_receipt(self._storage, plan.name)
        if receipt is None:
            return False
        self._line.report.counts["clips_skipped"] += receipt.clips
        return True

    def _close(self, name: str) -> None:
        shard = self._shards[name]
        self._writes[self._io.submit(self._commit, shard)] = ("commit", name)

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

    def _collect_writes(self) -> None:
        for future in [future for future in self._writes if future.done()]:
            kind, what = self._writes.pop(future)
            if kind == "plan":
                self._plans.append((future.result(), False))
                self._planning.remove(what)
                clips = sum(item.clips for item in what.done)
                self._line.report.note(
                    "plan", bucket=what.bucket.name, videos=what.count, clips=clips
                )
                continue
            receipt, seconds = future.result()
            del self._shards[what]
            self._receipts.append(receipt)
            self._line.report.counts["shards"] += 1
            self._line.report.counts["clips_committed"] += receipt.clips
            self._line.report.counts["bytes"] += receipt.bytes
            self._line.report.seconds["write"] += seconds
            self._line.report.last_commit = time.time()
            self._line.report.note(
                "shard",
                shard=what,
                clips=receipt.clips,
                tracks=receipt.tracks,
                failures=receipt.failures,
                bytes=receipt.bytes,
                seconds=round(seconds, 3),
            )

    # -- tracking

    def _send(self) -> None:
        while (assignment := self._window.assign()) is not None:
            specs = [self._shards[clip.shard].plan.specs[clip.index] for clip in assignment.clips]
            if self._line.report.first_submit is None:
                self._line.report.first_submit = time.time()
            keys = [f"{self._name}:{assignment.batch}:{n}" for n in range(len(specs))]
            ref = self._fleet.track(assignment.actor, keys, specs)
            self._refs[ref] = ("track", assignment.batch, assignment.actor)

    def _on_track(self, ref: Any, batch: int, actor: int) -> None:
        clips = self._window.clips_of(batch)
        try:
            result: BatchResult = ray.get(ref)
        except ray.exceptions.RayError as error:
            problem = decoder_ended(problem_of(error, "track"), self._run.settings.clip_timeout)
            self._stop_if_fatal(problem)
            limbo = problem.fault is Fault.DEATH and problem.stage == "track"
            self._line.report.note(
                "batch_lost",
                actor=actor,
                error=problem.error,
                message=problem.message,
                clip_ids=[self._info(clip).clip_id for clip in clips],
            )
            self._settled(self._window.lose(batch, problem), 0 if limbo else len(clips))
            if problem.fault in (Fault.DEATH, Fault.LOSS) and problem.stage == "track":
                self._window.actor_down(actor)
                if ("greet", actor) not in self._refs.values():
                    self._line.report.counts["deaths"] += problem.fault is Fault.DEATH
                    self._line.report.note("actor_died", actor=actor, error=problem.error)
                    self._greet(actor)
            return
        report = self._line.report
        report.last_result = time.time()
        report.seconds["decode"] += result.decode_seconds
        report.seconds["track"] += result.track_seconds
        report.seconds["encode"] += result.encode_seconds
        for reason, seconds in result.waits.items():
            report.waits[reason] += seconds
        problems: list[Problem | None] = []
        for clip, outcome in zip(clips, result.clips, strict=True):
            if isinstance(outcome, Problem):
                problems.append(outcome)
                report.note(
                    "attempt_failed",
                    clip_id=self._info(clip).clip_id,
                    source=self._info(clip).source,
                    actor=actor,
                    stage=outcome.stage,
                    error=outcome.error,
                    message=outcome.message,
                    attempt=clip.attempts + 1,
                )
                continue
            problems.append(None)
            self._shards[clip.shard].clips.append(outcome)
            report.counts["clips"] += 1
            report.counts["tracks"] += outcome.num_tracks
        self._settled(self._window.settle(batch, problems), len(clips))

    def _settled(self, settled: list[Settled], clips: int) -> None:
        self._line.report.counts["retries"] += clips - len(settled)
        for item in settled:
            if item.problem is None:
                continue
            shard = self._shards[item.clip.shard]
            info = self._info(item.clip)
            problem = item.problem
            shard.failures.append(
                Failure(
                    info.source,
                    info.clip_id,
                    info.start_s,
                    info.end_s,
                    problem.stage,
                    problem.error,
                    problem.message,
                    item.attempts,
                )
            )
            self._line.report.failures[problem.error] += 1
            row = asdict(shard.failures[-1])
            self._line.report.note("clip_failed", shard=item.clip.shard, **row)
        for name in self._window.closed():
            self._close(name)

    def _info(self, clip: Clip) -> ClipInfo:
        return self._shards[clip.shard].plan.specs[clip.index].info

    def _queues(self) -> dict[str, int]:
        return {
            "buckets": len(self._buckets) + len(self._planning),
            "shards": len(self._shards),
            "writes": len(self._writes),
            **self._window.queues(),
        }

    # -- actors

    def _greet(self, actor: int) -> None:
        self._refs[self._fleet.greet(actor)] = ("greet", actor)

    def _on_greet(self, ref: Any, actor: int) -> None:
        try:
            info = ray.get(ref)
        except ray.exceptions.RayError as error:
            if getattr(error, "actor_init_failed", False):
                raise ExtractError(why_dead(error)) from error
            # Gone for good: killed from outside, or by a driver that has stopped.
            self._line.ask()
            self._greet(actor)
            return
        self._fleet.greeted(actor, info)
        self._line.report.note("actor_ready", actor=actor, node=info.node, pid=info.pid)
        waiting = self._window.in_limbo(actor)
        blamed, reason = self._blamed(info.last_work.key), None
        if info.last_work.overrun:
            reason = Problem("track", "ClipTimeout", info.last_work.overrun, Fault.DEATH)
        self._settled(self._window.actor_up(actor, blamed, reason), waiting)

    def _blamed(self, key: str) -> tuple[int, int] | None:
        """Batch and position of the clip that an actor's last process died at, if it was ours."""
        name, _, place = key.partition(":")
        if name != self._name:
            return None
        batch, _, position = place.partition(":")
        return int(batch), int(position)

    # -- the rest

    def _stop_if_fatal(self, problem: Problem) -> None:
        if problem.fault is Fault.FATAL:
            raise ExtractError(f"{problem.error}: {problem.message}")

    def _take_receipts(self) -> list[ShardReceipt]:
        receipts, self._receipts = self._receipts, []
        return receipts
