"""The extraction from beginning to end: inputs, Ray, Beam, summary."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelines.extract.actors import QueryGrid, TrackerFactory, TrackerLike
from pipelines.extract.errors import ExtractError
from pipelines.extract.inputs import Bucket, record_inputs, recorded_buckets
from pipelines.extract.monitor import Snapshot
from pipelines.extract.planning import finished_buckets, sweep_plans
from pipelines.extract.pool import DECODE_CPUS, plan_pool
from pipelines.extract.progress import Progress
from pipelines.extract.settings import ExtractSettings, settings_to_dict
from pipelines.extract.spec import FleetSpec, RunSpec
from pipelines.extract.summary import ExtractSummary
from trajectories import (
    DatasetError,
    DatasetSpec,
    ShardReceipt,
    committed_shards,
    create_dataset,
    open_dataset,
    sweep,
)
from trajectories.storage import Storage, connect

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_POLL_SECONDS = 0.5


def run_extract(
    inputs: Sequence[str],
    output: str,
    settings: ExtractSettings | None = None,
    beam_options: Sequence[str] | PipelineOptions | None = None,
    factory: TrackerFactory | None = None,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Extracts trajectories of videos into a dataset, or completes one that was begun.

    inputs: paths, globs, folders, manifests or URLs, added to those that the dataset knows; none
    completes what is there. output: the dataset, a path or any fsspec URL. beam_options: Beam's
    own flags; without a runner among them Beam runs in this process. factory: makes the tracker
    in each actor, in place of `models.load_tracker` with the settings' names. progress: called
    about twice a second from another thread.

    Ctrl-C stops the run: what is committed stays, the rest is swept, KeyboardInterrupt is raised.
    Raises ExtractError, ClusterError, PoolError, DatasetError, SourceError or SettingsError, each
    with one line that names what to do.
    """
    settings = settings or ExtractSettings()
    start = time.monotonic()
    storage = connect(output)
    sources = _expand(inputs)
    spec = DatasetSpec(
        tracker=settings.tracker,
        weights_digest="",
        settings=_dataset_settings(settings),
        tapirus_version=importlib.metadata.version("tapirus"),
    )
    exists = _require_same(storage, spec)
    if not sources and not exists:
        raise ExtractError(f"no videos given, and {storage.root} is no dataset to complete")
    if exists:
        todo = _prepare(storage, sources, settings)
        before = committed_shards(output)
        if not todo:
            return _summarise(storage, before, before, None, time.monotonic() - start)
    with _interrupts() as interrupted:
        snapshot = _on_cluster(
            storage, spec, settings, sources, beam_options, factory, progress, interrupted
        )
        if interrupted.is_set():
            _sweep(storage)
            raise KeyboardInterrupt
    before = before if exists else {}
    return _summarise(storage, before, committed_shards(output), snapshot, time.monotonic() - start)


def default_factory(settings: ExtractSettings) -> TrackerFactory:
    """What makes the tracker in an actor: `models.load_tracker` by the settings' names."""
    return functools.partial(_load_tracker, settings.tracker, settings.checkpoint, settings.dtype)


def _load_tracker(name: str, checkpoint: str | None, dtype: str) -> TrackerLike:
    import models

    # device None: the GPU that Ray gave to this actor, else the CPU.
    tracker: TrackerLike = models.load_tracker(
        name, checkpoint=checkpoint, device=None, dtype=dtype
    )
    return tracker


# -- the dataset


def _expand(inputs: Sequence[str]) -> list[str]:
    if not inputs:
        return []
    from pipelines.video import expand_sources

    return expand_sources(list(inputs))


def _dataset_settings(settings: ExtractSettings) -> dict[str, Any]:
    values = settings_to_dict(settings, "dataset")
    del values["tracker"]  # a field of the dataset's own
    return values


def _require_same(storage: Storage, spec: DatasetSpec) -> bool:
    """Whether the dataset exists; raises DatasetError if it was made with other settings.

    Weights are compared later, by the actor that has loaded them.
    """
    if "dataset.json" not in storage.list_files(""):
        return False
    digest = open_dataset(storage.root).spec.weights_digest
    create_dataset(storage.root, replace(spec, weights_digest=digest))
    return True


def _prepare(
    storage: Storage, sources: Sequence[str], settings: ExtractSettings
) -> dict[Bucket, int]:
    """Sweeps leftovers, records new inputs; returns the buckets to do and their videos' number."""
    _sweep(storage)
    record_inputs(storage, sources, settings.sources_per_bucket)
    done = finished_buckets(committed_shards(storage.root))
    return {b: count for b, count in recorded_buckets(storage).items() if b not in done}


def _sweep(storage: Storage) -> None:
    with contextlib.suppress(DatasetError):  # nothing there yet
        sweep(storage.root)
    sweep_plans(storage)


# -- Ray and Beam


