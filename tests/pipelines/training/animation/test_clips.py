"""Tracks of a dataset on the grid of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.extract import ExtractSettings, settings_to_dict
from pipelines.training.animation.clips import Shape, check_dataset, to_grid, to_size
from pipelines.video import ClipSettings
from tests.pipelines.training.animation.animation_makers import (
    FRAMES,
    GRID,
    SHAPE,
    SIZE,
    grid_clip,
    write_clips,
)
from tests.trajectories.made_clips import random_clip
from trajectories import DatasetError, DatasetSpec, create_dataset


def test_rows_and_columns_of_the_grid() -> None:
    grid = to_grid(grid_clip("/v/a.mp4", velocity=(2, -1)), SHAPE)
    assert grid.tracks.shape == (FRAMES, 2, GRID, GRID)
    assert grid.visible.shape == (FRAMES, GRID, GRID)
    for t in range(FRAMES):
        for i in range(GRID):
            for j in range(GRID):
                x, y = (j + 0.5) * SIZE / GRID + 2 * t, (i + 0.5) * SIZE / GRID - t
                np.testing.assert_allclose(grid.tracks[t, :, i, j], [x, y])


def test_a_smaller_frame_and_fewer_frames() -> None:
    clip = grid_clip("/v/a.mp4", velocity=(2, -1))
    small = to_grid(clip, Shape(3, SIZE // 2, GRID))
    np.testing.assert_allclose(small.tracks, to_grid(clip, SHAPE).tracks[:3] / 2)
    assert to_size(np.zeros((2, 32, 32, 3), np.uint8), 16).shape == (2, 16, 16, 3)
    assert to_size(np.full((1, 16, 16, 3), 7, np.uint8), 32).max() == 7


@pytest.mark.parametrize(
    "shape,words",
    [
        (Shape(FRAMES + 1, SIZE, GRID), "clips of 4 frames.*num_frames = 4"),
        (Shape(FRAMES, SIZE, 8), "4 x 4 points.*asks for 8 x 8.*--grid 8"),
    ],
)
def test_a_dataset_of_another_shape_is_refused(tmp_path: Path, shape: Shape, words: str) -> None:
    clip = grid_clip("/v/a.mp4")
    dataset = write_clips(tmp_path / "d", [clip])
    check_dataset(dataset, SHAPE)
    with pytest.raises(DatasetError, match=words):
        check_dataset(dataset, shape)
    with pytest.raises(DatasetError):
        to_grid(clip, shape)


def test_query_points_in_the_middle_are_refused(tmp_path: Path) -> None:
    settings = ExtractSettings(
        grid=GRID, query_frame="middle", clip=ClipSettings(num_frames=FRAMES, size=SIZE)
    )
    spec = DatasetSpec(
        tracker="none", weights_digest="0", settings=settings_to_dict(settings, "dataset")
    )
    with pytest.raises(DatasetError, match="--query-frame first"):
        check_dataset(create_dataset(tmp_path / "d", spec), SHAPE)


def test_query_points_that_are_no_grid_are_refused() -> None:
    clip = random_clip(0, num_tracks=9)
    clip.queries[4] += 20
    with pytest.raises(DatasetError, match="not the centres of 3 x 3 cells"):
        to_grid(clip, Shape(8, 256, 3))
    assert to_grid(random_clip(0, num_tracks=9), Shape(8, 256, 3)).tracks.shape == (8, 2, 3, 3)
