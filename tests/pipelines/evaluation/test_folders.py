from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluation import evaluate, lucas_kanade
from pipelines.evaluation.folders import read_label, read_truth, truth_files
from pipelines.video import VideoError
from tests.pipelines.evaluation.eval_makers import write_clip

NAN = np.nan


def still(values: list[list[float]]) -> np.ndarray:
    """[N, T, 2] of points (v, v)."""
    return np.repeat(np.array(values, float)[..., None], 2, axis=-1)


def test_pixels_and_frames_of_the_benchmark(tmp_path: Path) -> None:
    file = write_clip(tmp_path, "a", num_frames=6)
    clip = read_truth(file, tmp_path / "a.mp4", ["first"], max_frames=4)["first"]
    assert clip.name == "a"
    assert clip.video.shape == (4, 256, 256, 3)
    # (9.5, 19.5) counts centres at integers: (10, 20) of 128 x 64.
    np.testing.assert_allclose(clip.tracks[0], [[20, 80]] * 4)
    np.testing.assert_allclose(clip.queries, [[0, 80, 20], [0, 128, 128]])
    assert not clip.occluded.any()
    assert clip.scored is not None
    assert clip.scored.all()
    # The video is the same ramp, twice as wide.
    np.testing.assert_allclose(clip.video[0, 128, :, 0], np.linspace(0, 255, 256), atol=6)


def test_both_modes_share_the_frames(tmp_path: Path) -> None:
    asked = read_truth(write_clip(tmp_path, "a"), tmp_path / "a.mp4", ["first", "strided"])
    assert asked["first"].video is asked["strided"].video
    assert asked["strided"].queries[:, 0].tolist() == [0, 0, 5, 5]


def test_unknown_positions_are_not_scored(tmp_path: Path) -> None:
    points = still([[NAN, 1, NAN, 3], [0, 1, 2, 3]])
    visible = np.array([[0, 1, 1, 0], [1, 0, 1, 1]], bool)
    label = read_label(write_clip(tmp_path, "a", 4, points_xy=points, visible=visible))
    assert label.scored.tolist() == [[False, True, False, True], [True] * 4]
    clip = read_truth(tmp_path / "a.npz", tmp_path / "a.mp4", ["first"])["first"]
    assert clip.queries[:, 0].tolist() == [1, 0]
    assert np.isfinite(clip.tracks).all()


def test_only_annotated_frames_are_scored(tmp_path: Path) -> None:
    points = still([[0, 1, NAN, 3]])
    visible = np.array([[1, 1, 0, 1]], bool)
    annotated = np.array([[0, 1, 1, 1]], bool)
    arrays = {"points_xy": points, "visible": visible, "annotated": annotated}
    label = read_label(write_clip(tmp_path, "a", 4, **arrays))
    # Labelled as hidden without a position on frame 2: it is known to be hidden.
    assert label.scored.tolist() == [[False, True, True, True]]
    clip = read_truth(tmp_path / "a.npz", tmp_path / "a.mp4", ["first"])["first"]
    assert clip.queries[0, 0] == 1
    assert clip.occluded.tolist() == [[False, False, True, False]]


def test_unknown_depth_and_query_frames(tmp_path: Path) -> None:
    unknown = np.array([[0, 1, 0, 0], [0, 0, 0, 1]], bool)
    frames = np.array([2, 3])
    file = write_clip(tmp_path, "a", 4, depth_unknown=unknown, query_frame=frames)
    clip = read_truth(file, tmp_path / "a.mp4", ["first"])["first"]
    np.testing.assert_array_equal(clip.scored, ~unknown)
    assert clip.queries[:, 0].tolist() == [2, 0]  # frame 3 is not scored for the second


def test_points_are_chosen_evenly_among_those_that_can_be_asked(tmp_path: Path) -> None:
    points = still([[i, i] for i in range(20)])
    visible = np.ones((20, 2), bool)
    visible[::2] = False
    file = write_clip(tmp_path, "a", 2, points_xy=points, visible=visible)
    clip = read_truth(file, tmp_path / "a.mp4", ["first"], max_points=4)["first"]
    assert (clip.tracks[:, 0, 0] / 2 - 0.5).tolist() == [1, 7, 13, 19]


