"""What teacher and student see of a real clip: the clean frames, and a transformed copy.

Bootstrapped training (BootsTAPIR, arXiv:2402.00847, section 3): a teacher tracks the clean clip, a
student has to find the same tracks in a transformed and degraded copy, from other query points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.training.config import SelfTraining
from pipelines.training.real import RealClips

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class View:
    """What the teacher and the student see of one clip, and what the teacher is asked."""

    clean: UInt8[np.ndarray, "t s s 3"]
    student: UInt8[np.ndarray, "t h w 3"]
    """In the student's order of time."""
    affine: Float[np.ndarray, "t 2 3"]
    """From clean pixels to the student's, for each clean frame."""
    backwards: bool
    asked: Float[np.ndarray, "n 3"]
    """Query points (t, y, x) for the teacher, in clean pixels."""
    pick: Float[np.ndarray, " n"]
    """In [0, 1): which of a track's points the student is asked about."""


def make_view(
    clips: RealClips,
    number: int,
    *,
    num_frames: int,
    size: int,
    num_queries: int,
    config: SelfTraining,
) -> View:
    """View number `number`: the same arguments give the same bytes.

    Raises ValueError naming a clip that cannot be read.
    """
    cv2.setNumThreads(1)  # views are made side by side in processes
    rng = np.random.default_rng(number)
    clean = _clean_clip(rng, clips.frames(int(rng.integers(len(clips)))), num_frames, config)
    affine = random_affine(rng, num_frames, config.clean_size, size, config)
    student = np.stack([warp(f, a, size) for f, a in zip(clean, affine, strict=True)])
    backwards = bool(rng.random() < config.reverse)
    student = degraded(rng, student[::-1] if backwards else student, config)
    asked = rng.random((num_queries, 3)) * (num_frames, config.clean_size, config.clean_size)
    asked[:, 0] = np.floor(asked[:, 0])
    pick = rng.random(num_queries)
    return View(
        clean,
        student,
        affine.astype(np.float32),
        backwards,
        asked.astype(np.float32),
        pick.astype(np.float32),
    )


def _clean_clip(
    rng: np.random.Generator, frames: list[np.ndarray], num_frames: int, config: SelfTraining
) -> np.ndarray:
    """Equally spaced frames of a square part; a short clip goes back and forth."""
    longest = max(1, (len(frames) - 1) // max(1, num_frames - 1))
    stride = int(rng.integers(1, min(config.max_stride, longest) + 1))
    span = stride * (num_frames - 1)
    start = int(rng.integers(max(1, len(frames) - span)))
    period = max(1, 2 * (len(frames) - 1))
    places = (start + stride * np.arange(num_frames)) % period
    places = np.minimum(places, period - places) if len(frames) > 1 else places * 0
    height, width = frames[0].shape[:2]
    side = min(height, width)
    top = int(rng.integers(height - side + 1))
    left = int(rng.integers(width - side + 1))
    target = config.clean_size
    method = cv2.INTER_AREA if side > target else cv2.INTER_LINEAR
    return np.stack(
        [
            cv2.resize(
                frames[place][top : top + side, left : left + side],
                (target, target),
                interpolation=method,
            )
            for place in places
        ]
    )


def random_affine(
    rng: np.random.Generator, num_frames: int, clean: int, size: int, config: SelfTraining
) -> Float[np.ndarray, "t 2 3"]:
    """From `clean` × `clean` to `size` × `size` pixels: zoom and centre change steadily."""
    ends = np.exp(rng.uniform(np.log(config.min_zoom), np.log(config.max_zoom), 2))
    share = np.linspace(0, 1, num_frames)
    zoom = ends[0] ** (1 - share) * ends[1] ** share
    # Zoomed in, the view stays within the clip; zoomed out, the clip within the view.
    room = np.abs(1 - 1 / zoom) / 2
    centre = 0.5 + room[:, None] * (
        rng.uniform(-1, 1, 2) * (1 - share)[:, None] + rng.uniform(-1, 1, 2) * share[:, None]
    )
    scale = zoom * size / clean
    affine = np.zeros((num_frames, 2, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = scale
    affine[:, :, 2] = size / 2 - scale[:, None] * centre * clean
    if rng.random() < config.flip:
        affine[:, 0] *= -1
        affine[:, 0, 2] += size
    return affine


def warp(
    frame: UInt8[np.ndarray, "s s 3"], affine: Float[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "h w 3"]:
    """The frame under an affine map of raster pixels, black beyond its borders."""
    scale = abs(affine[1, 1])
    if scale < 1:  # else every other pixel would be skipped
        blur = 0.5 * np.sqrt(1 / scale**2 - 1)
        frame = cv2.GaussianBlur(frame, (0, 0), max(blur, 1e-3))
    centres = affine.copy()
    centres[:, 2] += affine[:, :2].sum(1) * 0.5 - 0.5  # OpenCV's pixels have whole-numbered centres
    return cv2.warpAffine(frame, centres, (size, size), flags=cv2.INTER_LINEAR)


def degraded(
    rng: np.random.Generator, video: UInt8[np.ndarray, "t h w 3"], config: SelfTraining
) -> UInt8[np.ndarray, "t h w 3"]:
    """Other brightness, contrast and saturation, the same for all frames, and JPEG artefacts."""
    bright, contrast, saturation = 1 + config.jitter * rng.uniform(-1, 1, 3)
    lossy = rng.random() < config.jpeg
    quality = int(rng.integers(15, 80))
    mean = float(video.mean())
    frames = []
    for frame in video.astype(np.float32):
        grey = frame @ np.array([0.299, 0.587, 0.114], np.float32)
        frame = grey[..., None] + saturation * (frame - grey[..., None])
        frame = np.clip(bright * (mean + contrast * (frame - mean)), 0, 255).astype(np.uint8)
        if lossy:
            _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
            frame = cv2.imdecode(data, cv2.IMREAD_COLOR)
        frames.append(frame)
    return np.stack(frames)
