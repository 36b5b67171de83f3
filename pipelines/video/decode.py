"""Reading the frames of planned clips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
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
    with ClipReader() as reader:
        return reader.read(spec)


class ClipReader:
    """Reads one clip after another, a context manager.

    A clip that lies behind the one before it in the same video is decoded on from there, unless a
    key frame comes between: there it begins when it is read alone. So what a clip's frames are does
    not depend on what was read before, and neighbours between two key frames, of which each would
    be decoded from the first one on, cost one decoding together.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._pass: _Pass | None = None

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def read(self, spec: ClipSpec) -> UInt8[np.ndarray, "t h w 3"]:
        """As `read_clip`."""
        if self._pass is not None and self._pass.leads_to(spec):
            try:
                return _read(self._pass, spec)
            except (_MissedError, VideoError):
                pass  # whatever it is, it is told when the clip is read alone
        why = ""
        run_ups = _RUN_UPS if spec.clock != "index" else (None,)
        for run_up in run_ups:
            self._close()
            video = self._open.enter_context(open_video(spec.info.source))
            try:
                started = _Pass(video, spec, run_up)
                clip = _read(started, spec)
            except _MissedError as error:
                why = str(error)
                continue
            # Any other run-up is not the one that the next clip would try first.
            self._pass = started if run_up == run_ups[0] else None
            return clip
        span = f"{spec.info.start_s:.2f}-{spec.info.end_s:.2f} s"
        raise VideoError(spec.info.source, "decode", f"the clip at {span} cannot be decoded: {why}")

    def _close(self) -> None:
        self._pass = None
        self._open.close()


class _Pass:
    """A video that is being decoded from where a clip needs it."""

    def __init__(self, video: OpenVideo, spec: ClipSpec, run_up: float | None) -> None:
        first = min(spec.ticks)
        if run_up is not None:
            _seek(video, first - int(run_up / time_base(video, spec.clock)))
        self._source, self._clock = spec.info.source, spec.clock
        self._frames = _ticked(video, spec, run_up, first)
        self._at: int | None = None
        self._key_frames = 0

    def leads_to(self, spec: ClipSpec) -> bool:
        """Whether the clip's frames are still to come, and no key frame that it begins at."""
        same = (self._source, self._clock) == (spec.info.source, spec.clock)
        ahead = self._at is not None and min(spec.ticks) > self._at
        return same and ahead and not self._past_key_frame

    def frames(self, first: int) -> Iterator[tuple[int, VideoFrame]]:
        """Frames and their ticks from here on.

        Where an earlier clip has led here, raises _MissedError at a key frame up to `first`.
        """
        led = self._at is not None
        for tick, frame in self._frames:
            self._at = tick
            self._key_frames += bool(frame.key_frame)
            if led and tick <= first and self._past_key_frame:
                raise _MissedError("a key frame comes before it")
            yield tick, frame

    @property
    def _past_key_frame(self) -> bool:
        # Without a clock all clips are counted from the first frame of the file.
        return self._key_frames > 1 and self._clock != "index"


def _read(decoding: _Pass, spec: ClipSpec) -> UInt8[np.ndarray, "t h w 3"]:
    wanted: dict[int, list[int]] = {}
    for position, tick in enumerate(spec.ticks):
        wanted.setdefault(tick, []).append(position)
    first, last = min(wanted), max(wanted)
    painter = _Painter(spec)
    clip = np.zeros((spec.info.num_frames, spec.info.height, spec.info.width, 3), np.uint8)
    for tick, frame in decoding.frames(first):
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
