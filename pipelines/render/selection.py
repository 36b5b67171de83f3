"""Which tracks are drawn, and where each one starts. Pure functions over arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8


def check_clip(
    video: UInt8[np.ndarray, "t h w 3"],
    tracks: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
    scale: float | None,
) -> None:
    """Raises ValueError, naming the argument, where shapes or types do not belong together."""
    if scale is not None and not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    if video.ndim != 4 or video.shape[3] != 3 or video.dtype != np.uint8:
        raise ValueError(f"video must be uint8 [T, H, W, 3], not {video.dtype} {list(video.shape)}")
    if 0 in video.shape:
        raise ValueError(f"video is empty: {list(video.shape)}")
    if tracks.ndim != 3 or tracks.shape[2] != 2 or tracks.shape[1] != len(video):
        raise ValueError(
            f"tracks must be [N, {len(video)}, 2] for this video, not {list(tracks.shape)}"
        )
    if visible.shape != tracks.shape[:2] or visible.dtype != np.bool_:
        raise ValueError(
            f"visible must be bool {list(tracks.shape[:2])}, "
            f"not {visible.dtype} {list(visible.shape)}"
        )


def start_positions(
    tracks: Float[np.ndarray, "n t 2"], visible: Bool[np.ndarray, "n t"]
) -> Float[np.ndarray, "n 2"]:
    """First visible position of each track; else its first known one; else NaN."""
    known = np.isfinite(tracks).all(axis=2)
    seen = known & visible
    frames = np.where(seen.any(axis=1), seen.argmax(axis=1), known.argmax(axis=1))
    starts = np.array(tracks[np.arange(len(tracks)), frames], dtype=np.float32)
    starts[~known.any(axis=1)] = np.nan
    return starts


def resolve_starts(
    starts: Float[np.ndarray, "n 2"] | None,
    tracks: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
) -> Float[np.ndarray, "n 2"]:
    """The given start positions, or those of the tracks where none are given."""
    if starts is None:
        return start_positions(tracks, visible)
    if starts.shape != (len(tracks), 2):
        raise ValueError(f"starts must be [{len(tracks)}, 2], not {list(starts.shape)}")
    return starts


def drawable(
    tracks: Float[np.ndarray, "n t 2"], height: int, width: int
) -> Bool[np.ndarray, "n t"]:
    """Whether a position is known and within the frame (its edges included)."""
    x, y = tracks[..., 0], tracks[..., 1]
    return (x >= 0) & (x <= width) & (y >= 0) & (y <= height)  # false for NaN


def select_even(
    positions: Float[np.ndarray, "n 2"], max_count: int | None
) -> Int[np.ndarray, " k"]:
    """Indices of at most `max_count` positions spread evenly over the box around them; ascending.

    All indices where there are few enough; positions that are not finite are dropped first. Of a
    regular grid every k-th row and column is taken. Else the box is cut into equal cells and each
    cell gives the position nearest its centre.
    """
    if max_count is not None and max_count < 0:
        raise ValueError(f"the number of tracks to draw must not be negative, got {max_count}")
    if max_count is None or len(positions) <= max_count:
        return np.arange(len(positions))
    known = np.flatnonzero(np.isfinite(positions).all(axis=1))
    if max_count == 0 or len(known) == 0:
        return np.empty(0, dtype=np.int64)
    if len(known) <= max_count:
        return known
    points = np.asarray(positions, dtype=np.float64)[known]
    chosen = _every_kth(points, max_count)
    if chosen is None:
        chosen = _nearest_to_cells(points, max_count)
    return np.sort(known[chosen])


def _every_kth(points: Float[np.ndarray, "n 2"], max_count: int) -> Int[np.ndarray, " k"] | None:
    """Thinned regular grid, so that no uneven gaps appear; None if the points are not a grid."""
    x_values, column = np.unique(np.round(points[:, 0], 2), return_inverse=True)
    y_values, row = np.unique(np.round(points[:, 1], 2), return_inverse=True)
    columns, rows = len(x_values), len(y_values)
    if columns * rows != len(points) or len(np.unique(row * columns + column)) != len(points):
        return None
    step = 1
    while -(-columns // step) * -(-rows // step) > max_count:
        step += 1
    # What does not divide is left over at both ends alike.
    first_column, first_row = (columns - 1) % step // 2, (rows - 1) % step // 2
    return np.flatnonzero((column % step == first_column) & (row % step == first_row))


def _nearest_to_cells(points: Float[np.ndarray, "n 2"], max_count: int) -> Int[np.ndarray, " k"]:
    chosen = _one_per_cell(points, max_count)
    # Positions seldom fill their box: refine the cells until as many are taken as may be.
    cells = float(max_count)
    while len(chosen) < max_count and cells < 64 * max_count:
        cells *= 1.1
        finer = _one_per_cell(points, int(cells))
        if len(chosen) < len(finer) <= max_count:
            chosen = finer
    return chosen


def _one_per_cell(points: Float[np.ndarray, "n 2"], cells: int) -> Int[np.ndarray, " k"]:
    span = np.maximum(np.ptp(points, axis=0), 1e-6)
    columns = int(np.clip(round(np.sqrt(cells * span[0] / span[1])), 1, cells))
    shape = np.array([columns, cells // columns])
    place = (points - points.min(axis=0)) / span * shape
    cell = np.minimum(place.astype(np.int64), shape - 1)
    distance = np.square(place - cell - 0.5).sum(axis=1)
    order = np.lexsort((distance, cell[:, 0], cell[:, 1]))
    keys = (cell[:, 1] * columns + cell[:, 0])[order]
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    return order[first]
