"""Random rooms: walls, clutter, and objects that glide or fall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.solid.physics import Body
from pipelines.synthetic.solid.poses import axis_quaternions, random_quaternion
from pipelines.synthetic.solid.scene import Solid
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
from pipelines.synthetic.textures import TextureBank

if TYPE_CHECKING:
    from jaxtyping import Float

_UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
_TRIES = 12  # places tried for a body; then it is left out


@dataclass(frozen=True)
class Bounds:
    """An upright cylinder about a body's origin that holds the body however it turns."""

    reach: float  # radius
    low: float  # below the origin this is negative
    high: float

    def near(self, position: np.ndarray, points: np.ndarray, gap: float) -> bool:
        """Whether any of the points [..., 3] is inside, or nearer than `gap` to the surface."""
        away = points - position
        inside = np.hypot(away[..., 0], away[..., 1]) < self.reach + gap
        inside &= (away[..., 2] > self.low - gap) & (away[..., 2] < self.high + gap)
        return bool(inside.any())


@dataclass
class Layout:
    """A scene while it is put together. Body 0 is the room itself."""

    rng: np.random.Generator
    textures: TextureBank
    extent: Float[np.ndarray, " 3"]  # half width, half depth and height of the room
    eye: Float[np.ndarray, " 3"]  # about where the camera will be
    target: Float[np.ndarray, " 3"]  # and where it looks
    solids: list[Solid] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    photos: list[np.ndarray] = field(default_factory=list)
    bounds: list[Bounds] = field(default_factory=list)  # of the bodies

    def add(
        self, parts: list[Shape], position: np.ndarray, quaternion: np.ndarray, bounds: Bounds
    ) -> int:
        """Put a body of convex parts into the room; returns its number."""
        rng = self.rng
        number = len(self.bodies)
        shared = self.pick_photo() if rng.random() < 0.6 else None
        for part in parts:
            photo = shared if shared is not None else self.pick_photo()
            self.solids.append(self._cover(part, photo, number, shared is None))
        self.bodies.append(Body(tuple(part.vertices for part in parts), position, quaternion))
        self.bounds.append(bounds)
        return number

    def is_free(self, position: np.ndarray, bounds: Bounds) -> bool:
        """Whether a body would be inside the room, off the camera and off the other bodies."""
        if (np.abs(position[:2]) + bounds.reach > self.extent[:2] - 0.05).any():
            return False
        if bounds.near(position, self.eye, 0.7):
            return False
        return not any(
            bounds.reach + other.reach > np.hypot(*(position - body.position)[:2])
            and position[2] + bounds.low < body.position[2] + other.high
            and position[2] + bounds.high > body.position[2] + other.low
            for body, other in zip(self.bodies[1:], self.bounds[1:], strict=True)
        )

    def place(self, low: float, high: float, nearest: float = 1.3) -> np.ndarray:
        """A random point in the camera's view, at a height between low and high."""
        rng = self.rng
        forward = (self.target - self.eye)[:2]
        reach = float(np.linalg.norm(forward))
        forward = forward / reach
        ahead = rng.uniform(nearest, reach + 1.4)
        aside = rng.normal(0, 0.28) * ahead
        point = self.eye[:2] + ahead * forward + aside * np.array([-forward[1], forward[0]])
        room = self.extent[:2] - 0.4
        return np.array([*np.clip(point, -room, room), rng.uniform(low, high)])

    def pick_photo(self) -> int:
        """Take a photo of the bank, mirrored or not; its number in the scene."""
        photo = self.textures.photos[int(self.rng.integers(len(self.textures.photos)))]
        if self.rng.random() < 0.5:
            photo = cv2.flip(photo, 1)
        self.photos.append(photo)
        return len(self.photos) - 1

    def _cover(self, shape: Shape, photo: int, body: int, several: bool) -> Solid:
        """Photos on all facets: one for all, or one for each of a few facets."""
        rng = self.rng
        height, width = self.photos[photo].shape[:2]
        size = float(np.ptp(shape.vertices, axis=0).max())
        scale = rng.uniform(0.5, 1.0) * min(height, width) / size
        count = len(shape.loops)
        photos = [photo] * count
        if shape.round:
            return Solid(shape, wrap_ball(rng, shape, (width, height), scale), tuple(photos), body)
        if several:
            photos = [photo if rng.random() < 0.6 else self.pick_photo() for _ in range(count)]
        sizes = np.array([self.photos[photo].shape[1::-1] for photo in photos])
        angles = rng.uniform(-np.pi, np.pi, count) * (rng.random() < 0.5)
        frames = glue_photos(rng, shape, sizes, np.full(count, scale), angles)
        if count > 6 and not several:  # a prism, as one piece
            frames[:-2] = wrap_prism(rng, shape, (width, height), scale)
        return Solid(shape, frames, tuple(photos), body)


