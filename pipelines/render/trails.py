"""A whole clip in one still picture: every trajectory over the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.render.canvas import Canvas, auto_scale, upscale
from pipelines.render.selection import check_clip, drawable, resolve_starts, select_even

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_BACKGROUND = 0.6  # brightness of the frame under the trails
_COLOR = 0.5  # share of its colour that it keeps


def time_colors(count: int) -> UInt8[np.ndarray, "count 3"]:
    """RGB from dark violet (first) over red to bright yellow (last)."""
    steps = np.rint(np.linspace(20, 255, max(1, count))).astype(np.uint8)[:count, None]
    ramp = np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_PLASMA)).reshape(-1, 3)
    return np.ascontiguousarray(ramp[:, ::-1])


def draw_trails(
    video: UInt8[np.ndarray, "t h w 3"],
    tracks: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
    *,
    scale: float | None = None,
    max_tracks: int | None = 400,
    starts: Float[np.ndarray, "n 2"] | None = None,
) -> UInt8[np.ndarray, "a b 3"]:
    """First frame, subdued, with the trajectories in colours of time: dark violet to yellow.

    Segments with an occluded end, positions that are not finite and positions outside the frame
    are left out. A point at the end marks where a track was last seen.

    Args:
        video: RGB frames; only the first is shown.
        tracks: (x, y) in raster pixels of the video (docs/coordinates.md).
        visible: whether the point is seen in that frame.
        scale: size of the picture relative to the video. None: as in `draw_tracks`.
        max_tracks: at most this many, evenly spread by start position. None: all.
        starts: (x, y) of the query points. None: where each track is first visible.

    Raises:
        ValueError: arrays that do not belong together.
    """
    check_clip(video, tracks, visible, scale)
    num_frames, height, width = video.shape[:3]
    factor = auto_scale(height, width) if scale is None else scale
    chosen = select_even(resolve_starts(starts, tracks, visible), max_tracks)
    shown = drawable(tracks[chosen], height, width) & visible[chosen]
    points = np.where(shown[..., None], tracks[chosen], 0.0).astype(np.float64) * factor
    base = _subdued(upscale(video[0], factor))
    canvas = Canvas(*base.shape[:2])
    unit = min(base.shape[:2]) / 512
    ramp = time_colors(num_frames)
    # By time, not by track: where trails cross, the later one is on top.
    for t in range(1, num_frames):
        both = shown[:, t] & shown[:, t - 1]
        count = int(both.sum())
        color = np.broadcast_to(ramp[t], (count, 3))
        canvas.segments(
            points[both, t - 1], points[both, t], color, np.ones(count), width=1.8 * unit
        )
    ever = np.flatnonzero(shown.any(axis=1))
    last = num_frames - 1 - shown[ever, ::-1].argmax(axis=1)
    canvas.discs(points[ever, last], ramp[last], radius=max(1.2, 2.2 * unit), rim=0.6 * unit)
    return canvas.over(base)


def _subdued(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    grey = image.mean(axis=2, keepdims=True)
    mixed = (grey + (image - grey) * _COLOR) * _BACKGROUND
    return np.rint(mixed).astype(np.uint8)
