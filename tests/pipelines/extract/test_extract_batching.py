"""How many clips go into a call: none wait for a fifth of a second, and memory bounds them."""

from __future__ import annotations

import pytest

from pipelines.extract.batching import BatchSize

SMALL = 6 * 32 * 32 * 3


@pytest.mark.parametrize(
    "decoding, tracking, clips",
    [
        (0.0, 0.0, 16),
        (0.001, 0.01, 16),
        (0.0, 0.0126, 15),
        (0.0, 0.049, 4),
        (0.049, 0.01, 4),  # the slower one
        (0.0, 0.15, 1),
        (0.0, 30.0, 1),
    ],
)
def test_batches_are_a_fifth_of_a_second(decoding: float, tracking: float, clips: int) -> None:
    size = BatchSize(None, SMALL)
    assert size.clips == 1  # nothing is known yet
    size.learn(3, 3 * decoding, 3 * tracking)
    assert size.clips == clips


def test_large_frames_go_alone() -> None:
    size = BatchSize(None, 24 * 1024 * 1024 * 3)
    size.learn(1, 0.0, 0.001)
    assert size.clips == 1
    size = BatchSize(None, 24 * 256 * 256 * 3)
    size.learn(1, 0.0, 0.001)
    assert size.clips == 13


def test_a_size_that_was_asked_for_stays() -> None:
    size = BatchSize(5, 10**9)
    size.learn(5, 0.0, 100.0)
    assert size.clips == 5


def test_clocks_that_jump_do_no_harm() -> None:
    size = BatchSize(None, SMALL)
    for seconds in (1e12, -1e12, 0.0):
        size.learn(1, 0.0, seconds)
        assert 1 <= size.clips <= 16


def test_it_follows_what_clips_take() -> None:
    size = BatchSize(None, SMALL)
    for _ in range(30):
        size.learn(1, 0.0, 1.0)
    assert size.clips == 1
    for _ in range(30):
        size.learn(1, 0.0, 0.0)
    assert size.clips == 16
