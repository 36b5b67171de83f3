from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip
from pipelines.synthetic.preview import contact_sheet

CONFIG = SyntheticConfig(num_frames=6, height=64, width=96, num_queries=40)


@pytest.fixture(scope="module")
def textures() -> TextureBank:
    return TextureBank.procedural(0, count=6, size=128)


def test_shapes_and_types(textures: TextureBank) -> None:
    clip = make_clip(0, CONFIG, textures)
    assert (clip.video.shape, clip.video.dtype) == ((6, 64, 96, 3), np.uint8)
    assert (clip.queries.shape, clip.queries.dtype) == ((40, 3), np.float32)
    assert (clip.tracks.shape, clip.tracks.dtype) == ((40, 6, 2), np.float32)
    assert (clip.occluded.shape, clip.occluded.dtype) == ((40, 6), bool)


def test_same_seed_same_bytes_and_another_seed_another_clip(textures: TextureBank) -> None:
    everything = replace(CONFIG, motion_blur=1, blur=1, noise=1, jpeg=1, shading=1)
    first, again, other = (make_clip(seed, everything, textures) for seed in (7, 7, 8))
    for name in ("video", "queries", "tracks", "occluded"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
        assert getattr(first, name).tobytes() != getattr(other, name).tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_queries_are_visible_points_of_their_own_track(seed: int, textures: TextureBank) -> None:
    clip = make_clip(seed, CONFIG, textures)
    rows, frames = np.arange(40), clip.queries[:, 0].astype(int)
    assert (clip.queries[:, 0] == frames).all()
    np.testing.assert_allclose(clip.tracks[rows, frames], clip.queries[:, :0:-1], atol=1e-4)
    assert not clip.occluded[rows, frames].any()


def test_queries_spread_over_all_frames(textures: TextureBank) -> None:
    clips = [make_clip(seed, CONFIG, textures) for seed in range(10)]
    frames = np.concatenate([clip.queries[:, 0] for clip in clips])
    counts = np.bincount(frames.astype(int), minlength=6)
    assert counts.min() > 0.6 * counts.mean()


def test_points_outside_the_frame_are_occluded(textures: TextureBank) -> None:
    fast = replace(CONFIG, median_speed=12, num_frames=16)
    left = 0
    for seed in range(4):
        clip = make_clip(seed, fast, textures)
        outside = (clip.tracks < 0).any(-1) | (clip.tracks >= (96, 64)).any(-1)
        assert clip.occluded[outside].all()
        left += outside.sum()
    assert left > 50


def test_a_static_scene_has_standing_tracks_and_equal_frames(textures: TextureBank) -> None:
    still = replace(CONFIG, static_camera=1, static_layer=1, warp=0, reorder=0, photometric=False)
    clip = make_clip(3, still, textures)
    assert (clip.video == clip.video[0]).all()
    np.testing.assert_allclose(clip.tracks, np.repeat(clip.tracks[:, :1], 6, axis=1), atol=1e-4)
    assert not clip.occluded.any()


def test_speed_follows_the_setting(textures: TextureBank) -> None:
    def mean_step(median: float) -> float:
        config = replace(CONFIG, median_speed=median, perspective=0, warp=0)
        clips = [make_clip(seed, config, textures) for seed in range(6)]
        return float(np.mean([np.abs(np.diff(clip.tracks, axis=1)).mean() for clip in clips]))

    assert mean_step(0.5) < 0.6 * mean_step(6.0)


def test_light_and_noise_change_pixels_but_not_tracks(textures: TextureBank) -> None:
    plain = make_clip(5, replace(CONFIG, photometric=False), textures)
    dressed = make_clip(5, replace(CONFIG, noise=1, jpeg=1, shading=1), textures)
    np.testing.assert_array_equal(plain.tracks, dressed.tracks)
    difference = np.abs(plain.video.astype(int) - dressed.video).mean()
    assert 1 < difference < 80


def test_single_frame_and_background_only(textures: TextureBank) -> None:
    config = replace(CONFIG, num_frames=1, min_layers=0, max_layers=0)
    clip = make_clip(0, config, textures)
    assert clip.tracks.shape == (40, 1, 2)
    assert not clip.occluded.any()


@pytest.mark.parametrize(
    "change", [{"num_frames": 0}, {"num_queries": 0}, {"height": 8}, {"min_layers": 9}]
)
def test_impossible_settings_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        replace(CONFIG, **change)


def test_contact_sheet_draws_the_tracks(textures: TextureBank) -> None:
    clip = make_clip(0, CONFIG, textures)
    sheet = contact_sheet([clip, clip], columns=3, zoom=2)
    assert (sheet.shape, sheet.dtype) == ((2 * 128, 3 * 192, 3), np.uint8)
    bare = contact_sheet([replace(clip, queries=clip.queries[:0])], columns=3, zoom=2)
    assert (sheet[:128] != bare).any()
    np.testing.assert_array_equal(bare[::2, :192:2], clip.video[0])
