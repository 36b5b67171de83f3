"""Query points: where and when a track is asked for (docs/coordinates.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def grid_queries(
    height: int, width: int, rows: int, cols: int, t: float = 0.0
) -> Float[np.ndarray, "n 3"]:
    """Query points (t, y, x) at the centres of rows × cols equal cells, row by row."""
    y = (np.arange(rows, dtype=np.float32) + 0.5) * (height / rows)
    x = (np.arange(cols, dtype=np.float32) + 0.5) * (width / cols)
    points = np.empty((rows, cols, 3), np.float32)
    points[..., 0], points[..., 1], points[..., 2] = t, y[:, None], x
    return points.reshape(-1, 3)


def check_queries(
    queries: np.ndarray, num_frames: int, height: int, width: int
) -> Float[np.ndarray, "n 3"]:
    """The queries as float32, or ValueError naming the first that lies outside the video."""
    points = np.asarray(queries, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"queries must have shape [N, 3] (t, y, x), got {list(points.shape)}")
    limits = np.array([num_frames - 1, height, width], np.float32)
    outside = ~((points >= 0) & (points <= limits)).all(axis=1)
    if outside.any():
        index = int(outside.argmax())
        t, y, x = (float(v) for v in points[index])
        raise ValueError(
            f"query {index} (t={t:g}, y={y:g}, x={x:g}) lies outside the video of "
            f"{num_frames} frames, {width}x{height} pixels"
        )
    return points
