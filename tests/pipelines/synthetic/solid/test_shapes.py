from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from pipelines.synthetic.solid.shapes import (
    Shape,
    ball,
    box,
    glue_photos,
    prism,
    tetrahedron,
    wrap_ball,
    wrap_prism,
)

SHAPES = {
    "box": box(),
    "slab": box().stretched(np.array([1, 0.5, 0.1])),
    "triangle": prism(3),
    "cylinder": prism(10),
    "cone": prism(6, taper=0.4),
    "tetrahedron": tetrahedron(),
    "icosahedron": ball(0),
    "ball": ball(1),
}


def photo_points(frame: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Photo positions (u, v) of body points: the frame's inverse."""
    found = np.linalg.solve(frame, corners.T)
    np.testing.assert_allclose(found[2], 1, atol=1e-9)  # the points are on the facet's plane
    return found[:2].T


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_closed_convex_and_planar(name: str) -> None:
    shape = SHAPES[name]
    edges = Counter(edge for loop in shape.loops for edge in pairwise([*loop, loop[0]]))
    # Every edge is run through once in each direction by its two facets.
    assert set(edges.values()) == {1}
    assert all((b, a) in edges for a, b in edges)
    # Euler's formula.
    assert len(shape.vertices) - len(edges) // 2 + len(shape.loops) == 2
    heights = shape.normals @ shape.vertices.T - (shape.normals * shape.anchors).sum(1)[:, None]
    assert heights.max() < 1e-9  # nothing is beyond any facet: convex, normals outwards
    for facet, loop in enumerate(shape.loops):
        assert np.abs(heights[facet, list(loop)]).max() < 1e-9


def test_facets_of_a_ball_lie_on_the_sphere() -> None:
    assert [len(ball(n).loops) for n in (0, 1)] == [20, 80]
    np.testing.assert_allclose(np.linalg.norm(ball(1).vertices, axis=1), 1)


def test_a_prism_has_its_sizes() -> None:
    shape = prism(8, taper=0.5)
    radii = np.linalg.norm(shape.vertices[:, :2], axis=1)
    np.testing.assert_allclose(radii, np.where(shape.vertices[:, 2] < 0, 1, 0.5))
    assert set(shape.vertices[:, 2]) == {-1, 1}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_glued_photos_keep_lengths_and_are_not_mirrored(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = SHAPES[name]
    count = len(shape.loops)
    sizes = np.tile([400.0, 300.0], (count, 1))
    frames = glue_photos(rng, shape, sizes, np.full(count, 50.0), rng.uniform(-3, 3, count))
    for facet, loop in enumerate(shape.loops):
        corners = shape.vertices[list(loop)]
        places = photo_points(frames[facet], corners)
        lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
        np.testing.assert_allclose(np.linalg.norm(np.diff(places, axis=0), axis=1), 50 * lengths)
        assert (places > -1e-9).all()
        assert (places < [400 + 1e-9, 300 + 1e-9]).all()
        # v runs down: what is anticlockwise outside has a negative area in the photo.
        a, b = places[1] - places[0], places[2] - places[0]
        assert a[0] * b[1] - a[1] * b[0] < 0


def test_photos_stand_upright_on_walls() -> None:
    frames = glue_photos(
        np.random.default_rng(0), box(), np.full((6, 2), 64), np.full(6, 10.0), np.zeros(6)
    )
    for facet in (1, 2, 3, 4):  # the four sides
        np.testing.assert_allclose(frames[facet, :, 1], [0, 0, -0.1], atol=1e-12)


def test_a_photo_smaller_than_its_facet_is_centred() -> None:
    frames = glue_photos(
        np.random.default_rng(0), box(), np.full((6, 2), 64), np.full(6, 100.0), np.zeros(6)
    )
    for facet, loop in enumerate(box().loops):
        middle = box().vertices[list(loop)].mean(axis=0)
        np.testing.assert_allclose(photo_points(frames[facet], middle[None]), [[32, 32]])


def test_a_strip_runs_on_around_a_prism() -> None:
    shape = prism(8)
    frames = wrap_prism(np.random.default_rng(0), shape, (512, 256), 40.0)
    for left, right in pairwise(range(8)):
        shared = shape.vertices[[shape.loops[left][1], shape.loops[left][2]]]
        np.testing.assert_allclose(
            photo_points(frames[left], shared), photo_points(frames[right], shared), atol=1e-9
        )
    assert (
        np.einsum("fi,fi->f", np.cross(frames[..., 1], frames[..., 0]), shape.normals[:8]) > 0
    ).all()


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_photo_runs_on_over_each_half_of_a_ball(shift: float) -> None:
    shape = Shape(ball(1).vertices + np.array([0, 0, shift]), ball(1).loops, round=True)
    frames = wrap_ball(np.random.default_rng(0), shape, (300, 300), 60.0)
    north = shape.normals[:, 2] > 0
    for half in (north, ~north):
        seen: dict[int, np.ndarray] = {}
        for facet in np.flatnonzero(half):
            loop = list(shape.loops[facet])
            for vertex, place in zip(
                loop, photo_points(frames[facet], shape.vertices[loop]), strict=True
            ):
                np.testing.assert_allclose(seen.setdefault(vertex, place), place, atol=1e-6)
    assert (
        np.einsum("fi,fi->f", np.cross(frames[..., 1], frames[..., 0]), shape.normals) > 0
    ).all()
