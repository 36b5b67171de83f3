"""Everything that an extraction needs, tried out on a small scale, and what the whole will take.

Nothing of the dataset is made: a probe file comes and goes, a few videos are searched where a run
would search them, and a few clips go through one tracker. The estimate is kept beside the dataset,
not in it, so that the run can compare itself with it.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipelines.extract.actors import QueryGrid, TrackerFactory
from pipelines.extract.errors import ExtractError
from pipelines.extract.estimate import Estimate, Prices, Room, Sample, estimate
from pipelines.extract.inputs import bucket_sources, recorded_buckets
from pipelines.extract.job import dataset_spec, default_factory, require_same
from pipelines.extract.planning import PlannedSource, finished_buckets
from pipelines.extract.pool import PoolPlan, pool_for
from pipelines.extract.probes import probe_storage, require_space, whose_rights
from pipelines.extract.retry import one_line
from pipelines.extract.sampling import (
    TRIALS,
    choose_clips,
    clip_sizes,
    search,
    track_alone,
    what_was_found,
)
from pipelines.extract.settings import ExtractSettings
from pipelines.extract.spec import FleetSpec
from pipelines.video import expand_sources
from trajectories import committed_shards
from trajectories.storage import LocalStorage, Storage, connect

if TYPE_CHECKING:
    from pipelines.extract.cluster import Cluster


@dataclass(frozen=True)
class Check:
    """One thing that was tried: what it was, and how it is or why it fails."""

    name: str
    ok: bool
    text: str


@dataclass
class DryRun:
    """All checks in order, and the estimate where the sample allows one."""

    checks: list[Check] = field(default_factory=list)
    estimate: Estimate | None = None

    @property
    def ok(self) -> bool:
        """Whether a run would start."""
        return all(check.ok for check in self.checks)


def dry_run(
    inputs: Sequence[str],
    output: str,
    settings: ExtractSettings,
    prices: Prices,
    sample: int = 16,
    factory: TrackerFactory | None = None,
    say: Callable[[Check], None] = lambda check: None,
) -> DryRun:
    """Checks inputs, storage, rights and cluster, and estimates what a run will take.

    Arguments as for `run_extract`. sample: videos to look into. say: told of each check when it is
    over; a check that fails does not keep the others from being made, as far as they can be.
    """
    trial = _Trial(say)
    storage = connect(output)
    sources: list[str] = []
    left = True
    with trial.check("inputs") as told:
        sources, text = _remaining(inputs, storage)
        told.append(text)
        left = bool(sources)
    with trial.check("dataset") as told:
        spec = dataset_spec(settings)
        told.append("is there, with the same settings" if require_same(storage, spec) else "new")
    if not left:
        return trial.result
    with trial.check("storage") as told:
        told.append(probe_storage(storage))
    with trial.check("rights") as told:
        told.append(", ".join(sorted({whose_rights(url) for url in (output, *sources[:1])})))
    with trial.check("cluster") as told:
        from pipelines.extract.cluster import ray_cluster

        began = time.monotonic()
        with ray_cluster(settings.ray_address, settings.object_store_mb) as cluster:
            joined = time.monotonic() - began
            pool = pool_for(cluster, settings.num_actors)
            told.append(_describe(cluster, pool))
            trial.over("cluster", told)
            if sources:
                make = factory or default_factory(settings)
                made = _on_cluster(trial, cluster, pool, settings, sources, sample, make)
                if made is not None:
                    made = replace(made, start_seconds=made.start_seconds + joined)
                    room = Room(pool.actors - pool.awaited, cluster.cpus, cluster.gpus)
                    there = sum(r.clips for r in committed_shards(output).values())
                    trial.result.estimate = replace(estimate(made, room, prices), clips_there=there)
    if trial.result.estimate is not None and isinstance(storage, LocalStorage):
        with trial.check("space") as told:
            told.append(require_space(storage, trial.result.estimate))
    return trial.result


def _remaining(inputs: Sequence[str], storage: Storage) -> tuple[list[str], str]:
    """Videos that a run would still have to do. Raises ExtractError where there are none."""
    given = set(expand_sources(list(inputs))) if inputs else set()
    there = "dataset.json" in storage.list_files("")
    if not there:
        if not given:
            raise ExtractError(f"no videos given, and {storage.root} is no dataset to complete")
        return sorted(given), f"{len(given):,} videos"
    finished = finished_buckets(committed_shards(storage.root))
    done: set[str] = set()
    for bucket in recorded_buckets(storage):
        (done if bucket in finished else given).update(bucket_sources(storage, bucket))
    left = given - done
    return sorted(left), f"{len(left):,} videos to do, {len(done):,} are done"


def _describe(cluster: Cluster, pool: PoolPlan) -> str:
    where = "started here for this" if cluster.local else cluster.address
    nodes = "1 node" if cluster.nodes == 1 else f"{cluster.nodes} nodes"
    later = f" ({pool.awaited} of them when their GPUs have come)" if pool.awaited else ""
    return (
        f"{where}: {nodes}, {cluster.cpus:g} CPUs, {cluster.gpus:g} GPUs; trackers: {pool.actors}"
        f"{later}, CPUs each: {pool.num_cpus:g}, GPUs each: {pool.num_gpus:g}"
    )


# -- on the cluster


class _Trial:
    """Makes checks: each is told when it is over, an expected error is how it failed."""

    def __init__(self, say: Callable[[Check], None]) -> None:
        self.result = DryRun()
        self._say = say
        self._told: set[str] = set()

    @contextmanager
    def check(self, name: str) -> Iterator[list[str]]:
        """Yields a list for the words on how it is."""
        told: list[str] = []
        try:
            yield told
        except (ExtractError, OSError, ValueError) as error:
            self._add(Check(name, False, one_line(error)))
        else:
            self.over(name, told)

    def over(self, name: str, told: Sequence[str]) -> None:
        """The check has gone well already; what follows in its block is told by others."""
        if name not in self._told:
            self._add(Check(name, True, "; ".join(told)))

    def _add(self, check: Check) -> None:
        self._told.add(check.name)
        self.result.checks.append(check)
        self._say(check)


def _on_cluster(
    trial: _Trial,
    cluster: Cluster,
    pool: PoolPlan,
    settings: ExtractSettings,
    sources: Sequence[str],
    sample: int,
    factory: TrackerFactory,
) -> Sample | None:
    """Searches the sample and tracks a few of its clips; None where there is no clip to track."""
    from pipelines.extract.fleet import Fleet, pickle_factory, stop_fleet

    grid = QueryGrid(settings.grid, settings.query_frame)
    fleet_spec = FleetSpec(
        f"run-dry-{secrets.token_hex(6)}",
        replace(pool, actors=1, awaited=0),
        grid,
        pickle_factory(factory),
        spread=cluster.nodes > 1,
        clip_timeout=settings.clip_timeout,
    )
    fleet = Fleet(fleet_spec, settings.clip)
    planned: list[PlannedSource] = []
    with trial.check("sample") as told:
        # Any few of them, but the same ones each time.
        chosen = random.Random(0).sample(sources, min(max(1, sample), len(sources)))
        planned = search(fleet, chosen, max(1, int(cluster.cpus)))
        told.append(what_was_found(planned, len(sources)))
        if not any(item.clips for item in planned):
            raise ExtractError(f"no clip in {told.pop()}")
    specs = choose_clips(planned, TRIALS + 1)
    if not specs:
        return None
    try:
        with trial.check("tracker") as told:
            start, results = track_alone(fleet, fleet_spec, specs, settings.start_timeout)
            sizes = clip_sizes(results)
            timed = results[1:] or results
            tracks = settings.grid**2
            rate = tracks * len(timed) / sum(item.track_seconds for item in timed)
            told.append(
                f"{settings.tracker} loaded in {start:.1f} s, {len(results)} clips of {tracks:,} "
                f"tracks: {rate:,.0f} tracks/s alone"
            )
            return Sample(
                videos=len(sources),
                clips=tuple(item.clips for item in planned),
                plan_seconds=tuple(item.seconds for item in planned),
                failed=sum(item.failure is not None for item in planned),
                decode_seconds=tuple(item.decode_seconds for item in timed),
                track_seconds=tuple(item.track_seconds for item in timed),
                encode_seconds=tuple(item.encode_seconds for item in timed),
                clip_bytes=tuple(sizes),
                tracks=tracks,
                start_seconds=start,
            )
    finally:
        stop_fleet(fleet_spec)
    return None
