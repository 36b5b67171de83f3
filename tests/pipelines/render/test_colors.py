from __future__ import annotations

import numpy as np
import pytest

from pipelines.render import rainbow_colors


def grid(count: int, size: float = 256.0) -> np.ndarray:
    line = (np.arange(count) + 0.5) * size / count
    x, y = np.meshgrid(line, line)
    return np.stack([x, y], axis=2)  # [row, column, (x, y)]


def test_neighbours_are_similar_and_distant_points_differ() -> None:
    places = grid(16).reshape(-1, 2)
    colors = rainbow_colors(places, (256, 256)).astype(float)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    unlike = np.linalg.norm(colors[:, None] - colors[None], axis=2)
    assert unlike[apart < 17].max() < 60
    same_row = np.abs(places[:, None, 1] - places[None, :, 1]) < 1
    assert unlike[same_row & (apart > 60)].min() > 60


def test_rows_and_columns_have_colours_of_their_own() -> None:
    colors = rainbow_colors(grid(16).reshape(-1, 2), (256, 256))
    assert len(np.unique(colors, axis=0)) == 256


def test_all_colours_are_bright() -> None:
    colors = rainbow_colors(grid(32).reshape(-1, 2), (256, 256)).astype(float)
    assert (colors @ [0.299, 0.587, 0.114]).min() > 90
    assert colors.dtype == float
    assert colors.max(axis=1).min() > 190


def test_colour_depends_on_own_position_only() -> None:
    places = np.random.default_rng(0).uniform(0, 100, (50, 2))
    order = np.random.default_rng(1).permutation(50)
    colors = rainbow_colors(places, (100, 100))
    assert colors.dtype == np.uint8
    np.testing.assert_array_equal(rainbow_colors(places[order], (100, 100)), colors[order])
    np.testing.assert_array_equal(rainbow_colors(places * 3, (300, 300)), colors)


def test_without_extent_the_whole_ramp_is_used() -> None:
    left, right = rainbow_colors(np.array([[40.0, 10.0], [42.0, 10.0]])).astype(int)
    assert left[0] > left[2]  # reddish
    assert right[2] > right[1]  # violet


def test_unknown_positions_are_grey_and_nothing_is_fine() -> None:
    colors = rainbow_colors(np.array([[np.nan, 3.0], [1.0, 2.0], [np.inf, 0.0]]), (4, 4))
    assert colors[0].tolist() == colors[2].tolist() == [200, 200, 200]
    assert np.ptp(colors[1].astype(int)) > 50
    assert rainbow_colors(np.empty((0, 2))).shape == (0, 3)
    with pytest.raises(ValueError, match=r"\[N, 2\]"):
        rainbow_colors(np.zeros((3, 3)))
