from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluation import (
    THRESHOLDS,
    compute_metrics,
    sample_queries_first,
    sample_queries_strided,
)
from pipelines.evaluation.tapvid import score_points


def one_track(
    errors: list[float], gt_hidden: list[int], said_hidden: list[int], query_frame: int = 0
) -> tuple[np.ndarray, ...]:
    """Arguments for one point whose prediction is `errors[t]` pixels off in frame t."""
    num_frames = len(errors)
    truth = np.full((1, 1, num_frames, 2), 50.0)
    found = truth + np.array(errors)[None, None, :, None] * (1.0, 0.0)
    query = np.array([[[query_frame, 50.0, 50.0]]])
    hidden = np.array(gt_hidden, bool)[None, None]
    said = np.array(said_hidden, bool)[None, None]
    return query, hidden, truth, said, found


def test_perfect_tracks_score_one() -> None:
    metrics = compute_metrics(*one_track([0] * 4, [0, 0, 1, 0], [0, 0, 1, 0]), "first")
    assert metrics.average_jaccard == metrics.average_pts_within == 1
    assert metrics.occlusion_accuracy == 1


def test_position_counts_even_where_the_tracker_says_hidden_but_jaccard_does_not() -> None:
    metrics = compute_metrics(*one_track([0, 0, 0], [0, 0, 0], [0, 0, 1]), "first")
    assert metrics.pts_within.tolist() == [[1] * 5]
    assert metrics.jaccard.tolist() == [[0.5] * 5]
    assert metrics.occlusion_accuracy.tolist() == [0.5]


def test_a_wrong_position_counts_as_a_miss_and_as_a_false_claim() -> None:
    metrics = compute_metrics(*one_track([0, 3, 0, 0], [0] * 4, [0] * 4), "first")
    np.testing.assert_allclose(metrics.pts_within, [[2 / 3, 2 / 3, 1, 1, 1]])
    # Two hits; three visible points and one false claim.
    np.testing.assert_allclose(metrics.jaccard, [[2 / 4, 2 / 4, 1, 1, 1]])


def test_claiming_a_hidden_point_is_a_false_claim() -> None:
    metrics = compute_metrics(*one_track([0, 0, 0], [0, 1, 0], [0, 0, 0]), "first")
    assert metrics.jaccard.tolist() == [[0.5] * 5]
    assert metrics.pts_within.tolist() == [[1] * 5]


def test_thresholds_exclude_their_own_distance() -> None:
    for k, threshold in enumerate(THRESHOLDS):
        exact = compute_metrics(*one_track([0, threshold], [0, 0], [0, 0]), "first")
        assert exact.pts_within[0].tolist() == [0] * (k + 1) + [1] * (4 - k)


def test_first_scores_later_frames_and_strided_all_others() -> None:
    case = one_track([9, 99, 0], [0, 0, 0], [0, 0, 0], query_frame=1)
    assert compute_metrics(*case, "first").pts_within[0].tolist() == [1] * 5
    assert compute_metrics(*case, "strided").pts_within[0].tolist() == [0.5] * 4 + [1]


def test_frames_that_are_not_scored_count_nowhere() -> None:
    # Frame 1: far off and claimed. Frame 2: seen, said to be hidden. Frame 3: hidden, claimed.
    case = one_track([0, 99, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0])
    worse = compute_metrics(*case, "first")
    assert worse.average_jaccard.tolist() == [1 / 5]
    scored = np.array([[[1, 0, 0, 0, 1]]], bool)
    metrics = compute_metrics(*case, "first", scored=scored)
    assert metrics.average_jaccard.tolist() == [1]
    assert metrics.average_pts_within.tolist() == [1]
    assert metrics.occlusion_accuracy.tolist() == [1]
    for frame, expected in ((1, (0, 0, 1)), (2, (0, 1, 0)), (3, (0, np.nan, 0))):
        only = np.zeros((1, 1, 5), bool)
        only[..., frame] = True
        single = compute_metrics(*case, "first", scored=only)
        found = (single.average_jaccard, single.average_pts_within, single.occlusion_accuracy)
        np.testing.assert_array_equal(np.concatenate(found), expected)


def test_scoring_the_query_frame_changes_nothing() -> None:
    case = one_track([50, 0, 0], [0, 0, 0], [0, 0, 0])
    everything = np.ones((1, 1, 3), bool)
    for mode in ("first", "strided"):
        plain, masked = (
            compute_metrics(*case, mode),
            compute_metrics(*case, mode, scored=everything),
        )
        np.testing.assert_array_equal(plain.jaccard, masked.jaccard)


