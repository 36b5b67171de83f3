"""Decoded frames to RGB arrays, scaled on the way by FFmpeg's scaler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from pipelines.video.errors import VideoError

if TYPE_CHECKING:
    from jaxtyping import UInt8


class Scaler:
    """Scales the frames of one video; keeps the scaler's tables from frame to frame.

    Any pixel format, depth and range becomes full-range 8-bit RGB; alpha is dropped, high dynamic
    range is not tone-mapped and interlaced fields are not parted. Areas are averaged, so the
    corners of the picture stay on the corners.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._reformatter = VideoReformatter()

    def rgb(
        self, frame: VideoFrame, width: int, height: int, turns: int = 0
    ) -> UInt8[np.ndarray, "h w 3"]:
        """`frame` as a `width` x `height` picture after `turns` clockwise quarter turns.

        Raises VideoError, stage "decode", for a pixel format that cannot be converted.
        """
        across, down = (height, width) if turns % 2 else (width, height)
        try:
            scaled = self._reformatter.reformat(
                frame,
                width=across,
                height=down,
                format="rgb24",
                interpolation=Interpolation.AREA,
                threads=1,
            )
            picture = scaled.to_ndarray()
        except (av.FFmpegError, ValueError, RuntimeError) as error:
            kind = frame.format.name
            message = f"its pixels ({kind}) cannot be converted to RGB ({error})"
            raise VideoError(self._source, "decode", message) from error
        return np.rot90(picture, k=-turns)
