"""Each kind of motion against its closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.synthetic import Cameras, SyntheticConfig, TextureBank
from pipelines.synthetic.camera import Camera, DrawnCamera, random_camera, still_camera
from pipelines.synthetic.deform import Bend, Ripple
from pipelines.synthetic.layer import Layer
from pipelines.synthetic.motion import Motion, Path, at_rest
from pipelines.synthetic.scene import Scene, random_scene
from pipelines.synthetic.sprites import mip_levels
from pipelines.synthetic.truth import sample_tracks

WIDTH, HEIGHT = 128, 64  # of the frame; lengths of motions are in units of its short side
MIDDLE = np.array([WIDTH / 2, HEIGHT / 2])
TIMES = np.array([0.0, 2.0, 5.5, 11.0])


def path(offset: list[float], speed: list[float] | None = None, middle: float = 0.0) -> Path:
    zero = np.zeros(len(offset))
    return Path(
        np.array(offset),
        zero if speed is None else np.array(speed),
        zero,
        np.zeros((0, 3, len(offset))),
        middle,
    )


def waving(amplitude: list[float], frequency: float, phase: float) -> Path:
    ones = np.ones(len(amplitude))
    wave = np.stack([np.array(amplitude), frequency * ones, phase * ones])
    return replace(path([0.0] * len(amplitude)), waves=wave[None])


def sheet(motion: Motion, camera: Camera | None = None, **more: object) -> Layer:
    """An opaque layer with a texture of 40 x 20 pixels."""
    texture = np.full((20, 40, 4), 255, np.uint8)
    layer = Layer(mip_levels(texture), motion, camera or still_camera(), 1.0, (WIDTH, HEIGHT))
    return replace(layer, **more)  # type: ignore[arg-type]


def shown_at(layer: Layer, x: float, y: float, times: np.ndarray = TIMES) -> np.ndarray:
    """Frame positions [n, 2] of the texture point that lies (x, y) from the texture's middle."""
    point = np.array([20 + x, 10 + y])
    return layer.project(np.tile(point, (len(times), 1)), times)


def test_translation_adds_speed_times_time() -> None:
    layer = sheet(replace(at_rest(), position=path([0.25, -0.5], [0.02, 0.01], middle=3.0)))
    way = HEIGHT * (np.array([0.25, -0.5]) + (TIMES[:, None] - 3.0) * (0.02, 0.01))
    np.testing.assert_allclose(shown_at(layer, 4, -6), MIDDLE + way + (4, -6), atol=1e-9)


def test_acceleration_is_half_its_square() -> None:
    speeding = replace(path([0.0, 0.0]), acceleration=np.array([0.004, 0.0]))
    layer = sheet(replace(at_rest(), position=speeding))
    expected = WIDTH / 2 + HEIGHT * 0.002 * TIMES**2
    np.testing.assert_allclose(shown_at(layer, 0, 0)[:, 0], expected, atol=1e-9)


def test_rotation_turns_from_x_towards_y() -> None:
    layer = sheet(replace(at_rest(), angle=path([0.3], [0.1])))
    angle = 0.3 + 0.1 * TIMES
    expected = MIDDLE + 8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(shown_at(layer, 8, 0), expected, atol=1e-9)


def test_zoom_grows_exponentially() -> None:
    layer = sheet(replace(at_rest(scale=1.5), log_scale=path([np.log(1.5)], [0.05])))
    factor = 1.5 * np.exp(0.05 * TIMES)[:, None]
    np.testing.assert_allclose(shown_at(layer, 6, -3), MIDDLE + factor * (6, -3), atol=1e-9)


def test_perspective_divides_by_depth() -> None:
    tilt = np.array([0.2, -0.1])
    layer = sheet(replace(at_rest(), tilt=path(tilt.tolist())))
    bounded = 0.45 * np.tanh(tilt / 0.45)
    place = np.array([12.0, 9.0])
    depth = 1 + bounded @ (place / HEIGHT)
    np.testing.assert_allclose(shown_at(layer, *place)[0], MIDDLE + place / depth, atol=1e-9)


def test_shake_is_a_sum_of_sines() -> None:
    camera = Camera(replace(at_rest(), position=waving([0.1, 0.05], 0.7, 0.2)), at_rest().position)
    swing = HEIGHT * np.sin(0.7 * TIMES + 0.2)[:, None] * (0.1, 0.05)
    np.testing.assert_allclose(
        shown_at(sheet(at_rest(), camera), 3, 2), MIDDLE + swing + (3, 2), atol=1e-9
    )
    # Twice the parallax, twice the way: the layer is nearer.
    near = sheet(at_rest(), camera, parallax=2.0)
    np.testing.assert_allclose(shown_at(near, 3, 2), MIDDLE + 2 * swing + (3, 2), atol=1e-9)


