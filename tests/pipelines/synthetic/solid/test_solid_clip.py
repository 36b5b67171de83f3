from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pipelines.synthetic import SyntheticClip, SyntheticConfig, TextureBank, make_clip
from pipelines.synthetic.solid import SolidConfig, make_solid_clip
from pipelines.synthetic.solid.random_scene import random_scene
from pipelines.synthetic.solid.scene import SolidScene

CONFIG = SyntheticConfig(num_frames=6, height=64, width=96, num_queries=40)
KINDS = {
    "still": SolidConfig(falling=0, floating=0),
    "floating": SolidConfig(falling=0, floating=1),
    "falling": SolidConfig(falling=1, floating=0),
}


@pytest.fixture(scope="module")
def textures() -> TextureBank:
    return TextureBank.procedural(0, count=6, size=128)


def clip_of(
    seed: int, textures: TextureBank, solid: SolidConfig, config: SyntheticConfig = CONFIG
) -> SyntheticClip:
    return make_solid_clip(np.random.default_rng(seed), config, textures, solid)


def scene_of(
    seed: int, textures: TextureBank, solid: SolidConfig, config: SyntheticConfig = CONFIG
) -> SolidScene:
    return random_scene(np.random.default_rng(seed), config, textures, solid)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_types(kind: str, textures: TextureBank) -> None:
    clip = clip_of(0, textures, KINDS[kind])
    assert (clip.video.shape, clip.video.dtype) == ((6, 64, 96, 3), np.uint8)
    assert (clip.queries.shape, clip.queries.dtype) == ((40, 3), np.float32)
    assert (clip.tracks.shape, clip.tracks.dtype) == ((40, 6, 2), np.float32)
    assert (clip.occluded.shape, clip.occluded.dtype) == ((40, 6), bool)
    assert np.isfinite(clip.tracks).all()


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes_and_another_seed_another_clip(
    kind: str, textures: TextureBank
) -> None:
    first, again, other = (clip_of(seed, textures, KINDS[kind]) for seed in (7, 7, 8))
    for name in ("video", "queries", "tracks", "occluded"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
        assert getattr(first, name).tobytes() != getattr(other, name).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_queries_are_visible_points_of_their_own_track(
    seed: int, kind: str, textures: TextureBank
) -> None:
    clip = clip_of(seed, textures, KINDS[kind])
    rows, frames = np.arange(40), clip.queries[:, 0].astype(int)
    assert (clip.queries[:, 0] == frames).all()
    np.testing.assert_allclose(clip.tracks[rows, frames], clip.queries[:, :0:-1], atol=1e-4)
    assert not clip.occluded[rows, frames].any()
    outside = (clip.tracks < 0).any(-1) | (clip.tracks >= (96, 64)).any(-1)
    assert clip.occluded[outside].all()


@pytest.mark.parametrize("kind", KINDS)
def test_queries_keep_off_the_edges_of_solids(kind: str, textures: TextureBank) -> None:
    for seed in range(4):
        clip = clip_of(seed, textures, KINDS[kind])
        scene = scene_of(seed, textures, KINDS[kind])
        view = scene.view(np.arange(6.0))
        index, points = clip.queries[:, 0].astype(int), clip.queries[:, :0:-1].astype(float)
        owner = scene.owners[view.cast(index, points)]
        for shift in ([1.4, 0], [-1.4, 0], [0, 1.4], [0, -1.4]):
            assert (scene.owners[view.cast(index, points + shift)] == owner).mean() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_visible_points_keep_their_colour(kind: str) -> None:
    """Photos of one colour each: a track that leaves its facet would change colour."""
    levels = np.arange(10, 250, 8)
    bank = TextureBank(
        [np.full((64, 64, 3), level, np.uint8) for level in levels], [str(v) for v in levels]
    )
    config = replace(CONFIG, num_frames=12, num_queries=128, photometric=False)
    checked = wrong = 0
    for seed in range(4):
        clip = clip_of(seed, bank, replace(KINDS[kind], shadows=0), config)
        scene = scene_of(seed, bank, replace(KINDS[kind], shadows=0), config)
        view = scene.view(np.arange(12.0))
        for n, (t, y, x) in enumerate(clip.queries):
            facet = view.cast(np.array([int(t)]), np.array([[x, y]], float))[0]
            level = scene.photos[scene.facet_photos[facet]][0, 0, 0]
            for frame in np.flatnonzero(~clip.occluded[n]):
                column, row = clip.tracks[n, frame].astype(int)
                shown = clip.video[frame, row, column, 0]
                expected = min(float(level) * view.gains[frame, facet], 255)
                checked += 1
                wrong += abs(float(shown) - expected) > 1.5
    assert checked > 2000
    assert wrong < 0.08 * checked  # pixels at edges mix two facets


def test_objects_fall_and_still_scenes_do_not(textures: TextureBank) -> None:
    config = replace(CONFIG, num_frames=24)
    times = np.arange(24.0)
    drops = []
    for seed in range(6):
        _, place = scene_of(seed, textures, KINDS["falling"], config).poses.at(times)
        drops.append((place[0, :, 2] - place[-1, :, 2]).max())
        _, place = scene_of(seed, textures, KINDS["still"], config).poses.at(times)
        assert (place == place[0]).all()
        _, place = scene_of(seed, textures, KINDS["floating"], config).poses.at(times)
        assert np.ptp(place, axis=0).max() > 0.02
    assert np.median(drops) > 0.3


def test_still_scenes_are_filmed_by_a_moving_camera_with_parallax(textures: TextureBank) -> None:
    config = replace(CONFIG, num_frames=16)
    moved = parallax = 0
    for seed in range(8):
        scene = scene_of(seed, textures, KINDS["still"], config)
        turn, place = scene.camera.poses(np.arange(16.0))
        moved += np.ptp(place, axis=0).max() > 0.02 or np.ptp(turn, axis=0).max() > 0.01
        parallax += np.ptp(place, axis=0).max() > 0.1
    assert moved == 8
    assert parallax >= 4


def test_speed_follows_the_setting(textures: TextureBank) -> None:
    def median_step(speed: float) -> float:
        config = replace(CONFIG, num_frames=12, median_speed=speed, speed_spread=0.0)
        steps = []
        for seed in range(6):
            clip = clip_of(seed, textures, KINDS["still"], config)
            seen = ~(clip.occluded[:, 1:] | clip.occluded[:, :-1])
            steps.append(np.median(np.linalg.norm(np.diff(clip.tracks, axis=1), axis=-1)[seen]))
        return float(np.median(steps)) * 256 / 64

    assert median_step(2.0) == pytest.approx(2.0, rel=0.4)
    assert median_step(6.0) == pytest.approx(6.0, rel=0.4)


def test_a_static_camera_sees_a_standing_room(textures: TextureBank) -> None:
    solid = replace(KINDS["falling"], static_camera=1)
    scene = scene_of(1, textures, solid)
    turn, place = scene.camera.poses(np.arange(6.0))
    assert (turn == turn[0]).all()
    assert (place == place[0]).all()


def test_the_camera_keeps_off_walls_and_bodies(textures: TextureBank) -> None:
    config = replace(CONFIG, num_frames=24, median_speed=20.0)
    for seed in range(12):
        scene = scene_of(seed, textures, SolidConfig(), config)
        view = scene.view(np.arange(24.0))
        for start, solid in zip(scene.starts[1:], scene.solids[1:], strict=True):
            facing = view.facing[:, start : start + len(solid.shape.loops)]
            assert facing.any(axis=1).all()  # no facet would face it from inside
        assert view.facing[:, :6].all()


def test_number_of_objects_and_shadows_follow_the_settings(textures: TextureBank) -> None:
    def bodies(count: int) -> float:
        solid = replace(KINDS["still"], min_objects=count, max_objects=count)
        found = [scene_of(seed, textures, solid).poses.positions.shape[1] for seed in range(6)]
        assert max(found) <= count + 1
        return float(np.mean(found))

    assert bodies(1) > 1.5
    assert bodies(8) > bodies(1) + 3
    for shadows, expected in [(0.0, 0), (1.0, 5)]:
        scenes = [scene_of(s, textures, replace(KINDS["still"], shadows=shadows)) for s in range(5)]
        assert sum(scene.shadow < 1 for scene in scenes) == expected


def test_light_noise_and_motion_blur_change_pixels_but_not_tracks(textures: TextureBank) -> None:
    plain = clip_of(5, textures, KINDS["floating"], replace(CONFIG, photometric=False))
    dressed = clip_of(
        5, textures, KINDS["floating"], replace(CONFIG, motion_blur=1, noise=1, jpeg=1)
    )
    np.testing.assert_array_equal(plain.tracks, dressed.tracks)
    assert np.abs(plain.video.astype(int) - dressed.video).mean() > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_frame(kind: str, textures: TextureBank) -> None:
    clip = clip_of(0, textures, KINDS[kind], replace(CONFIG, num_frames=1))
    assert clip.tracks.shape == (40, 1, 2)
    assert not clip.occluded.any()


def test_make_clip_mixes_solid_scenes_in(textures: TextureBank) -> None:
    config = replace(CONFIG, solid=1.0)
    assert (
        make_clip(3, config, textures).video.tobytes()
        == make_clip(3, config, textures).video.tobytes()
    )
    assert (make_clip(3, config, textures).video != make_clip(3, CONFIG, textures).video).any()


def test_only_falling_objects_need_mujoco() -> None:
    """In a process of its own: no import of MuJoCo may linger here."""
    script = """
import sys
sys.modules["mujoco"] = None
import numpy as np
from pipelines.synthetic import SyntheticConfig, TextureBank
from pipelines.synthetic.solid import SolidConfig, make_solid_clip
bank = TextureBank.procedural(0, count=2, size=64)
config = SyntheticConfig(num_frames=2, height=32, width=32, num_queries=4)
for solid in (SolidConfig(falling=0, floating=0), SolidConfig(falling=0, floating=1)):
    make_solid_clip(np.random.default_rng(0), config, bank, solid)
from dataclasses import replace
from pipelines.synthetic import make_clip
for seed in range(4):
    make_clip(seed, replace(config, solid=1.0, physics=False), bank)
try:
    make_solid_clip(np.random.default_rng(0), config, bank, SolidConfig(falling=1, floating=0))
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "tapirus[solid]" in done.stdout


@pytest.mark.parametrize(
    "change",
    [
        {"falling": 1.2},
        {"falling": 0.7, "floating": 0.7},
        {"pan": 0.8, "orbit": 0.4},
        {"shake": -0.1},
        {"min_objects": 0},
        {"min_objects": 5, "max_objects": 4},
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        SolidConfig(**change)  # type: ignore[arg-type]
