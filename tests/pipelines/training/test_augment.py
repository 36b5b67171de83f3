"""Mirroring and reversing, on a clip whose points are where a formula says."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.training.augment import Example, augmented, mirrored, reversed_in_time

_T, _H, _W = 5, 8, 12


def moving_dot() -> Example:
    """One bright pixel, at column 2 + t of row 3 in frame t, asked for in frame 1."""
    video = np.zeros((_T, _H, _W, 3), np.uint8)
    frames = np.arange(_T)
    video[frames, 3, 2 + frames] = 255
    tracks = np.stack([2.5 + frames, np.full(_T, 3.5)], axis=-1)[None].astype(np.float32)
    occluded = (frames == 4)[None]
    return Example(video, np.array([[1, 3.5, 3.5]], np.float32), tracks, occluded)


def brightest(video: np.ndarray) -> np.ndarray:
    """(x, y) of the bright pixel's centre in each frame."""
    rows, columns = np.unravel_index(video[..., 0].reshape(_T, -1).argmax(1), (_H, _W))
    return np.stack([columns, rows], axis=-1) + 0.5


@pytest.mark.parametrize("change", [mirrored, reversed_in_time])
def test_tracks_and_queries_stay_on_what_they_mark(change) -> None:  # type: ignore[no-untyped-def]
    example = change(moving_dot())
    np.testing.assert_allclose(example.tracks[0], brightest(example.video))
    t, y, x = example.queries[0]
    np.testing.assert_allclose((x, y), example.tracks[0, int(t)])
    twice = change(example)
    for name, value in vars(moving_dot()).items():
        np.testing.assert_array_equal(getattr(twice, name), value)


def test_mirrored_is_right_to_left() -> None:
    example = mirrored(moving_dot())
    np.testing.assert_allclose(example.tracks[0, :, 0], _W - 2.5 - np.arange(_T))
    np.testing.assert_allclose(example.queries, [[1, 3.5, _W - 3.5]])
    np.testing.assert_array_equal(example.occluded, moving_dot().occluded)


def test_reversed_is_last_to_first() -> None:
    example = reversed_in_time(moving_dot())
    np.testing.assert_allclose(example.tracks[0, :, 0], 2.5 + np.arange(_T)[::-1])
    np.testing.assert_allclose(example.queries, [[3, 3.5, 3.5]])
    np.testing.assert_array_equal(example.occluded[0], [True, False, False, False, False])


def test_the_clip_s_number_decides() -> None:
    def kind(number: int, mirror: bool = True, reverse: bool = True) -> tuple[bool, bool]:
        example = augmented(moving_dot(), number, mirror=mirror, reverse=reverse)
        first = brightest(example.video)[0, 0]
        # Column of the dot in the first frame: 2, mirrored 9; reversed 6, both 5.
        return first in (9.5, 5.5), first in (6.5, 5.5)

    kinds = [kind(number) for number in range(400)]
    assert kinds == [kind(number) for number in range(400)]
    for wanted in [(False, False), (False, True), (True, False), (True, True)]:
        assert 70 < kinds.count(wanted) < 130
    assert [kind(n, reverse=False) for n in range(40)] == [(m, False) for m, _ in kinds[:40]]
    assert [kind(n, mirror=False) for n in range(40)] == [(False, r) for _, r in kinds[:40]]
