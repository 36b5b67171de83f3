"""How much is on its way to a tracker: a fifth of a second a call, and memory bounds all of it."""

from __future__ import annotations

import pytest

from pipelines.extract.batching import Flight

SMALL = 6 * 32 * 32 * 3
USUAL = 24 * 256 * 256 * 3
HUGE = 24 * 1024 * 1024 * 3


def learnt(clip_bytes: int, decoding: float, tracking: float) -> Flight:
    """After a batch of three clips that took so long each."""
    flight = Flight(None, None, clip_bytes)
    flight.learn(3, 3 * decoding, 3 * tracking)
    return flight


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
    assert learnt(SMALL, decoding, tracking).clips == clips


@pytest.mark.parametrize(
    "clip_bytes, decoding, tracking, calls",
    [
        (USUAL, 0.04, 7.0, 3),  # a CPU tracks
        (USUAL, 0.04, 0.08, 3),
        (USUAL, 0.39, 0.08, 9),  # a GPU tracks, and the videos are far away
        (USUAL, 0.4, 0.39, 4),
        (USUAL, 9.0, 0.08, 16),
        (USUAL, 9.0, 0.0, 16),
        (USUAL, 0.0, 0.0, 3),
        (HUGE, 9.0, 0.08, 3),  # memory
        (2 * USUAL, 0.19, 0.01, 16),
        (2 * USUAL, 0.019, 0.002, 4),  # calls of six clips
    ],
)
def test_slow_decoding_is_begun_earlier(
    clip_bytes: int, decoding: float, tracking: float, calls: int
) -> None:
    assert learnt(clip_bytes, decoding, tracking).calls == calls


def test_nothing_is_known_at_first() -> None:
    flight = Flight(None, None, SMALL)
    assert (flight.clips, flight.calls) == (1, 3)


@pytest.mark.parametrize("clip_bytes, clips", [(USUAL, 13), (HUGE, 1)])
def test_large_frames_make_small_batches(clip_bytes: int, clips: int) -> None:
    assert learnt(clip_bytes, 0.0, 0.001).clips == clips


def test_what_was_asked_for_stays() -> None:
    flight = Flight(5, 2, 10**9)
    flight.learn(5, 100.0, 1.0)
    assert (flight.clips, flight.calls) == (5, 2)


def test_clocks_that_jump_do_no_harm() -> None:
    flight = Flight(None, None, SMALL)
    for seconds in (1e12, -1e12, 0.0):
        for decoding in (seconds, -seconds):
            flight.learn(1, decoding, seconds)
            assert 1 <= flight.clips <= 16
            assert 3 <= flight.calls <= 16


def test_it_follows_what_clips_take() -> None:
    flight = Flight(None, None, SMALL)
    for _ in range(40):
        flight.learn(1, 5.0, 1.0)
    assert (flight.clips, flight.calls) == (1, 9)
    for _ in range(40):
        flight.learn(1, 0.0, 0.0)
    assert flight.clips == 16
