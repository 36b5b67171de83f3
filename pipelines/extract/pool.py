"""How many tracker actors a cluster holds and what each takes of it. Decisions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.extract.errors import PoolError

if TYPE_CHECKING:
    from pipelines.extract.cluster import Cluster

# A CPU tracker gains little from more threads than this; several trackers gain more.
_THREADS_PER_TRACKER = 8
# Beside a GPU the threads only prepare input and pack results.
_THREADS_BESIDE_GPU = 4
# Decoding takes a quarter of a CPU in Ray's books, so that it runs ahead of the trackers even on
# the half CPU that a small machine keeps free for it.
DECODE_CPUS = 0.25


@dataclass(frozen=True)
class PoolPlan:
    """Size of the pool and what each actor asks of Ray."""

    actors: int
    num_cpus: float
    num_gpus: float
    threads: int  # torch threads per actor
    awaited: int = 0  # of the actors: how many wait for GPUs that are not there yet


def plan_pool(
    cpus: float,
    gpus: float,
    requested: int | None = None,
    nodes: Sequence[float] = (),
    growing: bool = False,
) -> PoolPlan:
    """Chooses the pool for a cluster of `cpus` CPUs and `gpus` GPUs.

    nodes: CPUs of each machine. growing: more machines may come, of the kind that is there; then
    more actors than GPUs may be requested, and the others begin when theirs have come.

    One actor per GPU where there are any, else one per eight CPUs. Actors never take every CPU of
    the cluster, nor of a machine that the actors of a lost one move to: what decodes for them must
    run beside them, or both would wait for ever.

    Raises PoolError where the cluster cannot hold `requested` actors.
    """
    if cpus <= 0:
        raise PoolError("the Ray cluster has no CPU at all: start it with at least one")
    if gpus >= 1:
        there = int(gpus)
        actors = requested or there
        awaited = max(0, actors - there)
        if awaited and not growing:
            raise PoolError(
                f"{actors} trackers of 1 GPU each do not fit a cluster of {gpus:g} GPUs: "
                "ask for fewer or add nodes"
            )
        share = min(1.0, _share(cpus, actors - awaited))
        threads = max(1, min(_THREADS_BESIDE_GPU, int(cpus / (actors - awaited))))
        return PoolPlan(actors, share, 1.0, threads, awaited)
    actors = requested or max(1, int(cpus) // _THREADS_PER_TRACKER)
    share = _beside_decoders(_share(cpus, actors), actors, nodes)
    return PoolPlan(actors, share, 0.0, max(1, int(cpus / actors)))


def pool_for(cluster: Cluster, requested: int | None) -> PoolPlan:
    """The pool for a cluster as it is now; one that was not started here may grow."""
    return plan_pool(
        cluster.cpus, cluster.gpus, requested, cluster.node_cpus, growing=not cluster.local
    )


def _beside_decoders(share: float, actors: int, nodes: Sequence[float]) -> float:
    """The share, or the next smaller one with which all actors find a machine, and decoders room.

    That holds however the actors gather: those of a machine that is lost move to the others.
    """
    # A machine that holds not even two decoders cannot be helped.
    nodes = [node for node in nodes if node > 2 * DECODE_CPUS]
    if not nodes:
        return share

    def fits(share: float) -> bool:
        held = [min(actors, int(node / share)) for node in nodes]
        room = all(
            node - count * share >= 2 * DECODE_CPUS for node, count in zip(nodes, held, strict=True)
        )
        return room and sum(held) >= actors

    whole = [float(count) for count in range(int(share), 0, -1)]
    parts = [count / 100 for count in range(min(100, int(100 * share)), 0, -1)]
    return next((fit for fit in [share, *whole, *parts] if fits(fit)), share)


def _share(cpus: float, actors: int) -> float:
    """CPUs per actor in Ray's books, leaving at least two decoders' room."""
    reserve = max(2 * DECODE_CPUS, cpus / 8)
    share = (cpus - reserve) / actors
    if share >= 1:
        return float(int(share))
    if share < 0.01:
        raise PoolError(f"{actors} trackers do not fit a cluster of {cpus:g} CPUs: ask for fewer")
    return int(share * 100) / 100
