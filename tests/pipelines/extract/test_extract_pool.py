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
