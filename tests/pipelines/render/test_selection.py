from __future__ import annotations

import numpy as np
import pytest

from pipelines.render.selection import drawable, select_even, start_positions


def grid(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[0:rows, 0:columns]
    return np.stack([x.ravel() * 4.0 + 2.0, y.ravel() * 4.0 + 2.0], axis=1)


@pytest.mark.parametrize("limit", [255, 100, 64, 17, 1])
def test_regular_grid_is_thinned_without_uneven_gaps(limit: int) -> None:
    places = grid(16, 16)
    chosen = places[select_even(places, limit)]
    assert 0 < len(chosen) <= limit
    for axis in (0, 1):
        lines = np.unique(chosen[:, axis])
        assert len(np.unique(np.diff(lines))) <= 1
    assert len(chosen) == len(np.unique(chosen[:, 0])) * len(np.unique(chosen[:, 1]))


def test_what_a_grid_leaves_over_is_shared_by_both_ends() -> None:
    places = grid(1, 11)
    assert select_even(places, 3).tolist() == [1, 5, 9]


def test_scattered_positions_are_spread_over_the_box() -> None:
    rng = np.random.default_rng(0)
    dense = rng.uniform(0, 40, (2000, 2))  # a crowd in one corner
    sparse = rng.uniform(0, 256, (500, 2))
    places = np.concatenate([dense, sparse])
    chosen = select_even(places, 100)
    assert 80 <= len(chosen) <= 100
    assert len(np.unique(chosen)) == len(chosen)
    assert (np.diff(chosen) > 0).all()
    quadrant = (places[chosen] // 128).astype(int)
    counts = np.bincount(quadrant[:, 0] + 2 * quadrant[:, 1], minlength=4)
    assert counts.min() >= 15  # a random choice would leave about 5 for three of them


def test_positions_on_a_line_or_in_one_place() -> None:
    line = np.stack([np.full(300, 7.0), np.random.default_rng(0).uniform(0, 99, 300)], axis=1)
    chosen = select_even(line, 10)
    assert 8 <= len(chosen) <= 10
    assert np.ptp(line[chosen, 1]) > 70
    assert len(select_even(np.full((50, 2), 3.0), 10)) == 1


def test_limits_and_unknown_positions() -> None:
    places = grid(4, 4)
    places[3] = np.nan
    assert select_even(places, None).tolist() == list(range(16))
    assert select_even(places, 16).tolist() == list(range(16))
    assert select_even(places, 15).tolist() == [n for n in range(16) if n != 3]
    assert 3 not in select_even(places, 6)
    assert select_even(places, 0).size == 0
    assert select_even(np.full((5, 2), np.nan), 2).size == 0
    with pytest.raises(ValueError, match="negative"):
        select_even(places, -1)


def test_start_is_first_visible_then_first_known_position() -> None:
    tracks = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    visible = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]], dtype=bool)
    tracks[0, 0] = np.nan  # seen, but not known
    tracks[3] = np.nan
    starts = start_positions(tracks, visible)
    np.testing.assert_array_equal(starts[:3], [[2, 3], [8, 9], [12, 13]])
    assert np.isnan(starts[3]).all()


def test_frame_edges_belong_to_the_frame() -> None:
    places = np.array([[[0, 0], [20, 10], [20.1, 5], [-0.1, 5], [5, np.nan], [np.inf, 5]]])
    assert drawable(places, height=10, width=20).tolist() == [[True, True] + [False] * 4]
