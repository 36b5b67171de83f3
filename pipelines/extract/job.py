"""The extraction from beginning to end: inputs, Ray, Beam, summary."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.extract.actors import QueryGrid, TrackerFactory, TrackerLike
from pipelines.extract.errors import ExtractError
from pipelines.extract.estimate import Estimate
from pipelines.extract.inputs import Bucket, record_inputs, recorded_buckets
from pipelines.extract.launch import check_beam_options, run_beam
from pipelines.extract.monitor import Snapshot
from pipelines.extract.observe import Observer, RunWatch, ShowProgress, new_run
from pipelines.extract.planning import finished_buckets, sweep_plans
from pipelines.extract.pool import DECODE_CPUS, pool_for
from pipelines.extract.progress import Progress
from pipelines.extract.settings import ExtractSettings, settings_to_dict
from pipelines.extract.spec import FleetSpec, RunSpec
from pipelines.extract.status import StatusFile
from pipelines.extract.summary import ExtractSummary, summarise
from pipelines.extract.supervised import held_before, tell
from pipelines.extract.watch import interrupts, last_snapshot, polling
from trajectories import (
    DatasetError,
    DatasetSpec,
    committed_shards,
    create_dataset,
    open_dataset,
    sweep,
)
from trajectories.dataset import require_unused
from trajectories.leasing import HeldLease, hold_lease
from trajectories.storage import Storage, connect

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_LOG = logging.getLogger("tapirus")


def run_extract(
    inputs: Sequence[str],
    output: str,
    settings: ExtractSettings | None = None,
    beam_options: Sequence[str] | PipelineOptions | None = None,
    factory: TrackerFactory | None = None,
    progress: Progress | None = None,
    observers: Sequence[Observer] = (),
    estimate: Estimate | None = None,
) -> ExtractSummary:
    """Extracts trajectories of videos into a dataset, or completes one that was begun.

    inputs: paths, globs, folders, manifests or URLs, added to those that the dataset knows; none
    completes what is there. output: the dataset, a path or any fsspec URL. beam_options: Beam's
    own flags; without a runner among them Beam runs in this process. factory: makes the tracker
    in each actor, in place of `models.load_tracker` with the settings' names. progress: called
    about twice a second from another thread. observers: more of those who look on, see `observe`.
    estimate: what `dry_run` expected, for the summary to compare with.

    Ctrl-C stops the run: what is committed stays, the rest is swept, KeyboardInterrupt is raised.
    Raises ExtractError, ClusterError, PoolError, DatasetError, SourceError or SettingsError, each
    with one line that names what to do. A cluster that goes away ends the process, as Ray does it,
    or is a ClusterLostError; the same call goes on.
    """
    settings = settings or ExtractSettings()
    start = time.monotonic()
    storage = connect(output)
    sources = _expand(inputs)
    check_beam_options(beam_options)
    spec = dataset_spec(settings)
    if not require_same(storage, spec) and not sources:
        raise ExtractError(f"no videos given, and {storage.root} is no dataset to complete")
    # From here on this run alone writes; a folder that cannot be written is found out right here.
    with hold_lease(storage, settings.take_over) as lease:
        exists = require_same(storage, spec)
        if exists:
            todo = _prepare(storage, sources, settings)
            before = committed_shards(output)
            if not todo:
                return summarise(storage, before, before, None, time.monotonic() - start)
        shown = [ShowProgress(progress)] if progress is not None else []
        watch = RunWatch(
            new_run(storage.root, settings.tracker, settings_to_dict(settings)),
            [*shown, StatusFile(storage), *observers],
        )
        with watch, interrupts() as interrupted:
            snapshot = _on_cluster(
                storage, spec, settings, sources, beam_options, factory, watch, interrupted, lease
            )
            if interrupted.is_set():
                with contextlib.suppress(DatasetError):  # else the next run sweeps
                    lease.require()
                    _sweep(storage)
                raise KeyboardInterrupt
            before = before if exists else {}
            after = committed_shards(output)
            seconds = time.monotonic() - start
            summary = summarise(storage, before, after, snapshot, seconds, estimate)
            watch.done(summary)
        return summary


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


def dataset_spec(settings: ExtractSettings) -> DatasetSpec:
    """What defines the dataset of a run; the digest of the weights comes with the tracker."""
    values = settings_to_dict(settings, "dataset")
    del values["tracker"]  # a field of its own
    return DatasetSpec(
        tracker=settings.tracker,
        weights_digest="",
        settings=values,
        tapirus_version=importlib.metadata.version("tapirus"),
    )


def require_same(storage: Storage, spec: DatasetSpec) -> bool:
    """Whether the dataset exists; raises DatasetError if it was made with other settings.

    Weights are compared later, by the actor that has loaded them.
    """
    if "dataset.json" not in storage.list_files(""):
        require_unused(storage)
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
    if storage.has("dataset.json"):
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
    watch: RunWatch,
    interrupted: threading.Event,
    lease: HeldLease,
) -> Snapshot | None:
    # Ray takes a second to import; a run with nothing to do has no need of it.
    from pipelines.extract.cluster import ray_cluster, settled
    from pipelines.extract.fleet import (
        first_ready,
        pickle_factory,
        start_fleet,
        start_monitor,
        stop_fleet,
    )

    with ray_cluster(settings.ray_address, settings.object_store_mb) as cluster:
        wait = settings.cluster_timeout
        cluster = settled(cluster, wait, held_before(), give_up=interrupted.is_set)
        if interrupted.is_set():
            return None
        tell("joined", address=cluster.address, cpus=cluster.cpus, gpus=cluster.gpus)
        pool = pool_for(cluster, settings.num_actors)
        if pool.awaited:
            _LOG.warning(
                "%d of %d trackers wait for GPUs that the Ray cluster does not have yet",
                pool.awaited,
                pool.actors,
            )
        run = f"run-{secrets.token_hex(6)}"
        fleet = FleetSpec(
            run,
            pool,
            QueryGrid(settings.grid, settings.query_frame),
            pickle_factory(factory or default_factory(settings)),
            spread=cluster.nodes > 1,
            clip_timeout=settings.clip_timeout,
        )
        handles = start_fleet(fleet)
        try:
            info = first_ready(fleet, handles, settings.start_timeout, interrupted)
            if info is None:
                return None
            lease.require()
            create_dataset(storage.root, replace(spec, weights_digest=info.weights_digest))
            todo = _prepare(storage, sources, settings)
            monitor = start_monitor(fleet, sum(todo.values()))
            free = cluster.cpus - (pool.actors - pool.awaited) * pool.num_cpus
            run_spec = RunSpec(
                storage.root,
                settings,
                fleet,
                settings.ray_address or cluster.address,
                # Half of what runs beside the trackers: the other half decodes for them.
                planners=max(1, int(free / DECODE_CPUS) // 2),
                lease=lease.ticket,
            )
            lease.on_lost = monitor.stop.remote
            with polling(monitor, watch, interrupted, run):
                run_beam(run_spec, todo, beam_options, monitor, interrupted)
            return last_snapshot(monitor)
        finally:
            stop_fleet(fleet)
            del handles
