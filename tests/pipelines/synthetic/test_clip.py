from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.synthetic import Cameras, SyntheticConfig, TextureBank, make_clip
from pipelines.synthetic.preview import contact_sheet, save_truth

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
    still = replace(
        CONFIG,
        cameras=Cameras.only("static"),
        static_layer=1,
        warp=0,
        bend=0,
        limb=0,
        reorder=0,
        photometric=False,
    )
    clip = make_clip(3, still, textures)
    assert (clip.video == clip.video[0]).all()
    np.testing.assert_allclose(clip.tracks, np.repeat(clip.tracks[:, :1], 6, axis=1), atol=1e-4)
    assert not clip.occluded.any()


def test_speed_follows_the_setting(textures: TextureBank) -> None:
    def median_step(median: float) -> float:
        config = replace(
            CONFIG,
            median_speed=median,
            perspective=0,
            warp=0,
            bend=0,
            limb=0,
            cameras=Cameras.only("drifting"),
        )
        clips = [make_clip(seed, config, textures) for seed in range(10)]
        return float(np.median([np.abs(np.diff(clip.tracks, axis=1)) for clip in clips]))

    assert median_step(0.5) < 0.6 * median_step(6.0)


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
    "change", [{"num_frames": 0}, {"num_queries": 0}, {"height": 8}, {"min_layers": 10}]
)
def test_impossible_settings_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        replace(CONFIG, **change)


def test_contact_sheet_draws_the_tracks(textures: TextureBank) -> None:
    clip = make_clip(0, CONFIG, textures)
    one, two = (contact_sheet([clip] * rows, columns=3) for rows in (1, 2))
    assert one.dtype == np.uint8
    assert one.shape[1] >= 4 * 96  # three frames and the trails
    assert two.shape[0] >= one.shape[0] + 64
    few = {name: getattr(clip, name)[:1] for name in ("queries", "tracks", "occluded")}
    bare = replace(clip, **few)
    assert (one != contact_sheet([bare], columns=3)).mean() > 0.01


def test_saved_truth_counts_pixel_centres_at_integers(
    textures: TextureBank, tmp_path: Path
) -> None:
    clip = make_clip(0, CONFIG, textures)
    save_truth(tmp_path / "clip.npz", clip)
    with np.load(tmp_path / "clip.npz") as file:
        np.testing.assert_array_equal(file["points_xy"] + np.float32(0.5), clip.tracks)
        np.testing.assert_array_equal(file["visible"], ~clip.occluded)
        np.testing.assert_array_equal(file["query_frame"], clip.queries[:, 0])


ON_OFF = [
    name
    for name, value in asdict(SyntheticConfig()).items()
    if isinstance(value, float) and 0 <= value <= 1 and name not in ("speed_spread", "solid")
]


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("name", ON_OFF)
def test_every_probability_may_be_0_or_1(name: str, value: float, textures: TextureBank) -> None:
    clip = make_clip(1, replace(CONFIG, num_queries=4, **{name: value}), textures)
    assert np.isfinite(clip.tracks).all()
    with pytest.raises(ValueError, match=name):
        replace(CONFIG, **{name: 1.5})


def test_cameras_need_a_weight() -> None:
    with pytest.raises(ValueError, match="camera weights"):
        Cameras(0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="camera weights"):
        Cameras(static=-1)


def test_thin_layers_are_seen_and_hide_what_is_behind(textures: TextureBank) -> None:
    config = replace(CONFIG, height=256, width=256, thin=1.0, min_layers=6, warp=0, bend=0)
    clips = [make_clip(seed, config, textures) for seed in range(3)]
    inside = [((c.tracks >= 0) & (c.tracks < 256)).all(-1) for c in clips]
    hidden = [(c.occluded & within).mean() for c, within in zip(clips, inside, strict=True)]
    assert 0.002 < np.mean(hidden) < 0.2
