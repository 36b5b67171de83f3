from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluation.consistency import (
    Consistency,
    consistency,
    jitter,
    mean_consistency,
    read_clip,
    return_queries,
)
from tests.pipelines.evaluation.eval_makers import drifting, write_clip

VIDEO = np.zeros((5, 64, 64, 3), np.uint8)
QUERIES = np.array([[0, 10, 20], [0, 30, 40]], np.float32)


def moving(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follows a scene that moves by (3, -1) pixels a frame, without fault."""
    steps = (np.arange(len(video)) - queries[:, :1])[..., None] * np.array([3.0, -1.0])
    tracks = queries[:, None, :0:-1] + steps
    return tracks, np.zeros(tracks.shape[:2], bool)


def test_a_tracker_without_fault_comes_back() -> None:
    figures = consistency(moving, VIDEO, QUERIES)
    assert figures == Consistency(return_error=0, returned=1, jitter=0, visible=1)


def test_drift_adds_up_on_both_ways() -> None:
    # Half a pixel a frame over 4 frames, twice: 4 pixels are not within 4.
    figures = consistency(drifting(0.5).track, VIDEO, QUERIES)
    assert (figures.return_error, figures.returned) == (4, 0)
    assert consistency(drifting(0.49).track, VIDEO, QUERIES).returned == 1


def test_the_way_back_starts_where_the_point_was_last_seen() -> None:
    asked = []

    def losing(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(queries)
        tracks, occluded = drifting(1).track(video, queries)
        occluded[:, 3:] = True
        return tracks, occluded

    figures = consistency(losing, VIDEO, QUERIES)
    assert asked[1].tolist() == [[2, 10, 22], [2, 30, 42]]
    assert figures.return_error == 4
    assert figures.visible == 3 / 5


def test_points_that_are_lost_at_once_have_no_way_back() -> None:
    occluded = np.array([[0, 1, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]], bool)
    tracks = np.arange(24, dtype=float).reshape(3, 4, 2)
    starts, rows = return_queries(tracks, occluded)
    assert rows.tolist() == [1]
    assert starts.tolist() == [[3, 15, 14]]
    assert starts.dtype == np.float32

    def blind(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tracks, occluded = moving(video, queries)
        return tracks, ~occluded

    figures = consistency(blind, VIDEO, QUERIES)
    assert np.isnan([figures.return_error, figures.returned, figures.jitter]).all()
    assert figures.visible == 0


def test_jitter_is_the_second_difference() -> None:
    frames = np.arange(6)
    falling = np.stack([frames * 2.0, 1.5 * frames**2], axis=1)  # 3 px/frame^2
    shaking = np.stack([(-1.0) ** frames, 0.0 * frames], axis=1)  # 4 px/frame^2
    seen = np.zeros((2, 6), bool)
    assert jitter(np.stack([falling, shaking]), seen) == pytest.approx(3.5)
    hidden = seen.copy()
    hidden[1, 3] = True  # leaves the bend at frame 1 of the second
    assert jitter(np.stack([falling, shaking]), hidden) == pytest.approx((4 * 3 + 1 * 4) / 5)
    assert np.isnan(jitter(falling[None, :2], seen[:1, :2]))


def test_means_leave_out_what_is_unknown() -> None:
    nan = float("nan")
    figures = [
        Consistency(2, 0.5, 1, 0.5),
        Consistency(4, 1, nan, 1),
        Consistency(nan, nan, nan, 0),
    ]
    assert mean_consistency(figures) == Consistency(3, 0.75, 1, 0.5)
    assert np.isnan(mean_consistency(figures[2:]).jitter)


def test_videos_are_read_at_the_benchmarks_size(tmp_path: Path) -> None:
    write_clip(tmp_path, "a")
    assert read_clip(tmp_path / "a.mp4", 4).shape == (4, 256, 256, 3)
