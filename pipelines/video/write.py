"""Writing videos: all of a file or none of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import OutputContainer
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from pipelines.video.errors import VideoError
from pipelines.video.opening import reason

if TYPE_CHECKING:
    from jaxtyping import UInt8

SUFFIXES = (".mp4", ".gif")


def write_video(
    path: str | os.PathLike[str], frames: Iterable[UInt8[np.ndarray, "h w 3"]], fps: float
) -> None:
    """Write RGB `frames`, all of one size, as `.mp4` (H.264) or `.gif`, by the suffix of `path`.

    H.264 wants even sides: an odd one is made even by repeating the last row or column. A GIF
    counts time in hundredths of a second, and most viewers slow down a rate above 50. The file
    appears under its name only when it is complete.

    Raises ValueError for an unknown suffix, a rate out of range, no frames or frames of the wrong
    shape, and VideoError, stage "write", when the disk refuses; other errors that `frames` raises
    pass through.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{target}: unknown video suffix {suffix!r}: use {' or '.join(SUFFIXES)}")
    if not 0.01 <= fps <= 1000:
        raise ValueError(f"{target}: fps is {fps}: must lie in 0.01 to 1000")
    if not target.parent.is_dir():
        raise VideoError(str(target), "write", "its folder does not exist")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    pictures = _checked(target, frames)
    try:
        try:
            first = next(pictures)
            pictures = chain([first], pictures)
            rate = Fraction(fps).limit_denominator(10_000)
            height, width = first.shape[:2]
            with av.open(str(temporary), "w", format=suffix[1:]) as container:
                if suffix == ".gif":
                    _write_gif(container, pictures, rate, width, height)
                else:
                    _write_h264(container, pictures, rate, width, height)
            os.replace(temporary, target)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(
                str(target), "write", f"cannot be written ({reason(error)})"
            ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _checked(target: Path, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    shape: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
            raise ValueError(
                f"{target}: frame {number} is {frame.dtype} {list(frame.shape)}, "
                "expected uint8 [height, width, 3]"
            )
        if shape is not None and frame.shape != shape:
            raise ValueError(
                f"{target}: frame {number} is {list(frame.shape)}, the first was {list(shape)}"
            )
        shape = frame.shape
        yield frame
    if shape is None:
        raise ValueError(f"{target}: there are no frames to write")


def _write_h264(
    container: OutputContainer,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    width: int,
    height: int,
) -> None:
    stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = "yuv420p"
    for number, picture in enumerate(frames):
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        container.mux(stream.encode(_frame(even, number, rate)))
    container.mux(stream.encode(None))


def _write_gif(
    container: OutputContainer,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    width: int,
    height: int,
) -> None:
    # The encoder's savings compare palette indices, also between frames of different palettes.
    stream = container.add_stream("gif", rate=rate, options={"gifflags": "-offsetting-transdiff"})
    stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
    stream.codec_context.time_base = 1 / rate
    palettes = _palette_graph(width, height, rate)
    for number, picture in enumerate(frames):
        palettes.push(_frame(picture, number, rate))
        container.mux(stream.encode(palettes.vpull()))
    container.mux(stream.encode(None))


def _palette_graph(width: int, height: int, rate: Fraction) -> Graph:
    """Gives each frame the 256 colours that suit it, without holding the video in memory."""
    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=VideoFormat("rgb24"), time_base=1 / rate
    )
    split = graph.add("split")
    generate = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(generate, 0, 0)
    split.link_to(use, 1, 0)
    generate.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def _frame(picture: np.ndarray, number: int, rate: Fraction) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame.pts, frame.time_base = number, 1 / rate
    return frame
