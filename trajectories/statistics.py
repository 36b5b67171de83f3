"""Scalars that describe tracks and clips: the columns that filters read.

All motion is measured in pixels of the clip and only between frames where the point is visible. A
track that is never visible has no motion: its scalars are 0 and its end is its start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MOVING_PX = 2.0  # a track counts as moving when its displacement is larger
# Lengths, speeds and uncertainties are rounded to 1/1024: sixteen times finer than the positions
# they come from, and a third smaller on disk than all the digits of a float32.
FINENESS = 1024
_EXACT = ("query_t", "start_x", "start_y", "end_x", "end_y", "visible_fraction")


def track_statistics(
    queries: Float[np.ndarray, "n 3"],
    tracks: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
    uncertainty: Float[np.ndarray, "n t"],
) -> dict[str, np.ndarray]:
    """Per-track columns, each [N] float32 (`track`: int32).

    start: position at the frame nearest to the query. end: last visible position. displacement:
    straight distance from the first to the last visible position, px. path_length: sum of the steps
    between consecutive frames that are both visible, px; mean_speed and max_speed: mean and largest
    of those steps, px/frame.
    """
    count, frames = visible.shape
    rows = np.arange(count)
    query_frame = np.clip(np.rint(queries[:, 0]), 0, frames - 1).astype(np.int64)
    start = tracks[rows, query_frame].astype(np.float64)
    vector = displacement_vectors(tracks, visible)
    last = tracks[rows, _last_visible(visible)].astype(np.float64)
    end = np.where(_seen(visible), last, start)
    steps = np.linalg.norm(np.diff(tracks.astype(np.float64), axis=1), axis=2)
    paired = visible[:, 1:] & visible[:, :-1]
    steps = np.where(paired, steps, 0.0)
    path_length = steps.sum(axis=1)
    columns = {
        "query_t": queries[:, 0],
        "start_x": start[:, 0],
        "start_y": start[:, 1],
        "end_x": end[:, 0],
        "end_y": end[:, 1],
        "displacement": np.linalg.norm(vector, axis=1),
        "path_length": path_length,
        "mean_speed": path_length / np.maximum(paired.sum(axis=1), 1),
        "max_speed": steps.max(axis=1, initial=0.0),
        "visible_fraction": visible.mean(axis=1),
        "mean_uncertainty": uncertainty.mean(axis=1, dtype=np.float64),
    }
    scalars = {
        name: (values if name in _EXACT else np.rint(values * FINENESS) / FINENESS).astype(
            np.float32
        )
        for name, values in columns.items()
    }
    return {"track": np.arange(count, dtype=np.int32), **scalars}


def clip_statistics(
    tracks: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
    scalars: dict[str, np.ndarray],
) -> dict[str, float]:
    """Statistics of a clip over all its tracks, from the columns of `track_statistics`.

    camera_dx, camera_dy: median displacement vector of the tracks seen at least twice, px: how the
    picture as a whole moved from the start of the clip to its end, which is the camera's doing
    where most of the picture is background.
    """
    count = len(visible)
    twice = visible.sum(axis=1) >= 2
    vector = displacement_vectors(tracks, visible)[twice]
    camera = np.median(vector, axis=0) if len(vector) else np.zeros(2)
    displacement = scalars["displacement"].astype(np.float64)
    p50, p90 = np.percentile(displacement, [50, 90]) if count else (0.0, 0.0)
    return {
        "num_tracks": count,
        "mean_displacement": _mean(displacement),
        "median_displacement": float(p50),
        "p90_displacement": float(p90),
        "mean_speed": _mean(scalars["mean_speed"]),
        "moving_fraction": _mean(displacement > MOVING_PX),
        "visible_fraction": _mean(scalars["visible_fraction"]),
        "mean_uncertainty": _mean(scalars["mean_uncertainty"]),
        "camera_dx": float(camera[0]),
        "camera_dy": float(camera[1]),
    }


def displacement_vectors(
    tracks: Float[np.ndarray, "n t 2"], visible: Bool[np.ndarray, "n t"]
) -> Float[np.ndarray, "n 2"]:
    """From the first to the last visible position, px; 0 where a track is never visible."""
    rows = np.arange(len(tracks))
    first = tracks[rows, visible.argmax(axis=1)].astype(np.float64)
    last = tracks[rows, _last_visible(visible)].astype(np.float64)
    return np.where(_seen(visible), last - first, 0.0)


def _seen(visible: Bool[np.ndarray, "n t"]) -> Bool[np.ndarray, "n 1"]:
    return np.asarray(visible.any(axis=1))[:, None]


def _last_visible(visible: Bool[np.ndarray, "n t"]) -> np.ndarray:
    return visible.shape[1] - 1 - visible[:, ::-1].argmax(axis=1)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values * FINENESS) / FINENESS


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else 0.0
