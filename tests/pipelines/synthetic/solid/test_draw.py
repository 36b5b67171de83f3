"""The pixels agree with the geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipelines.synthetic.motion import Path
from pipelines.synthetic.solid.camera import Camera
from pipelines.synthetic.solid.draw import draw_frames
from pipelines.synthetic.solid.poses import Poses, axis_quaternions
from pipelines.synthetic.solid.scene import SolidScene
from pipelines.synthetic.solid.shapes import ball, box, prism

Build = Callable[..., SolidScene]
CUBE = box().stretched(np.full(3, 0.4))
NOW = np.zeros(1)


def plain(level: int) -> np.ndarray:
    return np.full((64, 64, 3), level, np.uint8)


def draw(scene: SolidScene, fine: int = 2) -> np.ndarray:
    return next(draw_frames(scene.view(NOW), fine)).astype(float)


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("scale", [1, 2, 6])
def test_a_bright_spot_is_found_where_the_track_says(
    build: Build, camera: Callable[..., Camera], angle: float, scale: int
) -> None:
    """At several mip levels, and on a facet seen at an angle."""
    size = 64 * scale
    photo = np.zeros((size, size, 3), np.float32)
    spot = np.array([0.45, 0.52]) * size
    y, x = np.mgrid[:size, :size] + 0.5
    radius = 0.03 * size
    photo[:] = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * radius**2))[..., None]
    turn = axis_quaternions(np.array([0.3, 0.2, 1.0]), np.array(angle))
    poses = Poses(
        NOW,
        np.array([[[0, 0, 0], [0.05, 2.0, 1.45]]]),
        np.stack([[1.0, 0, 0, 0], turn])[None],
    )
    photos = [plain(0), np.round(photo).astype(np.uint8)]
    scene = build([(CUBE, [0, 0, 0])], photos=photos, poses=poses)
    view = scene.view(NOW)
    front = int(scene.starts[1]) + int(np.flatnonzero(CUBE.normals @ [0, -1, 0] > 0.9)[0])
    track, depth = view.project(np.array([front]), spot[None])
    assert not view.occluded(np.array([front]), track, depth)[0, 0]

    picture = draw(scene)[..., 0]
    # Other facets show the spot as well: look at this one alone.
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    near = np.hypot(columns - track[0, 0, 0], rows - track[0, 0, 1]) < 5
    moments = cv2.moments(np.where(near, picture, 0).astype(np.float32))
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
    assert np.linalg.norm(centre - track[0, 0]) < 0.1


def test_pixel_centres_are_exact(build: Build) -> None:
    """A photo that encodes its own columns and rows, read back under every pixel."""
    photo = np.zeros((128, 128, 3), np.uint8)
    photo[..., 0] = np.arange(128)[None] * 2
    photo[..., 1] = np.arange(128)[:, None] * 2
    scene = build([(box().stretched(np.full(3, 0.9)), [0.0, 2.9, 1.5])], photos=[plain(0), photo])
    view = scene.view(NOW)
    picture = draw(scene)
    rows, columns = np.mgrid[4:60, 4:76].reshape(2, -1)
    points = np.stack([columns, rows], axis=1) + 0.5
    facets = view.cast(np.zeros(len(points), int), points)
    own = scene.owners[facets] == 1
    assert own.sum() > 1000
    places = view.locate(np.zeros(own.sum(), int), facets[own], points[own])
    inner = ((places > 4) & (places < 124)).all(axis=1)
    gain = view.gains[0, facets[own]][inner, None]
    shown = picture[rows[own][inner], columns[own][inner], :2] / gain / 2 + 0.5
    error = shown - places[inner]
    assert np.abs(error.mean(axis=0)).max() < 0.3 / gain.min() / 2  # brightness is rounded
    # Slopes do not suffer from rounding: positions grow as they should.
    for axis in (0, 1):
        slope = np.polyfit(places[inner, axis], shown[:, axis], 1)[0]
        assert slope == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("fine", [1, 2])
def test_what_is_drawn_is_what_rays_meet(build: Build, fine: int) -> None:
    shapes = [
        (ball(1).stretched(np.full(3, 0.3)), [-0.4, 2.0, 1.4]),
        (prism(6, 0.5).stretched(np.array([0.3, 0.3, 0.5])), [0.5, 2.4, 1.6]),
        (CUBE, [0.2, 2.0, 1.9]),  # cuts into the prism
    ]
    photos = [plain(level) for level in (30, 90, 150, 210)]
    scene = build(shapes, photos=photos)
    picture = draw(scene, fine)[..., 0]
    view = scene.view(NOW)
    rows, columns = np.mgrid[:64, :80].reshape(2, -1)
    points = np.stack([columns, rows], axis=1) + 0.5
    corners = points + np.array([[[-0.5, -0.5]], [[0.5, -0.5]], [[-0.5, 0.5]], [[0.5, 0.5]]]) * 0.99
    index = np.zeros(4 * len(points), int)
    facets = view.cast(index, corners.reshape(-1, 2)).reshape(4, -1)
    whole = (facets == facets[0]).all(axis=0)
    level = np.array([30, 90, 150, 210])[scene.owners[facets[0]]]
    expected = level * view.gains[0, facets[0]]
    assert whole.mean() > 0.6
    assert np.abs(picture[rows, columns] - expected)[whole].max() <= 1
    for owner in range(4):
        assert (scene.owners[facets[0]] == owner)[whole].sum() > 50


def test_edges_are_smooth_and_leave_no_gaps(build: Build) -> None:
    shapes = [(ball(1).stretched(np.full(3, 0.5)), [0.0, 2.0, 1.5])]
    scene = build(shapes, photos=[plain(200), plain(200)])
    # Without shading everything is of one colour: seams would show.
    view = scene.view(NOW)
    flat = replace(view, gains=np.ones_like(view.gains))
    picture = next(draw_frames(flat)).astype(int)
    assert np.abs(picture - 200).max() <= 2
    dark = build(shapes, photos=[plain(0), plain(200)])
    view = replace(dark.view(NOW), gains=np.ones_like(view.gains))
    shown = next(draw_frames(view))[..., 0].astype(float)
    # The area of the disc is drawn to a small part of a pixel.
    rough = next(draw_frames(view, 1))[..., 0].astype(float)
    exact = next(draw_frames(view, 8))[..., 0].astype(float)
    assert len(np.unique(shown)) > 3
    assert np.abs(shown - exact).mean() < 0.7 * np.abs(rough - exact).mean()


def test_far_parts_of_the_floor_come_from_coarser_levels(
    build: Build, camera: Callable[..., Camera], still: Callable[..., Path]
) -> None:
    """A chessboard of single pixels, near ones larger than the frame's, far ones smaller."""
    photo = (255 * (np.indices((512, 512)).sum(axis=0) % 2)).astype(np.uint8)
    low = camera(position=still([0, -3.5, 0.2]), target=still([0, 4, 0.2]))
    view = build(photos=[np.dstack([photo] * 3)], view=low).view(NOW)
    picture = next(draw_frames(replace(view, gains=np.ones_like(view.gains)))).astype(float)
    floor = view.cast(np.zeros(64, int), np.column_stack([np.full(64, 40.2), np.arange(64) + 0.5]))
    assert set(floor[40:]) == {0}
    assert picture[40:46].std() < 8
    assert picture[58:].std() > 30  # half a metre ahead the squares can be told apart


