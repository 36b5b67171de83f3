"""Running one clip of a dataset again, stage by stage, to see what happens to it.

The work is done in a process of its own: one that crashes or hangs is told of like any other
failure, by the stage it was in.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.extract.planning import recorded_clip
from pipelines.extract.retry import one_line, problem_of
from pipelines.extract.settings import ExtractSettings, settings_from_dict
from pipelines.video import ClipSettings, ClipSpec, VideoError, plan_clips
from trajectories import Dataset, DatasetError, Failure
from trajectories.tables import parquet_file

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True)
class Case:
    """What is to be run again: a clip, or a video that could not be cut (spec None)."""

    source: str
    spec: ClipSpec | None
    failure: Failure | None  # what the dataset says of it
    shard: str  # where it says so


@dataclass(frozen=True)
class Stage:
    """One stage: what came of it, or what went wrong."""

    name: str  # "plan", "decode", "load", "track", "encode" or "write"
    seconds: float
    text: str
    ok: bool = True


@dataclass(frozen=True)
class Order:
    """All that the working process is told."""

    settings: ExtractSettings
    source: str
    spec: ClipSpec | None
    factory: bytes | None  # pickled; None: the dataset's tracker
    weights_digest: str
    write: str | None


def find_case(dataset: Dataset, name: str) -> Case:
    """The clip of that id, or of a unique start of it, or the video of that name.

    Raises DatasetError where the dataset knows none, or does not say how to read it.
    """
    found: dict[str, tuple[str, Failure]] = {}
    for shard, receipt in dataset.shards.items():
        if not receipt.failures:
            continue
        data = dataset.storage.read(f"failures/{shard}.parquet")
        for row in parquet_file(data).read(use_threads=False).to_pylist():
            failure = Failure(**row)
            if name == failure.source and failure.clip_id is None:
                return Case(failure.source, None, failure, shard)
            if failure.clip_id is not None and failure.clip_id.startswith(name):
                found[failure.clip_id] = shard, failure
    if name in found:
        found = {name: found[name]}
    if len(found) > 1:
        raise DatasetError(f"{name!r} is the start of {len(found)} failed clips: give more digits")
    if found:
        ((clip_id, (shard, failure)),) = found.items()
        return Case(failure.source, _spec(dataset, shard, clip_id, failure.source), failure, shard)
    clip_id, shard = dataset.find(name)
    info = next(info for info in dataset.shard_infos(shard) if info.clip_id == clip_id)
    return Case(info.source, _spec(dataset, shard, clip_id, info.source), None, shard)


def replay(
    dataset: Dataset,
    case: Case,
    checkpoint: str | None = None,
    limit: float | None = None,
    factory: Callable[[], Any] | None = None,
    write: str | None = None,
) -> Iterator[Stage]:
    """Runs a case again; its stages as they end. The last one tells whether it works now.

    checkpoint: weights in place of the tracker's own. limit: seconds per stage. factory: makes the
    tracker, in place of the dataset's. write: a video of the tracks over the clip.
    """
    from ray import cloudpickle

    order = Order(
        dataset_settings(dataset, checkpoint),
        case.source,
        case.spec,
        None if factory is None else cloudpickle.dumps(factory),
        dataset.spec.weights_digest,
        write,
    )
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(order, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield from _listen(ours, process, limit)
    finally:
        process.kill()
        process.join()
        ours.close()


def dataset_settings(dataset: Dataset, checkpoint: str | None = None) -> ExtractSettings:
    """The settings that a dataset was made with. Raises DatasetError where it does not say."""
    spec = dataset.spec
    try:
        values = {**spec.settings, "tracker": spec.tracker, "checkpoint": checkpoint}
        return settings_from_dict(values)
    except ValueError as error:
        raise DatasetError(
            f"{dataset.root} does not say how its clips were made ({error}): `tapirus extract` of "
            "this release writes datasets that do"
        ) from error


def _spec(dataset: Dataset, shard: str, clip_id: str, source: str) -> ClipSpec:
    """How to read a clip: as it was recorded, else by cutting its video again."""
    recorded = recorded_clip(dataset.storage, shard, clip_id)
    if recorded is not None:
        return recorded
    clip: ClipSettings = dataset_settings(dataset).clip
    for spec in plan_clips(source, clip).specs:
        if spec.info.clip_id == clip_id:
            return spec
    raise VideoError(source, "plan", f"clip {clip_id} is not in it any more: the file has changed")


def _listen(ours: Connection, process: Any, limit: float | None) -> Iterator[Stage]:
    """What the process tells, and in its place what became of it."""
    name, start = "start", time.perf_counter()
    while True:
        if not ours.poll(limit):
            seconds = time.perf_counter() - start
            yield Stage(name, seconds, f"no end after {seconds:.0f} s: it hangs", ok=False)
            return
        try:
            told = ours.recv()
        except EOFError:
            process.join()
            seconds = time.perf_counter() - start
            yield Stage(name, seconds, f"the process {_end(process.exitcode)}", ok=False)
            return
        if told is None:
            return
        if isinstance(told, str):
            name, start = told, time.perf_counter()
            continue
        yield told
        if not told.ok:
            return


def _end(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _work(order: Order, tell: Connection) -> None:
    """In the process: tells the name of each stage before it, and its outcome after."""

    def stage(name: str, work: Callable[[], tuple[Any, str]]) -> Any:
        tell.send(name)
        start = time.perf_counter()
        try:
            result, text = work()
        except Exception as error:
            problem = problem_of(error, name)
            text = f"{problem.error}: {problem.message}"
            tell.send(Stage(name, time.perf_counter() - start, text, ok=False))
            raise SystemExit(0) from None
        tell.send(Stage(name, time.perf_counter() - start, one_line(text)))
        return result

    spec = order.spec
    if spec is None:
        stage("plan", lambda: _plan(order))
        tell.send(None)
        return
    from pipelines.extract.actors import QueryGrid
    from pipelines.video import read_clip

    frames = stage("decode", lambda: _with_text(read_clip(spec), _frames_text))
    tracker = stage("load", lambda: _load(order))
    grid = QueryGrid(order.settings.grid, order.settings.query_frame)
    queries = grid.points(*frames.shape[:3])
    result = stage("track", lambda: _with_text(tracker.track(frames, queries), _tracks_text))
    stage("encode", lambda: _encode(spec, queries, result))
    if order.write is not None:
        write = order.write
        stage("write", lambda: _draw(write, spec, frames, queries, result))
    tell.send(None)


def _with_text(value: Any, text: Callable[[Any], str]) -> tuple[Any, str]:
    return value, text(value)


def _frames_text(frames: Any) -> str:
    count, height, width = frames.shape[:3]
    return f"{count} frames of {width} x {height}"


def _tracks_text(result: Any) -> str:
    visible = float(np.mean(result.visible)) if np.size(result.visible) else 0.0
    return f"{len(result.tracks)} tracks, visible {visible:.0%} of the time"


def _plan(order: Order) -> tuple[Any, str]:
    plan = plan_clips(order.source, order.settings.clip)
    if plan.error is not None:
        raise plan.error
    return plan, f"{len(plan.specs)} clips"


def _load(order: Order) -> tuple[Any, str]:
    from pipelines.extract.job import default_factory

    make = pickle.loads(order.factory) if order.factory else default_factory(order.settings)
    tracker = make()
    digest = str(getattr(tracker, "weights_digest", ""))
    same = "the dataset's weights" if digest == order.weights_digest else "OTHER weights"
    return tracker, f"{order.settings.tracker}, {same}"


def _encode(spec: ClipSpec, queries: Any, result: Any) -> tuple[Any, str]:
    from pipelines.extract.actors import encode_result

    encoded = encode_result(spec, queries, result)
    return encoded, f"{encoded.num_tracks} tracks packed"


def _draw(path: str, spec: ClipSpec, frames: Any, queries: Any, result: Any) -> tuple[Any, str]:
    from pipelines.render import draw_tracks
    from pipelines.video import write_video

    drawn = draw_tracks(
        frames,
        np.asarray(result.tracks, dtype=np.float32),
        np.asarray(result.visible, dtype=bool),
        max_tracks=1024,
        starts=queries[:, [2, 1]],
    )
    write_video(path, drawn, spec.info.fps)
    return None, path
