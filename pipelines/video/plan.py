"""Planning: one pass over a video decides which clips to cut from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from av.video.frame import VideoFrame

from pipelines.video.cuts import THUMBNAIL_SIZE, mark_cuts
from pipelines.video.errors import VideoError
from pipelines.video.frames import Clock, Stamp, believable_rate, decoded, on_clock, time_base
from pipelines.video.geometry import Layout, clip_layout
from pipelines.video.opening import OpenVideo, is_url, open_video
from pipelines.video.pixels import Scaler
from pipelines.video.probe import VideoProbe, describe
from pipelines.video.settings import ClipSettings, ClipSpec, pack_ticks, unpack_ticks
from pipelines.video.spans import evenly, spans
from trajectories import ClipInfo, clip_id

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

# A longer time without a frame parts two shots: nothing moves in it, or something is missing.
_MAX_GAP_S = 10
# Time stamps beyond this distance from the first one are damage.
_MAX_SPAN_S = 10**9


@dataclass(frozen=True)
class Plan:
    """The clips of one video, and what kept it from giving more.

    `error` is None for a sound video. A damaged one still gives the clips that lie in sound parts;
    `error` then says where it broke, to be recorded beside them.
    """

    source: str
    specs: tuple[ClipSpec, ...]
    error: VideoError | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the pass keeps of a frame."""

    thumbnail: UInt8[np.ndarray, "h w 3"] | None
    breaks: bool  # frames are missing or damaged before this one


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A usable frame: ticks increase from one to the next."""

    tick: int
    broken: bool
    thumbnail: UInt8[np.ndarray, "h w 3"] | None

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        assert self.thumbnail is not None
        return self.thumbnail


def plan_clips(source: str, settings: ClipSettings | None = None) -> Plan:
    """Choose the clips of `source`, a local path or fsspec URL.

    Decodes the video once on one thread, in memory that grows with its length only by the list of
    clips. No clip crosses a shot cut or a damaged place; after damage, clips start again at
    the next key frame. A remainder shorter than a clip is dropped. Ten seconds without a frame part
    two shots. Pixels count as square as stored.

    Raises VideoError with stage "open" when the file is not a readable video; "decode" when it
    gives no clip and is damaged; "plan" when it is too short or its shots are.
    """
    settings = settings or ClipSettings()
    if not is_url(source):
        source = os.path.abspath(source)
    with open_video(source, skip_loop_filter=True) as video:
        return _Pass(video, settings).run()


class _Pass:
    """The state of one pass: what the frames have shown so far."""

    def __init__(self, video: OpenVideo, settings: ClipSettings) -> None:
        self.video = video
        self.settings = settings
        self.probe: VideoProbe | None = None
        self.base = Fraction(1)  # seconds per tick
        self.first_tick = 0
        self.last_tick = 0
        self.count = 0
        self.steady_steps = 0  # steps between frames of one shot, and their ticks
        self.steady_ticks = 0
        self.cause: str | None = None  # of the first damage
        self.damaged = 0

    def run(self) -> Plan:
        settings = self.settings
        clock, frames = on_clock(self._stamps())
        self.base = time_base(self.video, clock)
        period = None
        if settings.fps is not None:
            period = 1 / (Fraction(settings.fps).limit_denominator(100_000) * self.base)
        stride = settings.stride or settings.num_frames
        chosen: list[bytes] = []
        longest = 0
        for span in spans(self._breaks(frames), settings.num_frames, stride, period):
            if isinstance(span, int):
                longest = max(longest, span)
            else:
                chosen.append(pack_ticks(span))
        error = self._damage_error()
        if self.probe is None:
            raise error or VideoError(self.video.source, "plan", "the video has no frames")
        if not chosen:
            raise error or self._too_short(longest)
        layout = self._layout(self.probe)
        fps = settings.fps or believable_rate(
            self.probe.fps, self.steady_steps, float(self.steady_ticks * self.base)
        )
        specs = tuple(
            self._spec(ticks, clock, layout, self.probe.rotation, fps)
            for ticks in evenly(chosen, settings.max_clips)
        )
        return Plan(self.video.source, specs, error)

    def _stamps(self) -> Iterator[Stamp[_Seen]]:
        """Sound frames, with a break marked where something is missing before one."""
        scaler = Scaler(self.video.source)
        waiting = False  # for a key frame, after damage
        index = -1
        for item in decoded(self.video):
            index += isinstance(item, VideoFrame)
            if not isinstance(item, VideoFrame) or item.is_corrupt:
                self._damaged("a frame is damaged" if isinstance(item, VideoFrame) else item.cause)
                waiting = True
                continue
            if waiting and not item.key_frame:
                continue
            if self.probe is None:
                # Recordings of a broadcast start amid a group of pictures: that is no damage.
                self.damaged = 0
                self.probe = describe(self.video, item)
                self._layout(self.probe)
            elif (item.width, item.height) != (self.probe.coded_width, self.probe.coded_height):
                self._damaged(f"the picture size changes to {item.width}x{item.height}")
                return
            thumbnail = None
            if self.settings.cut_threshold is not None:
                thumbnail = scaler.rgb(item, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
            yield Stamp(index, item.pts, item.dts, _Seen(thumbnail, waiting))
            waiting = False

    def _ordered(self, frames: Iterator[tuple[int | None, _Seen]]) -> Iterator[_Ordered]:
        """Frames with increasing ticks; those that step back in time are dropped as damage."""
        broken = False
        for tick, seen in frames:
            if tick is None or (self.count and not self._follows(tick)):
                self._damaged("a time stamp is missing or out of order")
                broken = True
                continue
            step = tick - self.last_tick
            broken = broken or seen.breaks or step * self.base > _MAX_GAP_S
            if not self.count:
                self.first_tick = tick
                broken = False
            elif not broken:
                self.steady_steps += 1
                self.steady_ticks += step
            self.last_tick = tick
            self.count += 1
            yield _Ordered(tick, broken, seen.thumbnail)
            broken = False

    def _follows(self, tick: int) -> bool:
        return tick > self.last_tick and (tick - self.first_tick) * self.base < _MAX_SPAN_S

    def _breaks(self, frames: Iterator[tuple[int | None, _Seen]]) -> Iterator[tuple[int, bool]]:
        """(tick, whether a new shot starts here) for every usable frame."""
        ordered = self._ordered(frames)
        threshold = self.settings.cut_threshold
        if threshold is None:
            for frame in ordered:
                yield frame.tick, frame.broken
            return
        for frame, cut in mark_cuts(ordered, _Ordered.picture, threshold):
            yield frame.tick, cut or frame.broken

    def _layout(self, probe: VideoProbe) -> Layout:
        try:
            return clip_layout(probe.width, probe.height, self.settings.size, self.settings.fit)
        except ValueError as error:
            raise VideoError(self.video.source, "plan", str(error)) from error

    def _damaged(self, cause: str) -> None:
        self.damaged += 1
        if self.damaged == 1:
            at = float((self.last_tick - self.first_tick) * self.base)
            self.cause = f"{cause}, after {at:.2f} s" if self.count else cause

    def _damage_error(self) -> VideoError | None:
        if not self.damaged:
            return None
        more = f"; {self.damaged} places in all" if self.damaged > 1 else ""
        message = f"damaged or cut off ({self.cause}{more}); {self.count} frames are usable"
        return VideoError(self.video.source, "decode", message)

    def _too_short(self, longest: int) -> VideoError:
        rate = "" if self.settings.fps is None else f" at {self.settings.fps:g} fps"
        message = (
            f"too short: its longest shot has {longest} frames{rate} ({self.count} in the file), "
            f"a clip needs {self.settings.num_frames}; ask for fewer frames per clip"
        )
        return VideoError(self.video.source, "plan", message)

    def _spec(
        self, packed: bytes, clock: Clock, layout: Layout, rotation: int, fps: float
    ) -> ClipSpec:
        ticks = unpack_ticks(packed)
        start = float((ticks[0] - self.first_tick) * self.base)
        end = float((ticks[-1] - self.first_tick) * self.base) + 1 / fps
        x, y, width, height = layout.rectangle
        source = self.video.source
        info = ClipInfo(
            clip_id=clip_id(source, round(start * 1e6), round(end * 1e6)),
            source=source,
            start_s=start,
            end_s=end,
            fps=fps,
            num_frames=len(ticks),
            width=layout.size,
            height=layout.size,
            source_width=layout.source_width,
            source_height=layout.source_height,
            rotation=rotation,
            crop_x=x,
            crop_y=y,
            crop_width=width,
            crop_height=height,
        )
        return ClipSpec(info, self.settings.fit, clock, packed)