def test_points_without_tracks_score_as_their_track_does() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0, 20, 40)
    hidden, said = rng.integers(0, 2, (2, 40))
    case = one_track([0, *errors], [0, *hidden], [0, *said])
    whole = compute_metrics(*case, "first")
    points = score_points(hidden.astype(bool), said.astype(bool), errors)
    np.testing.assert_allclose(points.jaccard, whole.jaccard[0])
    np.testing.assert_allclose(points.pts_within, whole.pts_within[0])
    np.testing.assert_allclose(points.occlusion_accuracy, whole.occlusion_accuracy[0])


def test_nothing_to_find_has_no_score() -> None:
    metrics = compute_metrics(*one_track([0, 0], [0, 1], [0, 1]), "first")
    assert np.isnan(metrics.pts_within).all()
    assert np.isnan(metrics.jaccard).all()
    assert metrics.occlusion_accuracy.tolist() == [1]


def test_tracks_are_scored_apart_if_asked() -> None:
    good = one_track([0, 0, 0], [0] * 3, [0] * 3)
    bad = one_track([0, 99, 99], [0] * 3, [0] * 3)
    both = [np.concatenate(pair, axis=1) for pair in zip(good, bad, strict=True)]
    apart = compute_metrics(*both, "first", trackwise=True)
    assert apart.average_jaccard.tolist() == [[1, 0]]
    assert compute_metrics(*both, "first").average_pts_within.tolist() == [0.5]


def test_unknown_query_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="'first' or 'strided'"):
        compute_metrics(*one_track([0], [0], [0]), "last")


OCCLUDED = np.array([[1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]], bool)
TRACKS = np.arange(36, dtype=np.float64).reshape(3, 6, 2)


def test_first_queries() -> None:
    queries, rows = sample_queries_first(OCCLUDED, TRACKS)
    assert rows.tolist() == [0, 2]
    assert queries.tolist() == [[1, 3, 2], [0, 25, 24]]


def test_strided_queries() -> None:
    queries, rows = sample_queries_strided(OCCLUDED, TRACKS, stride=5)
    assert rows.tolist() == [2, 0]
    assert queries.tolist() == [[0, 25, 24], [5, 11, 10]]


@pytest.fixture(scope="module")
def golden_metrics(shared_root: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared_root / "golden" / "tapvid_metrics.npz"))


@pytest.mark.shared
@pytest.mark.parametrize("trackwise", [False, True])
@pytest.mark.parametrize("mode", ["first", "strided"])
def test_metrics_equal_the_published_evaluation(
    mode: str, trackwise: bool, golden_metrics: dict[str, np.ndarray]
) -> None:
    golden = golden_metrics
    metrics = compute_metrics(
        golden[f"query_points_{mode}"],
        golden["gt_occluded"],
        golden["gt_tracks"],
        golden["pred_occluded"],
        golden["pred_tracks"],
        mode,
        trackwise=trackwise,
    )
    ours = {
        "occlusion_accuracy": metrics.occlusion_accuracy,
        "average_jaccard": metrics.average_jaccard,
        "average_pts_within_thresh": metrics.average_pts_within,
    }
    for k, threshold in enumerate((1, 2, 4, 8, 16)):
        ours[f"jaccard_{threshold}"] = metrics.jaccard[..., k]
        ours[f"pts_within_{threshold}"] = metrics.pts_within[..., k]
    prefix = f"{mode}_trackwise_" if trackwise else f"{mode}_"
    for name, value in ours.items():
        np.testing.assert_allclose(value, golden[prefix + name], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.shared
def test_query_sampling_equals_the_published_one(shared_root: Path) -> None:
    golden = np.load(shared_root / "golden" / "tapvid_query_sampling.npz")
    occluded, points = golden["occluded"], golden["points"]
    for name, sampler in (("first", sample_queries_first), ("strided", sample_queries_strided)):
        queries, rows = sampler(occluded, points)
        np.testing.assert_allclose(queries, golden[f"{name}_query_points"][0], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(points[rows], golden[f"{name}_target_points"][0])
        np.testing.assert_array_equal(occluded[rows], golden[f"{name}_occluded"][0])
    np.testing.assert_array_equal(rows, golden["strided_trackgroup"][0])
