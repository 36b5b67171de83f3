"""Clips as the animation models want them: tracks on their grid, frames of the model's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from models import grid_queries
from trajectories import ClipTracks, Dataset, DatasetError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_GRID_TOLERANCE = 0.05  # of a cell


@dataclass(frozen=True)
class Shape:
    """Size of what a model works on: frames, pixels per side, grid points per side."""

    num_frames: int
    size: int
    grid: int


@dataclass(frozen=True, eq=False)
class GridTracks:
    """Tracks (x, y) in pixels of the model frame; point (i, j) starts in the centre of its cell."""

    tracks: Float[np.ndarray, "t 2 h w"]
    visible: Bool[np.ndarray, "t h w"]


def check_dataset(dataset: Dataset, shape: Shape) -> None:
    """Raises DatasetError where the dataset's clips do not suit a model of this shape.

    Datasets that do not record how they were made are checked clip by clip, in `to_grid`.
    """
    settings: dict[str, Any] = dataset.spec.settings
    clip = settings.get("clip", {})
    grid, frames = settings.get("grid"), clip.get("num_frames")
    problems = []
    if isinstance(grid, int) and grid != shape.grid:
        problems.append(
            f"has {grid} x {grid} points a clip, the configuration asks for {shape.grid} x "
            f"{shape.grid}: set grid = {grid}, or extract with --grid {shape.grid}"
        )
    if isinstance(frames, int) and frames < shape.num_frames:
        problems.append(
            f"has clips of {frames} frames, the configuration asks for {shape.num_frames}: set "
            f"num_frames = {frames}, or extract with --num-frames {shape.num_frames}"
        )
    if settings.get("query_frame", "first") != "first":
        problems.append(
            "has its query points in the middle of the clips: extract with --query-frame first"
        )
    if problems:
        raise DatasetError(f"{dataset.root} {'; and it '.join(problems)}")


def to_grid(clip: ClipTracks, shape: Shape) -> GridTracks:
    """The first frames of a clip's tracks on the model's grid, scaled to its size.

    Raises DatasetError for a clip that is too short or whose query points are not that grid.
    """
    info, grid = clip.info, shape.grid
    if info.num_frames < shape.num_frames:
        raise DatasetError(
            f"clip {info.clip_id} has {info.num_frames} frames, {shape.num_frames} are asked for"
        )
    expected = grid_queries(info.height, info.width, grid, grid)
    cell = min(info.height, info.width) / grid
    if len(clip) != len(expected) or np.abs(clip.queries - expected).max() > _GRID_TOLERANCE * cell:
        raise DatasetError(
            f"clip {info.clip_id}: its {len(clip)} query points are not the centres of {grid} x "
            f"{grid} cells in the first frame, which the configuration asks for: extract with "
            f"--grid {grid}"
        )
    scale = np.array([shape.size / info.width, shape.size / info.height], np.float32)
    tracks = clip.tracks[:, : shape.num_frames] * scale
    by_time = np.ascontiguousarray(tracks.transpose(1, 2, 0))
    visible = np.ascontiguousarray(clip.visible[:, : shape.num_frames].T)
    return GridTracks(
        by_time.reshape(shape.num_frames, 2, grid, grid),
        visible.reshape(shape.num_frames, grid, grid),
    )


def to_size(frames: UInt8[np.ndarray, "k a b 3"], size: int) -> UInt8[np.ndarray, "k s s 3"]:
    """Frames scaled to the model's size."""
    if frames.shape[1:3] == (size, size):
        return frames
    how = cv2.INTER_AREA if frames.shape[1] > size else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (size, size), interpolation=how) for frame in frames])
