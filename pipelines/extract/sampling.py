"""A few videos searched and a few clips tracked on a cluster, timed one by one.

Nothing runs beside what is timed but as many searches as there are CPUs.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.extract.actors import BatchResult
from pipelines.extract.errors import ExtractError
from pipelines.extract.planning import PlannedSource
from pipelines.extract.retry import Problem, one_line, problem_of
from pipelines.extract.spec import FleetSpec
from pipelines.video import ClipSpec
from trajectories import EncodedClip, ShardWriter

if TYPE_CHECKING:
    from pipelines.extract.fleet import Fleet

TRIALS = 5  # clips that are timed, after one that warms the tracker up
_TRIAL_SECONDS = 60.0


def search(fleet: Fleet, chosen: Sequence[str], at_once: int) -> list[PlannedSource]:
    """Plans videos, no more at once than there are CPUs: they are timed. Raises ExtractError."""
    import ray

    waiting, planned = list(chosen), []
    running: dict[Any, str] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            source = waiting.pop(0)
            running[fleet.plan(source)] = source
        (ref,), _ = ray.wait(list(running), num_returns=1)
        source = running.pop(ref)
        try:
            result: PlannedSource | Problem = ray.get(ref)
        except ray.exceptions.RayError as error:
            result = problem_of(error, "plan")
        if isinstance(result, Problem):
            raise ExtractError(f"{source}: {result.error}: {result.message}")
        planned.append(result)
    return planned


def what_was_found(planned: Sequence[PlannedSource], videos: int) -> str:
    clips = sum(item.clips for item in planned)
    bad = [item.failure for item in planned if item.failure is not None]
    text = f"{len(planned)} of {videos:,} videos, {clips:,} clips"
    if bad:
        text += f"; {len(bad)} with a failure, such as {bad[0].source}: {bad[0].message}"
    return text


def track_alone(
    fleet: Fleet, spec: FleetSpec, specs: Sequence[ClipSpec], timeout: float
) -> tuple[float, list[BatchResult]]:
    """Seconds until the tracker was loaded, and what it made of one clip after the other.

    The first one also warms it up. Raises ExtractError when a clip fails.
    """
    import ray

    from pipelines.extract.fleet import first_ready, start_fleet

    began = time.monotonic()
    handles = start_fleet(spec)
    info = first_ready(spec, handles, timeout, threading.Event())
    assert info is not None
    start = time.monotonic() - began
    try:
        ray.get(fleet.greet(0), timeout=timeout)
        fleet.greeted(0, info)
        results: list[BatchResult] = []
        began = time.monotonic()
        while len(results) < 2 or (
            len(results) <= TRIALS and time.monotonic() - began < _TRIAL_SECONDS
        ):
            clip = specs[len(results) % len(specs)]
            result: BatchResult = ray.get(fleet.track(0, [""], [clip]))
            (outcome,) = result.clips
            if isinstance(outcome, Problem):
                place = f"{clip.info.source} at {clip.info.start_s:.2f} s"
                raise ExtractError(f"{place}: {outcome.error}: {outcome.message}")
            results.append(result)
    except ray.exceptions.RayError as error:
        raise ExtractError(f"the tracker fails: {one_line(error)}") from error
    finally:
        del handles
    return start, results


def choose_clips(planned: Sequence[PlannedSource], count: int) -> list[ClipSpec]:
    """At most `count` clips, of as many videos as there are, and apart within each."""
    return apart([item.specs() for item in planned if item.clips], count)


def apart(lists: Sequence[Sequence[ClipSpec]], count: int) -> list[ClipSpec]:
    """At most `count` clips out of lists that are not empty: from all in turn, apart in each."""
    each = -(-count // len(lists)) if lists else 0
    # The middle of each of `each` equal parts; in a short list some are the same.
    rounds = [
        [specs[(2 * turn + 1) * len(specs) // (2 * each)] for specs in lists]
        for turn in range(each)
    ]
    chosen = {spec.info.clip_id: spec for specs in rounds for spec in specs}
    return list(chosen.values())[:count]


def clip_sizes(results: Sequence[BatchResult]) -> list[float]:
    """Bytes of each clip in the files of a dataset, where it shares them with others."""
    import fsspec

    clips: dict[str, EncodedClip] = {}
    for result in results:
        (clip,) = result.clips
        assert isinstance(clip, EncodedClip)
        clips[clip.info.clip_id] = clip
    root = f"memory://tapirus-{secrets.token_hex(6)}"
    together = _written(root, list(clips.values()))
    apart = [_written(root, [clip]) for clip in clips.values()]
    memory: Any = fsspec.filesystem("memory")
    memory.rm(root, recursive=True)
    return [size * together / sum(apart) for size in apart]


def _written(root: str, clips: Sequence[EncodedClip]) -> float:
    with ShardWriter(root, f"shard-{secrets.token_hex(4)}") as writer:
        for clip in clips:
            writer.add(clip)
        return float(writer.commit().bytes)
