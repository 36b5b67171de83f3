"""What clips to cut (ClipSettings) and one clip that has been chosen (ClipSpec)."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.video.cuts import DEFAULT_THRESHOLD
from pipelines.video.frames import Clock
from pipelines.video.geometry import FITS, Fit
from trajectories import ClipInfo

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class ClipSettings:
    """How videos are cut into clips.

    num_frames     frames per clip.
    fps            frame rate of the clips; None takes consecutive frames of the source. The frame
                   nearest in time is taken, never a blend, so a rate above the source's repeats
                   frames.
    size           clips are `size` x `size` pixels.
    fit            "crop" shows the centre square, "fit" the whole picture between black borders.
    stride         frames from one clip's start to the next; None means `num_frames` (no overlap).
    max_clips      at most so many clips of one video, spread evenly over it; None means all.
    cut_threshold  how different frames must be to count as a shot cut, in (0, 1]; None cuts the
                   video without regard to shots.

    Raises ValueError for values out of range.
    """

    num_frames: int = 24
    fps: float | None = None
    size: int = 256
    fit: Fit = "crop"
    stride: int | None = None
    max_clips: int | None = None
    cut_threshold: float | None = DEFAULT_THRESHOLD

    @property
    def nbytes(self) -> int:
        """Of a clip's frames in memory."""
        return 3 * self.num_frames * self.size**2

    def __post_init__(self) -> None:
        for name, least in (("num_frames", 2), ("size", 16), ("stride", 1), ("max_clips", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}: must be at least {least}")
        if self.fps is not None and not (math.isfinite(self.fps) and 0.01 <= self.fps <= 1000):
            raise ValueError(f"fps is {self.fps}: must lie in 0.01 to 1000")
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r}: choose one of {', '.join(FITS)}")
        if self.cut_threshold is not None and not 0 < self.cut_threshold <= 1:
            raise ValueError(f"cut_threshold is {self.cut_threshold}: must lie in 0 to 1")


@dataclass(frozen=True)
class ClipSpec:
    """One clip to read: small enough to send anywhere, exact enough to get the same frames.

    `packed_ticks` holds the source frames of the clip in order as native 64-bit integers, in units
    of the stream's time base (clock "pts" or "dts") or as frame numbers (clock "index"); a frame
    occurs twice where the clip's rate is above the source's.
    """

    info: ClipInfo
    fit: Fit
    clock: Clock
    packed_ticks: bytes

    @property
    def ticks(self) -> list[int]:
        """Clock readings of the clip's frames, in order."""
        return unpack_ticks(self.packed_ticks)


def pack_ticks(ticks: Iterable[int]) -> bytes:
    """Clock readings as the bytes that a ClipSpec carries."""
    return array("q", ticks).tobytes()


def unpack_ticks(packed: bytes) -> list[int]:
    """Inverse of `pack_ticks`."""
    return array("q", packed).tolist()
