"""The bridge's event loop: buckets in, committed shards out, with bounded work in flight.

One thread drives everything: it sends planning, decoding and tracking to Ray, hands finished shards
to writer threads, and never blocks on a single result. What comes next is for `PlanQueue` and
`Window` to decide, errors are told apart in `retry`. It exists once per Beam bundle and is dropped
with it; committed shards stay.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import ray

from pipelines.extract.actors import BatchResult
from pipelines.extract.batching import Flight
from pipelines.extract.errors import ExtractError, RunStoppedError
from pipelines.extract.fleet import Fleet, why_dead
from pipelines.extract.inputs import Bucket
from pipelines.extract.line import Line
from pipelines.extract.open_shards import OpenShards
from pipelines.extract.plan_queue import Planning, PlanQueue
from pipelines.extract.planning import PlannedSource
from pipelines.extract.retry import Fault, Problem, decoder_ended, one_line, problem_of
from pipelines.extract.spec import RunSpec
from pipelines.extract.window import Settled, Window
from pipelines.extract.writers import Writers
from trajectories import ShardReceipt
from trajectories.storage import connect

_BUCKETS_AHEAD = 3  # one being tracked, one planned, one being planned
_COMMITS_AHEAD = 4  # shards waiting for slow storage before no more are opened


class Coordinator:
    """Works on buckets as they are given; yields the receipts of shards as they are committed."""

    def __init__(self, run: RunSpec) -> None:
        settings = run.settings
        self._run = run
        self._name = secrets.token_hex(4)  # others may use the same actors
        self._fleet = Fleet(run.fleet, settings.clip)
        self._flight = Flight(settings.batch_clips, settings.in_flight, settings.clip.nbytes)
        self._window = Window(
            run.fleet.pool.actors,
            self._flight.calls,
            self._flight.clips,
            settings.max_attempts,
        )
        self._line = Line(run.fleet)
        storage, self._writers = connect(run.root), Writers()
        self._plans = PlanQueue(storage, settings, self._writers, self._line)
        self._shards = OpenShards(run, storage, self._writers, self._line)
        # What each reference is: ("plan", planning, source), ("track", batch), ("greet", actor).
        self._refs: dict[Any, tuple[Any, ...]] = {}
        self._line.ask()  # a bundle tried again after a fatal error must not start over
        for number in range(run.fleet.pool.actors):
            self._greet(number)

    # -- what Beam calls

    def accept(self, bucket: Bucket, sources: int) -> None:
        """Queues a bucket of so many videos."""
        self._plans.accept(bucket, sources)

    def advance(self) -> list[ShardReceipt]:
        """Works until another bucket can be taken; returns the shards committed meanwhile."""
        while len(self._plans) >= _BUCKETS_AHEAD:
            self._step()
        return self._shards.take_receipts()

    def finish(self) -> list[ShardReceipt]:
        """Works until everything accepted is committed; returns the shards not returned yet."""
        while not self._idle:
            self._step()
        self._line.flush()
        self._writers.close()
        return self._shards.take_receipts()

    def abort(self) -> None:
        """Lets go of everything. A commit that is under way is finished, none is begun."""
        self._refs.clear()
        self._writers.close()

    # -- the loop

    @property
    def _idle(self) -> bool:
        return self._window.idle and not (self._plans or self._shards or self._writers)

    def _step(self) -> None:
        try:
            self._plans.advance()
            self._search()
            self._open_shards()
            self._send()
            self._wait()
            self._writers.collect()
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
            if self._writers:
                self._writers.wait(0.2)
            return
        refs = list(self._refs)
        ray.wait(refs, num_returns=1, timeout=0.02 if self._writers else 0.2)
        ready = set(ray.wait(refs, num_returns=len(refs), timeout=0)[0])
        # In the order of sending: what an actor finished before it died is seen as finished.
        for ref in refs:
            if ref in ready:
                kind, *rest = self._refs.pop(ref)
                getattr(self, f"_on_{kind}")(ref, *rest)

    def _queues(self) -> dict[str, int]:
        return {
            "buckets": self._plans.unsearched,
            "shards": len(self._shards),
            "writes": len(self._writers),
            **self._window.queues(),
        }

    # -- planning and shards

    def _search(self) -> None:
        running = sum(1 for entry in self._refs.values() if entry[0] == "plan")
        while running < self._run.planners and (found := self._plans.next_source()) is not None:
            planning, source = found
            self._refs[self._fleet.plan(source)] = ("plan", planning, source)
            running += 1

    def _on_plan(self, ref: Any, planning: Planning, source: str) -> None:
        try:
            result: PlannedSource | Problem = ray.get(ref)
        except ray.exceptions.RayError as error:
            result = problem_of(error, "plan")
        if isinstance(result, Problem):
            self._stop_if_fatal(result)
        self._plans.searched(planning, source, result)

    def _open_shards(self) -> None:
        while self._window.wants_clips and len(self._writers) < _COMMITS_AHEAD:
            found = self._plans.next_shard()
            if found is None:
                return
            plan, resumed = found
            clips = self._shards.open(plan, resumed)
            if clips:
                self._window.add_shard(plan.name, clips)

    # -- tracking

    def _send(self) -> None:
        while (assignment := self._window.assign()) is not None:
            specs = [self._shards.spec(clip) for clip in assignment.clips]
            if self._line.report.first_submit is None:
                self._line.report.first_submit = time.time()
            keys = [f"{self._name}:{assignment.batch}:{n}" for n in range(len(specs))]
            ref = self._fleet.track(assignment.actor, keys, specs)
            self._refs[ref] = ("track", assignment.batch, assignment.actor)

    def _on_track(self, ref: Any, batch: int, actor: int) -> None:
        try:
            result: BatchResult = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._lost(batch, actor, error)
            return
        report = self._line.report
        report.last_result = time.time()
        report.seconds["decode"] += result.decode_seconds
        report.seconds["track"] += result.track_seconds
        report.seconds["encode"] += result.encode_seconds
        clips = self._window.clips_of(batch)
        self._flight.learn(len(clips), result.decode_seconds, result.ended - result.started)
        self._window.batch_clips = self._flight.clips
        self._window.in_flight = self._flight.calls
        for reason, seconds in result.waits.items():
            report.waits[reason] += seconds
        problems: list[Problem | None] = []
        for clip, outcome in zip(clips, result.clips, strict=True):
            if isinstance(outcome, Problem):
                problems.append(outcome)
                info = self._shards.spec(clip).info
                report.note(
                    "attempt_failed",
                    clip_id=info.clip_id,
                    source=info.source,
                    actor=actor,
                    stage=outcome.stage,
                    error=outcome.error,
                    message=outcome.message,
                    attempt=clip.attempts + 1,
                )
                continue
            problems.append(None)
            self._shards.add(clip, outcome)
        self._settled(self._window.settle(batch, problems), len(clips))

    def _lost(self, batch: int, actor: int, error: BaseException) -> None:
        """A batch has no answer: its actor, a decoder, or what was on a machine is gone."""
        problem = decoder_ended(problem_of(error, "track"), self._run.settings.clip_timeout)
        self._stop_if_fatal(problem)
        clips = self._window.clips_of(batch)
        self._line.report.note(
            "batch_lost",
            actor=actor,
            error=problem.error,
            message=problem.message,
            clip_ids=[self._shards.spec(clip).info.clip_id for clip in clips],
        )
        at_tracker = problem.stage == "track"
        limbo = at_tracker and problem.fault is Fault.DEATH
        self._settled(self._window.lose(batch, problem), 0 if limbo else len(clips))
        if at_tracker and problem.fault in (Fault.DEATH, Fault.LOSS):
            self._window.actor_down(actor)
            if ("greet", actor) not in self._refs.values():
                self._line.report.counts["deaths"] += problem.fault is Fault.DEATH
                self._line.report.note("actor_died", actor=actor, error=problem.error)
                self._greet(actor)

    def _settled(self, settled: list[Settled], clips: int) -> None:
        self._line.report.counts["retries"] += clips - len(settled)
        for item in settled:
            if item.problem is not None:
                self._shards.fail(item)
        for name in self._window.closed():
            self._shards.close(name)

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
        self._line.report.ready.setdefault(actor, time.time())
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
