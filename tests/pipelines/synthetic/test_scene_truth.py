"""The pixels agree with the geometry: what is drawn where the tracks say it is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import pytest

from pipelines.synthetic import Cameras, SyntheticConfig, TextureBank, make_clip
from pipelines.synthetic.deform import Bend, Ripple
from pipelines.synthetic.layer import Layer
from pipelines.synthetic.render import render_frames
from pipelines.synthetic.scene import Scene, random_scene
from pipelines.synthetic.truth import sample_tracks

SEEDS = range(8)
# Half the size of the photos below: the first mip level is drawn, too.
# Nothing thinner than a pixel, which is drawn but neither seen nor in the way.
PLAIN = SyntheticConfig(
    num_frames=12, height=64, width=80, num_queries=128, thin=0, plain=0, photometric=False
)


def position_bank() -> TextureBank:
    """Photos that encode positions: red grows with x, green with y, two levels per pixel."""
    y, x = 2 * np.mgrid[0:128, 0:128].astype(np.uint8)
    return TextureBank([np.dstack([x, y, np.full_like(x, blue)]) for blue in (0, 120, 240)], "abc")


@cache
def procedural_bank() -> TextureBank:
    return TextureBank.procedural(1, count=6, size=128)


def scene_of(seed: int, config: SyntheticConfig, textures: TextureBank) -> Scene:
    return random_scene(np.random.default_rng(seed), config, textures)


def sample(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear values [n, channels] at raster points [n, 2] (pixel centres at +0.5)."""
    x, y = (np.clip(points[:, i] - 0.5, 0, image.shape[1 - i] - 1.001) for i in (0, 1))
    left, top = x.astype(int), y.astype(int)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    pixels = image.astype(np.float64)
    upper = pixels[top, left] * (1 - fx) + pixels[top, left + 1] * fx
    lower = pixels[top + 1, left] * (1 - fx) + pixels[top + 1, left + 1] * fx
    return upper * (1 - fy) + lower * fy


def beside(
    scene: Scene, points: np.ndarray, times: np.ndarray, owner: np.ndarray, distance: float = 2.0
) -> np.ndarray:
    """Whether the same layer is seen all around a point."""
    ring = [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]
    return np.all(
        [scene.top_layer(points + distance * np.array(shift), times) == owner for shift in ring],
        axis=0,
    )


