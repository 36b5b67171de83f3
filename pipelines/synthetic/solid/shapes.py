"""Convex shapes with planar facets, and photos glued onto them. Lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Shape:
    """A convex body; each loop lists a facet's vertices anticlockwise as seen from outside."""

    vertices: Float[np.ndarray, "v 3"]
    loops: tuple[tuple[int, ...], ...]
    round: bool = False  # a `ball`

    @cached_property
    def normals(self) -> Float[np.ndarray, "f 3"]:
        """Unit normals of the facets, outwards."""
        a, b, c = (self.vertices[[loop[i] for loop in self.loops]] for i in range(3))
        normals = np.cross(b - a, c - a)
        return normals / np.linalg.norm(normals, axis=1, keepdims=True)

    @property
    def anchors(self) -> Float[np.ndarray, "f 3"]:
        """One vertex of every facet."""
        return self.vertices[[loop[0] for loop in self.loops]]

    def stretched(self, factors: Float[np.ndarray, " 3"]) -> Shape:
        """The shape with its axes scaled; facets stay planar. Factors are positive."""
        return Shape(self.vertices * factors, self.loops, self.round)

    def inside_out(self) -> Shape:
        """The same facets seen from within: a room."""
        return Shape(self.vertices, tuple(loop[::-1] for loop in self.loops))


def box() -> Shape:
    """The cube [-1, 1]^3; its first facet is the lower side."""
    vertices = np.array(list(product((-1.0, 1.0), repeat=3)))
    loops = ((0, 2, 6, 4), (0, 4, 5, 1), (2, 3, 7, 6), (0, 1, 3, 2), (4, 6, 7, 5), (1, 5, 7, 3))
    return Shape(vertices, loops)


def prism(sides: int, taper: float = 1.0) -> Shape:
    """An upright prism (many sides: a cylinder) of height 2 about the z axis, radius 1 below.

    `taper` > 0 is the radius above. The sides come first, in order around the axis.
    """
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.column_stack([ring, np.full(sides, -1.0)])
    upper = np.column_stack([taper * ring, np.full(sides, 1.0)])
    loops: list[tuple[int, ...]] = [
        (i, (i + 1) % sides, sides + (i + 1) % sides, sides + i) for i in range(sides)
    ]
    loops.append(tuple(range(sides))[::-1])
    loops.append(tuple(range(sides, 2 * sides)))
    return Shape(np.concatenate([lower, upper]), tuple(loops))


def tetrahedron() -> Shape:
    """A regular tetrahedron with its corners on the unit sphere."""
    vertices = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) / np.sqrt(3)
    return Shape(vertices, ((0, 1, 3), (0, 2, 1), (0, 3, 2), (1, 2, 3)))


