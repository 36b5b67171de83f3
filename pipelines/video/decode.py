"""Reading the frames of a planned clip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.frame import VideoFrame

from pipelines.video.errors import VideoError
from pipelines.video.frames import decoded, tick_reader, time_base
from pipelines.video.geometry import clip_layout
from pipelines.video.opening import OpenVideo, open_video
from pipelines.video.pixels import Scaler
from pipelines.video.settings import ClipSpec

if TYPE_CHECKING:
    from jaxtyping import UInt8

# Seconds before the clip at which decoding starts, tried in turn until every frame comes out
# sound; None is the start of the file. The first suffices unless the index is broken or the key
# frame's successors need frames from before it.
_RUN_UPS: tuple[float | None, ...] = (0.0, 10.0, None)


class _MissedError(Exception):
    """This run-up does not give the clip; the message says why."""


def read_clip(spec: ClipSpec) -> UInt8[np.ndarray, "t h w 3"]:
    """Decode the clip's frames, upright, cropped and scaled: contiguous uint8 [T, H, W, 3], RGB.

    Gives exactly the frames that were planned, whatever the key frames of the file. Raises
    VideoError with stage "open" when the file has gone or changed its nature, "decode" when a frame
    is damaged or no longer there.
    """
    source = spec.info.source
    why = ""
    run_ups = _RUN_UPS if spec.clock != "index" else (None,)
    for run_up in run_ups:
        with open_video(source) as video:
            try:
                return _read(video, spec, run_up)
            except _MissedError as error:
                why = str(error)
    span = f"{spec.info.start_s:.2f}-{spec.info.end_s:.2f} s"
    raise VideoError(source, "decode", f"the clip at {span} cannot be decoded: {why}")


def _read(video: OpenVideo, spec: ClipSpec, run_up: float | None) -> UInt8[np.ndarray, "t h w 3"]:
    wanted: dict[int, list[int]] = {}
    for position, tick in enumerate(spec.ticks):
        wanted.setdefault(tick, []).append(position)
    first, last = min(wanted), max(wanted)
    if run_up is not None:
        _seek(video, first - int(run_up / time_base(video, spec.clock)))
    painter = _Painter(spec)
    clip = np.zeros((spec.info.num_frames, spec.info.height, spec.info.width, 3), np.uint8)
    for tick, frame in _ticked(video, spec, run_up, first):
        positions = wanted.pop(tick, None)
        if positions is not None:
            if frame.is_corrupt:
                raise _MissedError("a frame is damaged")
            painter.paint(frame, clip[positions[0]])
            for copy in positions[1:]:
                clip[copy] = clip[positions[0]]
        if tick >= last:
            break
    if wanted:
        raise _MissedError(f"{len(wanted)} of its frames are not there")
    return clip


def _seek(video: OpenVideo, tick: int) -> None:
    try:
        video.container.seek(tick, stream=video.stream, backward=True)
    except av.FFmpegError as error:
        raise _MissedError("the file cannot be searched") from error


def _ticked(
    video: OpenVideo, spec: ClipSpec, run_up: float | None, first: int
) -> Iterator[tuple[int, VideoFrame]]:
    """Frames with their ticks, from a key frame on that comes no later than `first`."""
    read = tick_reader(spec.clock)
    started = run_up is None
    # Damage is skipped: what matters is whether the clip's own frames come out.
    frames = (item for item in decoded(video) if isinstance(item, VideoFrame))
    for index, frame in enumerate(frames):
        tick = read(index, frame.pts, frame.dts)
        if tick is None:
            continue
        if not started:
            if not frame.key_frame or tick > first:
                raise _MissedError("the search for its first frame ends behind it")
            started = True
        yield tick, frame


class _Painter:
    """Turns decoded frames into the pixels of a clip."""

    def __init__(self, spec: ClipSpec) -> None:
        info = spec.info
        self._turns = info.rotation // 90
        self._layout = clip_layout(info.source_width, info.source_height, info.width, spec.fit)
        self._scaler = Scaler(info.source)

    def paint(self, frame: VideoFrame, out: UInt8[np.ndarray, "h w 3"]) -> None:
        """Scale `frame`, turn it upright and lay the clip's window of it into `out`."""
        layout = self._layout
        picture = self._scaler.rgb(frame, layout.scaled_width, layout.scaled_height, self._turns)
        size = layout.size
        rows = _overlap(layout.top, size, layout.scaled_height)
        columns = _overlap(layout.left, size, layout.scaled_width)
        out[rows[1], columns[1]] = picture[rows[0], columns[0]]


def _overlap(start: int, size: int, available: int) -> tuple[slice, slice]:
    """Part of the picture inside a window at `start`, in picture and in window coordinates."""
    low, high = max(0, start), min(available, start + size)
    return slice(low, high), slice(low - start, high - start)
