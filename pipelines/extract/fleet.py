"""The actors of one run: made by the driver, found by name from wherever Beam works."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, cast

import ray

from pipelines.extract.actors import (
    ActorInfo,
    TrackerActor,
    TrackerFactory,
    decode_clips,
    plan_source,
)
from pipelines.extract.cluster import NAMESPACE
from pipelines.extract.errors import PoolError
from pipelines.extract.monitor import Monitor
from pipelines.extract.pool import DECODE_CPUS
from pipelines.extract.retry import one_line
from pipelines.extract.spec import FleetSpec
from pipelines.video import ClipSettings, ClipSpec

# A video may be searched for so many times as long as one of its clips may be decoded.
_PLAN_CLIPS = 60
_TRACKER = ray.remote(TrackerActor)
_MONITOR = ray.remote(Monitor)
# Ray must not retry on its own: a video that crashes libav would crash it four times for each of
# our attempts.
_DECODE = ray.remote(num_cpus=DECODE_CPUS, max_retries=0)(decode_clips)
_PLAN = ray.remote(num_cpus=DECODE_CPUS, max_retries=0)(plan_source)


def pickle_factory(factory: TrackerFactory) -> bytes:
    """A tracker factory as bytes, by value where it is not importable."""
    return ray.cloudpickle.dumps(factory)


class Fleet:
    """One process's handles on a run's actors, and what it sends them."""

    def __init__(self, spec: FleetSpec, clip: ClipSettings) -> None:
        self._spec = spec
        self._clip = clip
        self._handles: list[Any] = [None] * spec.pool.actors
        self._nodes: list[str | None] = [None] * spec.pool.actors

    def greet(self, number: int) -> Any:
        """A reference that resolves to the actor's ActorInfo once it takes calls.

        Waits through restarts. The actor is made (again) where there is none of its name.
        """
        self._handles[number] = start_actor(self._spec, number)
        return self._handles[number].ready.options(max_task_retries=-1).remote()

    def greeted(self, number: int, info: ActorInfo) -> None:
        """Remembers where an actor runs."""
        self._nodes[number] = info.node

    def track(self, number: int, keys: Sequence[str], specs: Sequence[ClipSpec]) -> Any:
        """Sends a batch to an actor, its clips being decoded on the way; a BatchResult's reference.

        Frames go from decoder to tracker through the object store, and are gone with the call.
        """
        decode: Any = _DECODE
        node = self._nodes[number]
        if self._spec.spread and node is not None:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            decode = decode.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True)
            )
        frames = decode.remote(list(specs), self._spec.clip_timeout)
        return self._handles[number].track.remote(list(keys), list(specs), frames)

    def plan(self, source: str) -> Any:
        """Starts planning a video; a reference to a PlannedSource or a Problem."""
        limit, plan = self._spec.clip_timeout, cast(Any, _PLAN)
        return plan.remote(source, self._clip, limit and _PLAN_CLIPS * limit)


def start_monitor(spec: FleetSpec, sources: int) -> Any:
    """Makes the run's monitor. It takes no CPU in Ray's books."""
    # It moves when its machine goes; what it had counted is lost then, the dataset is not.
    return _MONITOR.options(
        name=spec.monitor,
        namespace=NAMESPACE,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
    ).remote(sources, spec.pool.actors - spec.pool.awaited, spec.pool.awaited)


def find_monitor(spec: FleetSpec) -> Any:
    """The run's monitor. Raises ValueError where the run is over."""
    return ray.get_actor(spec.monitor, namespace=NAMESPACE)


def start_actor(spec: FleetSpec, number: int) -> Any:
    """One tracker actor: the one of its name, or a new one.

    Ray restarts it for ever, but its calls are never retried by Ray: only we know which of the
    calls that fail with an actor was the one at work. An actor ends with the process that made it,
    or when that process lets go of the handle.
    """
    pool = spec.pool
    return _TRACKER.options(
        name=spec.actor(number),
        namespace=NAMESPACE,
        get_if_exists=True,
        num_cpus=pool.num_cpus,
        num_gpus=pool.num_gpus,
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy="SPREAD" if spec.spread else "DEFAULT",
    ).remote(spec.actor(number), spec.factory, spec.grid, pool.threads, spec.clip_timeout)


def start_fleet(spec: FleetSpec) -> list[Any]:
    """Makes all actors; they live while their handles are held."""
    return [start_actor(spec, number) for number in range(spec.pool.actors)]


def first_ready(
    spec: FleetSpec, handles: Sequence[Any], timeout: float, give_up: threading.Event
) -> ActorInfo | None:
    """Waits until one actor takes calls; the others may come later. None when `give_up` is set.

    Raises PoolError when a tracker cannot be loaded or none is ready within `timeout` seconds.
    """
    waiting = [handle.ready.options(max_task_retries=-1).remote() for handle in handles]
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if give_up.is_set():
            return None
        done, _ = ray.wait(waiting, num_returns=1, timeout=0.5)
        if done:
            try:
                info: ActorInfo = ray.get(done[0])
                return info
            except ray.exceptions.RayError as error:
                raise PoolError(why_dead(error)) from error
    raise PoolError(
        f"no tracker was ready after {timeout:g} s: each asks for {spec.pool.num_cpus:g} CPUs and "
        f"{spec.pool.num_gpus:g} GPUs, and the cluster has {_free()} free"
    )


def stop_fleet(spec: FleetSpec) -> None:
    """Ends the run's actors, those that replaced others too."""
    for name in [*(spec.actor(number) for number in range(spec.pool.actors)), spec.monitor]:
        try:
            ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
        except ValueError:
            continue  # gone already


def why_dead(error: BaseException) -> str:
    """One line on why an actor could not start: the exception its tracker raised, if any."""
    if getattr(error, "actor_init_failed", False):
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # Ray ends with "package.module.ErrorClass: message".
        kind, _, message = lines[-1].partition(": ")
        plain = message if message and " " not in kind else lines[-1]
        return f"the tracker cannot be loaded: {one_line(plain)}"
    return f"a tracker actor ended before it was ready: {one_line(error)}"


def _free() -> str:
    free = ray.available_resources()
    return f"{free.get('CPU', 0):g} CPUs and {free.get('GPU', 0):g} GPUs"
