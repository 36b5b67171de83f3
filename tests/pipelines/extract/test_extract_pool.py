"""Sizes of the pool."""

from __future__ import annotations

import pytest

from pipelines.extract.errors import PoolError
from pipelines.extract.pool import DECODE_CPUS, PoolPlan, plan_pool


@pytest.mark.parametrize(
    "cpus, gpus, requested, expected",
    [
        (1, 0, None, PoolPlan(1, 0.5, 0, 1)),
        (2, 0, None, PoolPlan(1, 1.0, 0, 2)),
        (2, 0, 2, PoolPlan(2, 0.75, 0, 1)),
        (16, 0, None, PoolPlan(2, 7.0, 0, 8)),
        (64, 0, None, PoolPlan(8, 7.0, 0, 8)),
        (16, 1, None, PoolPlan(1, 1.0, 1, 4)),
        (8, 8, None, PoolPlan(8, 0.87, 1, 1)),
        (96, 8, 4, PoolPlan(4, 1.0, 1, 4)),
    ],
)
def test_pool(cpus: float, gpus: float, requested: int | None, expected: PoolPlan) -> None:
    assert plan_pool(cpus, gpus, requested) == expected


@pytest.mark.parametrize(
    "cpus, gpus, requested, expected",
    [
        (16, 2, 8, PoolPlan(8, 1.0, 1, 4, awaited=6)),
        (8, 8, 16, PoolPlan(16, 0.87, 1, 1, awaited=8)),  # the shares are those of what is there
        (16, 2, 2, PoolPlan(2, 1.0, 1, 4)),
        (16, 2, 1, PoolPlan(1, 1.0, 1, 4)),
        (16, 0, 2, PoolPlan(2, 7.0, 0, 8)),
    ],
)
def test_a_pool_of_a_cluster_that_grows(
    cpus: float, gpus: float, requested: int, expected: PoolPlan
) -> None:
    assert plan_pool(cpus, gpus, requested, growing=True) == expected


@pytest.mark.parametrize("cpus", [1, 2, 3, 4, 7, 8, 15, 16, 33, 64, 256])
@pytest.mark.parametrize("gpus", [0, 1, 4, 8])
def test_decoders_always_find_room_beside_the_trackers(cpus: int, gpus: int) -> None:
    plan = plan_pool(cpus, gpus)
    assert plan.actors * plan.num_cpus + 2 * DECODE_CPUS <= cpus
    assert plan.actors * plan.num_gpus <= gpus


@pytest.mark.parametrize(
    "cpus, gpus, requested, words",
    [
        (8, 2, 3, "2 GPUs"),
        (1, 0, 100, "do not fit a cluster of 1 CPUs"),
        (0, 0, None, "no CPU"),
    ],
)
def test_what_does_not_fit_is_refused(cpus: int, gpus: int, requested: int, words: str) -> None:
    with pytest.raises(PoolError, match=words):
        plan_pool(cpus, gpus, requested)


@pytest.mark.parametrize("node", [1, 2, 3, 4, 7, 8, 16, 33])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("requested", [None, 1, 2, 3])
def test_decoders_find_room_on_machines_that_take_in_the_actors_of_lost_ones(
    node: int, count: int, requested: int | None
) -> None:
    plan = plan_pool(node * count, 0, requested, [node] * count)
    # As many as Ray would put there if all other machines had gone.
    gathered = min(plan.actors, int(node / plan.num_cpus))
    assert gathered >= 1
    assert count * int(node / plan.num_cpus) >= plan.actors
    assert node - gathered * plan.num_cpus >= 2 * DECODE_CPUS
    # No less than needed: what fits one machine alone is as before.
    if count == 1:
        assert plan == plan_pool(node, 0, requested)


def test_machines_of_different_sizes() -> None:
    plan = plan_pool(14, 0, 3, [2, 4, 8])
    for node in (2, 4, 8):
        gathered = min(3, int(node / plan.num_cpus))
        assert node - gathered * plan.num_cpus >= 2 * DECODE_CPUS