def test_shadows_fall_on_the_floor_below_their_bodies(build: Build) -> None:
    shapes = [(CUBE.stretched(np.full(3, 0.5)), [0.0, 3.0, 1.2])]
    photos = [plain(200), plain(100)]
    look = build(shapes, photos=photos).camera
    below = replace(look, target=replace(look.target, offset=np.array([0, 3.0, 0.3])))
    lit, shaded = (
        draw(build(shapes, photos=photos, view=below, shadow=shadow))[..., 0]
        for shadow in (1.0, 0.5)
    )
    scene = build(shapes, photos=photos, view=below)
    view = scene.view(NOW)
    to_floor = scene.solids[0].frames[0].copy()
    to_floor[2] = 0, 0, 1  # the floor is at z = 0
    for place, factor in [([0, 3.0], 0.5), ([0.7, 3.0], 1.0), ([0, 2.2], 1.0)]:
        where = np.linalg.solve(to_floor, [*place, 1])[None, :2]
        x, y = np.floor(view.project(np.array([0]), where)[0][0, 0]).astype(int)
        assert shaded[y, x] / lit[y, x] == pytest.approx(factor, abs=0.03)
    changed = shaded != lit
    assert 20 < changed.sum() < 0.3 * changed.size


def test_a_slanting_light_throws_shadows_to_the_other_side(build: Build) -> None:
    shapes = [(CUBE.stretched(np.full(3, 0.25)), [0.0, 3.0, 1.0])]
    photos = [plain(200), plain(100)]
    look = build(shapes, photos=photos).camera
    below = replace(look, target=replace(look.target, offset=np.array([0, 3.0, 0.3])))
    pictures = []
    for shadow in (1.0, 0.5):
        scene = build(shapes, photos=photos, view=below, shadow=shadow)
        pictures.append(draw(replace(scene, light=np.array([0.6, 0, 0.8])))[..., 0])
    lit, shaded = pictures
    rows, columns = np.nonzero(shaded < 0.6 * lit)
    # From 1 m above, a light from the right (3 : 4) throws it 0.75 m to the left.
    view = scene.view(NOW)
    to_floor = scene.solids[0].frames[0].copy()
    to_floor[2] = 0, 0, 1
    where = np.linalg.solve(to_floor, [-0.75, 3.0, 1])[None, :2]
    expected = view.project(np.array([0]), where)[0][0, 0]
    np.testing.assert_allclose([columns.mean() + 0.5, rows.mean() + 0.5], expected, atol=1.5)


def test_a_camera_inside_a_solid_looks_through_it(build: Build) -> None:
    scene = build([(CUBE, [0.0, 0.1, 1.5])], photos=[plain(50), plain(250)])
    assert draw(scene).max() < 80
