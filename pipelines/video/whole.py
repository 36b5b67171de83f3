"""Reading a whole video into memory, for work on a single file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.frame import VideoFrame

from pipelines.video.errors import VideoError
from pipelines.video.frames import believable_rate, decoded
from pipelines.video.geometry import limit_side
from pipelines.video.opening import is_url, open_video
from pipelines.video.pixels import Scaler
from pipelines.video.probe import describe

if TYPE_CHECKING:
    from jaxtyping import UInt8

_MAX_BYTES = 4 * 2**30
_DEFAULT_FPS = 25.0  # for a file of one frame that claims no rate


@dataclass(frozen=True, eq=False)
class Video:
    """A video in memory.

    frames: uint8 [T, H, W, 3], RGB, upright. fps: average frame rate. error: None, or what ended
    the video early when its file is damaged.
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    error: VideoError | None = None


def read_video(
    path: str | os.PathLike[str],
    *,
    max_side: int | None = None,
    max_frames: int | None = None,
) -> Video:
    """Decode `path`, a local path or fsspec URL, upright and with its aspect ratio.

    The long side is scaled down to `max_side` pixels; decoding ends after `max_frames`. A damaged
    file gives the frames before the damage and the `error`. Raises VideoError when there are none,
    and when the frames would take more than 4 GiB, with the remedy.
    """
    for name, value in (("max_side", max_side), ("max_frames", max_frames)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: must be at least 1")
    source = os.fspath(path)
    if not is_url(source):
        source = os.path.abspath(source)
    scaler = Scaler(source)
    frames: list[np.ndarray] = []
    stamps: list[int | None] = []
    cause: str | None = None
    claimed = 0.0
    base = 1 / av.time_base
    with open_video(source) as video:
        width = height = turns = 0
        for item in decoded(video):
            if not isinstance(item, VideoFrame) or item.is_corrupt:
                cause = "a frame is damaged" if isinstance(item, VideoFrame) else item.cause
                if frames:
                    break
                continue
            if not frames:
                probe = describe(video, item)
                width, height = limit_side(probe.width, probe.height, max_side)
                turns, claimed, cause = probe.rotation // 90, probe.fps, None
                coded = (item.width, item.height)
                base = float(video.stream.time_base or base)
                expected = min(probe.num_frames, max_frames or probe.num_frames)
                _guard(source, expected, width, height)
            if (item.width, item.height) != coded:
                cause = f"the picture size changes to {item.width}x{item.height}"
                break
            _guard(source, len(frames) + 1, width, height)
            frames.append(scaler.rgb(item, width, height, turns))
            stamps.append(item.pts)
            if len(frames) == max_frames:
                break
    if not frames:
        raise VideoError(source, "decode", f"no frame can be decoded ({cause or 'it has none'})")
    error = None
    if cause is not None:
        error = VideoError(source, "decode", f"damaged after {len(frames)} frames ({cause})")
    begin, end = stamps[0], stamps[-1]
    seconds = 0.0 if begin is None or end is None else (end - begin) * base
    fps = believable_rate(claimed, len(frames) - 1, seconds) or _DEFAULT_FPS
    return Video(_gather(frames), fps, error)


def _guard(source: str, count: int, width: int, height: int) -> None:
    if count * width * height * 3 > _MAX_BYTES:
        raise VideoError(
            source,
            "decode",
            f"{count} frames of {width}x{height} would take more than "
            f"{_MAX_BYTES // 2**30} GiB: limit the number of frames or the picture's side",
        )


def _gather(frames: list[np.ndarray]) -> UInt8[np.ndarray, "t h w 3"]:
    """Stack and empty `frames`, so that they are not in memory twice."""
    stack = np.empty((len(frames), *frames[0].shape), np.uint8)
    while frames:
        stack[len(frames) - 1] = frames[-1]
        frames.pop()
    return stack
