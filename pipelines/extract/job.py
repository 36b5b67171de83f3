"""The extraction from beginning to end: inputs, Ray, Beam, summary."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelines.extract.actors import QueryGrid, TrackerFactory, TrackerLike
from pipelines.extract.errors import ExtractError
from pipelines.extract.inputs import Bucket, record_inputs, recorded_buckets
from pipelines.extract.launch import run_beam
from pipelines.extract.monitor import Snapshot
from pipelines.extract.planning import finished_buckets, sweep_plans
from pipelines.extract.pool import DECODE_CPUS, plan_pool
from pipelines.extract.progress import Progress
from pipelines.extract.settings import ExtractSettings, settings_to_dict
from pipelines.extract.spec import FleetSpec, RunSpec
from pipelines.extract.summary import ExtractSummary, summarise
from pipelines.extract.watch import interrupts, last_snapshot, polling
from trajectories import (
    DatasetError,
    DatasetSpec,
    committed_shards,
    create_dataset,
    open_dataset,
    sweep,
)
from trajectories.storage import Storage, connect

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


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
            return summarise(storage, before, before, None, time.monotonic() - start)
    with interrupts() as interrupted:
        snapshot = _on_cluster(
            storage, spec, settings, sources, beam_options, factory, progress, interrupted
        )
        if interrupted.is_set():
            _sweep(storage)
            raise KeyboardInterrupt
    before = before if exists else {}
    return summarise(storage, before, committed_shards(output), snapshot, time.monotonic() - start)


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
            with polling(monitor, progress, interrupted, run):
                run_beam(run_spec, todo, beam_options, monitor, interrupted)
            return last_snapshot(monitor)
        finally:
            stop_fleet(fleet)
            del handles
