"""Tracks over the frames of their clip: points with fading tails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.render.canvas import Canvas, auto_scale, upscale
from pipelines.render.colors import rainbow_colors
from pipelines.render.selection import check_clip, drawable, resolve_starts, select_even

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_TAIL_ALPHA = 0.85  # of the newest segment; older ones fade linearly to nothing
_OCCLUDED_ALPHA = 0.3  # factor on segments that touch an occluded position
_HALO_ALPHA = 0.55  # dark rim around points: keeps them apart from a bright background


def draw_tracks(
    video: UInt8[np.ndarray, "t h w 3"],
    tracks: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
    *,
    tail: int = 12,
    scale: float | None = None,
    radius: float | None = None,
    max_tracks: int | None = 1024,
    show_occluded: bool = True,
    starts: Float[np.ndarray, "n 2"] | None = None,
    frames: Sequence[int] | None = None,
) -> Iterator[UInt8[np.ndarray, "a b 3"]]:
    """Frames with their tracks drawn on them, one at a time.

    Visible points are filled, occluded ones hollow; colours go by start position. Positions that
    are not finite or lie outside the frame are left out.

    Args:
        video: RGB frames.
        tracks: (x, y) in raster pixels of the video (docs/coordinates.md).
        visible: whether the point is seen in that frame.
        tail: number of past frames that the tail reaches back; 0 for none.
        scale: size of the picture relative to the video. None: a whole factor that brings small
            clips to at least 480 pixels (2 for 256 x 256).
        radius: of the points, in pixels of the drawn picture. None: by its size and the number of
            tracks.
        max_tracks: at most this many are drawn, evenly spread by start position. None: all.
        show_occluded: draw occluded points hollow and their tails dimmed, else not at all.
        starts: (x, y) of the query points. None: where each track is first visible.
        frames: indices of the frames to draw, in the order wanted. None: all.

    Raises:
        ValueError: arrays that do not belong together, at the call rather than at the first frame.
        IndexError: a frame that the video does not have.
    """
    check_clip(video, tracks, visible, scale)
    if tail < 0:
        raise ValueError(f"tail must not be negative, got {tail}")
    if radius is not None and not radius > 0:
        raise ValueError(f"radius must be positive, got {radius}")
    num_frames, height, width = video.shape[:3]
    wanted = range(num_frames) if frames is None else frames
    for t in wanted:
        if not 0 <= t < num_frames:
            raise IndexError(f"frame {t} of a video of {num_frames} frames")
    starts = resolve_starts(starts, tracks, visible)
    chosen = select_even(starts, max_tracks)
    factor = auto_scale(height, width) if scale is None else scale
    if radius is None:
        radius = _fitting_radius(height * factor, width * factor, len(chosen))
    brush = _Brush(
        tracks=tracks[chosen],
        drawn=drawable(tracks[chosen], height, width),
        visible=visible[chosen],
        colors=rainbow_colors(starts, (width, height))[chosen],
        tail=tail,
        scale=factor,
        radius=radius,
        show_occluded=show_occluded,
    )
    return (brush.frame(video[t], t) for t in wanted)


def _fitting_radius(height: float, width: float, count: int) -> float:
    # In proportion to the distance between neighbours on an even grid: the picture stays readable.
    spacing = float(np.sqrt(height * width / max(1, count)))
    return float(np.clip(0.13 * spacing, 1.4, max(1.4, 0.0078 * min(height, width))))


class _Brush:
    """What all frames of one clip share."""

    def __init__(
        self,
        *,
        tracks: Float[np.ndarray, "n t 2"],
        drawn: Bool[np.ndarray, "n t"],
        visible: Bool[np.ndarray, "n t"],
        colors: UInt8[np.ndarray, "n 3"],
        tail: int,
        scale: float,
        radius: float,
        show_occluded: bool,
    ) -> None:
        self._points = np.where(drawn[..., None], tracks, 0.0).astype(np.float64) * scale
        self._drawn = drawn if show_occluded else drawn & visible
        self._visible = visible
        self._colors = colors
        self._tail = tail
        self._scale = scale
        self._radius = radius

    def frame(self, picture: UInt8[np.ndarray, "h w 3"], t: int) -> UInt8[np.ndarray, "a b 3"]:
        base = upscale(picture, self._scale)
        canvas = Canvas(*base.shape[:2])
        # Oldest first, so that a bright new segment is never hidden by a faded one.
        for age in range(min(self._tail, t) - 1, -1, -1):
            self._segments(canvas, t - age, 1 - age / self._tail)
        self._heads(canvas, t)
        return canvas.over(base)

    def _segments(self, canvas: Canvas, t: int, strength: float) -> None:
        shown = self._drawn[:, t] & self._drawn[:, t - 1]
        seen = (self._visible[:, t] & self._visible[:, t - 1])[shown]
        alphas = _TAIL_ALPHA * strength * np.where(seen, 1.0, _OCCLUDED_ALPHA)
        ends = self._points[shown, t - 1], self._points[shown, t]
        canvas.segments(*ends, self._colors[shown], alphas, width=0.6 * self._radius)

    def _heads(self, canvas: Canvas, t: int) -> None:
        # Occluded points first: what is seen lies in front of what is not.
        hidden = self._drawn[:, t] & ~self._visible[:, t]
        canvas.rings(
            self._points[hidden, t],
            self._colors[hidden],
            radius=self._radius,
            width=max(1.0, 0.35 * self._radius),
            alpha=0.9,
        )
        seen = self._drawn[:, t] & self._visible[:, t]
        canvas.discs(
            self._points[seen, t],
            self._colors[seen],
            radius=self._radius,
            rim=max(0.6, 0.3 * self._radius),
            rim_alpha=_HALO_ALPHA,
        )
