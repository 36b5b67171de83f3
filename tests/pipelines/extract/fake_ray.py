"""Ray as a coordinator sees it, in one thread and without waiting: for thousands of faults.

Plans, decoders, trackers and replies are as in the real thing, and fail as they do there: at any of
them the `Faults` may put a crash, a lost machine or an error that passes. What is next is drawn at
random from a seed, so that a schedule can be had again.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.exceptions
import stub_tracker

from pipelines.extract import coordinator, job, writers
from pipelines.extract.actors import ActorInfo, BatchResult, QueryGrid, encode_result
from pipelines.extract.coordinator import Coordinator
from pipelines.extract.diary import LastWork
from pipelines.extract.monitor import Report
from pipelines.extract.planning import PlannedSource
from pipelines.extract.pool import PoolPlan
from pipelines.extract.retry import Fault, Problem
from pipelines.extract.spec import FleetSpec, RunSpec
from pipelines.video import ClipSettings, ClipSpec
from trajectories import create_dataset, storage

EFFECTS = ("crash", "lost", "passing")


@dataclass
class Faults:
    """Which of the points where something may fail does: the nth, or each by chance."""

    nth: int = 0
    effect: str = ""
    chance: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    points: int = 0
    fired: int = 0

    def at(self, point: str) -> str:
        """The effect at this point; empty for none."""
        self.points += 1
        if self.points == self.nth:
            self.fired += 1
            return self.effect
        if self.chance and self.rng.random() < self.chance:
            self.fired += 1
            return self.rng.choice(EFFECTS)
        return ""


class Ref:
    """What a call returns: a value, or an error, once it is done."""

    def __init__(self) -> None:
        self.done = False
        self.outcome: Any = None

    def set(self, outcome: Any) -> None:
        """The first outcome stays."""
        if not self.done:
            self.done, self.outcome = True, outcome


@dataclass
class Actor:
    up: bool = True
    note: str = ""  # its diary
    queue: list[tuple[Ref, list[str], list[ClipSpec]]] = field(default_factory=list)


class World:
    """The cluster: actors with their queues, and whatever else is under way."""

    exceptions = ray.exceptions

    def __init__(
        self,
        plans: dict[str, PlannedSource],
        actors: int,
        faults: Faults,
        seed: int = 0,
        frames: Callable[[ClipSpec], np.ndarray] | None = None,
    ) -> None:
        """frames: reads a clip; else they are made up, by the number in the video's name."""
        self.frames = frames or picture
        self.plans = plans
        self.faults = faults
        self.rng = random.Random(seed)
        self.actors = [Actor() for _ in range(actors)]
        self.calls: list[tuple[Ref, Callable[[], Any]]] = []  # planning and greetings
        self.tracker = stub_tracker.StubTracker()
        self.grid = QueryGrid(4, "first")
        self.most_in_flight = 0

    # -- what the coordinator takes for the module `ray`

    def wait(self, refs: Sequence[Ref], num_returns: int, timeout: float) -> tuple[list[Ref], Any]:
        if timeout and not any(ref.done for ref in refs):
            self.step()
        done = [ref for ref in refs if ref.done][:num_returns]
        return done, [ref for ref in refs if ref not in done]

    def get(self, ref: Ref, timeout: float | None = None) -> Any:
        assert ref.done
        if isinstance(ref.outcome, BaseException):
            raise ref.outcome
        return ref.outcome

    # -- what it takes for its Fleet

    def fleet(self, spec: FleetSpec, clip: ClipSettings) -> World:
        return self

    def greet(self, number: int) -> Ref:
        return self._call(lambda: self._greeting(number))

    def greeted(self, number: int, info: ActorInfo) -> None:
        pass

    def plan(self, source: str) -> Ref:
        return self._call(lambda: self._plan(source))

    def track(self, number: int, keys: Sequence[str], specs: Sequence[ClipSpec]) -> Ref:
        ref = Ref()
        actor = self.actors[number]
        if actor.up:
            actor.queue.append((ref, list(keys), list(specs)))
        else:
            ref.set(unavailable())
        flying = sum(len(specs) for actor in self.actors for _, _, specs in actor.queue)
        self.most_in_flight = max(self.most_in_flight, flying)
        return ref

    # -- how it goes on

    def step(self) -> None:
        """One of the things that can happen next, happens."""
        busy = [actor for actor in self.actors if actor.up and actor.queue]
        chosen = self.rng.randrange(len(self.calls) + len(busy)) if self.calls or busy else None
        if chosen is None:
            return
        if chosen < len(self.calls):
            ref, work = self.calls.pop(chosen)
            ref.set(work())
        else:
            self._work(busy[chosen - len(self.calls)])

    def _call(self, work: Callable[[], Any]) -> Ref:
        ref = Ref()
        self.calls.append((ref, work))
        return ref

    def _greeting(self, number: int) -> Any:
        actor = self.actors[number]
        effect = self.faults.at("greet")
        if effect:
            self._die(actor, unavailable())
            return gone_for_good() if effect == "crash" else unavailable()
        actor.up = True
        return ActorInfo("node", 1, "stub-1", LastWork(actor.note))

    def _plan(self, source: str) -> Any:
        effect = self.faults.at("plan")
        if effect == "crash":
            return ray.exceptions.WorkerCrashedError()
        if effect == "lost":
            return lost()
        if effect == "passing":
            return Problem("open", "VideoError", "503", Fault.CLIP)
        return self.plans[source]

    def _work(self, actor: Actor) -> None:
        ref, keys, specs = actor.queue[0]
        frames = []
        for spec in specs:
            effect = self.faults.at("decode")
            if effect in ("crash", "lost"):
                actor.queue.pop(0)
                ref.set(ray.exceptions.WorkerCrashedError() if effect == "crash" else lost())
                return
            passing = Problem("decode", "VideoError", "503", Fault.CLIP)
            frames.append(passing if effect else self.frames(spec))
        clips: list[Any] = []
        for key, spec, video in zip(keys, specs, frames, strict=True):
            if isinstance(video, Problem):
                clips.append(video)
                continue
            actor.note = key
            effect = self.faults.at("track")
            if effect == "lost":
                actor.note = ""  # the diary goes with the machine
                self._die(actor, ray.exceptions.NodeDiedError("gone"))
                return
            if effect == "crash":
                self._die(actor, unavailable())
                return
            if effect:
                clips.append(Problem("track", "FloatingPointError", "no", Fault.CLIP))
                continue
            queries = self.grid.points(*video.shape[:3])
            clips.append(encode_result(spec, queries, self.tracker.track(video, queries)))
        effect = self.faults.at("reply")
        if effect == "crash":
            self._die(actor, unavailable())
            return
        actor.queue.pop(0)
        ref.set(lost() if effect else BatchResult(tuple(clips), 0.0, 0.0, 0.0, 0.0, 0.0))

    def _die(self, actor: Actor, error: BaseException) -> None:
        actor.up = False
        for ref, _, _ in actor.queue:
            ref.set(error)
        actor.queue.clear()