def test_a_pan_keeps_its_look_at_point_in_the_middle() -> None:
    aim = path([0.1, -0.2], [0.05, 0.03])
    layer = sheet(at_rest(), Camera(at_rest(), aim, focal=1.3))
    for time in TIMES:
        x, y = HEIGHT * (np.array([0.1, -0.2]) + time * np.array([0.05, 0.03]))
        np.testing.assert_allclose(shown_at(layer, x, y, np.array([time]))[0], MIDDLE, atol=1e-9)


def test_a_level_pan_is_a_turn_about_the_lens() -> None:
    focal = 1.3
    layer = sheet(at_rest(), Camera(at_rest(), path([0.0, 0.0], [0.06, 0.0]), focal))
    turned = np.arctan(0.06 * TIMES / focal)
    bearing = np.arctan(15 / HEIGHT / focal)
    expected = WIDTH / 2 + HEIGHT * focal * np.tan(bearing - turned)
    np.testing.assert_allclose(shown_at(layer, 15, 0)[:, 0], expected, atol=1e-9)


def test_ripple_displaces_by_its_wave() -> None:
    ripple = Ripple((3.0, 0.0), (0.05, 0.0), (0.1, 0.0), (0.4, 0.0), (1.0, 0.0))
    layer = sheet(at_rest(), deformations=(ripple,))
    # The frame shows the texture where the flat plane's point was displaced to.
    flat = np.array([25.0, 12.0])
    shift = 3 * np.sin(0.05 * 25 + 0.1 * 12 + 0.4 * TIMES + 1.0)
    located = layer.locate(np.tile(MIDDLE + flat - (20, 10), (4, 1)), TIMES)
    np.testing.assert_allclose(located[:, 0], 25 + shift, atol=1e-9)
    np.testing.assert_allclose(located[:, 1], 12, atol=1e-9)


def test_bend_is_a_hinge_beyond_its_line() -> None:
    bend = Bend((10.0, 5.0), 0.0, 1e-12, lean=0.1, sway=0.4, frequency=0.3, phase=0.5)
    layer = sheet(at_rest(), deformations=(bend,))
    tangent = 0.1 + 0.4 * np.sin(0.3 * TIMES + 0.5)
    # 12 pixels beyond the line x = 10, along which the texture is shifted.
    moved = shown_at(layer, 2, 0)
    np.testing.assert_allclose(moved[:, 0], MIDDLE[0] + 2, atol=1e-9)
    np.testing.assert_allclose(moved[:, 1], MIDDLE[1] - 12 * tangent, atol=1e-9)
    np.testing.assert_allclose(shown_at(layer, -15, 3) - MIDDLE, np.tile((-15, 3), (4, 1)))


def test_a_soft_bend_sets_in_gradually() -> None:
    bend = Bend((0.0, 0.0), np.pi / 2, 8.0, lean=0.5, sway=0.0, frequency=0.0, phase=0.0)
    x, y = bend.displace(np.zeros(3), np.array([-4.0, 8.0, 24.0]), 0.0)
    np.testing.assert_allclose(x, [0, -0.5 * 8 * 8 / 16, -0.5 * 24 * 24 / 32], atol=1e-12)
    np.testing.assert_allclose(y, [-4, 8, 24], atol=1e-12)
    reach = bend.reach(40, 20)
    assert reach[0] >= 0.5 * 20 * 20 / 28
    assert reach[1] < 1e-9


def test_a_limb_swings_about_its_joint_and_follows_its_body() -> None:
    body = Motion(path([0.1, 0.0], [0.02, 0.0]), path([0.0]), path([0.0], [0.1]), path([0.0, 0.0]))
    swing = replace(at_rest((0.2, -0.1)), angle=waving([0.8], 0.5, 0.1))
    limb = sheet(swing, joint=body, anchor=(0.5, 0.25))
    joint = shown_at(sheet(body), 0.2 * HEIGHT, -0.1 * HEIGHT)
    np.testing.assert_allclose(shown_at(limb, 0, -5), joint, atol=1e-9)  # a quarter down of 20
    end = shown_at(limb, 0, 7) - joint
    turn = 0.1 * TIMES + 0.8 * np.sin(0.5 * TIMES + 0.1)
    expected = 12 * np.stack([-np.sin(turn), np.cos(turn)], axis=1)
    np.testing.assert_allclose(end, expected, atol=1e-9)


def scene_behind(*layers: Layer, **more: float | tuple[int, int]) -> Scene:
    background = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    size = (WIDTH, HEIGHT)
    back = Layer((background,), at_rest(), still_camera(), 1.0, size, background=True)
    return Scene((back, *layers), **more)  # type: ignore[arg-type]


