"""Clip identity and the validation of tracks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.trajectories.made_clips import random_clip
from trajectories import ClipTracks, clip_id


def test_clip_id_never_changes() -> None:
    # Datasets written years ago are found again by these digits.
    assert clip_id("/videos/a.mp4", 0, 1_000_000) == "721a2c9c6055d8764fe01bda56eaf7ec"


def test_clip_id_is_unambiguous() -> None:
    spans = [("a", 0, 1), ("a", 1, 0), ("a", 0, 10), ("a0", 0, 1), ("a\0", 0, 1), ("", 0, 1)]
    spans += [("é", 0, 1), ("e\u0301", 0, 1), ("a\udcff", 0, 1), ("a", -1, 1)]
    ids = [clip_id(*span) for span in spans]
    assert len(set(ids)) == len(spans)
    assert all(len(i) == 32 and int(i, 16) >= 0 for i in ids)


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("tracks", np.zeros((9, 7, 2), np.float32), r"tracks has shape \[9, 7, 2\].*\[9, 8, 2\]"),
        ("tracks", np.zeros((8, 8, 2), np.float32), "tracks has shape"),
        ("queries", np.zeros((9, 2), np.float32), r"queries has shape .*expected \[9, 3\]"),
        ("visible", np.zeros((9, 8), np.float32), "visible has type float32, expected bool"),
        ("uncertainty", np.zeros((9, 8), np.int64), "uncertainty has type int64"),
    ],
)
def test_shapes_are_checked(field: str, value: np.ndarray, words: str) -> None:
    clip = random_clip(0)
    with pytest.raises(ValueError, match=words) as caught:
        dataclasses.replace(clip, **{field: value})
    assert clip.info.clip_id in str(caught.value)


def test_a_clip_has_frames() -> None:
    clip = random_clip(0)
    empty = np.zeros((9, 0), np.float32)
    with pytest.raises(ValueError, match="num_frames is 0"):
        ClipTracks(
            info=dataclasses.replace(clip.info, num_frames=0),
            queries=clip.queries,
            tracks=np.zeros((9, 0, 2), np.float32),
            visible=empty.astype(bool),
            uncertainty=empty,
        )
