"""Changed clips against motions in closed form, and pictures against their tracks."""

from __future__ import annotations

import numpy as np
import pytest

from models import grid_queries
from pipelines.training.animation.augment import (
    Change,
    change_frames,
    change_tracks,
    draw_change,
)
from pipelines.training.animation.clips import GridTracks
from pipelines.training.animation.config import AugmentConfig

_SIZE, _GRID, _FRAMES = 64, 16, 5
_WINDOW = Change(left=0.2, top=0.05, side=0.7)


def starts() -> np.ndarray:
    return grid_queries(_SIZE, _SIZE, _GRID, _GRID)[:, [2, 1]].astype(float)


def as_grid(positions: np.ndarray, visible: np.ndarray | None = None) -> GridTracks:
    """From [t, n, 2]."""
    shape = len(positions), 2, _GRID, _GRID
    if visible is None:
        visible = np.ones((shape[0], shape[2], shape[3]), bool)
    tracks = positions.transpose(0, 2, 1).reshape(shape).astype(np.float32)
    return GridTracks(tracks, visible)


def affine(points: np.ndarray) -> np.ndarray:
    """Turns, stretches and moves more from frame to frame: [t, n, 2]."""
    frames = []
    for t in range(_FRAMES):
        matrix = np.array([[1 + 0.02 * t, -0.03 * t], [0.02 * t, 1 - 0.01 * t]])
        frames.append((points - 30) @ matrix.T + 30 + np.array([1.5, -0.5]) * t)
    return np.stack(frames)


def test_an_affine_motion_stays_exact_in_a_crop() -> None:
    changed = change_tracks(as_grid(affine(starts())), _WINDOW, _SIZE)
    corner = np.array([0.2, 0.05]) * _SIZE
    truth = (affine(corner + starts() * 0.7) - corner) / 0.7
    np.testing.assert_allclose(changed.tracks, as_grid(truth).tracks, atol=1e-3)
    inside = ((truth >= 0) & (truth <= _SIZE)).all(axis=2).reshape(changed.visible.shape)
    assert not inside.all()
    np.testing.assert_array_equal(changed.visible, inside)


def test_tracks_start_on_the_grid() -> None:
    for change in (_WINDOW, Change(flip=True), Change(flip=True, side=0.8, left=0.1)):
        changed = change_tracks(as_grid(affine(starts())), change, _SIZE)
        np.testing.assert_allclose(changed.tracks[0], as_grid(starts()[None]).tracks[0], atol=1e-4)


def test_mirroring_twice_changes_nothing() -> None:
    visible = np.random.default_rng(0).random((_FRAMES, _GRID, _GRID)) < 0.5
    clip, flip = as_grid(affine(starts()), visible), Change(flip=True)
    once = change_tracks(clip, flip, _SIZE)
    np.testing.assert_allclose(once.tracks[:, 0], _SIZE - clip.tracks[:, 0, :, ::-1], atol=1e-4)
    twice = change_tracks(once, flip, _SIZE)
    np.testing.assert_allclose(twice.tracks, clip.tracks, atol=1e-4)
    np.testing.assert_array_equal(twice.visible, visible)


def test_no_point_lies_between_two_surfaces() -> None:
    # The left half stands, the right half moves by 3 cells and is hidden.
    positions = np.repeat(starts()[None], _FRAMES, axis=0)
    right = starts()[:, 0] > 32
    positions[1:, right, 0] += 12
    visible = np.ones((_FRAMES, _GRID * _GRID), bool)
    visible[1:, right] = False
    clip = as_grid(positions, visible.reshape(_FRAMES, _GRID, _GRID))
    changed = change_tracks(clip, _WINDOW, _SIZE)
    motion = (changed.tracks[1] - changed.tracks[0])[0]
    assert set(np.round(motion, 3).ravel().tolist()) == {0, np.float32(round(12 / 0.7, 3))}
    np.testing.assert_array_equal(changed.visible[1], motion == 0)


def bump(center: np.ndarray) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3]: a bright spot around (x, y)."""
    y, x = np.mgrid[:_SIZE, :_SIZE] + 0.5
    spot = 200 * np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / 18)
    return np.repeat(np.rint(spot)[..., None], 3, axis=-1).astype(np.uint8)


def middle_of(image: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:_SIZE, :_SIZE] + 0.5
    weight = image[..., 0].astype(float)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("flip", [False, True])
def test_frames_and_tracks_change_alike(flip: bool) -> None:
    path = np.array([[30.0, 24.0], [33.0, 27.0], [36.0, 30.0]])
    moves = starts()[None] + (path - path[0])[:, None]
    change = Change(flip=flip, left=0.2, top=0.05, side=0.7)
    frames = change_frames(np.stack([bump(place) for place in path]), change)
    tracks = change_tracks(as_grid(moves), change, _SIZE).tracks
    expected = (path - np.array([0.2, 0.05]) * _SIZE) / 0.7
    if flip:
        expected[:, 0] = _SIZE - expected[:, 0]
    found = np.stack([middle_of(frame) for frame in frames])
    np.testing.assert_allclose(found, expected, atol=0.15)
    np.testing.assert_allclose((tracks - tracks[0])[:, :, 5, 5], expected - expected[0], atol=1e-3)


def test_colours_change_all_frames_in_the_same_way() -> None:
    frames = np.random.default_rng(0).integers(60, 190, (3, 8, 8, 3), dtype=np.uint8)
    frames[2] = frames[0]
    changed = change_frames(frames, Change(brightness=0.1, contrast=1.1, saturation=0.8))
    np.testing.assert_array_equal(changed[0], changed[2])
    brighter = change_frames(frames, Change(brightness=0.1)).astype(int)
    assert np.abs(brighter - frames - 25.5).max() <= 0.5
    grey = change_frames(frames, Change(saturation=0))
    assert np.ptp(grey.astype(int), axis=-1).max() == 0


def test_nothing_drawn_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    still = draw_change(AugmentConfig(0, 0, 0, 0, 0), rng)
    assert still == Change()
    clip = as_grid(affine(starts()))
    assert change_tracks(clip, still, _SIZE) == GridTracks(clip.tracks, clip.visible) or (
        change_tracks(clip, still, _SIZE).tracks is clip.tracks
    )
    frames = rng.integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(change_frames(frames, still), frames)


def test_draws_stay_within_their_bounds() -> None:
    config, rng = AugmentConfig(), np.random.default_rng(0)
    draws = [draw_change(config, rng) for _ in range(300)]
    assert 0.4 < np.mean([d.flip for d in draws]) < 0.6
    assert min(d.side for d in draws) >= 1 / 1.3
    assert all(0 <= d.left <= 1 - d.side and 0 <= d.top <= 1 - d.side for d in draws)
    assert all(abs(d.brightness) <= 0.1 and abs(d.saturation - 1) <= 0.15 for d in draws)


@pytest.mark.parametrize("name,value", [("flip", 2.0), ("zoom", 0.5), ("contrast", 1.0)])
def test_settings_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"augment.{name}"):
        AugmentConfig(**{name: value})