class QuietLine:
    """A coordinator's line to a monitor that never says anything."""

    def __init__(self, fleet: FleetSpec) -> None:
        self.report = Report()

    def ask(self) -> None:
        pass

    tell = flush = ask

    def stop(self, reason: str) -> None:
        pass


class AtOnce:
    """An executor that does what it is given before it returns: no threads to wait for."""

    def __init__(self, workers: int, thread_name_prefix: str = "") -> None:
        pass

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:
        pass


@contextmanager
def pretending(world: World) -> Any:
    """`run_extract` runs in this world, without Ray and without Beam."""

    def on_cluster(target: Any, spec: Any, settings: Any, sources: Any, *rest: Any) -> None:
        lease = rest[-1]
        create_dataset(target.root, dataclasses.replace(spec, weights_digest="stub-1"))
        todo = job._prepare(target, sources, settings)
        pool = PoolPlan(len(world.actors), 1.0, 0.0, 1)
        fleet = FleetSpec("run-fake", pool, world.grid, b"", spread=False)
        run = RunSpec(target.root, settings, fleet, "nowhere", planners=2, lease=lease.ticket)
        made = Coordinator(run)
        try:
            for bucket, count in todo.items():
                made.accept(bucket, count)
                made.advance()
            made.finish()
        except BaseException:
            made.abort()
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "_on_cluster", on_cluster)
        patch.setattr(coordinator, "ray", world)
        patch.setattr(coordinator, "Fleet", world.fleet)
        patch.setattr(coordinator, "Line", QuietLine)
        patch.setattr(writers, "ThreadPoolExecutor", AtOnce)
        patch.setattr(storage, "_sync", lambda path: None)  # nobody pulls the plug
        yield


def picture(spec: ClipSpec) -> np.ndarray:
    """Frames of a clip, of a brightness that its source's name tells."""
    level = 20 * (int(Path(spec.info.source).stem[1:]) + 1)
    return np.full((spec.info.num_frames, 32, 32, 3), level, np.uint8)


def unavailable() -> BaseException:
    """What calls get whose actor dies under them."""
    return ray.exceptions.ActorUnavailableError("gone", b"\0" * 16)


def gone_for_good() -> BaseException:
    return ray.exceptions.ActorDiedError()


def lost() -> BaseException:
    return ray.exceptions.ObjectLostError("00", b"", "")