def draw_identities(scene: Scene, times: np.ndarray) -> np.ndarray:
    """Index of the layer at every pixel [n, h, w]: each layer is painted in one flat grey."""
    step = 255 // len(scene.layers)
    painted = []
    for index, layer in enumerate(scene.layers):
        texture = np.full_like(layer.levels[0], index * step)
        if not layer.background:
            alpha = layer.levels[0][..., 3:]
            texture = (texture.astype(int) * alpha // 255).astype(np.uint8)
            texture[..., 3:] = alpha
        painted.append(replace(layer, levels=(texture,)))
    frames = np.stack(list(render_frames(replace(scene, layers=tuple(painted)), times)))
    return np.round(frames[..., 0] / step).astype(int)


@pytest.mark.parametrize("rippled", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_pixel_shows_the_texture_point_that_the_geometry_puts_there(
    seed: int, rippled: bool
) -> None:
    scene = scene_of(seed, PLAIN, position_bank())
    if rippled:
        ripple = Ripple((3.0, 2.0), (0.05, 0.02), (0.03, -0.06), (0.4, -0.3), (1.0, 2.0))
        bend = Bend((50.0, 60.0), 0.7, 20.0, 0.1, 0.2, 0.3, 1.0)
        scene = Scene((replace(scene.layers[0], deformations=(bend, ripple)), *scene.layers[1:]))
    frame = next(render_frames(scene, np.array([3.0])))
    rows, columns = np.mgrid[4 : PLAIN.height - 4, 4 : PLAIN.width - 4].reshape(2, -1)
    points = np.stack([columns, rows], axis=1) + 0.5
    times = np.full(len(points), 3.0)
    owner = scene.top_layer(points, times)

    compared = 0
    for index, layer in enumerate(scene.layers):
        texture = layer.locate(points, times)
        own = (owner == index) & beside(scene, points, times, owner)
        # Near its mirrored border a photo is not linear.
        own &= (texture > 6).all(axis=1) & (texture < np.array(layer.size) - 6).all(axis=1)
        if own.sum() < 100:
            continue
        shown = frame[rows[own], columns[own], :2].astype(float)
        error = (shown - sample(layer.levels[0], texture[own])[:, :2]) / 2  # texture pixels
        # Soft edges mix layers, hence not every pixel. Half a pixel would show in both lines.
        assert np.percentile(np.abs(error), 95) <= 0.5
        assert np.abs(np.median(error, axis=0)).max() < 0.15
        compared += own.sum()
    assert compared > 1000


@pytest.mark.parametrize("seed", SEEDS)
def test_tracks_stay_on_the_colour_of_their_query(seed: int) -> None:
    clip = make_clip(seed, PLAIN, position_bank())
    checked, errors = 0, []
    for n, (t, y, x) in enumerate(clip.queries):
        wanted = sample(clip.video[int(t)], np.array([[x, y]]))[0]
        for frame in np.flatnonzero(~clip.occluded[n]):
            place = clip.tracks[n, frame]
            if (place < 1).any() or (place > (PLAIN.width - 1, PLAIN.height - 1)).any():
                continue
            errors.append(np.abs(sample(clip.video[frame], place[None])[0] - wanted).max())
            checked += 1
    assert checked > 300
    # Beside an edge a pixel mixes two layers; elsewhere colours agree to rounding.
    assert np.median(errors) <= 1.2  # of two levels per texture pixel
    assert np.percentile(errors, 80) <= 3.0


def test_occlusion_agrees_with_an_identity_buffer() -> None:
    config = replace(
        PLAIN, min_layers=7, reorder=1.0, median_speed=12.0, cameras=Cameras.only("drifting")
    )
    counts = [_compare_occlusion(seed, config) for seed in SEEDS]
    assert min(compared for compared, _ in counts) > 200
    assert sum(hidden for _, hidden in counts) > 150


def _compare_occlusion(seed: int, config: SyntheticConfig) -> tuple[int, int]:
    """Numbers of points compared, and of hidden ones among them."""
    scene = scene_of(seed, config, procedural_bank())
    queries, tracks, occluded = sample_tracks(np.random.default_rng(seed), scene, config)
    identity = draw_identities(scene, np.arange(config.num_frames))

    def seen(x: float, y: float, frame: float) -> int | None:
        """The layer in the 3x3 pixels around a point; None at an edge, where it may be either."""
        top, left = max(int(y) - 1, 0), max(int(x) - 1, 0)
        around = identity[int(frame), top : int(y) + 2, left : int(x) + 2]
        return int(around[0, 0]) if (around == around[0, 0]).all() else None

    compared = hidden = 0
    for n, (t, y, x) in enumerate(queries):
        owner = seen(x, y, t)
        for frame in range(config.num_frames):
            x, y = tracks[n, frame]
            if not (0 <= x < config.width and 0 <= y < config.height):
                assert occluded[n, frame]
            elif owner is not None and (now := seen(x, y, frame)) is not None:
                assert occluded[n, frame] == (now != owner)
                compared += 1
                hidden += now != owner
    return compared, hidden


def test_layers_swap_their_depth_once() -> None:
    config = replace(PLAIN, min_layers=3, reorder=1.0)
    scene = scene_of(0, config, procedural_bank())
    orders = [tuple(scene.order(t)) for t in range(config.num_frames)]
    changes = sum(a != b for a, b in pairwise(orders))
    assert changes == 1
    assert all(order[0] == 0 for order in orders)
    for t, order in enumerate(orders):
        assert scene.depths(np.array([float(t)]))[0].argsort().tolist() == list(order)


def moving_layers(scene: Scene) -> list[Layer]:
    return [layer for layer in scene.layers if not layer.background]


@pytest.mark.parametrize("warp, bend", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_locate_inverts_project(warp: float, bend: float) -> None:
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        scene = scene_of(seed, replace(PLAIN, warp=warp, bend=bend, limb=0), procedural_bank())
        for layer in scene.layers:
            texture = rng.uniform(0, 1, (50, 2)) * layer.size
            times = rng.uniform(0, PLAIN.num_frames, 50)
            again = layer.locate(layer.project(texture, times), times)
            assert np.abs(again - texture).max() < 1e-6
        assert all(len(layer.deformations) == warp + bend for layer in moving_layers(scene))


def test_scenes_scale_with_the_frame() -> None:
    textures = procedural_bank()
    for seed in SEEDS:
        small = scene_of(seed, SyntheticConfig(height=128, width=128), textures)
        large = scene_of(seed, SyntheticConfig(height=256, width=256), textures)
        times = np.arange(24.0)
        for a, b in zip(small.layers, large.layers, strict=True):
            for part in (0.25, 0.5, 0.75):
                ends = [
                    replace(layer, deformations=()).project(
                        np.tile(np.array(layer.size) * part, (24, 1)), times
                    )
                    for layer in (a, b)
                ]
                # The smaller scene may use a smaller version of the texture, cut to whole pixels.
                np.testing.assert_allclose(2 * ends[0], ends[1], atol=2.0)


def test_opencv_draws_a_known_shift_where_the_convention_says() -> None:
    """A single bright texel, seen through a scene whose layers stand still."""
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[20, 30] = 255
    config = SyntheticConfig(
        num_frames=2,
        height=64,
        width=64,
        min_layers=0,
        max_layers=0,
        cameras=Cameras.only("static"),
    )
    scene = scene_of(0, config, TextureBank([photo], ["dot"]))
    frame = next(render_frames(scene, np.array([0.0])))[..., 0]
    moments = cv2.moments(frame.astype(np.float32))
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
    place = scene.layers[0].project(np.array([[x, 20.5] for x in (30.5, 33.5)]), np.zeros(2))
    mirrored = np.linalg.norm(place - centre, axis=1)  # the photo may be flipped
    assert mirrored.min() < 0.1
