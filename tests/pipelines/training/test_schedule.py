"""Learning rates in closed form."""

from __future__ import annotations

import math

import pytest

from pipelines.training.schedule import learning_rate

_PEAK, _WARM, _STEPS = 8e-4, 100, 1100


@pytest.mark.parametrize(
    "step,share",
    [
        (0, 1 / 100),
        (49, 50 / 100),
        (99, 1.0),
        (100, 1.0),
        (350, 0.5 * (1 + math.sqrt(0.5))),  # a quarter of the cosine
        (600, 0.5),
        (850, 0.5 * (1 - math.sqrt(0.5))),
        (1100, 0.0),
        (5000, 0.0),
    ],
)
def test_a_line_up_and_half_a_cosine_down(step: int, share: float) -> None:
    assert learning_rate(step, _PEAK, _WARM, _STEPS) == pytest.approx(_PEAK * share, abs=1e-12)


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert learning_rate(0, 1.0, 0, 10) == 1.0
    assert learning_rate(5, 1.0, 0, 10) == pytest.approx(0.5)


def test_a_run_of_nothing_but_warm_up() -> None:
    assert [learning_rate(step, 1.0, 4, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
