from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipelines.evaluation import TruthClip, compute_metrics
from pipelines.evaluation.breakdown import (
    FACTORS,
    Factor,
    collect_points,
    frames_since_seen,
    hidden_share,
    mean_motion,
    parts,
    pool,
    texture_at,
)

MOTION = Factor("motion", "", (1, 4))


def test_motion_is_path_length_over_frames() -> None:
    steady = np.arange(5)[:, None] * np.array([3.0, 4.0])
    there_and_back = np.array([[0, 0], [6, 0], [6, 6], [0, 6], [0, 0]], float)
    tracks = np.stack([steady, there_and_back, there_and_back, steady])
    seen = np.ones((4, 5), bool)
    seen[2] = [1, 0, 1, 0, 1]  # the diagonal, twice
    seen[3] = [0, 0, 1, 0, 0]
    np.testing.assert_allclose(mean_motion(tracks, seen), [5, 6, 2 * 72**0.5 / 4, 0])


def test_frames_since_seen_go_away_from_the_query() -> None:
    seen = np.array([[0, 0, 1, 1, 0, 0, 1, 1], [1, 0, 0, 0, 1, 1, 1, 1]], bool)
    since = frames_since_seen(seen, np.array([2, 0]))
    assert since.tolist() == [[2, 1, 0, 1, 1, 2, 3, 1], [0, 1, 2, 3, 4, 1, 1, 1]]
    back = frames_since_seen(seen[:, ::-1], np.array([5, 7]))
    np.testing.assert_array_equal(back[:, ::-1], since)


def test_hidden_share_counts_evaluated_frames() -> None:
    occluded = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 0, 0]], bool)
    evaluated = np.array([[0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1]], bool)
    np.testing.assert_allclose(hidden_share(occluded, evaluated), [2 / 3, 0, 0])


def test_texture_is_the_slope_in_the_weakest_direction() -> None:
    y, x = np.mgrid[:90, :90] + 0.5
    waves = 2 * np.pi / 15  # one period fills the window
    amplitude = 50
    slope = amplitude * np.sin(waves) / 2**0.5
    pictures = [
        np.full_like(x, 128.0),
        128 + amplitude * np.sin(waves * x),  # stripes: nothing changes downwards
        128 + amplitude * np.sin(waves * x) + amplitude * np.sin(waves * y),
    ]
    video = np.repeat(np.round(pictures).astype(np.uint8)[..., None], 3, axis=-1)
    queries = np.array([[0, 45, 45], [1, 45, 45], [2, 45, 45], [2, 30, 40.4]])
    found = texture_at(video, queries)
    np.testing.assert_allclose(found[:2], 0, atol=0.01)
    np.testing.assert_allclose(found[2:], slope, rtol=0.01)


def two_tracks(size: int = 256) -> TruthClip:
    """The first stands still; the second moves 2 pixels of 256 a frame and is hidden once."""
    unit = size / 256
    tracks = np.tile(np.array([[[50.0, 60.0]], [[100.0, 80.0]]]), (1, 5, 1))
    tracks[1, :, 0] += 2 * np.arange(5)
    occluded = np.zeros((2, 5), bool)
    occluded[1, 3] = True
    queries = np.array([[0, 60, 50], [0, 80, 100]], float) * (1, unit, unit)
    return TruthClip(np.zeros((5, size, size, 3), np.uint8), queries, tracks * unit, occluded)


@pytest.mark.parametrize("size", [256, 512])
def test_points_of_slow_and_fast_tracks(size: int) -> None:
    clip = two_tracks(size)
    still = np.repeat(clip.queries[:, None, :0:-1], 5, axis=1), np.zeros((2, 5), bool)
    points = collect_points(clip, still, "first")
    np.testing.assert_allclose(points.errors, [0, 0, 0, 0, 2, 4, 6, 8])
    np.testing.assert_allclose(points.motion, [0] * 4 + [2] * 4)
    np.testing.assert_allclose(points.hidden_share, [0] * 4 + [0.25] * 4)
    np.testing.assert_allclose(points.since_seen, [1, 1, 1, 1, 1, 1, 1, 2])
    slow, fast, none = parts(points, MOTION)
    assert (slow.above, slow.up_to, slow.num_points) == (-np.inf, 1, 4)
    assert slow.scores.average_jaccard == 1
    assert (fast.above, fast.up_to, fast.num_points) == (1, 4, 4)
    # Seen at errors of 2, 4 and 8 pixels; claimed while hidden as well.
    np.testing.assert_allclose(fast.scores.pts_within, [0, 0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(fast.scores.jaccard, [0, 0, 1 / 6, 2 / 5, 3 / 4])
    assert fast.scores.occlusion_accuracy == 3 / 4
    assert none.num_points == 0
    assert np.isnan(none.scores.average_jaccard)


def test_every_factor_parts_all_points() -> None:
    rng = np.random.default_rng(0)
    clip = two_tracks()
    scored = np.ones((2, 5), bool)
    scored[0, 2] = False
    clip = dataclasses.replace(
        clip, scored=scored, video=rng.integers(0, 256, (5, 256, 256, 3), np.uint8)
    )
    found = clip.tracks + rng.normal(0, 4, clip.tracks.shape), rng.random((2, 5)) < 0.5
    for mode in ("first", "strided"):
        points = collect_points(clip, found, mode)
        assert len(points.errors) == 7
        for factor in FACTORS:
            assert sum(part.num_points for part in parts(points, factor)) == 7
        (whole,) = parts(points, Factor("motion", "", ()))
        expected = compute_metrics(
            clip.queries[None],
            clip.occluded[None],
            clip.tracks[None],
            found[1][None],
            found[0][None],
            mode,
            scored=scored[None],
        )
        np.testing.assert_allclose(whole.scores.jaccard, expected.jaccard[0])
        np.testing.assert_allclose(whole.scores.occlusion_accuracy, expected.occlusion_accuracy[0])


def test_clips_are_pooled_by_their_points() -> None:
    clip = two_tracks()
    right = clip.tracks, clip.occluded
    wrong = clip.tracks + 100, clip.occluded
    three = [collect_points(clip, found, "first") for found in (right, wrong, wrong)]
    slow, *_ = parts(pool(three), MOTION)
    assert slow.num_points == 12
    assert slow.scores.average_pts_within == pytest.approx(1 / 3)