def _on_cluster(
    storage: Storage,
    spec: DatasetSpec,
    settings: ExtractSettings,
    sources: Sequence[str],
    beam_options: Sequence[str] | PipelineOptions | None,
    factory: TrackerFactory | None,
    progress: Progress | None,
    interrupted: threading.Event,
) -> Snapshot | None:
    # Ray takes a second to import; a run with nothing to do has no need of it.
    from pipelines.extract.cluster import ray_cluster
    from pipelines.extract.fleet import (
        first_ready,
        pickle_factory,
        start_fleet,
        start_monitor,
        stop_fleet,
    )

    with ray_cluster(settings.ray_address, settings.object_store_mb) as cluster:
        pool = plan_pool(cluster.cpus, cluster.gpus, settings.num_actors)
        run = f"run-{secrets.token_hex(6)}"
        fleet = FleetSpec(
            run,
            pool,
            QueryGrid(settings.grid, settings.query_frame),
            pickle_factory(factory or default_factory(settings)),
            spread=cluster.nodes > 1,
        )
        handles = start_fleet(fleet)
        try:
            info = first_ready(fleet, handles, settings.start_timeout, interrupted)
            if info is None:
                return None
            create_dataset(storage.root, replace(spec, weights_digest=info.weights_digest))
            todo = _prepare(storage, sources, settings)
            monitor = start_monitor(fleet, sum(todo.values()))
            free = cluster.cpus - pool.actors * pool.num_cpus
            run_spec = RunSpec(
                storage.root,
                settings,
                fleet,
                settings.ray_address or cluster.address,
                # Half of what runs beside the trackers: the other half decodes for them.
                planners=max(1, int(free / DECODE_CPUS) // 2),
            )
            with _polling(monitor, progress, interrupted, run):
                _run_beam(run_spec, todo, beam_options, monitor, interrupted)
            return _last_snapshot(monitor)
        finally:
            stop_fleet(fleet)
            del handles


def _run_beam(
    run: RunSpec,
    todo: dict[Bucket, int],
    beam_options: Sequence[str] | PipelineOptions | None,
    monitor: Any,
    interrupted: threading.Event,
) -> None:
    with _quiet_beam():
        import apache_beam as beam

        from pipelines.extract.bridge import TrackVideos, bucket_element

    elements = [bucket_element(bucket, count) for bucket, count in todo.items()]
    try:
        with _quiet_beam():
            options, runner = _beam_options(beam_options)
            pipeline = beam.Pipeline(runner=runner, options=options)
            _ = pipeline | "Buckets" >> beam.Create(elements) | TrackVideos(run)
            result = pipeline.run()
            state = result.wait_until_finish()
    except Exception as error:
        if interrupted.is_set():
            return
        # Beam wraps what a worker raised into pages of text; the worker left its reason here.
        reason = _why_stopped(monitor)
        if reason is not None:
            raise ExtractError(reason) from error
        raise
    if interrupted.is_set():
        return
    if state is not None and state != "DONE":
        reason = _why_stopped(monitor)
        raise ExtractError(reason or f"the Beam job ended as {state}: see its runner's log")


def _last_snapshot(monitor: Any) -> Snapshot | None:
    import ray

    try:
        snapshot: Snapshot = ray.get(monitor.snapshot.remote(), timeout=60)
        return snapshot
    except (ray.exceptions.RayError, ConnectionError):
        return None  # the dataset is complete; only the times are lost


def _why_stopped(monitor: Any) -> str | None:
    import ray

    try:
        reason: str | None = ray.get(monitor.why_stopped.remote(), timeout=60)
        return reason
    except (ray.exceptions.RayError, ConnectionError):
        return "the Ray cluster is gone; run again to go on, what is committed is kept"


def _beam_options(given: Sequence[str] | PipelineOptions | None) -> tuple[PipelineOptions, Any]:
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    options = given if isinstance(given, PipelineOptions) else PipelineOptions(list(given or []))
    name = options.view_as(StandardOptions).runner
    # DirectRunner would try to download another runner's binary first; this is the one it means.
    if name in (None, "DirectRunner", "FnApiRunner"):
        return options, FnApiRunner()
    return options, name


@contextlib.contextmanager
def _quiet_beam() -> Iterator[None]:
    """Keeps Beam from logging the traceback of an error that is raised anyway.

    Also from warning, through the root logger, that its Google parts are not installed: that would
    set up logging for the whole process besides.
    """
    root, logger, level = logging.getLogger(), logging.getLogger("apache_beam"), None
    keep, nothing = _NotAboutApitools(), logging.NullHandler()
    root.addFilter(keep)
    root.addHandler(nothing)
    if logger.level == logging.NOTSET:
        level = logger.level
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.removeFilter(keep)
        root.removeHandler(nothing)
        if level is not None:
            logger.setLevel(level)


class _NotAboutApitools(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("apitools not found")


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Sets an event at the first Ctrl-C; the second one interrupts at once.

    An exception thrown into the middle of Beam and Ray would come out as anything.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # signals belong to the main thread
        return

    def handle(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _polling(
    monitor: Any, progress: Progress | None, interrupted: threading.Event, run: str
) -> Iterator[None]:
    """Watches over a run from another thread: shows progress, passes Ctrl-C on."""
    import ray

    from pipelines.extract.coordinator import request_stop

    over = threading.Event()

    def poll() -> None:
        stopped = False
        while not over.wait(_POLL_SECONDS):
            if interrupted.is_set() and not stopped:
                stopped = True
                request_stop(run)
                monitor.stop.remote("stopped by Ctrl-C")
            if progress is not None:
                try:
                    progress(ray.get(monitor.snapshot.remote(), timeout=10))
                except ray.exceptions.GetTimeoutError:
                    continue  # the cluster is busy; show the next one
                except ray.exceptions.RayError:
                    return  # it is gone, and the run with it

    thread = threading.Thread(target=poll, name="tapirus-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# -- the end


def _summarise(
    storage: Storage,
    before: dict[str, ShardReceipt],
    after: dict[str, ShardReceipt],
    snapshot: Snapshot | None,
    seconds: float,
) -> ExtractSummary:
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
    )


def _failure_classes(storage: Storage, receipts: Sequence[ShardReceipt]) -> dict[str, int]:
    import io

    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    for receipt in receipts:
        if receipt.failures:
            data = storage.read(f"failures/{receipt.shard}.parquet")
            table = pq.read_table(io.BytesIO(data), columns=["error"])
            counts.update(table.column("error").to_pylist())
    return dict(counts.most_common())