def random_room(rng: np.random.Generator, textures: TextureBank) -> Layout:
    """An empty room, or a yard with far walls, and a place for the camera in it."""
    large = rng.random() < 0.3
    sides = rng.uniform(5.0, 8.0, 2) if large else rng.uniform(2.8, 4.5, 2)
    extent = np.array([*sides, rng.uniform(4.0, 6.0) if large else rng.uniform(2.4, 3.4)])
    heading = rng.uniform(-np.pi, np.pi)
    away = np.array([np.cos(heading), np.sin(heading)])
    middle = rng.uniform(-0.5, 0.5, 2)
    distance = rng.uniform(2.0, 3.6)
    place = np.clip(middle + distance * away, 0.4 - sides, sides - 0.4)
    eye = np.array([*place, rng.uniform(0.6, 2.0)])
    target = np.array([*middle, rng.uniform(0.2, 1.0)])
    layout = Layout(rng, textures, extent, eye, target)

    stretched = box().stretched(extent * (1, 1, 0.5))
    shape = Shape(
        stretched.vertices + np.array([0, 0, extent[2] / 2]), stretched.loops
    ).inside_out()
    photos = tuple(layout.pick_photo() for _ in shape.loops)
    sizes = np.array([layout.photos[photo].shape[1::-1] for photo in photos])
    # About as many pixels of the photo as of the frame; larger walls show it mirrored.
    spans = rng.uniform(2.5, 4.5, len(photos)) * (1.6 if large else 1.0)
    level = np.abs(shape.normals[:, 2]) > 0.5
    angles = np.where(level, rng.uniform(-np.pi, np.pi, 6), rng.normal(0, 0.03, 6))
    frames = glue_photos(rng, shape, sizes, sizes.min(axis=1) / spans, angles)
    layout.solids.append(Solid(shape, frames, photos, 0))
    layout.bodies.append(Body((), np.zeros(3), _UPRIGHT))
    layout.bounds.append(Bounds(0.0, 0.0, 0.0))
    return layout


def random_shape(rng: np.random.Generator, half_size: float) -> Shape:
    """A solid whose longest half side is about `half_size`."""
    kind = rng.choice(5, p=[0.55, 0.2, 0.13, 0.08, 0.04])
    factors = np.exp(rng.uniform(np.log(0.4), 0, 3))
    factors *= half_size / factors.max()
    if kind == 0:
        return box().stretched(factors)
    if kind == 1:
        sides = int(rng.choice([3, 5, 6, 8]))
        taper = rng.uniform(0.35, 1.0) if rng.random() < 0.4 else 1.0
        return prism(sides, taper).stretched(factors[[0, 0, 2]])
    if kind == 2:
        return tetrahedron().stretched(half_size * rng.uniform(0.8, 1.2, 3))
    # Few facets: every one of them costs time.
    round_ = ball(0) if kind == 3 else ball(1)
    return round_.stretched(np.full(3, 0.8 * half_size))


def add_clutter(layout: Layout) -> None:
    """One random piece of furniture that stands on the floor or hangs in the air."""
    rng = layout.rng
    pieces: list[Callable[[Layout], None]] = [_heap, _table, _pole, _hanging]
    pieces[int(rng.choice(4, p=[0.55, 0.13, 0.14, 0.18]))](layout)


