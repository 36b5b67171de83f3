"""Tracks and occlusion against closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipelines.synthetic.motion import Path
from pipelines.synthetic.solid.camera import Camera
from pipelines.synthetic.solid.poses import Poses, axis_quaternions
from pipelines.synthetic.solid.scene import SolidScene
from pipelines.synthetic.solid.shapes import ball, box, prism, tetrahedron

Build = Callable[..., SolidScene]
CUBE = box().stretched(np.full(3, 0.25))


def facet_towards(scene: SolidScene, solid: int, direction: list[float]) -> int:
    """The facet of a solid, not turned, whose normal points along an axis."""
    match = scene.solids[solid].shape.normals @ direction > 0.99
    return int(scene.starts[solid] + np.flatnonzero(match)[0])


def place_on(scene: SolidScene, facet: int, point: list[float]) -> np.ndarray:
    """Photo position of a point in body coordinates."""
    solid = int(scene.owners[facet])
    frame = scene.solids[solid].frames[facet - scene.starts[solid]]
    return np.linalg.solve(frame, point)[None, :2]


def test_a_wall_seen_head_on_moves_by_focal_times_shift_over_depth(
    build: Build, camera: Callable[..., Camera], still: Any
) -> None:
    step = np.array([0.05, 0.0, -0.02])
    zero = np.zeros(3)

    def path(offset: list[float]) -> Path:
        return Path(np.array(offset), step, zero, np.zeros((0, 3, 3)), 0.0)

    scene = build(view=camera(position=path([0, 0, 1.5]), target=path([0, 2, 1.5])))
    view = scene.view(np.arange(8.0))
    wall = facet_towards(scene, 0, [0, -1, 0])  # 4 m ahead
    tracks, depths = view.project(np.array([wall]), place_on(scene, wall, [0.4, 4, 1.3]))
    frames = np.arange(8)
    np.testing.assert_allclose(depths[0], 4)
    # x = 40 + 100 * X / Z, and y likewise, downwards.
    np.testing.assert_allclose(tracks[0, :, 0], 40 + 100 * (0.4 - 0.05 * frames) / 4)
    np.testing.assert_allclose(tracks[0, :, 1], 32 + 100 * (0.2 - 0.02 * frames) / 4)


def test_a_cube_that_turns_about_its_axis(build: Build) -> None:
    moments = np.linspace(0, 8, 161)
    turns = axis_quaternions(np.tile([0, 0, 1.0], (161, 1)), 0.1 * moments)
    poses = Poses(
        moments,
        np.tile([[[0, 0, 0], [0.1, 2, 1.5]]], (161, 1, 1)).astype(float),
        np.stack([np.tile([1.0, 0, 0, 0], (161, 1)), turns], axis=1),
    )
    scene = build([(CUBE, [0, 0, 0])], poses=poses)
    view = scene.view(np.arange(9.0))
    facet = facet_towards(scene, 1, [0, -1, 0])
    tracks, depths = view.project(np.array([facet]), place_on(scene, facet, [0.1, -0.25, 0.2]))
    angle = 0.1 * np.arange(9)
    x = 0.1 + 0.1 * np.cos(angle) + 0.25 * np.sin(angle)
    y = 2 + 0.1 * np.sin(angle) - 0.25 * np.cos(angle)
    np.testing.assert_allclose(depths[0], y, atol=1e-6)
    np.testing.assert_allclose(tracks[0, :, 0], 40 + 100 * x / y, atol=1e-4)
    np.testing.assert_allclose(tracks[0, :, 1], 32 - 100 * 0.2 / y, atol=1e-4)


def test_a_facet_hides_when_it_turns_away(build: Build) -> None:
    moments = np.linspace(0, 24, 241)
    turns = axis_quaternions(np.tile([0, 0, 1.0], (241, 1)), 0.1 * moments)
    poses = Poses(
        moments,
        np.tile([[[0, 0, 0], [0.0, 2, 1.5]]], (241, 1, 1)).astype(float),
        np.stack([np.tile([1.0, 0, 0, 0], (241, 1)), turns], axis=1),
    )
    scene = build([(CUBE, [0, 0, 0])], poses=poses)
    view = scene.view(np.arange(25.0))
    facets = np.array([facet_towards(scene, 1, [0, -1, 0])])
    tracks, depths = view.project(facets, place_on(scene, int(facets[0]), [0, -0.25, 0]))
    hidden = view.occluded(facets, tracks, depths)[0]
    # The camera is 2 m off: it sees the facet while cos(angle) > 0.25 / 2.
    np.testing.assert_array_equal(hidden, np.cos(0.1 * np.arange(25)) < 0.125)


def test_a_point_behind_a_box_is_hidden_by_it(build: Build) -> None:
    """A box half as far as the wall covers twice its own width there."""
    scene = build([(CUBE, [0.0, 2.25, 1.5])])  # its face is 2 m ahead and 0.5 m wide
    view = scene.view(np.zeros(1))
    wall = facet_towards(scene, 0, [0, -1, 0])
    for x, z, expected in [
        (0.0, 1.5, True),
        (0.49, 1.5, True),
        (0.51, 1.5, False),
        (-0.49, 1.99, True),
        (-0.49, 2.01, False),
    ]:
        facets = np.array([wall])
        tracks, depths = view.project(facets, place_on(scene, wall, [x, 4, z]))
        assert view.occluded(facets, tracks, depths)[0, 0] == expected
        assert (view.cast(np.zeros(1, int), tracks[:, 0])[0] == wall) != expected


def test_something_flat_hides_the_wall_that_it_hangs_on(build: Build) -> None:
    poster = box().stretched(np.array([0.4, 0.01, 0.4]))
    scene = build([(poster, [0.0, 3.985, 1.5])])  # 5 mm off the wall
    view = scene.view(np.zeros(1))
    wall = facet_towards(scene, 0, [0, -1, 0])
    front = facet_towards(scene, 1, [0, -1, 0])
    for facet, point, expected in [
        (wall, [0.1, 4, 1.6], True),
        (wall, [0.5, 4, 1.6], False),
        (front, [0.1, -0.01, 0.1], False),
    ]:
        tracks, depths = view.project(np.array([facet]), place_on(scene, facet, point))
        assert view.occluded(np.array([facet]), tracks, depths)[0, 0] == expected


def test_the_box_is_not_hidden_by_itself_nor_by_what_is_behind(build: Build) -> None:
    scene = build([(CUBE, [0.0, 2.25, 1.5]), (CUBE, [0.1, 3.2, 1.5])])
    view = scene.view(np.zeros(1))
    facets = np.array([facet_towards(scene, 1, [0, -1, 0])])
    for x in (-0.24, 0, 0.24):
        tracks, depths = view.project(facets, place_on(scene, int(facets[0]), [x, -0.25, 0]))
        assert not view.occluded(facets, tracks, depths)[0, 0]
    back = np.array([facet_towards(scene, 1, [0, 1, 0])])
    tracks, depths = view.project(back, place_on(scene, int(back[0]), [0, 0.25, 0]))
    assert view.occluded(back, tracks, depths)[0, 0]


def test_points_outside_the_frame_or_behind_the_camera_are_hidden(build: Build) -> None:
    scene = build()
    view = scene.view(np.zeros(1))
    wall = facet_towards(scene, 0, [0, -1, 0])
    for x, expected in [(1.59, False), (1.61, True)]:  # the frame's edge: 40 px = 1.6 m at 4 m
        facets = np.array([wall])
        tracks, depths = view.project(facets, place_on(scene, wall, [x, 4, 1.5]))
        assert view.occluded(facets, tracks, depths)[0, 0] == expected
    behind = np.array([facet_towards(scene, 0, [0, 1, 0])])
    tracks, depths = view.project(behind, place_on(scene, int(behind[0]), [0, -4, 1.5]))
    assert view.occluded(behind, tracks, depths)[0, 0]
    assert np.isfinite(tracks).all()


def crowded(build: Build) -> SolidScene:
    return build(
        [
            (ball(1).stretched(np.full(3, 0.3)), [-0.4, 2.0, 1.4]),
            (prism(6, 0.5).stretched(np.array([0.3, 0.3, 0.5])), [0.5, 2.4, 1.6]),
            (tetrahedron().stretched(np.full(3, 0.4)), [0.1, 1.6, 1.2]),
            (CUBE, [0.2, 2.0, 1.7]),
        ]
    )


def test_locate_inverts_project(build: Build) -> None:
    view = crowded(build).view(np.zeros(1))
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (200, 2)) * (80, 64)
    index = np.zeros(200, int)
    facets = view.cast(index, points)
    assert len(np.unique(view.scene.owners[facets])) == 5
    tracks, _ = view.project(facets, view.locate(index, facets, points))
    np.testing.assert_allclose(tracks[:, 0], points, atol=1e-8)


def test_cast_agrees_with_marching_along_rays(build: Build) -> None:
    scene = crowded(build)
    view = scene.view(np.zeros(1))
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 1, (150, 2)) * (80, 64)
    turn, position = scene.camera.poses(np.zeros(1))
    rays = np.column_stack([points, np.ones(150)]) @ np.linalg.inv(scene.camera.intrinsics).T
    rays = rays @ turn[0]  # to the world: by the transpose
    depth = np.arange(0.3, 4, 0.002)
    samples = position[0] + rays[:, None] * depth[:, None]
    places = scene.poses.at(np.zeros(1))[1][0]
    first = np.full((150, 5), np.inf)
    for number, solid in enumerate(scene.solids[1:], start=1):
        shape = solid.shape
        heights = (samples - places[solid.body]) @ shape.normals.T
        inside = (heights < (shape.normals * shape.anchors).sum(1)).all(-1)
        first[:, number] = np.where(inside.any(1), depth[inside.argmax(1)], np.inf)
    first[:, 0] = 3.9
    owners = scene.owners[view.cast(np.zeros(150, int), points)]
    agree = owners == first.argmin(axis=1)
    assert agree.mean() > 0.97  # grazing hits may fall between two steps
    assert (owners > 0).sum() > 40


def test_light_comes_from_above(build: Build) -> None:
    scene = build([(CUBE, [0, 2, 1.5])])
    gains = scene.view(np.zeros(1)).gains[0]
    top, bottom, side = (
        gains[facet_towards(scene, 1, direction)]
        for direction in ([0, 0, 1], [0, 0, -1], [0, -1, 0])
    )
    assert top > side == pytest.approx(bottom)
