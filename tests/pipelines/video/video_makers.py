"""Small videos whose every frame shows its own number, so that a test can read back which it got.

The number stands as eight blocks of dark and bright, 4 x 2 over the centre square, in Gray code:
one block changes from frame to frame, which no cut detector should mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

DARK, BRIGHT = 60, 180
WIDTH, HEIGHT = 64, 48


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """uint8 [height, width, 3] that shows `number` (0 to 255) in its centre square."""
    side = min(width, height)
    gray = number ^ (number >> 1)
    bits = np.array([(gray >> k) & 1 for k in range(8)]).reshape(2, 4)
    rows = np.arange(side) * 2 // side
    columns = np.arange(side) * 4 // side
    blocks = np.where(bits[rows][:, columns], BRIGHT, DARK)
    frame = np.full((height, width, 3), 110, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    frame[top : top + side, left : left + side] = blocks[..., None]
    return frame


def number_of(picture: np.ndarray) -> int:
    """The number that the centre square of `picture` shows."""
    height, width = picture.shape[:2]
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    rows = [top + int(side * (k + 0.5) / 2) for k in range(2)]
    columns = [left + int(side * (k + 0.5) / 4) for k in range(4)]
    middle = (DARK + BRIGHT) / 2
    bits = [picture[r - 1 : r + 2, c - 1 : c + 2].mean() > middle for r in rows for c in columns]
    gray = sum(bit << k for k, bit in enumerate(bits))
    number = 0
    while gray:
        number ^= gray
        gray >>= 1
    return number


def texture(seed: int, side: int = 128) -> np.ndarray:
    """A soft coloured texture that wraps around, uint8 [side, side, 3]."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(side, side, 3))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    spectrum = np.fft.fft2(noise, axes=(0, 1)) / (frequency + 2 / side)[..., None] ** 1.5
    smooth = np.fft.ifft2(spectrum, axes=(0, 1)).real
    smooth = (smooth - smooth.mean()) / smooth.std()
    tint = rng.uniform(70, 180, 3)
    return np.clip(tint + 35 * smooth, 0, 255).astype(np.uint8)


def flat(clips: Iterable[Iterable[int]]) -> list[int]:
    """The numbers of all clips in a row."""
    return [number for clip in clips for number in clip]


def write_numbered(
    path: Path,
    count: int = 30,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    numbers: Sequence[int] | None = None,
    **keywords: Any,
) -> Path:
    """A video of numbered frames; see `write_frames`."""
    chosen = range(count) if numbers is None else numbers
    return write_frames(path, [numbered(n, width, height) for n in chosen], **keywords)


def write_frames(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    rate: Fraction | int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    gop: int = 10,
    b_frames: int = 2,
    turn: float = 0.0,
    container: str | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    source: str = "rgb24",
) -> Path:
    """Encode `frames`, at a constant `rate` or at the given times.

    `turn` is the display rotation, degrees counter-clockwise, that a player is to apply.
    """
    with av.open(str(path), "w", format=container, options=muxer or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.gop_size = gop
        if codec in ("libx264", "mpeg4"):
            context.max_b_frames = b_frames
        base = Fraction(1, 1000) if times_ms is not None else 1 / Fraction(rate)
        context.time_base = base
        if turn:
            stream.set_display_rotation(turn)
        for number, picture in enumerate(frames):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=source)
            frame.time_base = base
            frame.pts = number if times_ms is None else times_ms[number]
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    """Half a second of sound without a picture."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16000)
        stream.codec_context.layout = "mono"
        for k in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 16000
            frame.pts = 1024 * k
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def decode_straight(path: Path) -> list[VideoFrame]:
    """All frames from the first to the last, without any of the package's code."""
    with av.open(str(path)) as file:
        file.streams.video[0].codec_context.thread_count = 1
        return list(file.decode(file.streams.video[0]))