def tracks_of(scene: Scene, num_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    config = SyntheticConfig(num_frames, HEIGHT, WIDTH, 64, foreground_queries=1.0)
    return sample_tracks(np.random.default_rng(0), scene, config)


def test_layers_that_swap_their_depth_hide_each_other_in_turn() -> None:
    lower, upper = sheet(at_rest()), sheet(at_rest())  # in the same place
    scene = scene_behind(lower, upper, swap=(1, 2), swap_time=3.5)
    queries, _, occluded = tracks_of(scene, 8)
    early = queries[:, 0] < 3.5
    front = (np.abs(queries[:, :0:-1] - MIDDLE) < (18, 8)).all(axis=1)
    assert (early & front).sum() > 3
    assert (~early & front).sum() > 3
    late_frames = np.arange(8) > 3.5
    assert (occluded[early & front] == late_frames).all()
    assert (occluded[~early & front] == ~late_frames).all()


def test_points_leave_the_frame_and_come_back() -> None:
    # Swings by 80 pixels about the middle of a frame that ends after 64.
    moving = replace(at_rest(), position=waving([1.25, 0.0], 2 * np.pi / 16, 0.0))
    _, tracks, occluded = tracks_of(scene_behind(sheet(moving)), 24)
    times = np.arange(24)
    way = 80 * np.sin(2 * np.pi / 16 * times)
    on_sheet = np.abs(tracks[:, 0, 1] - MIDDLE[1]) < 8
    on_sheet &= np.ptp(tracks[..., 0], axis=1) > 1
    assert on_sheet.sum() > 10
    start = tracks[on_sheet, 0, 0]
    expected = start[:, None] + way
    np.testing.assert_allclose(tracks[on_sheet, :, 0], expected, atol=1e-3)
    outside = (expected < 0) | (expected >= WIDTH)
    assert (occluded[on_sheet] == outside).all()
    assert (np.diff(occluded[on_sheet].astype(int), axis=1) == -1).any(axis=1).all()


@pytest.fixture
def drawn(request: pytest.FixtureRequest) -> list[DrawnCamera]:
    config = SyntheticConfig(cameras=Cameras.only(request.param))
    return [random_camera(np.random.default_rng(seed), config) for seed in range(20)]


def path_of_middle(camera: Camera, times: np.ndarray) -> np.ndarray:
    middle = camera.matrices(times)[:, :, 2]
    return middle[:, :2] / middle[:, 2:]


@pytest.mark.parametrize("drawn", ["static"], indirect=True)
def test_static_cameras_stand(drawn: list[DrawnCamera]) -> None:
    for item in drawn:
        identity = np.tile(np.eye(3), (4, 1, 1))
        np.testing.assert_allclose(item.camera.matrices(TIMES), identity, atol=1e-12)


@pytest.mark.parametrize("drawn", ["shaking"], indirect=True)
def test_shaking_cameras_stay_about_where_they_are(drawn: list[DrawnCamera]) -> None:
    times = np.arange(24.0)
    for item in drawn:
        way = path_of_middle(item.camera, times)
        assert np.abs(way).max() < 0.6
        assert (np.abs(np.diff(np.sign(np.diff(way, axis=0)), axis=0)) > 0).any()  # turns round


@pytest.mark.parametrize("drawn", ["zooming"], indirect=True)
def test_zooming_cameras_zoom_in_or_out(drawn: list[DrawnCamera]) -> None:
    factors = []
    for item in drawn:
        areas = np.linalg.det(item.camera.matrices(np.array([0.0, 24.0]))[:, :2, :2])
        factors.append(np.sqrt(areas[1] / areas[0]))
    factors_in = np.maximum(factors, 1 / np.array(factors))
    assert (factors_in > 1.29).all()
    assert (factors_in < 2.51).all()
    assert 4 < (np.array(factors) > 1).sum() < 16


@pytest.mark.parametrize("drawn", ["panning"], indirect=True)
def test_panning_cameras_look_along_a_line(drawn: list[DrawnCamera]) -> None:
    times = np.arange(24.0)
    lengths = []
    for item in drawn:
        aim = item.camera.look_at(times)
        np.testing.assert_allclose(np.diff(aim, axis=0), np.tile(aim[1] - aim[0], (23, 1)))
        assert np.linalg.norm(aim, axis=1).min() < 0.4  # it passes near the middle
        lengths.append(np.linalg.norm(aim[-1] - aim[0]))
    assert max(lengths) > 1.0


def test_every_kind_of_camera_is_drawn_by_its_weight() -> None:
    config = SyntheticConfig(cameras=Cameras(1, 0, 3, 0, 0))
    kinds = [random_camera(np.random.default_rng(seed), config).kind for seed in range(200)]
    assert set(kinds) == {"static", "shaking"}
    assert 0.15 < kinds.count("static") / 200 < 0.35


def test_no_query_lies_in_a_mirrored_part_of_a_panned_background() -> None:
    # Red goes up from left to right: where it falls, the photo is mirrored.
    photo = np.zeros((64, 128, 3), np.uint8)
    photo[..., 0] = 2 * np.arange(128)
    bank = TextureBank([photo], ["ramp"])
    config = SyntheticConfig(
        num_frames=12,
        height=64,
        width=64,
        min_layers=0,
        max_layers=0,
        cameras=Cameras.only("panning"),
        photometric=False,
        plain=0,
    )
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, config, bank)
        queries, _, _ = sample_tracks(rng, scene, config)
        texture = scene.layers[0].locate(queries[:, :0:-1].astype(float), queries[:, 0])
        assert (texture >= 1).all()
        assert (texture <= (127, 63)).all()
