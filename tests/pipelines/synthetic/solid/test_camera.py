from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipelines.synthetic.motion import Path
from pipelines.synthetic.solid import SolidConfig
from pipelines.synthetic.solid.camera import Camera, random_camera

TIMES = np.arange(12.0)


def seen(camera: Camera, point: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Raster positions [n, 2] of a world point."""
    turn, position = camera.poses(times)
    local = np.einsum("nij,nj->ni", turn, point - position)
    image = local @ camera.intrinsics.T
    return image[:, :2] / image[:, 2:]


def moving(offset: Sequence[float], speed: Sequence[float]) -> Path:
    zero = np.zeros(len(offset))
    return Path(
        np.array(offset, float), np.array(speed, float), zero, np.zeros((0, 3, len(offset))), 0
    )


def test_the_target_is_in_the_middle_and_up_is_up(camera: Callable[..., Camera]) -> None:
    view = camera(target=moving([0, 2, 1.5], [0.1, 0, 0.05]))
    for t in TIMES:
        target = view.target(np.array([t]))[0]
        np.testing.assert_allclose(seen(view, target, np.array([t])), [[40, 32]], atol=1e-9)
        above, beside = (
            seen(view, target + np.array([0, 0, 0.1]), np.array([t])),
            seen(view, target + np.array([0.1, 0, 0]), np.array([t])),
        )
        assert above[0, 1] < 32
        assert abs(above[0, 0] - 40) < 1e-9
        assert beside[0, 0] > 40


def test_panning_is_the_homography_of_its_rotation(camera: Callable[..., Camera]) -> None:
    """A camera that turns in place maps its pictures by K R K^-1, whatever the depth."""
    view = camera(target=moving([-0.5, 2, 1.4], [0.08, 0.01, 0.03]))
    turn, position = view.poses(TIMES)
    assert (position == position[0]).all()
    rng = np.random.default_rng(0)
    for _ in range(20):
        point = np.array([rng.uniform(-1, 1), rng.uniform(1, 5), rng.uniform(0.5, 2.5)])
        tracks = seen(view, point, TIMES)
        for t in range(1, len(TIMES)):
            homography = view.intrinsics @ turn[t] @ turn[0].T @ np.linalg.inv(view.intrinsics)
            moved = homography @ [*tracks[0], 1]
            np.testing.assert_allclose(moved[:2] / moved[2], tracks[t], atol=1e-8)


def test_an_orbit_keeps_its_distance(camera: Callable[..., Camera]) -> None:
    pivot = np.array([0.5, 2, 1.0])
    view = camera(orbit=moving([0], [0.1]), pivot=pivot, target=moving(pivot.tolist(), [0] * 3))
    _, position = view.poses(TIMES)
    away = position - pivot
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), np.linalg.norm(away[0]))
    angle = np.unwrap(np.arctan2(away[:, 1], away[:, 0]))
    np.testing.assert_allclose(np.diff(angle), 0.1)
    np.testing.assert_allclose(seen(view, pivot, TIMES), np.tile([40, 32], (12, 1)), atol=1e-9)


def test_roll_turns_the_picture_about_its_middle(camera: Callable[..., Camera]) -> None:
    point = np.array([0.3, 2, 1.7])
    level, rolled = (
        seen(camera(roll=moving([angle], [0])), point, TIMES[:1])[0] - (40, 32)
        for angle in (0.0, 0.25)
    )
    cos, sin = np.cos(0.25), np.sin(0.25)
    np.testing.assert_allclose(rolled, [[cos, sin], [-sin, cos]] @ level)


def make(seed: int, **kinds: float) -> Camera:
    config = SolidConfig(**({"pan": 0, "orbit": 0, "dolly": 0, "shake": 0} | kinds))
    place, target = np.array([0.0, -3, 1.5]), np.array([0, 0, 0.8])
    return random_camera(np.random.default_rng(seed), config, (80, 64), 12, place, target)


def test_each_kind_of_path_does_what_its_name_says() -> None:
    target = np.array([0, 0, 0.8])
    for seed in range(5):
        pan = make(seed, pan=1)
        aim = np.diff(pan.target(TIMES), axis=0)
        # On a straight line: all steps are parallel.
        np.testing.assert_allclose(
            np.cross(aim, aim[0]), 0, atol=0.02 * np.abs(aim).max() ** 2 + 0.01
        )
        assert np.linalg.norm(np.diff(pan.target(TIMES)[[0, -1]], axis=0)) > 0.5

        orbit = make(seed, orbit=1)
        away = (orbit.poses(TIMES)[1] - target)[:, :2]
        np.testing.assert_allclose(np.linalg.norm(away, axis=1), 3, atol=0.01)
        assert np.abs(np.diff(away, axis=0)).max() > 0.05

        dolly = make(seed, dolly=1)
        place = dolly.poses(TIMES)[1]
        way = place[-1] - place[0]
        ahead = target - place[0]
        assert abs(way @ ahead) / np.linalg.norm(way) / np.linalg.norm(ahead) > 0.5

        walk = make(seed)
        way = np.diff(walk.poses(TIMES)[1][[0, -1]], axis=0)[0]
        assert abs(way[0]) > 0.5 * np.linalg.norm(way)


def test_a_shaking_hand_moves_a_camera_unevenly() -> None:
    steady, shaken = make(0, pan=1), make(0, pan=1, shake=1)
    jerk = [np.abs(np.diff(view.target(TIMES), n=3, axis=0)).max() for view in (steady, shaken)]
    assert jerk[1] > 10 * jerk[0] + 1e-4


def test_gain_scales_movement_and_nothing_else() -> None:
    view = make(3, pan=1, shake=1)
    still = view.moved(0.0)
    assert np.ptp(still.poses(TIMES)[1], axis=0).max() == 0
    whole, half = view.target(TIMES), view.moved(0.5).target(TIMES)
    np.testing.assert_allclose(half - view.target.offset, 0.5 * (whole - view.target.offset))
    assert replace(still, position=view.position).focal == view.focal


@pytest.mark.parametrize("size", [(80, 64), (64, 128)])
def test_the_view_scales_with_the_frame(size: tuple[int, int]) -> None:
    config = SolidConfig()
    small, large = (
        random_camera(
            np.random.default_rng(1),
            config,
            (k * size[0], k * size[1]),
            12,
            np.array([0, -3, 1.5]),
            np.zeros(3),
        )
        for k in (1, 2)
    )
    point = np.array([0.3, 0.2, 0.5])
    np.testing.assert_allclose(2 * seen(small, point, TIMES), seen(large, point, TIMES))
