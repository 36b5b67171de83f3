from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from pipelines.evaluation import Metrics, TruthClip, evaluate
from pipelines.evaluation.benchmark import average_sets


def clip_with_shift(
    shift: float, size: tuple[int, int] = (256, 256), occluded: bool = False
) -> TruthClip:
    """Two points that move `shift` pixels to the right in each of three frames."""
    video = np.zeros((3, *size, 3), np.uint8)
    start = np.array([[10.0, 20.0], [50.0, 60.0]])
    tracks = start[:, None] + np.arange(3)[:, None] * np.array([shift, 0.0])
    queries = np.concatenate([np.zeros((2, 1)), start[:, ::-1]], axis=1)
    hidden = np.zeros((2, 3), bool)
    hidden[:, 1:] = occluded
    return TruthClip(video, queries, tracks, hidden)


def standing(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tracks = np.repeat(queries[:, None, :0:-1], len(video), axis=1)
    return tracks, np.zeros(tracks.shape[:2], bool)


def test_scores_are_averaged_over_clips() -> None:
    metrics = evaluate(standing, [clip_with_shift(0), clip_with_shift(100)], "first")
    assert metrics == Metrics(0.5, 0.5, 1.0, (0.5,) * 5, (0.5,) * 5, 2)


def test_errors_are_measured_at_256_pixels() -> None:
    # 3 pixels of 512 are 1.5 of 256; the last frame is off by twice as much.
    metrics = evaluate(standing, [clip_with_shift(3, (512, 512))], "first")
    assert metrics.pts_within == (0, 0.5, 1, 1, 1)
    wide = evaluate(standing, [clip_with_shift(3, (256, 512))], "first")
    assert wide.pts_within == metrics.pts_within


def test_clips_without_visible_points_do_not_spoil_the_average() -> None:
    clips = [clip_with_shift(0), clip_with_shift(0, occluded=True)]
    metrics = evaluate(standing, clips, "first")
    assert metrics.average_pts_within == 1
    assert metrics.occlusion_accuracy == 0.5
    assert metrics.average_jaccard == 0.5  # points claimed where nothing is to be seen


def test_unknown_truth_is_not_scored() -> None:
    clip = clip_with_shift(100)
    scored = np.array([[1, 0, 0], [1, 1, 0]], bool)
    tracks = clip.tracks.copy()
    tracks[1, 1] = tracks[1, 0]
    known = dataclasses.replace(clip, tracks=tracks, scored=scored)
    assert evaluate(standing, [clip], "first").average_jaccard == 0
    assert evaluate(standing, [known], "first").average_jaccard == 1


def test_a_score_that_no_clip_has_is_unknown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = evaluate(standing, [clip_with_shift(0, occluded=True)], "first")
    assert np.isnan(metrics.average_pts_within)
    assert metrics.occlusion_accuracy == 0


def test_sets_count_the_same_whatever_their_size() -> None:
    good = Metrics(1, 1, 1, (1.0,) * 5, (1.0,) * 5, 30)
    bad = Metrics(0, 0, 0.5, (0.0,) * 5, (0.0,) * 5, 1)
    assert average_sets([good, bad]) == Metrics(0.5, 0.5, 0.75, (0.5,) * 5, (0.5,) * 5, 31)


def test_no_clips_is_an_error() -> None:
    with pytest.raises(ValueError, match="no clips"):
        evaluate(standing, [], "first")
