"""What a video holds: size, rotation, rate, length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from pipelines.video.frames import first_frame
from pipelines.video.opening import OpenVideo, open_video


@dataclass(frozen=True)
class VideoProbe:
    """What a video holds. `width` and `height` are upright, `coded_*` as stored; pixels.

    Pixels count as square as stored: a non-square pixel aspect ratio is not applied.
    `rotation` is degrees clockwise that make the stored picture upright (0, 90, 180 or 270).
    `fps` is the average rate, `duration_s` seconds and `num_frames` frames as the file claims them,
    0 where it does not say.
    """

    source: str
    codec: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    fps: float
    duration_s: float
    num_frames: int


def probe_video(source: str) -> VideoProbe:
    """Open `source` and decode its first frame. Raises VideoError ("open" or "decode")."""
    with open_video(source) as video:
        return describe(video, first_frame(video, "decode"))


def describe(video: OpenVideo, frame: VideoFrame) -> VideoProbe:
    """What `video` holds, given its first decoded frame, which alone carries the rotation."""
    stream, container = video.stream, video.container
    rotation = upright_rotation(frame)
    width, height = frame.width, frame.height
    if rotation in (90, 270):
        width, height = height, width
    if stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    else:
        duration = (container.duration or 0) / av.time_base
    rate = stream.average_rate or stream.guessed_rate
    fps = float(rate) if rate else 0.0
    return VideoProbe(
        source=video.source,
        codec=stream.codec_context.name,
        width=width,
        height=height,
        coded_width=frame.width,
        coded_height=frame.height,
        rotation=rotation,
        fps=fps,
        duration_s=max(0.0, duration),
        num_frames=stream.frames or max(0, round(duration * fps)),
    )


def upright_rotation(frame: VideoFrame) -> int:
    """Degrees clockwise, a multiple of 90, that the frame's display matrix asks for.

    Mirrored matrices keep only their rotation: a mirrored picture stays as stored or on its side.
    """
    sides: Any = frame.side_data
    for side in sides:
        if side.type == SideDataType.DISPLAYMATRIX:
            matrix = memoryview(bytes(side)).cast("i")
            return matrix_rotation(matrix[0], matrix[1], matrix[3], matrix[4])
    return 0


def matrix_rotation(a: int, b: int, c: int, d: int) -> int:
    """Degrees clockwise of the map x' = a x + c y, y' = b x + d y (y down), to the next 90."""
    if a * d - b * c < 0:
        return 0 if abs(a) >= abs(b) else 90
    if abs(a) >= abs(b):
        return 0 if a >= 0 else 180
    return 90 if b > 0 else 270
