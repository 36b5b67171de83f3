"""Frames at the photo's resolution, for motions whose result is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models.animation.completion import complete_warp, mirror_beyond_border
from models.animation.composite import Box, enlarge_map, full_resolution_frames
from models.animation.motion_field import grid_centers
from models.animation.surroundings import extend_tracks
from models.animation.warp import inverse_map

CELLS, SIZE = 16, 64
POINTS = grid_centers(CELLS, CELLS, torch.zeros(1)) * (SIZE / CELLS)


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def smooth_photo(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + k) * np.cos(y / 7 - k) for k in range(3)]
    return np.uint8(127.5 + 100 * np.stack(waves, axis=2))


def shifts(*steps: tuple[float, float]) -> Tensor:
    """Tracks [t, 2, h, w] of the whole frame moving to each of the steps."""
    return torch.stack([POINTS + torch.tensor(step)[:, None, None] for step in steps])


def seen(frames: int) -> Tensor:
    return torch.ones(frames, CELLS, CELLS)


def object_goes_right(pixels: float) -> tuple[Tensor, Tensor]:
    """Two frames; an object of 4 × 8 cells moves over a background that stays."""
    mask = torch.zeros(CELLS, CELLS, dtype=torch.bool)
    mask[4:12, 3:7] = True
    tracks = torch.stack((POINTS, POINTS)).clone()
    tracks[1, 0][mask] += pixels
    visible = seen(2)
    visible[1] = (mask | ~torch.roll(mask, round(pixels * CELLS / SIZE), 1)).float()
    return tracks, visible


@pytest.mark.parametrize("size", [(64, 64), (100, 100), (61, 97)])
def test_without_motion_every_frame_is_the_photo(size: tuple[int, int]) -> None:
    image = photo(*size)
    box = Box(size[1] / 2 - 30, size[0] / 2 - 30, 60, 60)
    tracks = shifts((0, 0), (0, 0), (0, 0))
    frames = list(full_resolution_frames(image, tracks, seen(3), None, box))
    assert len(frames) == 3
    for frame in frames:
        assert frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - image).max() <= 1


def test_a_pan_moves_the_photos_own_pixels() -> None:
    """The model frame is a centre crop at half size: 3 pixels there are 6 of the photo."""
    image = photo(128, 192)
    box = Box(32, 0, 128, 128)
    *_, last = full_resolution_frames(image, shifts((0, 0), (3, -2)), seen(2), None, box)
    expected = np.roll(image, (-4, 6), (0, 1))[4:-4, 6:]
    assert np.abs(last[4:-4, 6:].astype(int) - expected).max() <= 2


def test_the_border_shows_the_mirror_image() -> None:
    image = photo(64, 64)
    *_, last = full_resolution_frames(
        image, shifts((0, 0), (6, 0)), seen(2), None, Box(0, 0, 64, 64)
    )
    assert np.abs(last[:, :6].astype(int) - image[:, 5::-1]).max() <= 2


def test_a_photo_that_is_fitted_into_the_frame() -> None:
    """64 × 32 in a square frame: rows 16 to 48 of it."""
    image = photo(32, 64)
    tracks = shifts((0, 0), (0, 5))
    *_, last = full_resolution_frames(image, tracks, seen(2), None, Box(0, -16, 64, 64))
    assert last.shape == image.shape
    assert np.abs(last[5:].astype(int) - image[:-5]).max() <= 2
    assert np.abs(last[:5].astype(int) - image[4::-1]).max() <= 2


def test_generated_content_is_used_in_holes_only_and_takes_their_colours() -> None:
    tracks, visible = object_goes_right(20.0)
    image = np.full((128, 128, 3), 180, np.uint8)
    image[32:96, 24:56] = 30  # the object
    # The pixel model has drawn the background too dark by 60, with a stripe in it.
    generated = torch.full((2, 3, SIZE, SIZE), 120 / 127.5 - 1)
    generated[:, :, 30:34] = 150 / 127.5 - 1
    box = Box(0, 0, 128, 128)
    *_, last = full_resolution_frames(image, tracks, visible, generated, box)
    *_, bare = full_resolution_frames(image, tracks, visible, None, box)
    hole = np.zeros((128, 128), bool)
    hole[30:98, 22:58] = True
    assert np.abs(last.astype(int) - bare)[~hole].max() <= 2
    assert np.abs(last[36:54, 24:56].astype(int) - 180).max() < 15
    assert np.abs(last[62:66, 32:48].astype(int) - 210).max() < 20
    assert np.abs(bare[36:92, 24:56].astype(int) - 180).max() < 10
    assert last[70:90, 70:90].max() < 35


def test_generated_content_stays_in_its_box() -> None:
    image = np.full((64, 128, 3), 100, np.uint8)
    generated = torch.ones(2, 3, SIZE, SIZE)
    tracks = shifts((0, 0), (0, 12))
    *_, last = full_resolution_frames(image, tracks, seen(2), generated, Box(32, 0, 64, 64))
    assert np.abs(last.astype(int) - 100).max() <= 2  # its colour is corrected to the photo's


def test_small_maps_serve_large_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    image = smooth_photo(160, 240)
    tracks = torch.stack((POINTS, (POINTS - 32) * 1.1 + 30))
    box = Box(40, 0, 160, 160)
    *_, full = full_resolution_frames(image, tracks, seen(2), None, box)
    monkeypatch.setattr("models.animation.composite._MAP_SIDE", 120)
    *_, small = full_resolution_frames(image, tracks, seen(2), None, box)
    assert np.abs(full.astype(int) - small).mean() < 0.5


def test_a_map_is_enlarged_without_mixing_surfaces() -> None:
    tracks, visible = object_goes_right(20.0)
    coarse = inverse_map(tracks[1:], visible[1:], (SIZE, SIZE))
    fine = enlarge_map(coarse, (3 * SIZE, 3 * SIZE))
    moved = fine.source[0, 0] * SIZE - grid_centers(3 * SIZE, 3 * SIZE, tracks)[0] / 3
    shown = fine.covered[0, 0] > 0
    assert torch.minimum(moved.abs(), (moved + 20).abs())[shown].max() < 0.05
    assert set(fine.covered.unique().tolist()) <= {0.0, 0.5, 1.0}


def test_around_the_model_frame_everything_goes_with_the_camera() -> None:
    tracks = shifts((0, 0), (4, 8))
    around = extend_tracks(tracks, seen(2), Box(64, 0, 128, 128), (128, 256), stride=4)
    assert around.tracks.shape == (2, 2, CELLS, CELLS + 16)
    moved = around.tracks - grid_centers(CELLS, CELLS + 16, tracks)
    torch.testing.assert_close(
        moved[1], torch.tensor([1.0, 2.0])[:, None, None].expand_as(moved[1]), atol=1e-3, rtol=0
    )
    window = around.window
    assert (window.left, window.top, window.right, window.bottom) == (0, 0, CELLS + 16, CELLS)


def test_an_object_that_the_model_frame_cuts_is_not_torn() -> None:
    """What moves at the edge of the frame moves just outside of it, too, and less farther off."""
    tracks = torch.stack((POINTS, POINTS)).clone()
    tracks[1, 0, 4:12, 12:] += 8
    around = extend_tracks(tracks, seen(2), Box(0, 0, 64, 64), (64, 128), stride=4)
    moved = (around.tracks[1] - grid_centers(CELLS, 2 * CELLS, tracks))[0, 8]
    assert moved[12:16].min() > 1.99
    assert moved[16] > 1.5
    assert moved[16:].diff().max() < 0.01
    assert moved[-1].abs() < 0.2


def test_what_leaves_the_model_frame_is_still_seen_in_the_photo() -> None:
    image = photo(64, 128)
    tracks = shifts((0, 0), (16, 0))
    visible = seen(2)
    visible[1, :, -4:] = 0  # a tracker calls them hidden: they have left its frame
    *_, last = full_resolution_frames(image, tracks, visible, None, Box(32, 0, 64, 64))
    expected = np.roll(image, 16, 1)
    assert np.abs(last[:, 16:].astype(int) - expected[:, 16:]).max() <= 2


def test_holes_behind_objects_are_not_mirrored() -> None:
    tracks, visible = object_goes_right(20.0)
    inverse = inverse_map(tracks[1:], visible[1:], (SIZE, SIZE))
    continued = mirror_beyond_border(inverse)
    assert torch.equal(continued.covered, inverse.covered)
    source = torch.ones(1, 1, SIZE, SIZE)
    source[..., 16:48, 12:28] = -1
    whole = complete_warp(source, inverse)
    assert whole[..., 18:46, 13:30].min() > 0.9
    assert whole[..., 18:46, 35:45].max() < -0.9


def test_arguments_that_do_not_fit_are_told_at_the_call() -> None:
    tracks, box = shifts((0, 0), (1, 1)), Box(0, 0, 64, 64)
    with pytest.raises(ValueError, match="uint8"):
        full_resolution_frames(np.zeros((8, 8, 3), np.float32), tracks, seen(2), None, box)
    with pytest.raises(ValueError, match="as many frames, got 2, 3 and none"):
        full_resolution_frames(photo(8, 8), tracks, seen(3), None, box)
    with pytest.raises(ValueError, match="got 2, 2 and 1"):
        full_resolution_frames(photo(8, 8), tracks, seen(2), torch.zeros(1, 3, 64, 64), box)