@cache
def ball(subdivisions: int) -> Shape:
    """A sphere of radius 1 as 20 * 4^subdivisions triangles."""
    golden = (1 + np.sqrt(5)) / 2
    base = [(0.0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    vertices = [np.roll(corner, shift) for shift in range(3) for corner in base]
    vertices = [vertex / np.linalg.norm(vertex) for vertex in vertices]
    edge = min(np.linalg.norm(vertices[0] - other) for other in vertices[1:]) * 1.01
    loops = []
    for i, j, k in combinations(range(12), 3):
        a, b, c = vertices[i], vertices[j], vertices[k]
        if max(np.linalg.norm(a - b), np.linalg.norm(b - c), np.linalg.norm(c - a)) < edge:
            loops.append((i, j, k) if np.linalg.det([a, b, c]) > 0 else (i, k, j))
    for _ in range(subdivisions):
        loops = _subdivide(vertices, loops)
    return Shape(np.array(vertices), tuple(loops), round=True)


def _subdivide(
    vertices: list[np.ndarray], loops: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Four triangles of each; their new corners, on the unit sphere, are added to `vertices`."""
    middles: dict[tuple[int, int], int] = {}

    def middle(i: int, j: int) -> int:
        key = (min(i, j), max(i, j))
        if key not in middles:
            middles[key] = len(vertices)
            between = vertices[i] + vertices[j]
            vertices.append(between / np.linalg.norm(between))
        return middles[key]

    finer = []
    for i, j, k in loops:
        a, b, c = middle(i, j), middle(j, k), middle(k, i)
        finer += [(i, a, c), (a, j, b), (c, b, k), (a, b, c)]
    return finer


def glue_photos(
    rng: np.random.Generator,
    shape: Shape,
    photo_sizes: Float[np.ndarray, "f 2"],
    pixels_per_metre: Float[np.ndarray, " f"],
    angles: Float[np.ndarray, " f"],
) -> Float[np.ndarray, "f 3 3"]:
    """Where photos lie: (u, v, 1) in their raster pixels to points of the facets' planes.

    Seen from outside no photo is mirrored. Angle 0 (radians) keeps its upper side up where the
    facet has an upper side. Each facet shows a random part of its photo, of (width, height)
    `photo_sizes`; beyond its border the photo goes on as its mirror image.
    """
    normals = shape.normals
    up = np.where(np.abs(normals[:, 2:]) < 0.9, (0.0, 0.0, 1.0), (0.0, 1.0, 0.0))
    down = (up * normals).sum(axis=1, keepdims=True) * normals - up
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    right = np.cross(normals, down)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    right, down = cos * right + sin * down, cos * down - sin * right
    axes = np.stack([right, down], axis=2)  # [f, 3, 2]
    frames = np.empty((len(normals), 3, 3))
    frames[..., :2] = axes / pixels_per_metre[:, None, None]
    parts = rng.uniform(0, 1, (len(normals), 2))
    for facet, loop in enumerate(shape.loops):
        corners = shape.vertices[list(loop)]
        middle = corners.mean(axis=0)
        flat = (corners - middle) @ axes[facet] * pixels_per_metre[facet]
        low, high = -flat.min(axis=0), photo_sizes[facet] - flat.max(axis=0)
        # A facet larger than the photo takes the photo's middle to its own.
        offset = low + np.where(low < high, parts[facet], 0.5) * (high - low)
        frames[facet, :, 2] = middle - frames[facet, :, :2] @ offset
    return frames


def wrap_prism(
    rng: np.random.Generator, shape: Shape, photo_size: tuple[int, int], pixels_per_metre: float
) -> Float[np.ndarray, "sides 3 3"]:
    """Photo pixels on the sides of a `prism`, as one strip around it; else as `glue_photos`."""
    sides = len(shape.loops) - 2
    along, frames = float(rng.uniform(0, photo_size[0])), []
    top = rng.uniform(0, photo_size[1])
    for facet in range(sides):
        lower_left, lower_right, upper_right, upper_left = shape.vertices[list(shape.loops[facet])]
        right = lower_right - lower_left
        width = float(np.linalg.norm(right))
        right = right / width
        down = np.cross(right, shape.normals[facet])
        middle = (lower_left + lower_right + upper_left + upper_right) / 4
        u = along + width / 2 * pixels_per_metre
        origin = middle - (right * u + down * top) / pixels_per_metre
        frames.append(np.stack([right / pixels_per_metre, down / pixels_per_metre, origin], axis=1))
        along += width * pixels_per_metre
    return np.array(frames)


def wrap_ball(
    rng: np.random.Generator, shape: Shape, photo_size: tuple[int, int], pixels_per_metre: float
) -> Float[np.ndarray, "f 3 3"]:
    """Photo pixels on the triangles of a `ball`: one disc of the photo on each half.

    Within a half the photo runs on over the edges of the triangles; distances from the pole are
    kept (azimuthal equidistant map). Else as `glue_photos`.
    """
    middle = shape.vertices.mean(axis=0)
    scale = pixels_per_metre * float(np.linalg.norm(shape.vertices - middle, axis=1).mean())
    size = np.array(photo_size)
    centres = [size / 2 + rng.uniform(-0.1, 0.1, 2) * size for _ in range(2)]
    frames = []
    for loop, normal in zip(shape.loops, shape.normals, strict=True):
        corners = shape.vertices[list(loop)]
        north = normal[2] > 0
        unit = corners - middle
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        polar = np.arccos(np.clip(unit[:, 2] if north else -unit[:, 2], -1, 1))
        around = unit[:, :2] / np.maximum(np.linalg.norm(unit[:, :2], axis=1, keepdims=True), 1e-9)
        # Seen from above, x runs right and y up; seen from below, both axes of y turn over.
        flat = polar[:, None] * around * (1, -1 if north else 1) * scale + centres[int(north)]
        frames.append(corners.T @ np.linalg.inv(np.column_stack([flat, np.ones(3)]).T))
    return np.array(frames)