def add_object(layout: Layout, low: float, high: float) -> int | None:
    """A solid turned at random in the air, about low to high above the floor.

    Returns the body's number, or None if there was no room for it.
    """
    rng = layout.rng
    half_size = float(np.exp(rng.uniform(np.log(0.13), np.log(0.45))))
    shape = random_shape(rng, half_size)
    radius = float(np.linalg.norm(shape.vertices, axis=1).max())
    low, high = max(low, radius + 0.02), min(max(high, radius + 0.1), layout.extent[2] - radius)
    bounds = Bounds(radius, -radius, radius)
    position = _find_place(layout, bounds, lambda: layout.place(low, high))
    if position is None:
        return None
    return layout.add([shape], position, random_quaternion(rng), bounds)


def _find_place(
    layout: Layout, bounds: Bounds, draw: Callable[[], np.ndarray]
) -> np.ndarray | None:
    for _ in range(_TRIES):
        position = draw()
        if layout.is_free(position, bounds):
            return position
    return None


def _stand(layout: Layout, parts: list[Shape], nearest: float = 1.3) -> None:
    """Put parts whose lowest point is at z = 0 on the floor, turned about the vertical."""
    reach = max(float(np.linalg.norm(part.vertices[:, :2], axis=1).max()) for part in parts)
    bounds = Bounds(reach, 0.0, max(float(part.vertices[:, 2].max()) for part in parts))
    position = _find_place(layout, bounds, lambda: layout.place(0, 0, nearest))
    if position is None:
        return
    turn = axis_quaternions(np.array([0, 0, 1.0]), np.array(layout.rng.uniform(-np.pi, np.pi)))
    layout.add(parts, position, turn, bounds)


def _raised(shape: Shape, base: float) -> Shape:
    """The shape moved up or down so that its lowest point is at height `base`."""
    lift = base - shape.vertices[:, 2].min()
    return Shape(shape.vertices + np.array([0, 0, lift]), shape.loops, shape.round)


def _heap(layout: Layout) -> None:
    """One to three solids on top of each other."""
    rng = layout.rng
    half_size = float(np.exp(rng.uniform(np.log(0.15), np.log(0.5))))
    parts: list[Shape] = []
    base = 0.0
    for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12]))):
        shape = _raised(random_shape(rng, half_size), base)
        base = float(shape.vertices[:, 2].max())
        shift = np.array([*rng.normal(0, 0.15 * half_size, 2), 0]) * bool(parts)
        parts.append(Shape(shape.vertices + shift, shape.loops, shape.round))
        half_size *= rng.uniform(0.6, 0.95)
    _stand(layout, parts)


def _table(layout: Layout) -> None:
    rng = layout.rng
    width, depth = rng.uniform(0.25, 0.6, 2)
    height, leg, top = rng.uniform(0.4, 0.9), rng.uniform(0.015, 0.04), rng.uniform(0.02, 0.05)
    parts = [_raised(box().stretched(np.array([width, depth, top])), height)]
    for x in (-1, 1):
        for y in (-1, 1):
            part = _raised(box().stretched(np.array([leg, leg, height / 2])), 0)
            place = np.array([x * (width - 2 * leg), y * (depth - 2 * leg), 0])
            parts.append(Shape(part.vertices + place, part.loops))
    if rng.random() < 0.7:
        load = random_shape(rng, rng.uniform(0.1, 0.22))
        parts.append(_raised(load, height + 2 * top))
    _stand(layout, parts)


def _pole(layout: Layout) -> None:
    """Something long and thin that much else passes behind."""
    rng = layout.rng
    radius, height = rng.uniform(0.015, 0.06), rng.uniform(0.8, 2.3)
    shape = prism(int(rng.choice([4, 6]))).stretched(np.array([radius, radius, height / 2]))
    _stand(layout, [_raised(shape, 0)], nearest=0.9)


def _hanging(layout: Layout) -> None:
    add_object(layout, 0.6, 2.0)
