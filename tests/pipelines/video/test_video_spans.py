"""Resampling in time and cutting into spans, against brute force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.video.spans import Resampler, evenly, spans


def resample(ticks: list[int], period: Fraction | None) -> list[int]:
    resampler = Resampler(period)
    return [pick for tick in ticks for pick in resampler.push(tick)] + resampler.finish()


def nearest(ticks: list[int], period: Fraction) -> list[int]:
    """Every grid point up to half a step past the last frame, to its nearest frame."""
    end = ticks[-1] + Fraction(ticks[-1] - ticks[-2], 2)
    picks, target = [], Fraction(ticks[0])
    while target < end:
        picks.append(min(ticks, key=lambda tick: (abs(tick - target), tick)))
        target += period
    return picks


@given(
    steps=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    start=st.integers(-100, 100),
    period=st.fractions(Fraction(1, 2), 200, max_denominator=7),
)
@settings(max_examples=200, deadline=None)
def test_resampler_takes_the_nearest_frame(steps: list[int], start: int, period: Fraction) -> None:
    ticks = [start, *(start + int(k) for k in np.cumsum(steps))]
    assert resample(ticks, period) == nearest(ticks, period)


def test_resampling_at_the_same_rate_changes_nothing() -> None:
    ticks = [0, 33, 67, 100, 133, 167, 200]  # 30 per second in rounded milliseconds
    assert resample(ticks, Fraction(1000, 30)) == ticks
    assert resample(ticks, None) == ticks


def test_halving_and_doubling() -> None:
    assert resample(list(range(7)), Fraction(2)) == [0, 2, 4, 6]
    assert resample(list(range(4)), Fraction(1, 2)) == [0, 0, 1, 1, 2, 2, 3]


def test_one_frame_and_none() -> None:
    assert resample([5], Fraction(3)) == [5]
    assert resample([], Fraction(3)) == []


def cut(breaks: set[int], count: int, length: int, stride: int) -> tuple[list[list[int]], int]:
    found = list(spans(((k, k in breaks) for k in range(count)), length, stride, None))
    shots = [item for item in found if isinstance(item, int)]
    assert sum(shots) == count
    return [item for item in found if isinstance(item, list)], max(shots)


def test_spans_do_not_cross_breaks_and_drop_remainders() -> None:
    found, longest = cut({10}, 21, 4, 4)
    assert [(s[0], s[-1]) for s in found] == [(0, 3), (4, 7), (10, 13), (14, 17)]
    assert longest == 11


@pytest.mark.parametrize(
    "stride, starts", [(1, [0, 1, 2, 3, 4]), (3, [0, 3]), (6, [0]), (4, [0, 4])]
)
def test_strides(stride: int, starts: list[int]) -> None:
    found, _ = cut(set(), 8, 4, stride)
    assert [s[0] for s in found] == starts
    assert all(s == list(range(s[0], s[0] + 4)) for s in found)


def test_a_stride_beyond_the_length_leaves_gaps() -> None:
    found, _ = cut(set(), 20, 3, 7)
    assert [s[0] for s in found] == [0, 7, 14]


@given(st.integers(0, 60), st.integers(1, 20))
@settings(deadline=None)
def test_evenly_spreads_over_the_whole(count: int, limit: int) -> None:
    chosen = evenly(range(count), limit)
    assert len(chosen) == min(count, limit)
    assert chosen == sorted(set(chosen))
    if count > limit:
        middles = (np.arange(limit) + 0.5) * count / limit
        assert np.abs(np.array(chosen) + 0.5 - middles).max() <= 0.5


def test_evenly_without_limit() -> None:
    assert evenly([1, 2, 3], None) == [1, 2, 3]
