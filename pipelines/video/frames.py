"""Frames of an open video in order, each on the clock that tells it apart, damage included."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, Literal, TypeVar

import av
from av.video.frame import VideoFrame

from pipelines.video.errors import Stage, VideoError
from pipelines.video.opening import OpenVideo, reason

T = TypeVar("T")

# "pts": presentation time stamps. "dts": decoding time stamps, for AVI files whose packed B-frames
# carry presentation stamps out of order. "index": the frame's number, when neither can be used.
Clock = Literal["pts", "dts", "index"]

# Frames looked at before a clock is chosen.
_CLOCK_FRAMES = 32
_RATE_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where the file could not be decoded."""

    cause: str


@dataclass(frozen=True, slots=True)
class Stamp(Generic[T]):
    """One frame's time stamps, in the stream's time base, with what the caller kept of it.

    `index` is its number among all frames that came out of the decoder, sound or not.
    """

    index: int
    pts: int | None
    dts: int | None
    kept: T


def decoded(video: OpenVideo) -> Iterator[VideoFrame | Damage]:
    """Every frame that decodes, in presentation order; packets that do not become Damage.

    Raises VideoError with `transient` set when the file store breaks off.
    """
    packets = video.container.demux(video.stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            yield Damage(reason(error))
            return
        except Exception as error:
            if not video.remote:
                raise
            message = f"the file store broke off ({reason(error)})"
            raise VideoError(video.source, "decode", message, transient=True) from error
        if packet is None:
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError) as error:
            frames = []
            yield Damage(reason(error))
        for frame in frames:
            if isinstance(frame, VideoFrame):
                yield frame


def first_frame(video: OpenVideo, stage: Stage) -> VideoFrame:
    """The first frame that decodes; VideoError with `stage` when there is none."""
    cause = "it has no frames"
    for item in decoded(video):
        if isinstance(item, VideoFrame):
            return item
        cause = f"no frame can be decoded ({item.cause})"
    raise VideoError(video.source, stage, cause)


def frame_clock(stamps: Iterable[Stamp[T]]) -> Clock:
    """The clock that increases from each of these frames, the first of a video, to the next."""
    stamps = list(stamps)
    clocks: tuple[Clock, ...] = ("pts", "dts")
    for clock in clocks:
        read = tick_reader(clock)
        ticks = [read(stamp.index, stamp.pts, stamp.dts) for stamp in stamps]
        known = [tick for tick in ticks if tick is not None]
        if len(known) == len(ticks) and all(a < b for a, b in itertools.pairwise(known)):
            return clock
    return "index"


def tick_reader(clock: Clock) -> Callable[[int, int | None, int | None], int | None]:
    """Function (index, pts, dts) → tick of successive frames; None where the stamp is missing.

    Decoders leave the last frames of a file without decoding stamps: they continue at the last
    step.
    """
    if clock == "index":
        return lambda index, pts, dts: index
    if clock == "pts":
        return lambda index, pts, dts: pts
    last: int | None = None
    step: int | None = None

    def read(index: int, pts: int | None, dts: int | None) -> int | None:
        nonlocal last, step
        if dts is None and last is not None and step is not None:
            dts = last + step
        elif dts is not None and last is not None:
            step = dts - last
        last = dts
        return dts

    return read


def on_clock(stamps: Iterator[Stamp[T]]) -> tuple[Clock, Iterator[tuple[int | None, T]]]:
    """Choose the clock from the first frames, then give every frame as (tick, kept)."""
    head = list(itertools.islice(stamps, _CLOCK_FRAMES))
    clock = frame_clock(head)
    read = tick_reader(clock)

    def ticks() -> Iterator[tuple[int | None, T]]:
        for stamp in head:
            yield read(stamp.index, stamp.pts, stamp.dts), stamp.kept
        for stamp in stamps:
            yield read(stamp.index, stamp.pts, stamp.dts), stamp.kept

    return clock, ticks()


def time_base(video: OpenVideo, clock: Clock) -> Fraction:
    """Seconds per tick."""
    if clock == "index":
        rate = video.stream.average_rate or video.stream.guessed_rate or Fraction(25)
        return 1 / Fraction(rate)
    return Fraction(video.stream.time_base or Fraction(1, av.time_base))


def believable_rate(claimed: float, steps: int, seconds: float) -> float:
    """Frames per second: `claimed` where `steps` between frames in `seconds` bear it out.

    Small files round their time stamps, so the claim is finer than the measure; a claim that is
    more than 2% off is a wrong header or a variable rate. 0 when there is neither.
    """
    if steps < 1 or seconds <= 0:
        return claimed
    measured = steps / seconds
    return claimed if math.isclose(claimed, measured, rel_tol=_RATE_TOLERANCE) else measured
