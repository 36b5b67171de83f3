from __future__ import annotations

import numpy as np
import pytest

from pipelines.render import draw_trails
from pipelines.render.trails import time_colors


def luma(colors: np.ndarray) -> np.ndarray:
    return colors.astype(float) @ [0.299, 0.587, 0.114]


def test_time_runs_from_dark_to_bright() -> None:
    colors = time_colors(48)
    assert colors.shape == (48, 3)
    assert (np.diff(luma(colors)) > 0).all()
    assert colors[0, 2] > colors[0, 0] > colors[0, 1]  # violet
    assert colors[-1, :2].min() > 200 > colors[-1, 2]  # yellow
    assert time_colors(1).shape == (1, 3)


def test_trail_brightens_along_its_way_over_the_first_frame() -> None:
    video = np.zeros((20, 64, 64, 3), dtype=np.uint8)
    video[0, :, :, 0] = 100
    x = np.linspace(4, 58, 20)
    tracks = np.stack([x, np.full(20, 32.5)], axis=1)[None].astype(np.float32)
    image = draw_trails(video, tracks, np.ones((1, 20), bool), scale=1)
    assert image.shape == (64, 64, 3)
    along = luma(image[32, 8:53]).reshape(5, 9).mean(axis=1)
    assert (np.diff(along) > 10).all()
    assert along[-1] - along[0] > 80
    red, green, _ = image[5, 5].astype(int)
    assert 0 < green < red < 100  # darker and paler than the frame, but of its colour


def test_occluded_and_unknown_stretches_are_left_out() -> None:
    video = np.zeros((9, 64, 64, 3), dtype=np.uint8)
    x = np.linspace(4, 60, 9)
    tracks = np.stack([x, np.full(9, 32.5)], axis=1)[None].astype(np.float32)
    visible = np.ones((1, 9), bool)
    visible[0, 4] = False
    gap = tracks.copy()
    gap[0, 4] = np.nan
    for places, seen in ((tracks, visible), (gap, np.ones((1, 9), bool))):
        image = draw_trails(video, places, seen, scale=1)
        assert image[:, 28:37].sum() == 0
        assert image[32, 20].sum() > 0
        assert image[32, 50].sum() > 0


def test_empty_tracks_and_wrong_shapes() -> None:
    video = np.full((1, 16, 16, 3), 80, dtype=np.uint8)
    image = draw_trails(video, np.empty((0, 1, 2), np.float32), np.empty((0, 1), bool))
    assert image.shape == (64, 64, 3)
    assert np.ptp(image) == 0
    with pytest.raises(ValueError, match="tracks"):
        draw_trails(video, np.zeros((1, 2, 2), np.float32), np.ones((1, 2), bool))