def test_truth_may_be_shorter_than_the_video(tmp_path: Path) -> None:
    write_clip(tmp_path, "a", 6)
    points = still([[3, 3, 3]])
    np.savez(tmp_path / "a.npz", points_xy=points, visible=np.ones((1, 3), bool))
    clip = read_truth(tmp_path / "a.npz", tmp_path / "a.mp4", ["first"])["first"]
    assert len(clip.video) == 3


def test_videos_may_lie_apart(tmp_path: Path) -> None:
    write_clip(tmp_path / "truth", "b")
    write_clip(tmp_path / "truth", "a")
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a", "b"):
        (tmp_path / "truth" / f"{name}.mp4").rename(videos / f"{name}.mp4")
    found = truth_files(tmp_path / "truth", videos)
    assert [(file.stem, video) for file, video in found] == [
        ("a", videos / "a.mp4"),
        ("b", videos / "b.mp4"),
    ]
    with pytest.raises(ValueError, match=r"a\.npz: no video a\.mp4 in .*truth; .*--videos"):
        truth_files(tmp_path / "truth")


def test_a_folder_without_truth_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.npz files"):
        truth_files(tmp_path)


@pytest.mark.parametrize(
    "arrays, reason",
    [
        ({"points_xy": np.zeros((2, 4, 2))}, "lacks the array visible"),
        ({"visible": np.ones((2, 4), bool)}, "lacks the array points_xy"),
        ({"points_xy": np.zeros((2, 4)), "visible": np.ones((2, 4), bool)}, "points_xy is"),
        ({"points_xy": np.zeros((2, 4, 2)), "visible": np.ones((3, 4), bool)}, "visible is"),
        ({"points_xy": np.zeros((2, 4, 2)), "visible": np.full((2, 4), "yes")}, "visible is"),
    ],
)
def test_arrays_must_be_there_and_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray], reason: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"a\.npz: .*{reason}"):
        read_label(path)


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "objects.npz", points_xy=np.array([None]), visible=np.ones(1))
    for name in ("text", "empty", "objects"):
        with pytest.raises(ValueError, match=rf"{name}\.npz: not a readable"):
            read_label(tmp_path / f"{name}.npz")


def test_a_clip_where_nothing_is_seen(tmp_path: Path) -> None:
    file = write_clip(tmp_path, "a", visible=np.zeros((2, 6), bool))
    with pytest.raises(ValueError, match="no point is seen in the first 6 frames"):
        read_truth(file, tmp_path / "a.mp4", ["first"])


def test_a_broken_video(tmp_path: Path) -> None:
    file = write_clip(tmp_path, "a")
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"a\.mp4"):
        read_truth(file, tmp_path / "a.mp4", ["first"])


@pytest.mark.shared
@pytest.mark.parametrize(
    "name, jaccard, accuracy", [("davis_bear", 27.7, 66.7), ("davis_cows", 36.8, 85.4)]
)
def test_lucas_kanade_scores_as_published_with_the_clips(
    shared_data: Path, name: str, jaccard: float, accuracy: float
) -> None:
    """Few points, none left out: nothing but the protocol is in these figures."""
    files = {file.stem: (file, video) for file, video in _shared_files(shared_data)}
    clip = read_truth(*files[name], ["first"])["first"]
    metrics = evaluate(lucas_kanade, [clip], "first")
    # Releases of OpenCV and FFmpeg differ a little.
    assert 100 * metrics.average_jaccard == pytest.approx(jaccard, abs=0.6)
    assert 100 * metrics.occlusion_accuracy == pytest.approx(accuracy, abs=1.5)


def _shared_files(shared_data: Path) -> list[tuple[Path, Path]]:
    return truth_files(shared_data / "gt", shared_data / "videos" / "gt")
