from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipelines.evaluation.clips import ask, squeeze

VIDEO = np.zeros((6, 256, 256, 3), np.uint8)
TRACKS = np.arange(24, dtype=np.float64).reshape(2, 6, 2)
OCCLUDED = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 1]], bool)


def test_queries_are_asked_where_points_are_seen_and_scored() -> None:
    scored = np.array([[1, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]], bool)
    clip = ask(VIDEO, TRACKS, OCCLUDED, "first", scored=scored, name="a")
    assert clip.queries.tolist() == [[2, 5, 4], [0, 13, 12]]
    assert clip.queries.dtype == clip.tracks.dtype == np.float32
    np.testing.assert_array_equal(clip.scored, scored)
    assert clip.name == "a"
    assert ask(VIDEO, TRACKS, OCCLUDED, "first").queries.tolist() == [[1, 3, 2], [0, 13, 12]]


def test_strided_queries_skip_what_is_not_scored() -> None:
    scored = np.ones((2, 6), bool)
    assert ask(VIDEO, TRACKS, OCCLUDED, "strided").queries.tolist() == [[0, 13, 12], [5, 11, 10]]
    scored[0, 5] = False
    clip = ask(VIDEO, TRACKS, OCCLUDED, "strided", scored=scored)
    assert clip.queries.tolist() == [[0, 13, 12]]
    np.testing.assert_array_equal(clip.tracks, TRACKS[1:])


def test_tracks_that_are_never_seen_are_not_asked_for() -> None:
    hidden = OCCLUDED.copy()
    hidden[0] = True
    clip = ask(VIDEO, TRACKS, hidden, "first")
    np.testing.assert_array_equal(clip.tracks, TRACKS[1:])
    np.testing.assert_array_equal(clip.occluded, OCCLUDED[1:])


@pytest.mark.parametrize("wanted, frame", [(2, 2), (3, 0), (-1, 0), (6, 0)])
def test_a_wanted_query_frame_must_show_the_point(wanted: int, frame: int) -> None:
    """The second point is hidden on frame 3; frames -1 and 6 are none."""
    clip = ask(VIDEO, TRACKS, OCCLUDED, "first", query_frames=np.array([4, wanted]))
    assert clip.queries[0].tolist() == [4, 9, 8]
    assert clip.queries[1].tolist() == [frame, *TRACKS[1, frame, ::-1]]


def test_frames_are_squeezed_and_keep_their_corners() -> None:
    wide = np.zeros((2, 64, 128, 3), np.uint8)
    wide[:, :32, :64] = 200
    small = squeeze(wide, Image.Resampling.BILINEAR)
    assert small.shape == (2, 256, 256, 3)
    assert small.dtype == np.uint8
    assert (small[:, :120, :120] == 200).all()
    assert (small[:, 136:] == 0).all()
    assert (small[:, :, 136:] == 0).all()


def test_frames_of_the_right_size_are_kept() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    np.testing.assert_array_equal(squeeze(frames, Image.Resampling.LANCZOS), frames)


def test_no_frames_are_an_error() -> None:
    with pytest.raises(ValueError, match="no frames"):
        squeeze([], Image.Resampling.LANCZOS)
