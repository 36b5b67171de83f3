"""Statistics against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trajectories.made_clips import info
from trajectories import ClipTracks, encode_clip

FRAMES = 9
FINE = 1 / 2048 + 1e-6  # columns are rounded to 1/1024


def _clip(
    start: np.ndarray, velocity: np.ndarray, visible: np.ndarray, query_t: float = 0.0
) -> ClipTracks:
    frames = np.arange(FRAMES)[:, None]
    tracks = (start[:, None] + velocity[:, None] * frames).astype(np.float32)
    at_query = start + velocity * query_t
    queries = np.column_stack([np.full(len(start), query_t), at_query[:, ::-1]])
    return ClipTracks(
        info=info(num_frames=FRAMES),
        queries=queries.astype(np.float32),
        tracks=tracks,
        visible=visible,
        uncertainty=np.full(visible.shape, 0.25, np.float32),
    )


def test_uniform_translation() -> None:
    start = np.array([[10.0, 20.0], [30.0, 40.0], [50.5, 60.25]])
    clip = _clip(start, np.tile([0.75, -1.0], (3, 1)), np.ones((3, FRAMES), bool), query_t=4.0)
    encoded = encode_clip(clip)
    stats = encoded.track_stats
    ones = np.ones(3)
    for name, expected in {
        "track": np.arange(3),
        "query_t": 4 * ones,
        "start_x": start[:, 0] + 4 * 0.75,
        "start_y": start[:, 1] - 4,
        "end_x": start[:, 0] + 8 * 0.75,
        "end_y": start[:, 1] - 8,
        "displacement": 10 * ones,
        "path_length": 10 * ones,
        "mean_speed": 1.25 * ones,
        "max_speed": 1.25 * ones,
        "visible_fraction": ones,
        "mean_uncertainty": 0.25 * ones,
    }.items():
        np.testing.assert_allclose(stats[name], expected, atol=FINE, err_msg=name)
    assert encoded.clip_stats == pytest.approx(
        {
            "num_tracks": 3,
            "mean_displacement": 10,
            "median_displacement": 10,
            "p90_displacement": 10,
            "mean_speed": 1.25,
            "moving_fraction": 1,
            "visible_fraction": 1,
            "mean_uncertainty": 0.25,
            "camera_dx": 6,
            "camera_dy": -8,
        },
        abs=FINE,
    )


def test_standing_still() -> None:
    start = np.array([[10.0, 20.0], [30.0, 40.0]])
    encoded = encode_clip(_clip(start, np.zeros((2, 2)), np.ones((2, FRAMES), bool)))
    for name in ("displacement", "path_length", "mean_speed", "max_speed"):
        assert encoded.track_stats[name].tolist() == [0, 0]
    assert encoded.clip_stats["moving_fraction"] == 0
    assert encoded.clip_stats["camera_dx"] == encoded.clip_stats["camera_dy"] == 0


def test_occlusion_hides_motion() -> None:
    visible = np.zeros((4, FRAMES), bool)
    visible[0, :5] = True  # seen in the first half
    visible[1, [0, 1, 7, 8]] = True  # hidden in between
    visible[2, 3] = True  # seen once
    start = np.array([[10.0, 20.0]] * 4)
    encoded = encode_clip(_clip(start, np.tile([3.0, 4.0], (4, 1)), visible))
    stats = encoded.track_stats
    np.testing.assert_allclose(stats["displacement"], [20, 40, 0, 0], atol=FINE)
    np.testing.assert_allclose(stats["path_length"], [20, 10, 0, 0], atol=FINE)
    np.testing.assert_allclose(stats["mean_speed"], [5, 5, 0, 0], atol=FINE)
    np.testing.assert_allclose(stats["max_speed"], [5, 5, 0, 0], atol=FINE)
    np.testing.assert_allclose(stats["visible_fraction"], np.array([5, 4, 1, 0]) / 9, atol=1e-6)
    np.testing.assert_allclose(stats["end_x"], [10 + 12, 10 + 24, 10 + 9, 10], atol=1e-6)
    # Tracks seen once or never say nothing about the camera.
    assert encoded.clip_stats["camera_dx"] == pytest.approx((12 + 24) / 2)
    assert encoded.clip_stats["moving_fraction"] == pytest.approx(0.5)


def test_there_and_back() -> None:
    """A path is longer than its displacement."""
    clip = _clip(np.array([[10.0, 20.0]]), np.zeros((1, 2)), np.ones((1, FRAMES), bool))
    clip.tracks[0, 1::2, 0] += 2
    stats = encode_clip(clip).track_stats
    assert stats["displacement"].tolist() == [0]
    assert stats["path_length"].tolist() == [16]
    assert stats["mean_speed"].tolist() == [2]


@pytest.mark.parametrize("query_t, frame", [(-3.0, 0), (2.4, 2), (2.6, 3), (99.0, FRAMES - 1)])
def test_start_is_at_the_frame_nearest_to_the_query(query_t: float, frame: int) -> None:
    clip = _clip(
        np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]]), np.ones((1, FRAMES), bool), query_t
    )
    assert encode_clip(clip).track_stats["start_x"].tolist() == [frame]


def test_one_frame_and_no_tracks() -> None:
    one = ClipTracks(
        info=info(num_frames=1),
        queries=np.zeros((2, 3), np.float32),
        tracks=np.ones((2, 1, 2), np.float32),
        visible=np.ones((2, 1), bool),
        uncertainty=np.zeros((2, 1), np.float32),
    )
    assert encode_clip(one).track_stats["max_speed"].tolist() == [0, 0]
    none = ClipTracks(
        info=info(num_frames=1),
        queries=np.zeros((0, 3), np.float32),
        tracks=np.ones((0, 1, 2), np.float32),
        visible=np.ones((0, 1), bool),
        uncertainty=np.zeros((0, 1), np.float32),
    )
    assert set(encode_clip(none).clip_stats.values()) == {0.0}
