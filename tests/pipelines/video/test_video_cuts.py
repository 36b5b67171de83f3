"""Shot cuts on thumbnails made here: what must be found and what must not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pipelines.video.cuts import THUMBNAIL_SIZE, frame_distance, mark_cuts
from tests.pipelines.video.video_makers import texture

SIDE = THUMBNAIL_SIZE


def pan(seed: int, count: int, speed: float) -> list[np.ndarray]:
    whole = texture(seed)
    return [np.roll(whole, -round(k * speed), axis=1)[:SIDE, :SIDE] for k in range(count)]


def cuts_of(frames: list[np.ndarray], **keywords: float) -> list[int]:
    marked = list(mark_cuts(frames, lambda frame: frame, **keywords))
    assert all(frame is item for frame, (item, _) in zip(frames, marked, strict=True))
    return [number for number, (_, cut) in enumerate(marked) if cut]


@pytest.mark.parametrize("seed", range(8))
def test_a_hard_cut_is_found_between_still_and_moving_shots(seed: int) -> None:
    still = pan(10 * seed, 9, 0.0)
    moving = pan(10 * seed + 1, 12, 2.0)
    assert cuts_of(still + moving + still) == [9, 21]


@pytest.mark.parametrize("speed", [1, 3, 6, 12])
def test_a_fast_pan_is_no_cut(speed: int) -> None:
    assert cuts_of(pan(3, 40, speed)) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = pan(4, 20, 0.5)
    for k in range(10, 10 + length):
        frames[k] = np.clip(frames[k].astype(int) + 140, 0, 255).astype(np.uint8)
    assert cuts_of(frames) == []


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_very_short_shot_has_two_cuts(length: int) -> None:
    frames = pan(5, 10, 0.0) + pan(6, length, 0.0) + pan(7, 10, 0.0)
    assert cuts_of(frames) == [10, 10 + length]


def test_a_fade_is_no_cut() -> None:
    picture = texture(7)[:SIDE, :SIDE].astype(float)
    frames = [(picture * level).astype(np.uint8) for level in np.linspace(1, 0, 25)]
    assert cuts_of(frames) == []


@pytest.mark.parametrize("at", [1, 2, 19])
def test_cuts_at_the_ends_of_the_video(at: int) -> None:
    assert cuts_of(pan(8, at, 0.0) + pan(9, 20 - at, 0.0)) == [at]


@pytest.mark.parametrize("count", range(5))
def test_short_videos_give_every_frame_back(count: int) -> None:
    assert cuts_of(pan(1, count, 1.0)) == []


def test_a_higher_threshold_finds_less() -> None:
    frames = pan(10, 10, 0.0) + pan(11, 10, 0.0)
    distance = frame_distance(frames[9], frames[10])
    assert cuts_of(frames, threshold=distance * 0.99) == [10]
    assert cuts_of(frames, threshold=distance * 1.01) == []


def test_distance_has_its_stated_ends() -> None:
    black, white = np.zeros((SIDE, SIDE, 3), np.uint8), np.full((SIDE, SIDE, 3), 255, np.uint8)
    assert frame_distance(black, black) == 0.0
    assert frame_distance(black, white) == pytest.approx(1.5, abs=0.02)


def test_frames_come_out_after_three_more_have_gone_in() -> None:
    given = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal given
        for frame in pan(2, 100, 1.0):
            given += 1
            yield frame

    for received, _ in enumerate(mark_cuts(frames(), lambda frame: frame), start=1):
        assert given - received <= 3
