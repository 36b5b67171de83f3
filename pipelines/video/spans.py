"""From shots to spans of frames: resampling in time, cutting to length, choosing some of many.

Pure; times are integer ticks and exact fractions, so that the same video always gives the same
spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

T = TypeVar("T")


class Resampler:
    """Picks, for a steady rate, the frame nearest in time from a shot's frames as they come.

    `period` is the time between picks in ticks; None picks every frame. The grid starts on the
    shot's first frame and ends with its last one, to which it may reach half a frame beyond. Equal
    distances go to the earlier frame.
    """

    def __init__(self, period: Fraction | None) -> None:
        self._period = period
        self._previous: int | None = None
        self._gap = 0
        self._target = Fraction(0)

    def push(self, tick: int) -> list[int]:
        """Picks that are settled now that the frame at `tick` is known; ticks must increase."""
        if self._period is None:
            return [tick]
        picks: list[int] = []
        if self._previous is None:
            self._target = Fraction(tick)
        else:
            self._gap = tick - self._previous
            while 2 * self._target <= self._previous + tick:
                picks.append(self._previous)
                self._target += self._period
        self._previous = tick
        return picks

    def finish(self) -> list[int]:
        """Picks left at the end of the shot."""
        picks: list[int] = []
        if self._period is not None and self._previous is not None:
            end = self._previous + Fraction(self._gap, 2)
            while self._target == self._previous or self._target < end:
                picks.append(self._previous)
                self._target += self._period
        return picks


def spans(
    frames: Iterable[tuple[int, bool]], length: int, stride: int, period: Fraction | None
) -> Iterator[list[int] | int]:
    """Spans of `length` ticks that never cross a break, `stride` apart within a shot.

    `frames` are (tick, break before it). A shot's remainder shorter than `length` is dropped. After
    each shot its number of resampled frames comes as an int.
    """
    resampler = Resampler(period)
    held: list[int] = []
    skip = count = 0

    def take(picks: list[int]) -> Iterator[list[int]]:
        nonlocal skip, count
        for pick in picks:
            count += 1
            if skip:
                skip -= 1
                continue
            held.append(pick)
            if len(held) == length:
                yield list(held)
                skip = max(0, stride - length)
                del held[:stride]

    for tick, breaks in frames:
        if breaks:
            yield from take(resampler.finish())
            yield count
            resampler = Resampler(period)
            held.clear()
            skip = count = 0
        yield from take(resampler.push(tick))
    yield from take(resampler.finish())
    yield count


def evenly(items: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` of `items`, in order, each from the middle of an equal part of them."""
    if limit is None or len(items) <= limit:
        return list(items)
    return [items[(2 * k + 1) * len(items) // (2 * limit)] for k in range(limit)]
